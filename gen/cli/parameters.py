"""Options that several commands declare, and the values that they stand for.

The help line itself names range and default.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gen.errors import SettingError

option = partial(typer.Option, show_default=False)
argument = partial(typer.Argument, show_default=False)

_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\\": "\\"}

RunName = Annotated[str, argument(metavar="RUN", help="Take a run's name, its folder, or a model.safetensors")]
Json = Annotated[bool, option("--json", help="Print everything as one JSON object on stdout")]
SoundFont = Annotated[
    Path | None,
    option("--soundfont", metavar="FILE", help="Play a .wav from this .sf2 or .sf3  [default one that is found]"),
]

# Of `gen train` and `gen corpus`.
CodecName = Annotated[
    Literal["auto", "char", "byte", "performance", "beat"],
    option("--codec", help="Choose how files become tokens  [default auto]"),
]
Encoding = Annotated[str, option("--encoding", metavar="NAME", help="Read text in this encoding  [default utf-8]")]
Labels = Annotated[
    Literal["folders", "none"],
    option("--labels", help="Label documents by sub-folder or not at all  [default folders]"),
]
Documents = Annotated[
    str,
    option(
        "--documents",
        metavar="auto|files|lines|blank|SEPARATOR",
        help="Make documents of files, lines, blocks between blank lines, or texts between separators (\\n for a line "
        "end, \\t for a tab, \\\\ for \\); auto takes the rows of .csv, .tsv and .jsonl, and files  [default auto]",
    ),
]
TextColumn = Annotated[
    str | None,
    option(
        "--text-column",
        metavar="NAME|N",
        help="Read the texts of this column of tables, by name or number from 1  [default one with a usual name]",
    ),
]
LabelColumn = Annotated[
    str | None,
    option("--label-column", metavar="NAME|N", help="Label rows by this column of tables  [default by sub-folder]"),
]
TargetColumn = Annotated[
    str | None,
    option(
        "--target-column",
        metavar="NAME|N",
        help="Of pairs, read the targets of this column of tables  [default the second, or one with a usual name]",
    ),
]
BadBytes = Annotated[
    Literal["strict", "replace", "skip"],
    option("--errors", help="Refuse, replace or skip bytes that are not in the encoding  [default strict]"),
]
Normalize = Annotated[
    Literal["none", "nfc", "nfkc"],
    option("--normalize", help="Bring text into this normal form of Unicode  [default none]"),
]

# Of commands that read a corpus with the codec of a run.
OtherEncoding = Annotated[
    str | None, option("--encoding", metavar="NAME", help="Read text in this encoding  [default as in training]")
]
OtherBadBytes = Annotated[
    Literal["strict", "replace", "skip"] | None,
    option("--errors", help="Refuse, replace or skip bytes not in the encoding  [default as in training]"),
]
OtherUnknown = Annotated[
    Literal["error", "skip"],
    option("--unknown", help="Refuse or leave out characters that the model lacks  [default error]"),
]

# Of `gen sample` and `gen play`.
OptionalTemperature = Annotated[
    float | None,
    option(
        "--temperature",
        metavar="T",
        help="Randomness of sampling; 0 takes the likeliest token  [0-100, default 1, of pairs 0]",
    ),
]
Temperature = Annotated[
    float,
    option(
        "--temperature", metavar="T", help="Randomness of sampling; 0 takes the likeliest token  [0-100, default 1]"
    ),
]
TopK = Annotated[int | None, option("--top-k", metavar="K", help="Keep only the K likeliest tokens  [1 or more]")]
TopP = Annotated[
    float | None,
    option("--top-p", metavar="P", help="Keep the likeliest tokens that hold this share  [above 0 to 1]"),
]
MinP = Annotated[
    float | None, option("--min-p", metavar="P", help="Keep tokens at least this likely beside the likeliest  [0-1]")
]

Beam = Annotated[
    int | None,
    option("--beam", metavar="N", help="Of pairs, search with N hypotheses for the likeliest target  [1-256]"),
]

Key = Annotated[
    str | None,
    option("--key", metavar="KEY", help='Ask for a key, or for several from points in seconds: "0:C 60s:Am"'),
]

MAX_FLOAT32 = (2 - 2.0**-23) * 2.0**127

Hold = Annotated[
    list[str] | None,
    option(
        "--hold",
        metavar="L:N=V",
        help="Hold unit N of layer L at V, its cell state if it has one; layers and units count from 0",
    ),
]


def parse_unit(text: str, *, option: str) -> tuple[int, int]:
    """Returns layer and unit of `L:N`. Raises SettingError."""
    if not (found := re.fullmatch(r"(\d{1,9}):(\d{1,9})", text, re.ASCII)):
        raise SettingError(f"{option}: no layer and unit ({text})", hint=f"{option} 0:17 is unit 17 of the first layer")
    return int(found[1]), int(found[2])


def parse_held(text: str) -> tuple[int, int, float]:
    """Returns layer, unit and value of `L:N=V`. Raises SettingError."""
    found = re.fullmatch(
        r"(\d{1,9}):(\d{1,9})=([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", text, re.ASCII | re.IGNORECASE
    )
    if not found:
        raise SettingError(f"--hold: no unit and value ({text})", hint="in the form --hold 0:17=0.5")
    value = float(found[3])
    if abs(value) > MAX_FLOAT32:
        raise SettingError(f"--hold: beyond what float32 holds ({text})", hint="in the form --hold 0:17=0.5")
    return int(found[1]), int(found[2]), value


def parse_held_units(texts: Iterable[str], *, beside: Iterable[tuple[int, int]] = ()) -> list[tuple[int, int, float]]:
    """Returns what `parse_held` does of each text.

    Raises SettingError if a unit is given twice, among them or the units that are held beside them.
    """
    held = [parse_held(text) for text in texts]
    units = [*beside, *((layer, unit) for layer, unit, _ in held)]
    for (layer, unit), count in Counter(units).items():
        if count > 1:
            raise SettingError(f"unit {layer}:{unit}: held more than once ({count})", hint="give it once")
    return held


def separator(documents: str) -> str:
    """Returns the value of `--documents` with a line end for \\n, a tab for \\t, and \\ for two of them."""
    return re.sub(r"\\[nrt\\]", lambda match: _ESCAPES[match[0]], documents)


def given(**options: Any) -> dict[str, Any]:
    """Returns the options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def parse_length(text: str | None, *, default: int | None = None) -> int | None:
    """Returns the value of `--length`, the most tokens to draw; None for no limit. Raises SettingError."""
    if text is None:
        return default
    if text == "inf":
        return None
    try:
        return int(text)
    except ValueError as err:
        raise SettingError(f"--length: neither a whole number nor inf ({text})") from err


def refuse(unsuited: Mapping[str, Any], why: str = "not for a run of pairs") -> None:
    """Raises SettingError if one of these options is given, so that it is neither None, False nor ()."""
    for name, value in unsuited.items():
        if value is not None and value is not False and value != ():  # 0 is given, although it equals False
            shown = "" if value is True else f" ({', '.join(value) if isinstance(value, tuple) else value})"
            raise SettingError(f"--{name}: {why}{shown}", hint="leave it out")
