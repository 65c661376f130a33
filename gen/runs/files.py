"""The files of a run in its folder: two checkpoints, metrics.jsonl, samples.

Of several processes that train a run, only the first writes them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gen.config import TrainingConfig
from gen.models.sequence_model import SequenceModel
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint
from gen.runs.header import RunHeader, read_run_file, versions, write_run_file
from gen.runs.history import History, Metrics
from gen.runs.prepared import PreparedCorpus, can_end
from gen.runs.provenance import describe
from gen.runs.tasks import TASKS
from gen.training.trainer import TrainingPosition

METRICS_FILE = "metrics.jsonl"
SAMPLES = "samples"


class RunFiles:
    """The files of a run that is being trained.

    Args:
        folder: of the run, existing.
        corpus: that it is trained on.
        model: whose weights are written, as they are at that time.
        training: rates and limits.
        step: from which training goes on; metrics of later steps are removed.
    """

    def __init__(
        self, folder: Path, corpus: PreparedCorpus, model: SequenceModel, training: TrainingConfig, *, step: int
    ) -> None:
        self.folder = folder
        self._corpus = corpus
        self._model = model
        self._header = RunHeader(
            run=folder.name,
            codec=corpus.codec.spec(),
            model=model.config,
            training=training,
            labels=corpus.label_names,
            corpus=describe(corpus),
            can_end=can_end(corpus),
            history=History(),
            versions=versions(),
        )
        (folder / SAMPLES).mkdir(exist_ok=True)
        self._metrics = Metrics(folder / METRICS_FILE, step=step)

    def write_model(self, result: Mapping[str, Any], history: History) -> None:
        """Writes the present weights as the run's best."""
        header = replace(self._header, history=history, result=result)
        write_run_file(self.folder / MODEL_FILE, dict(self._model.named_parameters()), header)

    def load_best_(self) -> None:
        """Gives the model the run's best weights. Raises CheckpointError."""
        tensors, _ = read_checkpoint(self.folder / MODEL_FILE, "model")
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(tensors[name])

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes the result of the whole run into the file of its best weights. Raises CheckpointError."""
        tensors, header = read_run_file(self.folder / MODEL_FILE, "model")
        write_run_file(self.folder / MODEL_FILE, tensors, replace(header, result=result))

    def write_training(
        self, tensors: Mapping[str, torch.Tensor], position: TrainingPosition, history: History, marks_passed: int
    ) -> None:
        """Writes the training checkpoint, from which the run can be resumed."""
        header = replace(self._header, history=history, position=position, marks_passed=marks_passed)
        write_run_file(self.folder / TRAINING_FILE, tensors, header)

    def write_metrics(self, line: Mapping[str, Any]) -> None:
        """Appends a line to metrics.jsonl."""
        self._metrics.write(line)

    def write_sample(self, step: int) -> str | None:
        """Writes what the model writes into the folder of samples; returns it, or None if it writes nothing."""
        return TASKS[self._model.config.task].write_sample(self.folder / SAMPLES, self._corpus, self._model, step)

    def close(self) -> None:
        """Closes metrics.jsonl."""
        self._metrics.close()
