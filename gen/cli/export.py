"""`gen export`: from a MIDI file or a file of token ids to another format."""

from pathlib import Path
from typing import Annotated

from gen.cli.parameters import argument, option


def export(
    source: Annotated[
        Path, argument(metavar="SOURCE", help="Read a .mid, or a .json of token ids that gen sample wrote")
    ],
    out: Annotated[
        Path,
        option("--out", metavar="FILE", help="Write this file; its suffix chooses: .mid .wav .png .svg .json .txt"),
    ],
    soundfont: Annotated[
        Path | None,
        option("--soundfont", metavar="FILE", help="Play a .wav from this .sf2 or .sf3  [default one that is found]"),
    ] = None,
) -> None:
    """Turn a MIDI file or a file of token ids into another format.

    From .mid to .mid every event is kept.
    """
    from gen.codecs.export import convert

    convert(source, out, font=soundfont)
