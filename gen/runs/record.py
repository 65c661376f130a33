"""What a run leaves in its folder: two checkpoints, a line of metrics a report, samples.

Of several processes that train a run, the first alone has a record.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gen.codec import decode, stream
from gen.config import SamplingConfig, TrainingConfig
from gen.generation.generate import generate
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import Stepper
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint
from gen.runs.header import RunHeader, read_run_file, versions, write_run_file
from gen.runs.history import History, Metrics
from gen.runs.prepared import PreparedCorpus
from gen.runs.provenance import describe
from gen.training.trainer import Place

METRICS_FILE = "metrics.jsonl"
SAMPLES = "samples"
SAMPLE_TOKENS = 200
ENDS_NEEDED = 2  # documents that end within the training data, below which a model cannot know how to end one


class Record:
    """The files of a run that is open for training.

    Args:
        folder: of the run, existing.
        material: its corpus.
        model: as it trains.
        training: rates and limits.
        step: where the run stands; what was noted of later steps is forgotten.
    """

    def __init__(
        self, folder: Path, material: PreparedCorpus, model: RecurrentLM, training: TrainingConfig, *, step: int
    ) -> None:
        self.folder = folder
        self._material = material
        self._model = model
        self._training = training
        (folder / SAMPLES).mkdir(exist_ok=True)
        self._metrics = Metrics(folder / METRICS_FILE, step=step)

    def write_model(self, result: Mapping[str, Any], history: History) -> None:
        """Writes the present weights as the run's best."""
        header = replace(self._header(history), result=result)
        write_run_file(self.folder / MODEL_FILE, dict(self._model.named_parameters()), header)

    def load_best(self) -> None:
        """Makes the run's best weights the present ones. Raises CheckpointError."""
        tensors, _ = read_checkpoint(self.folder / MODEL_FILE, "model")
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(tensors[name])

    def note_result(self, result: Mapping[str, Any]) -> None:
        """Writes the result of the whole run into the file of its best weights."""
        tensors, header = read_run_file(self.folder / MODEL_FILE, "model")
        write_run_file(self.folder / MODEL_FILE, tensors, replace(header, result=result))

    def write_training(
        self, tensors: Mapping[str, torch.Tensor], position: Place, history: History, marks_passed: int
    ) -> None:
        """Writes everything that training needs to go on."""
        header = replace(self._header(history), position=position, marks_passed=marks_passed)
        write_run_file(self.folder / TRAINING_FILE, tensors, header)

    def write_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds a line to the metrics."""
        self._metrics.write(dict(line))

    def write_sample(self, step: int) -> str:
        """Writes a sample beside the checkpoints; returns its text, or its notes."""
        codec = self._material.codec
        tokens = [
            sampled.token
            for sampled in generate(
                Stepper(self._model),
                prompt=(),
                begin=codec.vocab.begin,
                end=codec.vocab.end if self._can_end() else None,
                length=SAMPLE_TOKENS,
                sampling=SamplingConfig(temperature=0.8),
                seed=step,
                new_grammar=codec.grammar,
            )
        ]
        codec.write(self.folder / SAMPLES / f"step-{step:07}{codec.suffix}", decode(codec, tokens))
        return ("" if codec.kind == "text" else "; ").join(str(piece) for piece in stream(codec, tokens))

    def close(self) -> None:
        """Closes the metrics."""
        self._metrics.close()

    def _can_end(self) -> bool:
        base = self._material.options.base
        if base is not None and base.can_end:
            return True
        return self._material.train.stretches.num_closed >= ENDS_NEEDED

    def _header(self, history: History) -> RunHeader:
        """Returns the header that both files have in common."""
        return RunHeader(
            run=self.folder.name,
            codec=self._material.codec.spec(),
            model=self._model.config,
            training=self._training,
            labels=tuple(self._material.label_names),
            corpus=describe(self._material),
            can_end=self._can_end(),
            history=history,
            versions=versions(),
        )
