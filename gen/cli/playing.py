"""Plays a run live: pieces are drawn in one thread and sent in time by another, which also listens to knobs.

SIGINT, SIGTERM and SIGHUP are only noted, and looked at between two notes: an exception out of a signal handler could
fall between a note-on and the note of it in our books. Once the port is silent they end the command as Ctrl-C does.
"""

import gc
import secrets
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from gen.cli.console import has_screen, say
from gen.cli.keyboard import arrow_keys
from gen.cli.knobs import Knobs
from gen.cli.prompt import read_prompt, say_unknown
from gen.cli.sampling import MAX_SEED, parse_length
from gen.cli.screen.progress import clock
from gen.codec import Envelope
from gen.codecs.envelope import read_envelopes
from gen.codecs.export import is_music
from gen.config import SamplingConfig
from gen.errors import SettingError
from gen.live.ahead import Ahead
from gen.live.player import Moment, Piece, Player, RealClock
from gen.live.ports import input_port, output_port, port_names
from gen.music.score import NoteEvent

if TYPE_CHECKING:
    from gen.generation.generate import Sampled
    from gen.generation.sampling import Steering
    from gen.runs.run import Run

PAUSE_SECONDS = 2.0  # between two pieces
MAX_EMPTY = 100  # pieces without a note, one after the other, before it is said
SECONDS_BETWEEN_LINES = 0.25
LINES_OF_A_RATE = 12  # three seconds
SWITCH_SECONDS = 0.0005  # Python lets one thread compute for 5 ms while the other wants to send a note
MIN_AHEAD, MAX_AHEAD = 0.1, 60.0
ENDING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(frozen=True, slots=True)
class Request:
    """What `gen play` was asked for."""

    run: str | None
    port: str | None
    input: str | None
    sampling: SamplingConfig
    seed: int | None
    label: str | None
    controls: Mapping[str, str]
    prompt_file: Path | None
    length: str
    look_ahead_seconds: float


@dataclass(slots=True)
class Stop:
    """Whether a signal has asked to end."""

    is_asked: bool = False


def list_ports() -> None:
    """Prints the names of the ports. Raises SettingError if there can be none."""
    names = port_names()
    for kind, those in (("output", names.outputs), ("input", names.inputs)):
        for name in those:
            print(f"{kind:<6}  {name}")


def play_live(request: Request) -> None:
    """Plays until the length is reached. Raises KeyboardInterrupt when a signal ended it, and GenError."""
    limit = parse_length(request.length)
    if request.run is None:
        raise SettingError("RUN: missing", hint="gen play --help")
    if not MIN_AHEAD <= request.look_ahead_seconds <= MAX_AHEAD:
        raise SettingError(
            f"--look-ahead: must be {MIN_AHEAD:g} to {MAX_AHEAD:g} seconds ({request.look_ahead_seconds:g})"
        )
    with ExitStack() as stack:
        port, port_name = stack.enter_context(output_port(request.port))
        hands = stack.enter_context(input_port(request.input)) if request.input is not None else None
        run = loaded_music(request.run)
        seed = secrets.randbelow(MAX_SEED) if request.seed is None else request.seed
        primer = None if request.prompt_file is None else read_prompt(request.prompt_file, run)
        say_unknown(run, run.prompt(primer))
        knobs, controls = steered(request, run)
        stop = stack.enter_context(_noted_signals())
        pieces = endless_pieces(
            run,
            primer=primer,
            limit=limit,
            seed=seed,
            label=request.label,
            controls=controls,
            sampling=knobs.sampling,
            stop=stop,
        )
        stack.enter_context(punctual())
        ahead = stack.enter_context(Ahead(pieces, request.look_ahead_seconds))
        player = stack.enter_context(Player(port, RealClock()))
        pressed = stack.enter_context(arrow_keys())
        line = stack.enter_context(_status_line(port_name, seed))
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


