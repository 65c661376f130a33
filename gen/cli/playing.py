"""Plays a run live: one thread draws the pieces, another sends them in time and reads the knobs.

A handler only notes SIGINT, SIGTERM and SIGHUP, and the player reads that note between two notes of music: an exception
out of a signal handler could fall between a note-on and its entry in our books. When the port is silent the signal ends
the command as Ctrl-C does.
"""

import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING

from gen.cli.console import has_screen, say
from gen.cli.keyboard import arrow_keys
from gen.cli.prompt import PromptOptions, request_samples
from gen.cli.screen.progress import clock
from gen.config import SamplingConfig
from gen.errors import SettingError
from gen.live.ahead import Ahead
from gen.live.knobs import Knobs
from gen.live.pieces import Stop, endless_pieces
from gen.live.player import Moment, Player, RealClock, punctual
from gen.live.ports import input_port, output_port, port_names

if TYPE_CHECKING:
    from gen.runs.request import SampleRequest, SampleSettings
    from gen.runs.run import Run

SECONDS_BETWEEN_LINES = 0.25
LINES_OF_A_RATE = 12  # three seconds
MIN_AHEAD, MAX_AHEAD = 0.1, 60.0
ENDING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(frozen=True, slots=True)
class Stage:
    """The ports of `gen play`, and the lead of the drawing over the sound."""

    port: str | None
    input: str | None
    look_ahead_seconds: float


def list_ports() -> None:
    """Prints the names of the ports. Raises SettingError if there can be none."""
    names = port_names()
    for kind, those in (("output", names.outputs), ("input", names.inputs)):
        for name in those:
            print(f"{kind:<6}  {name}")


def play_live(name: str | None, options: PromptOptions, settings: "SampleSettings", stage: Stage) -> None:
    """Plays until the length is reached. Raises KeyboardInterrupt when a signal ended it, and GenError."""
    if name is None:
        raise SettingError("RUN: missing", hint="gen play --help")
    seconds = stage.look_ahead_seconds
    if not MIN_AHEAD <= seconds <= MAX_AHEAD:
        raise SettingError(f"--look-ahead: must be {MIN_AHEAD:g} to {MAX_AHEAD:g} seconds ({seconds:g})")
    with ExitStack() as stack:
        port, port_name = stack.enter_context(output_port(stage.port))
        hands = stack.enter_context(input_port(stage.input)) if stage.input is not None else None
        run = loaded_music(name)
        knobs, request = steered(run, request_samples(run, options, settings))
        stop = stack.enter_context(_noted_signals())
        stack.enter_context(punctual())
        ahead = stack.enter_context(Ahead(endless_pieces(run, request, stop=stop), seconds))
        player = stack.enter_context(Player(port, RealClock()))
        pressed = stack.enter_context(arrow_keys())
        line = stack.enter_context(closing(_StatusLine(port_name, request.seed)))
        if pressed is not None:
            say(f"arrow keys: up and down set the temperature{', right and left the density' * knobs.has_density}")
        for moment in player.play(ahead):
            if stop.is_asked:
                raise KeyboardInterrupt
            for message in hands.iter_pending() if hands is not None else ():
                knobs.take(message)
            for key in pressed() if pressed is not None else ():
                knobs.press(key)
            line.show(moment, knobs, ahead.seconds)
        if stop.is_asked:
            raise KeyboardInterrupt


def steered(run: "Run", request: "SampleRequest") -> tuple[Knobs, "SampleRequest"]:
    """Returns the knobs, and the request with its temperature and density under their control."""
    assert isinstance(request.sampling, SamplingConfig), "the command gives settings, not a function"
    densities = [float(value) for value in run.codec.controls.values("density")] if run.codec.controls else []
    knobs = Knobs(request.sampling, density=request.controls.get("density"), densities=densities)
    controls = {**request.controls, **({"density": knobs.density} if knobs.has_density else {})}
    return knobs, replace(request, sampling=knobs.sampling, controls=controls)


class _StatusLine:
    """One line on a terminal with the state of the playing; nothing elsewhere."""

    def __init__(self, port_name: str, seed: int) -> None:
        self._is_shown = has_screen()
        self._seed = seed
        self._history: deque[tuple[float, int]] = deque(maxlen=LINES_OF_A_RATE)  # time of a line, notes until then
        if sys.stderr.isatty():
            say(f"playing to {port_name}; Ctrl-C ends it")

    def show(self, moment: Moment, knobs: Knobs, ahead_seconds: float) -> None:
        """Writes the line anew, four times a second."""
        now = time.monotonic()
        if not self._is_shown or (self._history and now < self._history[-1][0] + SECONDS_BETWEEN_LINES):
            return
        self._history.append((now, moment.num_notes))
        words = [clock(moment.seconds), f"{self._notes_a_second():4.1f} notes/s"]
        words += [f"temperature {knobs.sampling().temperature:.2f}"]
        words += [f"density {knobs.hand_density:.1f}"] if knobs.hand_density is not None else []
        words += [f"{ahead_seconds:3.1f} s ahead", f"seed {self._seed}"]
        if moment.num_stalls:
            words.append(f"{moment.num_stalls} pauses")
        line = "  ".join(words)[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be written anew
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the line."""
        if self._history:
            print(file=sys.stderr, flush=True)

    def _notes_a_second(self) -> float:
        (before, notes_before), (now, notes) = self._history[0], self._history[-1]
        return (notes - notes_before) / (now - before) if now > before else 0.0


def loaded_music(name: str) -> "Run":
    """Returns a run that writes music. Raises GenError."""
    from gen.models.device import limit_threads, sampling_device
    from gen.runs.run import load

    limit_threads(1)
    run = load(name, device=sampling_device(1))
    if run.codec.kind == "text":
        raise SettingError(f"{run.name}: writes text; only music can be played", hint=f"gen sample {name}")
    return run


@contextmanager
def _noted_signals() -> Iterator[Stop]:
    """Notes the signals that end a program; a signal that is ignored, as under nohup, stays so."""
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.is_asked = True

    numbers = [getattr(signal, name) for name in ENDING_SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in (number for number in numbers if before[number] != signal.SIG_IGN):
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
