"""The files of a run in its folder: two checkpoints, metrics.jsonl, samples.

Of several processes that train a run, only the first writes them.
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
from gen.models.stepper import PackedStepper
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint
from gen.runs.header import RunHeader, read_run_file, versions, write_run_file
from gen.runs.history import History, Metrics
from gen.runs.prepared import PreparedCorpus
from gen.runs.provenance import describe
from gen.training.trainer import TrainingPosition

METRICS_FILE = "metrics.jsonl"
SAMPLES = "samples"
MAX_SAMPLE_TOKENS = 200
MIN_ENDS = 2  # documents that end within the training data: from fewer a model cannot learn to end one


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
        self, folder: Path, corpus: PreparedCorpus, model: RecurrentLM, training: TrainingConfig, *, step: int
    ) -> None:
        self.folder = folder
        self._codec = corpus.codec
        self._model = model
        self._header = RunHeader(
            run=folder.name,
            codec=corpus.codec.spec(),
            model=model.config,
            training=training,
            labels=corpus.label_names,
            corpus=describe(corpus),
            can_end=_can_end(corpus),
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

    def write_sample(self, step: int) -> str:
        """Writes a sample into the folder of samples; returns its text, or its notes."""
        codec = self._codec
        tokens = [
            sampled.token
            for sampled in generate(
                PackedStepper(self._model),
                prompt=(),
                begin=codec.vocab.begin,
                end=codec.vocab.end if self._header.can_end else None,
                length=MAX_SAMPLE_TOKENS,
                sampling=SamplingConfig(temperature=0.8),
                seed=step,
                new_grammar=codec.grammar,
            )
        ]
        codec.write(self.folder / SAMPLES / f"step-{step:07}{codec.suffix}", decode(codec, tokens))
        return ("" if codec.kind == "text" else "; ").join(str(piece) for piece in stream(codec, tokens))

    def close(self) -> None:
        """Closes metrics.jsonl."""
        self._metrics.close()


def _can_end(corpus: PreparedCorpus) -> bool:
    """Tells whether a model can learn from a corpus to end documents, or knows it from the run that it starts from."""
    base = corpus.options.base
    return (base is not None and base.can_end) or corpus.train.stretches.num_closed >= MIN_ENDS
