"""The training screen: a live display on a terminal, plain lines elsewhere; always on stderr.

If several processes train a run, only the first shows anything.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gen.cli.console import has_screen, say
from gen.cli.screen.busy import BusyWatch
from gen.cli.screen.curve import curve
from gen.training.distributed import is_first_process

if TYPE_CHECKING:
    from gen.runs.session import Session, StepReport

SECONDS_BETWEEN_LINES = 10.0
CURVE_HEIGHT = 6
SAMPLE_WIDTH = 100  # of a sample in a log, which has no width


class Display(Protocol):
    """Shows the reports of a run."""

    def show(self, report: "StepReport") -> None: ...


@contextmanager
def reading_display() -> Iterator[Callable[[int, int], None]]:
    """Gives a callback for the bytes read and the bytes in all, which shows a line on a terminal."""
    with counting_display("reading the corpus", lambda total: f" of {total / 1e6:,.0f} MB") as advance:
        yield advance


@contextmanager
def counting_display(what: str, of: Callable[[int], str] = lambda _: "") -> Iterator[Callable[[int, int], None]]:
    """Gives a callback for what is done and what there is in all, which shows a line on a terminal.

    Args:
        what: is done, in words.
        of: returns what there is in all, in words.
    """
    if not has_screen() or not is_first_process():
        yield lambda _done, _total: None
        return
    status = screen_console().status(what)
    started = time.monotonic()

    def advance(done: int, total: int) -> None:
        seconds = time.monotonic() - started
        if seconds > 0.5 and done:
            status.start()
            left = f"  {clock(seconds * (total - done) / done)} left" if seconds > 2 else ""
            status.update(f"{what}  {100 * done / total:.0f} %{of(total)}{left}")

    try:
        yield advance
    finally:
        status.stop()


def training_display(session: "Session") -> AbstractContextManager[Display]:
    """Prints the run's settings and yardsticks, and returns the display for its reports."""
    if not is_first_process():
        return nullcontext(Silence())
    console = screen_console() if has_screen() else Console(stderr=True, highlight=False, soft_wrap=True)
    for choice in session.choices:
        if console.is_terminal:  # or a file, if FORCE_COLOR is set
            console.print(Text.assemble((f"{choice.name:>14}  ", "bold"), choice.value, (f"  {choice.reason}", "dim")))
        else:
            say(f"{choice.name:>14}  {choice.value}  {choice.reason}".rstrip())
    yardsticks = session.yardsticks()
    if has_screen():
        return _live(console, Screen(console, session.unit, yardsticks))
    return nullcontext(Lines(session.unit, yardsticks))


def screen_console() -> Console:
    """Returns the console of a terminal; only for streams that `has_screen`."""
    return Console(stderr=True, highlight=False, force_terminal=True)


@contextmanager
def _live(console: Console, screen: "Screen") -> Iterator[Display]:
    with Live(console=console, refresh_per_second=4, get_renderable=screen.render, transient=False) as live:
        screen.print_above = live.console.print
        yield screen


class Silence:
    """Shows nothing."""

    def show(self, report: "StepReport") -> None:
        """Takes in a report."""


class Lines:
    """One line a report: every validation and remark, and other steps at most every ten seconds.

    There is also a line when another program begins to use the processor, and one when it ends.
    """

    def __init__(self, unit: str, yardsticks: dict[str, float]) -> None:
        self._unit = unit
        self._watch = BusyWatch()
        self._last_seconds = float("-inf")
        if yardsticks:
            say(f"yardsticks, bits per {unit}:  {yardstick_words(yardsticks)}")

    def show(self, report: "StepReport") -> None:
        """Prints the report if it is due or has a validation, a remark or a sample."""
        if self._watch.look():
            say(self._watch.words or "the processor is free again")
        if report.remark:
            say(f"step {report.step}: {report.remark}")
        is_due = report.seconds - self._last_seconds >= SECONDS_BETWEEN_LINES
        if report.valid_nats is not None or is_due:
            self._last_seconds = report.seconds
            say(self._line(report))
        if report.sample:
            say(f"  sample  {one_line(report.sample)[:SAMPLE_WIDTH]}")

    def _line(self, report: "StepReport") -> str:
        parts = [f"step {report.step:>6}", f"epoch {report.epoch:6.2f}", f"train {report.train_nats:.3f} nats"]
        if report.valid_nats is not None:
            parts.append(valid_words(report, self._unit))
        parts.append(f"{report.tokens_per_second:,.0f} tokens/s")
        if report.eta_seconds is not None:
            parts.append(f"{clock(report.eta_seconds)} left")
        return "  ".join(parts)


