"""Draws samples and writes each piece at once to stdout, or each sample to a file.

One sample streams in constant memory, however long. Several samples are drawn side by side: the first streams, the
others follow, each below a heading like those of `tail`.
"""

import math
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gen.cli.console import has_colour, say
from gen.cli.costed import Ledger
from gen.cli.prompt import PromptOptions, from_the_start, request_samples
from gen.codecs.export import Document, check_kind, check_target, numbered, write_document
from gen.config import MAX_SAMPLES
from gen.errors import SettingError

if TYPE_CHECKING:
    from gen.generation.generate import SampledBlock
    from gen.generation.prompt import Prompt
    from gen.runs.request import SampleSettings
    from gen.runs.run import Run


@dataclass(frozen=True, slots=True)
class Output:
    """The options of `gen sample` for the files that it writes, or for stdout."""

    stops: tuple[str, ...]
    has_prompt: bool
    file: Path | None  # None for stdout
    font: Path | None
    is_rolling: bool
    is_counted: bool
    is_costed: bool  # whether each character is shown with its cost
    adapt: Path | None  # to learn from, before anything is drawn


@dataclass(slots=True)
class Tally:
    """A count of the drawn tokens, for `--stats`."""

    started: float = field(default_factory=time.perf_counter)
    num_tokens: int = 0
    nats: float = 0.0

    def counted(self, drawn: Iterable["SampledBlock"]) -> Iterator["SampledBlock"]:
        """Yields the blocks and counts their tokens, also those that are not shown because a stop text came first."""
        for block in drawn:
            self.num_tokens += int(block.is_drawn.sum())
            self.nats += float(block.surprise_nats[block.is_drawn].sum())
            yield block

    def line(self, seed: int) -> str:
        """Returns the line that `--stats` shows."""
        seconds = time.perf_counter() - self.started
        bits = self.nats / math.log(2) / max(1, self.num_tokens)
        return (
            f"{self.num_tokens} tokens, {seconds:.2f} s, {self.num_tokens / seconds:.0f} tokens/s, "
            f"{bits:.3f} bits per token, seed {seed}"
        )


def write_samples(
    name: str,
    options: PromptOptions,
    settings: "SampleSettings",
    held: Sequence[tuple[int, int, float]],
    output: Output,
) -> None:
    """Draws samples of a run and writes them. Raises GenError.

    Args:
        held: layer, number and value of units of its network that are held.
    """
    count = settings["num_samples"]
    paths = _paths(output, count=count, length=settings["length"])  # checked before the model is loaded
    run = _loaded(name, count=count, precision=settings["precision"])
    output = _checked(output, run, paths)
    if output.adapt is not None:
        run = _adapted(run, output.adapt)
    if held:
        run = _holding(run, held)
    request = request_samples(run, options, settings)
    tally, ledger = Tally(), Ledger(count)
    drawn = tally.counted(run.draw_blocks(request))
    remarks: list[str] = []  # shown after the stream: they would break its lines
    remark = say if paths else remarks.append
    rows = [
        _remarked(row, run, f"{place}nothing was {'drawn' if request.prompt.whole is None else 'added'}", remark)
        for row, place in zip(
            split_rows(ledger.noted(drawn) if output.is_costed else drawn, count), _places(paths, count), strict=True
        )
    ]
    writer = _Writer(run, request.prompt, output)
    if paths:
        for path, row in zip(paths, rows, strict=True):
            writer.write_file(path, row)
    elif output.is_costed:
        _write_stream([writer.costed(number, row, ledger) for number, row in enumerate(rows)], is_text=True)
    else:
        _write_stream([writer.shown(row) for row in rows], is_text=run.codec.kind == "text")
    for line in remarks:
        say(line)
    if output.is_counted:
        say(tally.line(request.seed))


