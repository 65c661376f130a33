"""A training run from its corpus to its checkpoints: the place that binds codec, data, model and trainer.

A session lives in a folder under checkpoints/. Everything that decides what comes next is in training.safetensors, so a
run that was stopped, or killed at any moment, goes on bit for bit. Reports come as a generator: the caller pulls, and
so decides what to show and when to stop.

Several processes may train one run (`gen.training.distributed`), each with a session of its own. They go through the
same steps; what a clock or a file decides, the first decides for all, and it alone writes files.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import torch

from gen.analysis.calibrate import evaluate_calibrated
from gen.analysis.evaluate import Evaluation
from gen.config import TrainingConfig
from gen.data.batches import Batches
from gen.data.stretches import Columns, Stretches
from gen.errors import TrainingError
from gen.files import FolderLock
from gen.kernels.library import library
from gen.models.recurrent import RecurrentLM
from gen.runs.files import RunFiles
from gen.runs.header import RunHeader
from gen.runs.history import History
from gen.runs.prepared import PreparedCorpus, bits_of
from gen.training.distributed import ALONE, Peers
from gen.training.recipe import Choice
from gen.training.trainer import SNAPSHOT_STEPS, Place, Step, Trainer

NUM_VALIDATIONS = 20  # a run
MIN_VALIDATION_STEPS, MAX_VALIDATION_STEPS = 25, 5000  # between two
VALID_CONTEXT = 1024  # tokens of a validation window: long enough that its fresh start costs little
VALID_TOKENS = 1 << 15  # of a validation while training: always the same, so it tells better from worse
FINAL_VALID_TOKENS = 1 << 20  # of the last one
LARGE_VOCAB = 2048  # above which fewer tokens are validated, in proportion: logits cost more than layers then
SECONDS_BETWEEN_SAVES = 10.0
STEPS_BETWEEN_METRICS = SNAPSHOT_STEPS  # so that no half-summed line is lost between a save and a resume
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where a run stands after a step."""

    step: int
    epoch: float
    tokens: int
    seconds: float
    progress: float  # 0 to 1
    eta_seconds: float | None
    train_nats: float  # mean per token since the last line of metrics.jsonl
    valid_nats: float | None  # mean per token, at a validation
    bits_per_unit: float | None  # of that validation
    is_best: bool
    learning_rate: float
    tokens_per_second: float
    remark: str | None = None
    sample: str | None = None


