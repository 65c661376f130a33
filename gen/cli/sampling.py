"""Draws samples and puts each piece where it belongs: at once to stdout, or whole into files.

One sample streams in constant memory, however long. Of several, the first streams and the others, which are drawn
beside it, follow; each then has a heading as `tail` writes it.
"""

import math
import os
import secrets
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gen.cli.console import say
from gen.cli.prompt import from_the_start, read_prompt, say_unknown
from gen.codecs.export import check_kind, check_out, is_music, numbered, write_out
from gen.config import MAX_SAMPLES, SamplingConfig
from gen.errors import MidiError, SettingError

if TYPE_CHECKING:
    from gen.generation.generate import Sampled
    from gen.generation.prompt import Prompt
    from gen.models.stepper import StepPrecision
    from gen.runs.run import Run

FEW_SAMPLES = 8  # below it one thread is as fast as two, and does not wait for the other on a busy machine
MAX_SEED = 2**31  # of the seeds that are drawn: short enough to type again


@dataclass(frozen=True, slots=True)
class Request:
    """What `gen sample` was asked for."""

    run: str
    prompt: str | None
    prompt_file: Path | None
    from_bar: int | None
    length: str
    min_length: int
    sampling: SamplingConfig
    seed: int | None
    num_samples: int
    precision: "StepPrecision"
    label: str | None
    controls: Mapping[str, str]
    stops: tuple[str, ...]
    is_alone: bool
    out: Path | None
    font: Path | None
    is_rolling: bool
    is_counted: bool


@dataclass(slots=True)
class Tally:
    """Counts what is drawn, for `--stats`."""

    started: float = field(default_factory=time.perf_counter)
    num_tokens: int = 0
    nats: float = 0.0

    def counted(self, drawn: Iterable["Sampled"]) -> Iterator["Sampled"]:
        """Passes the tokens on and counts them."""
        for sampled in drawn:
            self.num_tokens += 1
            self.nats += sampled.surprise_nats
            yield sampled

    def line(self, seed: int) -> str:
        """Returns the line that `--stats` shows."""
        seconds = time.perf_counter() - self.started
        bits = self.nats / math.log(2) / max(1, self.num_tokens)
        return (
            f"{self.num_tokens} tokens, {seconds:.2f} s, {self.num_tokens / seconds:.0f} tokens/s, "
            f"{bits:.3f} bits per token, seed {seed}"
        )


def write_samples(request: Request) -> None:
    """Draws what was asked for and writes it. Raises GenError."""
    limit = parse_length(request.length)
    paths = _paths(request, limit)
    import torch

    from gen.runs.run import load

    if request.num_samples < FEW_SAMPLES:
        torch.set_num_threads(1)
    run = load(request.run)
    for path in paths:
        check_kind(path, run.codec)
    stops = run.stops(request.stops)
    if request.is_rolling and not is_music(run.codec):
        raise SettingError(f"--roll: {run.name} writes text, not music")
    prompt = _prompt(request, run)
    say_unknown(run, prompt)
    count = request.num_samples
    seed = secrets.randbelow(MAX_SEED) if request.seed is None else request.seed
    tally = Tally()
    drawn = run.generate(
        prompt.whole,
        length=limit,
        sampling=request.sampling,
        seed=seed,
        label=request.label,
        num_samples=count,
        precision=request.precision,
        controls=request.controls,
        min_length=request.min_length,
    )
    remarks: list[str] = []  # that wait until the lines of what is streamed are whole
    rows = [
        _told(row, run, place=place, is_prompted=prompt.whole is not None, tell=say if paths else remarks.append)
        for row, place in zip(split_rows(tally.counted(drawn), count), _places(paths, count), strict=True)
    ]
    with_prompt = not request.is_alone
    if paths:
        for path, row in zip(paths, rows, strict=True):
            _write_file(path, row, run, prompt=prompt, stops=stops, with_prompt=with_prompt, font=request.font)
    else:
        samples = [_pieces(row, prompt, stops=stops, with_prompt=with_prompt) for row in rows]
        if request.is_rolling:
            samples = [_rolled(pieces, run, primer=prompt.whole if with_prompt else None) for pieces in samples]
        _write_stream(samples, is_text=not is_music(run.codec))
        for remark in remarks:
            say(remark)
    if request.is_counted:
        say(tally.line(seed))


def parse_length(text: str) -> int | None:
    """Returns the most tokens to draw, or None for no limit. Raises SettingError."""
    if text == "inf":
        return None
    try:
        return int(text)
    except ValueError as err:
        raise SettingError(f"--length: neither a whole number nor inf ({text})") from err


def _places(paths: Sequence[Path], count: int) -> list[str]:
    """Returns what stands before a message about each of the samples."""
    if paths:
        return [f"{path}: " for path in paths]
    return [f"sample {number} of {count}: " for number in range(1, count + 1)] if count > 1 else [""]


def split_rows(drawn: Iterator["Sampled"], count: int) -> list[Iterator[int]]:
    """Returns the tokens of each row; pulling one row keeps what comes for the rows after it, and drops the rest."""
    waiting: list[deque[int]] = [deque() for _ in range(count)]

    def row(number: int) -> Iterator[int]:
        while True:
            while waiting[number]:
                yield waiting[number].popleft()
            sampled = next(drawn, None)
            if sampled is None:
                return
            if sampled.row >= number:  # the rows before it are done
                waiting[sampled.row].append(sampled.token)

    return [row(number) for number in range(count)]


