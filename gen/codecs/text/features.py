"""Named features of a text: what a reader could keep track of, a number for each character, after reading it.

    position in line         characters since the line began, 0 at the line end itself
    position in word         letters and digits since the word began, 0 outside words
    indentation              blanks at the beginning of the line, so far
    line after a blank one   1 in a line that stands below a blank one
    inside quotes            1 from an opening quotation mark to before the closing one
    inside ( )               likewise for each kind of bracket, and for comments between /* and */
    depth of brackets        how many brackets of any kind are open
    speaker line             1 in a line that is a name with a colon
    upper case, digit, blank 1 at such characters

Quotation marks and brackets that are quoted themselves, as in '(' or \\", count as other characters. A blank line ends
quotes and round brackets: else one that is never closed would turn all that follows.
"""

import re
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

QUOTES: Final = {'"': '"', "\u201c": "\u201d", "\u00ab": "\u00bb", "\u300c": "\u300d", "\u300e": "\u300f"}
BRACKETS: Final = {"(": ")", "[": "]", "{": "}", "\uff08": "\uff09", "\u3010": "\u3011"}
_CLOSED_BY_BLANK_LINES: Final = frozenset(("(", "[", "\uff08"))
_QUOTED: Final = re.compile(r"\\.|'[^\w\s]'")
_COMMENT: Final = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_SPEAKER: Final = re.compile(r"^[^\W\d_][^\n:]{0,40}:$", re.MULTILINE)
_AFTER_BLANK: Final = re.compile(r"(?<=\n\n)[^\n]+")


def text_features(text: str) -> dict[str, Floats]:
    """Returns the (N,) features of a text of N characters by their names."""
    quoted = _QUOTED.sub(lambda match: "x" * len(match[0]), text)
    return {
        "position in line": _since(text, lambda character: character == "\n"),
        "position in word": _since(text, lambda character: not character.isalnum()),
        "indentation": _indentation(text),
        "line after a blank one": _matched(_AFTER_BLANK, text),
        "speaker line": _matched(_SPEAKER, text),
        "inside quotes": _inside_quotes(quoted),
        **_brackets(quoted),
        "inside /* */": _until_closed(_COMMENT, text),
        "upper case": _each(text, str.isupper),
        "digit": _each(text, str.isdigit),
        "blank": _each(text, str.isspace),
    }


def _each(text: str, holds: Callable[[str], bool]) -> Floats:
    return np.fromiter(map(holds, text), np.float32, len(text))


def _since(text: str, is_start: Callable[[str], bool]) -> Floats:
    """Returns how many characters lie between each one and the last for which `is_start` holds, itself included."""
    at = np.arange(len(text))
    last = np.maximum.accumulate(np.where(_each(text, is_start) > 0, at, -1))
    return np.asarray(at - last, np.float32)


def _matched(pattern: re.Pattern[str], text: str) -> Floats:
    """Returns 1 at the characters of every match of a pattern."""
    found = np.zeros(len(text), np.float32)
    for match in pattern.finditer(text):
        found[slice(*match.span())] = 1
    return found


def _until_closed(pattern: re.Pattern[str], text: str) -> Floats:
    """Returns 1 at the characters of every match but its last: after that the reader is outside again."""
    found = _matched(pattern, text)
    found[:-1] *= found[1:]
    found[-1:] = 0
    return found


def _indentation(text: str) -> Floats:
    """Returns the blanks at the beginning of the line so far, and after them how many they are."""
    found: list[int] = []
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" \t"))
        found += [*range(1, indent + 1), *[indent] * (len(line) - indent)]
    return np.array(found, np.float32)


def _inside_quotes(text: str) -> Floats:
    found, closing, before = [], "", ""
    for character in text:
        if character == "\n" == before:
            closing = ""
        elif closing:
            closing = "" if character == closing else closing
        else:
            closing = QUOTES.get(character, "")
        found.append(bool(closing))
        before = character
    return np.array(found, np.float32)


def _brackets(text: str) -> dict[str, Floats]:
    """Returns for each kind of bracket in a text whether one is open, and how many of all kinds are."""
    depths = {kind: _depths(text, *kind) for kind in BRACKETS.items() if kind[0] in text}
    inside = {f"inside {' '.join(kind)}": np.minimum(depth, 1) for kind, depth in depths.items()}
    return inside | {"depth of brackets": np.sum(list(depths.values()), axis=0, dtype=np.float32)} if depths else {}


def _depths(text: str, opening: str, closing: str) -> Floats:
    """Returns how many brackets of a kind are open after each character."""
    found, depth, before = [], 0, ""
    for character in text:
        if character == "\n" == before and opening in _CLOSED_BY_BLANK_LINES:
            depth = 0
        depth = max(0, depth + (character == opening) - (character == closing))
        found.append(depth)
        before = character
    return np.array(found, np.float32)
