"""Writes docs/commands.md from the help of the real commands, and docs/vocabularies.md from the real codecs.

python docs/build.py            write both
python docs/build.py --check    write nothing; exit 1 if one of them is out of date
"""

import sys
from itertools import groupby
from pathlib import Path

from typer.main import get_command

from gen.cli.main import app
from gen.codec import Vocab
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.text.pairs import PairsCodec
from gen.codecs.text.tables.pairs import SEPARATOR
from gen.codecs.text.tagged import TaggedCodec

HERE = Path(__file__).resolve().parent
WIDTH = 100
NOTE = "<!-- Written by docs/build.py: change the source, not this file. -->"

TAGGED = """\
Words whose tags are learnt (`--task tag`): a word is its characters and then its tag. Characters and tags that the
corpus lacks are `Unknown` and `Tag`. Shown for a corpus of `a`, `b` and two tags."""

BEAT = """\
Metric music of up to 15 programs and drums. A quarter has 24 positions, so 32nds and triplets down to 16ths are on the
grid. `MicroTiming_x` moves the notes after it by x 384ths of a quarter, which keeps grace notes, quintuplets and a
player's timing.

A bar begins with `Bar`, and with `TimeSignature` and `Tempo` where they change. Then come, at ascending times,
`Position`, perhaps `MicroTiming`, perhaps a new `Tempo`, and the notes by program and pitch, drums last. A pitched note
is `Program` and `Velocity` where they change, `Pitch` and `Duration`; a drum is `Velocity` and `Drum`. Durations are in
24ths of a quarter; one over a whole note, `Duration_96`, is several of these and the rest. A note under the pedal lasts
until the pedal rises or the pitch is struck again. No note hangs, and no pitch sounds twice at once in a program.
Everything else in a file is rounded or left out, and counted (`gen corpus`).

A tempo becomes the nearest of 176 levels, 1 % faster or slower at most, so a piece of three minutes may become 1.8 s
longer or shorter; `gen corpus` measures by how much. A tempo below 15 or above 480 quarters a minute is written in
another note value: at 1000, a quarter is written as a 16th at 250, and a bar of 4/4 as one of 4/16.

For example, one bar of bass and drums: `Bar TimeSignature_4/4 Tempo_120 Position_0 Program_33 Velocity_20 Pitch_40
Duration_48 Velocity_25 Drum_36 Position_48 Pitch_43 Duration_48 Drum_38`.

A comparison with REMI (Huang and Yang 2020, "Pop Music Transformer") and with the REMI of MidiTok 3 with its defaults
(Fradet et al. 2021). MidiTok's codec called BEAT (Qian et al.) is another one than this.

| | REMI | MidiTok's REMI | `beat` |
| --- | --- | --- | --- |
| intended for | pop piano | any MIDI | any MIDI |
| positions | 16 a bar of 4/4 | 8 a beat | 24 a quarter, and 16 ticks in each |
| triplets | no | on another grid | yes |
| metre | 4/4 | if switched on | always; a bar cut short is a bar of its length |
| tempo | 30 to 209 a minute in steps of one, as class and value | if switched on: 32 from 40 to 250 | \
176 levels of 2 %, 15 to 480, where it changes |
| velocity | a token a note, 32 levels | a token a note, 32 levels | 32 levels, where it changes in a program |
| duration | 64 lengths in 32nds, up to 2 bars | up to 12 beats, in 8ths of a beat, past 4 beats in quarters of it | \
exact in 24ths of a quarter up to 64 bars of 4/4 |
| instruments | one | if switched on: `Program` a note | up to 15, where the program changes |
| drums | no | tokens of their own | tokens of their own, without a duration |
| chords | tokens from an analysis | if switched on | none |
| sequences that a sample may have | any | any | those that the encoder writes, by a grammar |
"""


def commands() -> str:
    """Returns the command reference."""
    group = get_command(app)
    top = group.make_context("gen", [], resilient_parsing=True, terminal_width=WIDTH)
    parts = [NOTE, "# Commands", *_section("gen", top.get_help())]
    for name, command in getattr(group, "commands", {}).items():
        context = command.make_context(name, [], parent=top, resilient_parsing=True)
        parts += _section(f"gen {name}", context.get_help())
    return "\n\n".join(parts) + "\n"


def _section(title: str, help_text: str) -> list[str]:
    lines = [line.rstrip() for line in help_text.splitlines()]
    return [f"## `{title}`", "```text\n" + "\n".join(lines).strip() + "\n```"]


def vocabularies() -> str:
    """Returns the tables of symbols."""
    codecs = (
        (
            "char",
            CharCodec.build("ab"),
            "Every code point of the corpus is a symbol, in ascending order. Shown for a corpus of `a` and `b`.",
        ),
        ("byte", ByteCodec(), "Every byte is a symbol; a grammar keeps samples valid UTF-8."),
        ("tagged", TaggedCodec("ab", ("DET", "NOUN")), TAGGED),
        (
            "pairs",
            PairsCodec(SEPARATOR + "ab"),
            "`Separator` stands between a source and a target; the other symbols are those of `char`.",
        ),
        (
            "performance",
            PerformanceCodec(),
            "Oore et al. 2018. `TimeShift_1` is 10 ms, `Velocity_v` is MIDI velocity 4v to 4v + 3. No hanging note.",
        ),
        ("beat", BeatCodec(), BEAT),
    )
    parts = [
        NOTE,
        "# Vocabularies",
        "`Begin` and `End` are the last two ids of each vocabulary, and never stand in a store.",
    ]
    for name, codec, words in codecs:
        parts += [f"## `{name}`: {len(codec.vocab)} symbols, unit {codec.unit}", words, _table(codec.vocab)]
    return "\n\n".join(parts) + "\n"


def _table(vocab: Vocab) -> str:
    """Returns a row for each run of symbols of one type."""
    rows = ["| ids | symbols |", "| --- | --- |"]
    for _, run in groupby(enumerate(vocab.symbols), key=lambda item: item[1].partition("_")[0]):
        (first, first_symbol), *rest = run
        last, last_symbol = rest[-1] if rest else (first, first_symbol)
        ids = f"{first} to {last}" if rest else str(first)
        symbols = f"`{first_symbol}` to `{last_symbol}`" if rest else f"`{first_symbol}`"
        rows.append(f"| {ids} | {symbols} |")
    return "\n".join(rows)


def main() -> int:
    pages = {HERE / "commands.md": commands(), HERE / "vocabularies.md": vocabularies()}
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
        if stale:
            print(f"error: docs: out of date ({', '.join(stale)})\nhint: python docs/build.py", file=sys.stderr)
        return int(bool(stale))
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
