"""`gen export`: from a MIDI file or a file of token ids to another format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gen.cli.parameters import SoundFont, argument, option

if TYPE_CHECKING:
    from gen.codecs.export import Differences

MAX_NAMED = 3  # kinds of events in a line


def export(
    source: Annotated[
        Path, argument(metavar="SOURCE", help="Read a .mid, or a .json of token ids that gen sample wrote")
    ],
    out: Annotated[
        Path,
        option("--out", metavar="FILE", help="Write this file; its suffix chooses: .mid .wav .png .svg .json .txt"),
    ],
    soundfont: SoundFont = None,
) -> None:
    """Turn a MIDI file or a file of token ids into another format.

    From .mid to .mid every event is kept.
    """
    from gen.codecs.export import convert

    say_written(source, out, convert(source, out, font=soundfont))


def say_written(source: Path, out: Path, differences: "Differences") -> None:
    """Says what the export changed and left out, then which file it wrote."""
    from gen.cli.console import say
    from gen.data.report import counted

    if differences.mended:
        say(f"mended {', '.join(counted(count, name) for name, count in differences.mended.items())}")
    if differences.left_out:
        named = ", ".join(counted(count, kind) for kind, count in differences.left_out.most_common(MAX_NAMED))
        num_more = len(differences.left_out) - MAX_NAMED
        more = f" and {counted(num_more, 'more kinds')}" if num_more > 0 else ""
        say(f"left out {named}{more}; gen corpus {source} counts all")
    say(f"wrote {out}")