class Session:
    """A run that is open for training; made by `gen.runs.opening.train_session`.

    Args:
        folder: of the run, existing.
        material: its corpus.
        model: at its start; on its device.
        training: rates and limits.
        choices: what the recipe chose, to show.
        resumed: tensors and header of the training checkpoint to go on from, or None.
        held: what is let go when the session is closed, such as the folder's lock; taken over if nothing fails here.
        lock: of the folder, looked at before anything is written.
        peers: the processes that train this run; all of them make a session of the same arguments.
    """

    def __init__(
        self,
        folder: Path,
        material: PreparedCorpus,
        model: RecurrentLM,
        training: TrainingConfig,
        choices: Sequence[Choice],
        resumed: tuple[Mapping[str, torch.Tensor], RunHeader] | None = None,
        held: ExitStack | None = None,
        lock: FolderLock | None = None,
        peers: Peers = ALONE,
    ) -> None:
        self.folder = folder
        self.material = material
        self.choices = choices
        self.was_stopped = False
        self._lock = lock
        self._peers = peers
        self._model = model
        self._training = training
        batches = Batches(
            material.train,
            batch_size=training.batch_size,
            bptt=training.bptt,
            reset_rate=training.reset_rate,
            seed=training.seed,
            vary=material.codec.variation(is_augmented=training.augment),
            vary_plainly=material.codec.variation(is_augmented=False),
        )
        self._trainer = Trainer(model, batches, training, peers=peers)
        self._history = History()
        self._marks_passed = 0
        self._final: Evaluation | None = None
        self._logit_scale = 1.0
        self._num_parameters = model.num_parameters()
        if resumed is not None:
            tensors, header = resumed
            assert header.position is not None
            self._trainer.load_state_dict(tensors, asdict(header.position))
            self._history = replace(header.history)
            self._marks_passed = header.marks_passed
        self._files: RunFiles | None = None
        with peers.together():
            if peers.is_first:
                self._files = RunFiles(folder, material, model, training, step=self._trainer.place.step)
        self._loss_sum, self._loss_tokens = 0.0, 0
        self._is_new = resumed is None
        self._last_save = time.monotonic()
        self._rate = _Rate()
        self._held = held.pop_all() if held is not None else ExitStack()
        if self._files is not None:
            self._held.callback(self._files.close)

    @property
    def unit(self) -> str:
        """What bits are divided by."""
        return self.material.codec.unit

    def yardsticks(self) -> dict[str, float]:
        """Returns what simpler models pay on the same validation, in bits per unit."""
        return bits_of(self.material)

    def stop(self) -> None:
        """Ends the run after the step that is under way; may be called from a signal handler, of any process."""
        self._trainer.stop()

    def reports(self) -> Iterator[StepReport]:
        """Trains; yields a report a step. A run that is already over yields none."""
        library()  # compiled now, if need be, and not in the time of the run
        if self._is_new:
            self._save_model()
            self._save_training()
        self._rate = _Rate(self._trainer.place.tokens)  # what came before the first step is not training
        for step in self._trainer.run():
            report = self._after(step)
            if self._trainer.was_stopped:
                break
            yield report
            if self._has_lost_patience():
                yield replace(report, valid_nats=None, sample=None, remark=self._patience_remark())
                break
        self._finish()

    def result(self) -> dict[str, Any]:
        """Returns where the run stands, with the names of the command line's JSON."""
        place = self._trainer.place
        nats, bits = self._history.best_nats, self._history.best_bits_per_unit
        if self._final is not None:
            nats, bits = self._final.nats_per_token, self._final.bits_per_unit
        return {
            "run": self.folder.name,
            "steps": place.step,
            "tokens": place.tokens,
            "seconds": round(place.seconds, 3),
            "valid_nats": nats,
            "valid_bits_per_unit": bits,
            "unit": self.unit,
            **({"test_tokens": self.material.test.num_targets} if self.material.options.test_fraction else {}),
            "logit_scale": self._logit_scale,
            "parameters": self._num_parameters,
            "tokens_per_second": round(place.tokens / place.seconds, 1) if place.seconds else 0.0,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets others train the run; nothing is written after that. May be called again."""
        self._files = None
        self._held.close()

    def _after(self, step: Step) -> StepReport:
        """Validates, saves and writes a line, each when it is due; returns the step's report."""
        place, progress = self._trainer.place, self._trainer.progress()
        self._loss_sum += step.loss_nats * step.num_tokens
        self._loss_tokens += step.num_tokens
        marks = int(progress * NUM_VALIDATIONS)
        has_rested = place.step - self._history.last_step >= MIN_VALIDATION_STEPS
        is_long_ago = place.step - self._history.last_step >= MAX_VALIDATION_STEPS
        is_time = has_rested and marks > self._marks_passed
        is_due = step.remark is None and (progress >= 1 or is_time or is_long_ago)
        found = self._validate() if is_due else None
        evaluation, logit_scale = found or (None, 1.0)
        is_best = evaluation is not None and self._history.add(
            evaluation.nats_per_token, evaluation.bits_per_unit, place.step
        )
        if is_best:
            self._logit_scale = logit_scale
        report = StepReport(
            step=place.step,
            epoch=self._trainer.epochs(),
            tokens=place.tokens,
            seconds=place.seconds,
            progress=progress,
            eta_seconds=place.seconds * (1 - progress) / progress if progress else None,
            train_nats=self._loss_sum / max(1, self._loss_tokens),
            valid_nats=evaluation.nats_per_token if evaluation else None,
            bits_per_unit=evaluation.bits_per_unit if evaluation else None,
            is_best=is_best,
            learning_rate=step.learning_rate,
            tokens_per_second=self._rate.after(place.tokens),
            remark=step.remark,
            sample=self._on_first(lambda files: files.write_sample(place.step)) if is_due else None,
        )
        self._keep(report, is_due=is_due, marks=marks)
        return report

    def _keep(self, report: StepReport, *, is_due: bool, marks: int) -> None:
        if is_due:
            self._marks_passed = marks
            if report.is_best or not self.material.valid.stretches:
                self._save_model()
        is_whole = report.step % STEPS_BETWEEN_METRICS == 0
        if is_due or report.remark or is_whole:
            self._save_metrics(report)
        if is_whole and report.remark is None and self._is_late():
            self._save_training()

    def _is_late(self) -> bool:
        """Returns whether it is time to save."""
        return self._peers.first(lambda: time.monotonic() - self._last_save > SECONDS_BETWEEN_SAVES)

    def _on_first(self, work: Callable[[RunFiles], Result]) -> Result:
        """Lets the first process work on the files, and gives all what it returned."""

        def work_on_files() -> Result:
            if self._files is None:
                raise TrainingError(f"{self.folder}: the session is closed", hint="open another with resume=True")
            if self._lock is not None:
                self._lock.check()
            return work(self._files)

        return self._peers.first(work_on_files)

    def _validate(self, max_tokens: int = VALID_TOKENS) -> tuple[Evaluation, float] | None:
        """Measures the present weights of the first process, with the factor on their logits that is best for them."""
        found = self._peers.first(lambda: self._evaluated(max_tokens))
        return None if found is None else (Evaluation(**found[0]), found[1])

    def _evaluated(self, max_tokens: int) -> tuple[dict[str, Any], float] | None:
        excerpt, codec = self.material.valid, self.material.codec
        if not excerpt.stretches:
            return None
        with self._trainer.autocast():
            num_tokens = max_tokens * LARGE_VOCAB // max(LARGE_VOCAB, len(codec.vocab))
            evaluation, logit_scale = evaluate_calibrated(
                self._model,
                replace(excerpt, stretches=evenly(excerpt.stretches, num_tokens)),
                units=codec.units(),
                unit=codec.unit,
                context=VALID_CONTEXT,
            )
        return asdict(evaluation), logit_scale

    def _has_lost_patience(self) -> bool:
        return 0 < self._training.patience <= self._history.num_since_best

    def _patience_remark(self) -> str:
        return (
            f"no better validation in {self._training.patience}; stopped, the best is of step {self._history.best_step}"
        )

    def _finish(self) -> None:
        """Saves; calibrates and validates the best weights, on all there is unless stopped; notes it in their file."""
        self._save_training()
        self.was_stopped = self._peers.any(self._trainer.is_asked_to_stop)
        if self.was_stopped:
            self._keep_if_best()
        self._on_first(RunFiles.load_best_)
        if (found := self._validate(VALID_TOKENS if self.was_stopped else FINAL_VALID_TOKENS)) is not None:
            self._final, self._logit_scale = found
        self._on_first(lambda files: files.write_result(self.result()))

    def _keep_if_best(self) -> None:
        """Saves the present weights if they are the best; the history must not depend on a stop and is not told."""
        found, best = self._validate(), self._history.best_nats
        if found is None or best is None or found[0].nats_per_token < best:
            self._logit_scale = 1.0 if found is None else found[1]
            self._save_model()

    def _save_model(self) -> None:
        self._on_first(lambda files: files.write_model(self.result(), self._history))

    def _save_training(self) -> None:
        tensors, place = self._trainer.state_dict()
        self._on_first(lambda files: files.write_training(tensors, Place(**place), self._history, self._marks_passed))
        self._last_save = time.monotonic()

    def _save_metrics(self, report: StepReport) -> None:
        names = ("step", "epoch", "tokens", "seconds", "train_nats", "valid_nats", "learning_rate", "tokens_per_second")
        line = {name: getattr(report, name) for name in names} | ({"remark": report.remark} if report.remark else {})
        self._on_first(lambda files: files.write_metrics(line))
        self._loss_sum, self._loss_tokens = 0.0, 0


class _Rate:
    """Tokens per second of the last few seconds."""

    def __init__(self, tokens: int = 0) -> None:
        self._marks = [(time.monotonic(), tokens)]

    def after(self, tokens: int) -> float:
        now = time.monotonic()
        self._marks = [mark for mark in self._marks if now - mark[0] < 10.0] or self._marks[-1:]
        self._marks.append((now, tokens))
        since, before = self._marks[0]
        return (tokens - before) / max(1e-9, now - since)


def evenly(stretches: Stretches, max_tokens: int) -> Stretches:
    """Returns stretches of about `max_tokens` tokens, spread evenly, if there are more: every n-th window of them."""
    num_tokens = stretches.num_tokens
    if num_tokens <= max_tokens:
        return stretches
    step, passed = math.ceil(num_tokens / max_tokens), 0
    found = []
    for columns in stretches.chunks():
        windows = np.cumsum(-(-(columns.stops - columns.starts) // VALID_CONTEXT))  # up to and with each stretch
        chosen = np.arange(-passed % step, windows[-1], step)
        at = np.searchsorted(windows, chosen, side="right")
        first = np.where(at > 0, windows[at - 1], 0)  # window of each chosen stretch
        whole = columns.take(at)
        starts = whole.starts + (chosen - first) * VALID_CONTEXT
        stops = np.minimum(starts + VALID_CONTEXT, whole.stops)
        found.append(Columns(starts, stops, whole.labels, whole.is_closed & (stops == whole.stops)))
        passed += int(windows[-1])
    return Stretches(Columns(*(np.concatenate(column) for column in zip(*found, strict=True))))
