"""Writes docs/commands.md from the help of the real commands, and docs/vocabularies.md from the real codecs.

python docs/build.py            write both
python docs/build.py --check    write nothing; exit 1 if one of them is out of date
"""

import sys
from itertools import groupby
from pathlib import Path

from typer.main import get_command

from gen.cli.app import app
from gen.codec import Vocab
from gen.codecs.byte import ByteCodec
from gen.codecs.performance import PerformanceCodec
from gen.codecs.text import CharCodec

HERE = Path(__file__).resolve().parent
WIDTH = 100
NOTE = "<!-- Written by docs/build.py: change the source, not this file. -->"


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
        ("byte", ByteCodec(), "Every byte is a symbol; a grammar keeps what is sampled valid UTF-8."),
        (
            "performance",
            PerformanceCodec(),
            "Oore et al. 2018. `TimeShift_1` is 10 ms, `Velocity_v` is MIDI velocity 4v to 4v + 3. No hanging note.",
        ),
    )
    parts = [NOTE, "# Vocabularies", "`Begin` and `End` are the last two ids of each and never stand in a store."]
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