def split_rows(drawn: Iterator["SampledBlock"], count: int) -> list[Iterator[int]]:
    """Returns the tokens of each row. Reading one row keeps the tokens of the rows after it, and drops the others."""
    waiting: list[deque[int]] = [deque() for _ in range(count)]

    def row(number: int) -> Iterator[int]:
        while True:
            while waiting[number]:
                yield waiting[number].popleft()
            block = next(drawn, None)
            if block is None:
                return
            for other, tokens, _ in block.samples():
                if other >= number:  # the rows before it are done
                    waiting[other].extend(tokens.tolist())

    return [row(number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Writer:
    """Turns the tokens of a sample into pieces, lines or a file."""

    run: "Run"
    prompt: "Prompt"
    output: Output

    def pieces(self, tokens: Iterator[int]) -> Iterator[Any]:
        """Yields the prompt, then the pieces of the tokens; they end before a stop text."""
        from gen.generation.stop import stop_at

        has_prompt = self.output.has_prompt
        if self.output.stops:
            opening = (self.prompt.whole,) if has_prompt and self.prompt.whole is not None else ()
            return chain(opening, stop_at(self.prompt.pieces(tokens), self.output.stops))
        pieces = self.prompt.pieces(tokens, with_prompt=has_prompt)
        return pieces if has_prompt or self.prompt.whole is None else from_the_start(pieces, self.prompt)

    def shown(self, tokens: Iterator[int]) -> Iterator[Any]:
        """Yields the pieces for stdout: texts, notes, or the lines of a piano roll."""
        pieces = self.pieces(tokens)
        if not self.output.is_rolling:
            return pieces
        return _rolled(pieces, self.run, primer=self.prompt.whole if self.output.has_prompt else None)

    def costed(self, number: int, tokens: Iterator[int], ledger: Ledger) -> Iterator[str]:
        """Yields the text of a row for stdout, each character with its cost: in colours, or in digits below it."""
        from gen.cli.screen.costs import DIGITS, coloured_text, marked_text

        characters = ledger.characters(
            number, tokens, self.prompt, has_prompt=self.output.has_prompt, stops=self.output.stops
        )
        if has_colour(sys.stdout):
            return coloured_text(characters)
        if number == 0:
            say(DIGITS)
        return marked_text(characters, width=shutil.get_terminal_size().columns)

    def write_file(self, path: Path, tokens: Iterator[int]) -> None:
        """Writes one sample, its prompt first unless `--no-prompt` leaves that out."""
        codec, has_prompt = self.run.codec, self.output.has_prompt
        if self.output.stops:
            document = Document(codec, codec.join(self.pieces(tokens)))
        else:
            drawn = [token for token in tokens if token != codec.vocab.end]
            whole = self.prompt.continued(drawn, name=self.run.name, with_prompt=has_prompt)
            ids = [*self.prompt.ids, *drawn] if has_prompt else drawn
            document = Document(codec, whole, ids, self.pieces(iter(drawn)))
        write_document(path, document, font=self.output.font)
        say(f"wrote {path}")


def _paths(output: Output, *, count: int, length: int | None) -> list[Path]:
    """Returns the files to write, none for stdout. Raises SettingError if one cannot be written."""
    if count < 1:
        raise SettingError(f"--num-samples: must be at least 1 ({count})")
    if count > MAX_SAMPLES:
        raise SettingError(f"--num-samples: must be at most {MAX_SAMPLES} ({count})")
    if length is None and (output.file or count > 1):
        raise SettingError("--length: only one sample on stdout can go on for ever (inf)", hint="give a number")
    if output.file is None:
        if output.font is not None:
            raise SettingError("--soundfont: only with --out FILE.wav")
        return []
    if output.is_costed:
        raise SettingError(f"--surprise: not together with --out ({output.file})", hint="give one of the two")
    if output.is_rolling:
        raise SettingError(f"--roll: not together with --out ({output.file})", hint="give one of the two")
    check_target(output.file, font=output.font)
    return numbered(output.file, count=count)


def _loaded(name: str, *, count: int, precision: str | None) -> "Run":
    from gen.kernels.library import library
    from gen.models.device import limit_threads, sampling_device
    from gen.runs.run import load

    limit_threads(count)
    library()  # compiled now, if need be, and not in the time that --stats shows
    return load(name, device=sampling_device(count, precision))


def _adapted(run: "Run", path: Path) -> "Run":
    """Returns the run after it has learnt from a file; says what the file cost it, and what was left out of it."""
    from gen.cli.measuring import left_out
    from gen.cli.screen.progress import counting_display
    from gen.runs.adapting import adapted

    with counting_display("adapting") as on_progress:
        found = adapted(run, path, on_progress=on_progress)
    nats, tokens = found.evaluation.nats_per_token, found.evaluation.tokens
    say(f"adapted to {path}: {tokens:,} tokens, {nats:.4f} nats each while it learnt{left_out(found.unknown)}")
    return found.run


def _holding(run: "Run", held: Sequence[tuple[int, int, float]]) -> "Run":
    from gen.models.holding import HeldUnit

    return run.holding([HeldUnit(*each) for each in held])


def _checked(output: Output, run: "Run", paths: Sequence[Path]) -> Output:
    """Returns the output with its stops as the model writes them. Raises SettingError if the run cannot give it."""
    for path in paths:
        check_kind(path, run.codec)
    stops = run.stops(output.stops)
    if output.is_rolling and run.codec.kind == "text":
        raise SettingError(f"--roll: {run.name} writes text, not music")
    if output.is_costed and run.codec.kind == "music":
        raise SettingError(
            f"--surprise: {run.name} writes music, not text",
            hint="write a .mid, then gen eval RUN FILE.mid --show",
        )
    return replace(output, stops=stops)


def _places(paths: Sequence[Path], count: int) -> list[str]:
    """Returns the beginning of a message about each of the samples."""
    if paths:
        return [f"{path}: " for path in paths]
    return [f"sample {number} of {count}: " for number in range(1, count + 1)] if count > 1 else [""]


def _remarked(tokens: Iterator[int], run: "Run", nothing: str, remark: Callable[[str], None]) -> Iterator[int]:
    """Yields the tokens of a sample; remarks if they add nothing."""
    units = run.codec.units()
    num_tokens, has_unit = 0, False
    for token in tokens:
        if token == run.codec.vocab.end:
            if num_tokens == 0:
                remark(f"{nothing}: the model ended at once; --min-length N forbids that")
            yield token
            return
        num_tokens += 1
        has_unit = has_unit or bool(units[token])
        yield token
    if num_tokens and not has_unit:
        remark(f"{nothing}: no {run.codec.unit} in {num_tokens} tokens; a greater --length has room for more")


def _rolled(pieces: Iterator[Any], run: "Run", *, primer: Any) -> Iterator[str]:
    """Yields the lines of a piano roll, as wide as the terminal; only a terminal gets colours."""
    from gen.codecs.beat.codec import BeatCodec
    from gen.music.views.terminal import ScrollingRoll

    codec = run.codec
    signatures, num_unheard = codec.own_metres(primer) if isinstance(codec, BeatCodec) and primer else ([], 0)
    roll = ScrollingRoll(
        width=shutil.get_terminal_size().columns,
        ticks_per_beat=codec.join(()).ticks_per_beat,
        is_coloured=has_colour(sys.stdout),
        signatures=signatures,
        num_unheard=num_unheard,
    )
    for piece in pieces:
        yield from roll.push(piece)
    yield from roll.finish()


def _write_stream(samples: list[Iterator[Any]], *, is_text: bool) -> None:
    """Writes each piece at once, one sample after the other."""
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
