"""The kinds of characters by which costs are summed up."""

from collections.abc import Sequence
from typing import Final

from gen.codec import SymbolClasses, classes_named
from gen.codecs.text.features import BRACKETS, QUOTES

OTHER: Final = "other symbols"  # Begin, End, and what is no character
_QUOTES: Final = frozenset((*QUOTES, *QUOTES.values(), "'", "\u2018", "\u2019"))


def character_classes(symbols: Sequence[str]) -> SymbolClasses:
    """Returns the kind of each of (V,) symbols, most of which are characters."""
    return classes_named([_class_of(symbol) if len(symbol) == 1 else OTHER for symbol in symbols])


def _class_of(character: str) -> str:
    kinds = (
        ("line ends", character == "\n"),
        ("spaces", character.isspace()),
        ("upper case letters", character.isupper()),
        ("letters", character.isalpha()),
        ("digits", character.isdigit()),
        ("opening brackets", character in BRACKETS),
        ("closing brackets", character in BRACKETS.values()),
        ("quotation marks", character in _QUOTES),
    )
    return next((name for name, holds in kinds if holds), "punctuation")
