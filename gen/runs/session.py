"""A training run from its corpus to its checkpoints.

A session lives in a folder under checkpoints/. Everything that decides what comes next is in training.safetensors, so a
run that was stopped, or killed at any moment, goes on bit for bit. Reports come as a generator: the caller pulls, and
so decides what to show and when to stop.

`Session.reports` is the loop, and `Session._after` is all that happens after a step: validation, a sample, a line of
metrics, checkpoints.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from gen.errors import TrainingError
from gen.files.disk import FolderLock
from gen.kernels.library import library
from gen.runs.files import RunFiles
from gen.runs.history import History
from gen.runs.prepared import PreparedCorpus
from gen.runs.tasks import TASKS
from gen.runs.tasks.task import Validation
from gen.training.distributed import ALONE, Peers
from gen.training.recipe import Choice
from gen.training.trainer import SNAPSHOT_STEPS, Step, Trainer

NUM_VALIDATIONS = 20  # a run
MIN_VALIDATION_STEPS, MAX_VALIDATION_STEPS = 25, 5000  # between two
SECONDS_BETWEEN_SAVES = 10.0
STEPS_BETWEEN_METRICS = SNAPSHOT_STEPS  # so that no half-summed line is lost between a save and a resume
METRICS = ("step", "epoch", "tokens", "seconds", "train_nats", "valid_nats", "learning_rate", "tokens_per_second")


@dataclass(frozen=True, slots=True)
class StepReport:
    """The state of a run after a step."""

    step: int
    epoch: float
    tokens: int
    seconds: float
    progress: float  # 0 to 1
    eta_seconds: float | None
    train_nats: float  # mean per token since the last line of metrics.jsonl
    valid_nats: float | None  # mean per token, at a validation
    bits_per_unit: float | None  # of that validation
    accuracy: float | None  # likewise, of a task that answers
    is_best: bool
    learning_rate: float
    tokens_per_second: float
    remark: str | None = None
    sample: str | None = None


class OpenRun(NamedTuple):
    """A run that is ready to train; made by `gen.runs.opening`.

    Args:
        folder: of the run, existing.
        corpus: to train on.
        trainer: at the start of the run, or where the run was stopped.
        choices: the settings to show.
        history: the validations so far.
        marks_passed: the number of regular validations that are done.
        is_new: whether nothing has been saved yet.
        files: of the run; None in a process that writes none.
        lock: of the folder, checked before anything is written.
    """

    folder: Path
    corpus: PreparedCorpus
    trainer: Trainer
    choices: Sequence[Choice]
    history: History
    marks_passed: int = 0
    is_new: bool = True
    files: RunFiles | None = None
    lock: FolderLock | None = None


class Session:
    """A run that is open for training; made by `gen.runs.opening.train_session`.

    Several processes may train one run, each with a session of its own, and go through the same steps. Whatever goes
    through `_once` is done by the first of them, and all get the result.

    Args:
        run: what is trained.
        held: is closed with the session: it releases the folder's lock, and closes the run's files.
        peers: the processes that train this run.
    """

    def __init__(self, run: OpenRun, *, held: ExitStack, peers: Peers = ALONE) -> None:
        self.folder, self.choices = run.folder, run.choices
        self.was_stopped = False
        self._corpus, self._trainer, self._history = run.corpus, run.trainer, run.history
        self._marks_passed, self._is_new = run.marks_passed, run.is_new
        self._open_files, self._lock = run.files, run.lock
        self._held = held
        self._once = peers.first
        self._final: Validation | None = None
        self._logit_scale = 1.0
        self._figures: Mapping[str, float] = {}
        self._task = TASKS[run.trainer.model.config.task]
        self._num_parameters = run.trainer.model.num_parameters()
        self._loss_sum, self._num_losses = 0.0, 0
        self._last_save = time.monotonic()
        self._rate = _Rate()

    @property
    def unit(self) -> str:
        """The unit that bits are divided by."""
        return self._corpus.codec.unit

    def yardsticks(self) -> dict[str, float]:
        """Returns the bits per unit that simpler models take on the same validation part."""
        return self._task.yardsticks(self._corpus)

    def stop(self) -> None:
        """Ends the run after the step that is under way; may be called from a signal handler, of any process."""
        self._trainer.stop()

    def reports(self) -> Iterator[StepReport]:
        """Trains; yields a report after every `Step` of the trainer, and none if the run is already over."""
        library()  # compiled now, if need be, and not in the time of the run
        if self._is_new:
            self._save_training()  # first: a run without it cannot be resumed
            self._save_model()
        self._rate = _Rate(self._trainer.position.tokens)  # what came before the first step is not training
        for step in self._trainer.run():
            report = self._after(step)
            if self._trainer.was_stopped:
                break
            yield report
            if 0 < self._trainer.config.patience <= self._history.num_since_best:
                yield replace(report, valid_nats=None, sample=None, remark=self._patience_remark())
                break
        self._finish()

    def result(self) -> dict[str, Any]:
        """Returns what the run has reached, with the names of the command line's JSON."""
        position = self._trainer.position
        nats, bits = self._history.best_nats, self._history.best_bits_per_unit
        if self._final is not None:
            nats, bits = self._final.nats, self._final.bits_per_unit
        return {
            "run": self.folder.name,
            **({"task": task} if (task := self._trainer.model.config.task) != "write" else {}),
            "steps": position.step,
            "tokens": position.tokens,
            "seconds": round(position.seconds, 3),
            "valid_nats": nats,
            "valid_bits_per_unit": bits,
            **self._figures,
            "unit": self.unit,
            **({"test_tokens": self._corpus.test.num_targets} if self._corpus.options.test_fraction else {}),
            "logit_scale": self._logit_scale,
            "parameters": self._num_parameters,
            "tokens_per_second": round(position.tokens / position.seconds, 1) if position.seconds else 0.0,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets others train the run; nothing is written after that. May be called again."""
        self._open_files = None
        self._held.close()

    def _after(self, step: Step) -> StepReport:
        """Validates, writes a sample, a line of metrics and checkpoints, each when it is due; returns the report."""
        position, progress, history = self._trainer.position, self._trainer.progress(), self._history
        self._loss_sum += step.loss_nats * step.num_targets
        self._num_losses += step.num_targets

        marks, since_last = int(progress * NUM_VALIDATIONS), position.step - history.last_step
        is_time = since_last >= MIN_VALIDATION_STEPS and marks > self._marks_passed
        is_due = not step.is_rolled_back and (progress >= 1 or is_time or since_last >= MAX_VALIDATION_STEPS)
        validation = self._validate(is_last=False) if is_due else None
        is_best = validation is not None and history.add(validation.nats, validation.bits_per_unit, position.step)
        if validation is not None and is_best:
            self._logit_scale, self._figures = validation.logit_scale, validation.figures
        sample = self._once(lambda: self._files.write_sample(position.step)) if is_due else None
        if is_due:
            self._marks_passed = marks
            if is_best or not self._corpus.valid.stretches:
                self._save_model()

        report = StepReport(
            step=position.step,
            epoch=self._trainer.epochs(),
            tokens=position.tokens,
            seconds=position.seconds,
            progress=progress,
            eta_seconds=position.seconds * (1 - progress) / progress if progress else None,
            train_nats=self._loss_sum / max(1, self._num_losses),
            valid_nats=validation.nats if validation else None,
            bits_per_unit=validation.bits_per_unit if validation else None,
            accuracy=validation.accuracy if validation else None,
            is_best=is_best,
            learning_rate=step.learning_rate,
            tokens_per_second=self._rate.after(position.tokens),
            remark=step.remark,
            sample=sample,
        )
        is_regular = position.step % STEPS_BETWEEN_METRICS == 0
        if is_due or step.remark or is_regular:
            self._write_metrics(report)
        if is_regular and not step.is_rolled_back and self._once(self._is_late):
            self._save_training()
        return report

    def _finish(self) -> None:
        """Saves; calibrates and validates the best weights, on all there is unless stopped; notes it in their file."""
        self._save_training()
        self.was_stopped = self._trainer.is_stopping()
        if self.was_stopped:
            self._save_if_best()
        self._once(self._load_best)
        self._final = self._validate(is_last=not self.was_stopped)
        if self._final is not None:
            self._logit_scale, self._figures = self._final.logit_scale, self._final.figures
        self._once(lambda: self._files.write_result(self.result()))

    def _validate(self, *, is_last: bool) -> Validation | None:
        """Measures the present weights; None without a validation part."""
        found = self._once(lambda: self._measured(is_last=is_last))
        return None if found is None else Validation(*found)

    def _measured(self, *, is_last: bool) -> Validation | None:
        if not self._corpus.valid.stretches:
            return None
        trainer = self._trainer
        with trainer.threads(), trainer.autocast():
            return self._task.validate(self._corpus, trainer.model, trainer.config, is_last=is_last)

    def _patience_remark(self) -> str:
        patience, best_step = self._trainer.config.patience, self._history.best_step
        return f"no better validation in {patience}; stopped, the best is of step {best_step}"

    @property
    def _files(self) -> RunFiles:
        """The files of the run. Raises TrainingError if they may no longer be written."""
        if self._open_files is None:
            raise TrainingError(f"{self.folder}: the session is closed", hint="open another with resume=True")
        if self._lock is not None:
            self._lock.check()
        return self._open_files

    def _is_late(self) -> bool:
        """Returns whether it is time to save again."""
        return time.monotonic() - self._last_save > SECONDS_BETWEEN_SAVES

    def _load_best(self) -> None:
        self._files.load_best_()

    def _save_if_best(self) -> None:
        """Saves the present weights if they are the best; the history stays, for it must not depend on a stop."""
        found, best = self._validate(is_last=False), self._history.best_nats
        if found is None or best is None or found.nats < best:
            self._logit_scale = 1.0 if found is None else found.logit_scale
            self._figures = {} if found is None else found.figures
            self._save_model()

    def _save_model(self) -> None:
        self._once(lambda: self._files.write_model(self.result(), self._history))

    def _save_training(self) -> None:
        tensors, position = self._trainer.state_dict()
        self._once(lambda: self._files.write_training(tensors, position, self._history, self._marks_passed))
        self._last_save = time.monotonic()

    def _write_metrics(self, report: StepReport) -> None:
        line = {name: getattr(report, name) for name in METRICS} | ({"remark": report.remark} if report.remark else {})
        self._once(lambda: self._files.write_metrics(line))
        self._loss_sum, self._num_losses = 0.0, 0


class _Rate:
    """Tokens per second of the last few seconds."""

    def __init__(self, tokens: int = 0) -> None:
        self._marks = [(time.monotonic(), tokens)]

    def after(self, tokens: int) -> float:
        """Returns the speed now that this number of tokens is read."""
        now = time.monotonic()
        self._marks = [mark for mark in self._marks if now - mark[0] < 10.0] or self._marks[-1:]
        self._marks.append((now, tokens))
        since, before = self._marks[0]
        return (tokens - before) / max(1e-9, now - since)