class Screen:
    """A terminal screen for a training run: its progress, its losses, and a sample."""

    def __init__(self, console: Console, unit: str, yardsticks: dict[str, float]) -> None:
        self.print_above = console.print
        self._console = console
        self._unit = unit
        self._yardsticks = yardsticks
        self._history: list[tuple[float, float]] = []  # seconds, bits per unit
        self._latest: StepReport | None = None
        self._valid: StepReport | None = None
        self._best: StepReport | None = None
        self._sample = ""
        self._watch = BusyWatch()

    def show(self, report: "StepReport") -> None:
        """Takes in a report; the live display draws it at its next refresh."""
        self._latest = report
        self._watch.look()
        if report.valid_nats is not None:
            self._valid = report
            if report.bits_per_unit is not None:
                self._history.append((report.seconds, report.bits_per_unit))
            if report.is_best:
                self._best = report
        if report.sample:
            self._sample = one_line(report.sample)
        if report.remark:
            self.print_above(Text(f"step {report.step}: {report.remark}", "yellow"))

    def render(self) -> RenderableType:
        """Returns the current screen."""
        if self._latest is None:
            return Text("starting")
        parts: list[RenderableType] = [self._bar(self._latest), self._losses(self._latest)]
        if self._watch.is_busy:
            parts.append(Text(self._watch.words, "yellow"))
        if len(self._history) > 1:
            width = min(72, self._console.width - 4)
            parts += [
                Text(line, "cyan", no_wrap=True)
                for line in curve(self._history, width=width, height=CURVE_HEIGHT, marks=self._yardsticks)
            ]
        if self._yardsticks and self._valid is not None and self._valid.bits_per_unit is not None:
            parts.append(self._ladder(self._valid.bits_per_unit))
        if self._sample:
            parts.append(Text.assemble(("sample  ", "bold"), self._sample, no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _bar(self, report: "StepReport") -> Table:
        row = Table.grid(padding=(0, 2))
        left = f"{clock(report.eta_seconds)} left" if report.eta_seconds is not None else clock(report.seconds)
        row.add_row(
            ProgressBar(total=1.0, completed=report.progress, width=24),
            f"{100 * report.progress:.0f} %",
            f"step {report.step}",
            f"epoch {report.epoch:.2f}",
            left,
        )
        return row

    def _losses(self, report: "StepReport") -> Text:
        parts = [f"train {report.train_nats:.3f} nats"]
        if self._valid is not None:
            parts.append(valid_words(self._valid, self._unit))
        if self._best is not None and self._best is not self._valid and self._best.valid_nats is not None:
            parts.append(f"best {self._best.valid_nats:.3f} at step {self._best.step}")
        parts.append(f"{report.tokens_per_second:,.0f} tokens/s")
        return Text("  ".join(parts))

    def _ladder(self, bits: float) -> Text:
        """Returns the yardsticks in falling order, with this model among them."""
        line = Text(f"bits/{self._unit}", "bold", no_wrap=True, overflow="ellipsis")
        rungs = [*self._yardsticks.items(), ("model", bits)]
        for name, value in sorted(rungs, key=lambda rung: -rung[1]):
            line.append(f"  {name} {value:.2f}", "bold green" if name == "model" else "dim")
        return line


def valid_words(report: "StepReport", unit: str) -> str:
    """Returns a validation in words; empty if the report has none."""
    if report.valid_nats is None:
        return ""
    bits = f" ({report.bits_per_unit:.3f} bits per {unit})" if report.bits_per_unit is not None else ""
    if report.accuracy is not None:
        bits = f" ({100 * report.accuracy:.1f} % right)"
    return f"valid {report.valid_nats:.3f} nats{bits}{' best' if report.is_best else ''}"


def yardstick_words(yardsticks: dict[str, float]) -> str:
    """Returns the yardsticks in falling order."""
    return "  ".join(f"{name} {value:.2f}" for name, value in sorted(yardsticks.items(), key=lambda item: -item[1]))


def one_line(text: str) -> str:
    """Returns the text on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def clock(seconds: float) -> str:
    """Returns a time as 0:42, 3:07 or 1:02:03."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
