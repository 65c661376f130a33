"""The options of a corpus by task: those that have no meaning for it, and those that it decides."""

from dataclasses import replace

from gen.codecs.text.tagged import TaggedCodec
from gen.config import Reading, TaskName
from gen.errors import SettingError
from gen.runs.options import CorpusOptions

# Options of reading without a meaning, and words for the runs for which they have none.
WITHOUT_MEANING: dict[TaskName, tuple[str, ...]] = {
    "tag": ("documents", "text_column", "label_column"),
    "pairs": ("documents", "label_column"),
}
RUNS_WITH_FORMATS: dict[TaskName, str] = {"tag": "a run that tags", "pairs": "pairs"}
CODECS: dict[TaskName, str] = {"tag": TaggedCodec.name, "pairs": "auto"}  # that of pairs is `options.codec_name`


def options_of_task(options: CorpusOptions) -> CorpusOptions:
    """Returns the options by which the corpus of their task is read: for tags and pairs, without labels of files.

    Raises SettingError if an option is given that has no meaning for the task.
    """
    task, reading, default = options.task, options.reading, Reading()
    if options.controls and task != "write":
        raise SettingError(
            f"--controls: only for a run that writes ({','.join(options.controls)})", hint="leave it out"
        )
    if reading.target_column is not None and task != "pairs":
        raise SettingError(f"--target-column: only for pairs ({reading.target_column})", hint="--task pairs")
    if options.codec == TaggedCodec.name and task != "tag":
        raise SettingError(f"--codec: only for a run that tags ({options.codec})", hint="--task tag")
    if (words := RUNS_WITH_FORMATS.get(task)) is None:
        return options
    for name in WITHOUT_MEANING[task]:
        if (value := getattr(reading, name)) != getattr(default, name):
            raise SettingError(f"--{name.replace('_', '-')}: not for {words} ({value})", hint="leave it out")
    if options.codec not in ("auto", CODECS[task]):
        raise SettingError(f"--codec: not for {words} ({options.codec})", hint="leave it out")
    return replace(options, codec=CODECS[task], reading=replace(reading, labels="none"))