def steered(request: Request, run: "Run") -> tuple[Knobs, Mapping[str, Envelope]]:
    """Returns the knobs, and what is asked of each control, by them where they can. Raises SettingError."""
    asked = read_envelopes(request.controls, run.codec.controls)
    densities = [float(value) for value in run.codec.known_values("density")]
    knobs = Knobs(request.sampling, density=asked.get("density"), densities=densities)
    return knobs, asked | ({"density": knobs.density} if knobs.has_density else {})


def endless_pieces(
    run: "Run",
    *,
    primer: Any,
    limit: int | None,
    seed: int,
    label: str | None,
    controls: Mapping[str, Envelope],
    sampling: "Steering",
    stop: Stop,
) -> Iterator[Piece]:
    """Yields one piece of music after the other, a pause between them; onsets run on through all of them.

    Args:
        run: a music model.
        primer: a Score that the first piece begins with; None for none.
        limit: the most tokens of all pieces together; None for no limit.
        seed: of the first piece; each next one has the next.
        label: of every piece; None for none.
        controls: what is asked of every piece, by the seconds from its own start.
        sampling: asked before every token.
        stop: ends it within a token.

    Raises GenError as `Run.generate` does, and if the model ends piece after piece before a note.
    """
    left = _Left(limit)
    shift, num_empty = 0.0, 0
    for number in count():
        drawn = run.generate(
            primer, length=left.tokens, sampling=sampling, seed=seed + number, label=label, controls=controls
        )
        begin, end = None, shift
        tokens = left.counted(drawn, run.codec.vocab.end, stop)
        for piece in run.decoded(primer, tokens, with_prompt=True):
            if not isinstance(piece, NoteEvent):
                yield piece
                continue
            begin = piece.onset_seconds if begin is None else begin
            moved = piece._replace(onset_seconds=piece.onset_seconds - begin + shift)
            end = max(end, moved.onset_seconds + moved.duration_seconds)
            yield moved
        if stop.is_asked or left.tokens == 0:
            return
        num_empty = num_empty + 1 if begin is None else 0
        if num_empty == MAX_EMPTY:
            raise SettingError(f"{run.name}: ends every piece before its first note", hint="raise --temperature")
        shift = end + PAUSE_SECONDS if begin is not None else shift
        primer = None


@dataclass(slots=True)
class _Left:
    """How many tokens may still be drawn; None for no limit."""

    tokens: int | None

    def counted(self, drawn: Iterator["Sampled"], end: int, stop: Stop) -> Iterator[int]:
        """Passes tokens on, without the end of a piece, and counts them."""
        for sampled in drawn:
            if stop.is_asked or sampled.token == end:
                return
            if self.tokens is not None:
                self.tokens -= 1
            yield sampled.token


class _StatusLine:
    """One line on a terminal that says where the playing stands; nothing elsewhere."""

    def __init__(self, port_name: str, seed: int) -> None:
        self._is_shown = has_screen()
        self._seed = seed
        self._history: deque[tuple[float, int]] = deque(maxlen=LINES_OF_A_RATE)  # when a line came, notes until then
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

    def end(self) -> None:
        """Leaves the line."""
        if self._history:
            print(file=sys.stderr, flush=True)

    def _notes_a_second(self) -> float:
        (before, notes_before), (now, notes) = self._history[0], self._history[-1]
        return (notes - notes_before) / (now - before) if now > before else 0.0


@contextmanager
def _status_line(port_name: str, seed: int) -> Iterator[_StatusLine]:
    line = _StatusLine(port_name, seed)
    try:
        yield line
    finally:
        line.end()


def loaded_music(name: str) -> "Run":
    """Returns a run that writes music. Raises GenError."""
    import torch

    from gen.runs.run import load

    torch.set_num_threads(1)
    run = load(name)
    if not is_music(run.codec):
        raise SettingError(f"{run.name}: writes text; only music can be played", hint=f"gen sample {name}")
    return run


@contextmanager
def _noted_signals() -> Iterator[Stop]:
    """Notes the signals that end a program, however often they come; those that are ignored, as by nohup, stay so."""
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


@contextmanager
def punctual() -> Iterator[None]:
    """Keeps Python's own pauses short while music plays."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # torch's half a million objects are not looked through again: that takes 50 ms
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
