"""The tasks that a run can be trained for, one file each."""

from gen.config import TaskName
from gen.runs.tasks.classifying import Classifying
from gen.runs.tasks.pairing import Pairing
from gen.runs.tasks.tagging import Tagging
from gen.runs.tasks.task import Task
from gen.runs.tasks.writing import Writing

TASKS: dict[TaskName, Task] = {
    "write": Writing(),
    "classify": Classifying(),
    "tag": Tagging(),
    "pairs": Pairing(),
}
