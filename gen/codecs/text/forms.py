"""Unicode's normal forms (UAX 15) of a text that is read in parts.

A letter with an accent may be one character (composed, as NFC has it) or a letter and a mark (decomposed, as NFD has
it): they look the same, and to a model they are different symbols.
"""

import unicodedata
from collections import Counter
from dataclasses import replace
from typing import Literal

from gen.config import Normalize, Reading

Form = Literal["NFC", "NFD", "NFKC"]

MIXED = "decomposed characters beside composed ones (--normalize nfc makes them one)"

_HANGUL_PARTS = range(0x1160, 0x1200)  # vowels and final consonants, which join the consonant before them


_FORMS: dict[Normalize, Form] = {"nfc": "NFC", "nfkc": "NFKC"}


def form_of(normalize: Normalize) -> Form | None:
    """Returns the form that `--normalize` asks for, or None."""
    return _FORMS.get(normalize)


def normalised(text: str, normalize: Normalize) -> str:
    """Returns a whole text in the form that `--normalize` asks for."""
    form = form_of(normalize)
    return text if form is None else unicodedata.normalize(form, text)


def in_form_of(reading: Reading, normalize: Normalize) -> Reading:
    """Returns a reading in the normal form of a codec, or else in its own."""
    return reading if normalize == "none" else replace(reading, normalize=normalize)


class Normaliser:
    """Normalises a text part by part; the parts joined are the whole text normalised."""

    def __init__(self, form: Form) -> None:
        self._form: Form = form
        self._held = ""

    def push(self, text: str, *, is_last: bool) -> tuple[str, str]:
        """Takes the next part; returns the text that no later part can change, before and after normalisation."""
        text = self._held + text
        cut = len(text) if is_last else _last_beginning(text)
        self._held = text[cut:]
        return text[:cut], unicodedata.normalize(self._form, text[:cut])


class MixedForms:
    """Counts the characters of a text that stand in decomposed form though the corpus has them composed, too.

    Args:
        alphabet: of the corpus.
    """

    def __init__(self, alphabet: str) -> None:
        known = set(alphabet)
        parts = (
            (character, unicodedata.normalize("NFD", character)[1:]) for character in alphabet if character > "\x7f"
        )
        self._mixed = frozenset(character for character, marks in parts if not known.isdisjoint(marks))
        self._normaliser = Normaliser("NFC")

    def push(self, text: str, *, is_last: bool = False) -> dict[str, int]:
        """Takes the next part of a text; returns the findings. The last characters may count with the next part."""
        if not self._mixed:
            return {}
        before, after = self._normaliser.push(text, is_last=is_last)
        composed = Counter(after) - Counter(before) if before != after else Counter[str]()
        num = sum(composed[character] for character in self._mixed)
        return {MIXED: num} if num else {}


def num_changed(before: str, after: str) -> int:
    """Returns how many characters of a text normalisation has removed or replaced."""
    return 0 if before == after else sum((Counter(before) - Counter(after)).values())


def _last_beginning(text: str) -> int:
    """Returns the last index from which on characters are independent of those before it; 0 if there is none."""
    return next((index for index in range(len(text) - 1, 0, -1) if _begins(text[index])), 0)


def _begins(character: str) -> bool:
    """Returns whether a character never joins, and is never reordered with, the one before it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return not unicodedata.category(first).startswith("M") and ord(first) not in _HANGUL_PARTS