def _paths(request: Request, limit: int | None) -> list[Path]:
    """Returns the files to write, none for stdout; they are checked before the model is loaded."""
    if request.num_samples < 1:
        raise SettingError(f"--num-samples: must be at least 1 ({request.num_samples})")
    if request.num_samples > MAX_SAMPLES:
        raise SettingError(f"--num-samples: must be at most {MAX_SAMPLES} ({request.num_samples})")
    if limit is None and (request.out or request.num_samples > 1):
        raise SettingError("--length: only one sample on stdout can go on for ever (inf)", hint="give a number")
    if request.out is None:
        if request.font is not None:
            raise SettingError("--soundfont: only with --out FILE.wav")
        return []
    if request.is_rolling:
        raise SettingError(f"--roll: not together with --out ({request.out})", hint="give one of the two")
    check_out(request.out, font=request.font)
    return numbered(request.out, count=request.num_samples)


def _prompt(request: Request, run: "Run") -> "Prompt":
    """Returns what to go on from."""
    if request.prompt is not None and request.prompt_file is not None:
        raise SettingError("--prompt-file: --prompt is given too", hint="give one of the two")
    if request.prompt is not None and is_music(run.codec):
        raise SettingError(
            f"--prompt: {run.name} writes music, not text ({request.prompt})", hint="give a primer: --prompt-file x.mid"
        )
    path = request.prompt_file
    if request.from_bar is not None and (path is None or not is_music(run.codec)):
        raise SettingError("--from-bar: only with --prompt-file FILE.mid")
    if path is None:
        return run.prompt(request.prompt)
    whole = read_prompt(path, run)
    if request.from_bar is not None:
        from gen.music.excerpt import before_bar

        whole = before_bar(whole, request.from_bar)
    try:
        return run.prompt(whole)
    except MidiError as err:
        raise MidiError(f"{path}: {str(err).removeprefix('score: ')}") from err


def _pieces(tokens: Iterator[int], prompt: "Prompt", *, stops: Sequence[str], with_prompt: bool) -> Iterator[Any]:
    """Yields the prompt, then what was drawn, up to one of `stops`, which are looked for in what was drawn only."""
    from gen.generation.stop import stop_at

    if stops:
        opening = (prompt.whole,) if with_prompt and prompt.whole is not None else ()
        return chain(opening, stop_at(prompt.pieces(tokens), stops))
    pieces = prompt.pieces(tokens, with_prompt=with_prompt)
    return pieces if with_prompt or prompt.whole is None else from_the_start(pieces, prompt)


def _told(
    tokens: Iterator[int], run: "Run", *, place: str, is_prompted: bool, tell: Callable[[str], None]
) -> Iterator[int]:
    """Passes the tokens of a sample on; tells if they add nothing."""
    units = run.codec.units()
    what = f"{place}nothing was {'added' if is_prompted else 'drawn'}"
    num_tokens, has_unit = 0, False
    for token in tokens:
        if token == run.codec.vocab.end:
            if num_tokens == 0:
                tell(f"{what}: the model ended at once; --min-length N forbids that")
            yield token
            return
        num_tokens += 1
        has_unit = has_unit or bool(units[token])
        yield token
    if num_tokens and not has_unit:
        tell(f"{what}: no {run.codec.unit} in {num_tokens} tokens; a greater --length has room for more")


def _rolled(pieces: Iterator[Any], run: "Run", *, primer: Any) -> Iterator[str]:
    """Yields the lines of a piano roll, as wide as the terminal, in its colours; a file gets neither."""
    from gen.codecs.beat.codec import BeatCodec
    from gen.music.views.terminal import ScrollingRoll

    codec = run.codec
    signatures, num_unheard = codec.own_metres(primer) if isinstance(codec, BeatCodec) and primer else ([], 0)
    roll = ScrollingRoll(
        width=shutil.get_terminal_size().columns,
        ticks_per_beat=run.codec.join(()).ticks_per_beat,
        is_coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
        signatures=signatures,
        num_unheard=num_unheard,
    )
    for piece in pieces:
        yield from roll.push(piece)
    yield from roll.finish()


def _write_stream(samples: list[Iterator[Any]], *, is_text: bool) -> None:
    """Writes each piece as it comes, one sample after the other."""
    output: BinaryIO = sys.stdout.buffer
    last = "\n"
    for number, pieces in enumerate(samples, 1):
        if len(samples) > 1:
            output.write(f"{'' if last.endswith(chr(10)) else chr(10)}==> {number} of {len(samples)} <==\n".encode())
        for piece in pieces:
            last = str(piece) if is_text else f"{piece}\n"
            output.write(last.encode())
            output.flush()
    if not last.endswith("\n") and sys.stdout.isatty():
        output.write(b"\n")


def _write_file(
    path: Path,
    tokens: Iterator[int],
    run: "Run",
    *,
    prompt: "Prompt",
    stops: Sequence[str],
    with_prompt: bool,
    font: Path | None,
) -> None:
    """Writes one sample, its prompt first unless that is to be left out."""
    if stops:
        whole = run.codec.join(_pieces(tokens, prompt, stops=stops, with_prompt=with_prompt))
        write_out(path, codec=run.codec, whole=whole)
    else:
        drawn = [token for token in tokens if token != run.codec.vocab.end]
        whole = prompt.gone_on(drawn, name=run.name, with_prompt=with_prompt)
        ids = [*prompt.ids, *drawn] if with_prompt else drawn
        lines = _pieces(iter(drawn), prompt, stops=(), with_prompt=with_prompt)
        write_out(path, codec=run.codec, whole=whole, tokens=ids, pieces=lines, font=font)
    say(f"wrote {path}")
