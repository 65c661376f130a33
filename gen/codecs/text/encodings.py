"""Guesses the encoding of a text that is not valid in the encoding in which it was read.

Each candidate that decodes the text is scored by what the characters beyond ASCII then are: letters of one language
that is written in that encoding count for it; other letters, symbols inside words and capitals behind small letters
count against it. Only the encodings that people meet are tried; among few, a guess from a line or two is mostly right.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

MAX_BYTES = 1 << 13  # looked at
MAX_CHARACTERS = 500  # beyond ASCII, scored for each candidate
MIN_SCORE = 0.4  # of 1; below it nothing is guessed
MIN_WIDE_SCORE = 0.75  # likewise, of UTF-16 and UTF-32: any two bytes are a character of some script

_WESTERN = (
    "\u00e0\u00e2\u00e7\u00e8\u00e9\u00ea\u00eb\u00ee\u00ef\u00f4\u00f9\u00fb\u00fc\u0153",  # French
    "\u00e4\u00f6\u00fc\u00df",  # German
    "\u00e1\u00e9\u00ed\u00f1\u00f3\u00fa\u00fc\u00bf\u00a1",  # Spanish
    "\u00e0\u00e1\u00e2\u00e3\u00e7\u00e9\u00ea\u00ed\u00f3\u00f4\u00f5\u00fa",  # Portuguese
    "\u00e0\u00e8\u00e9\u00ec\u00f2\u00f9",  # Italian
    "\u00e5\u00e6\u00f8\u00e9",  # Danish, Norwegian
    "\u00e5\u00e4\u00f6\u00e9",  # Swedish, Finnish
    "\u00e9\u00eb\u00ef\u00f6\u00fc\u00e8\u00f3",  # Dutch
    "\u00e0\u00e7\u00e8\u00e9\u00ed\u00ef\u00f2\u00f3\u00fa\u00fc\u00b7",  # Catalan
    "\u00e1\u00e6\u00e9\u00ed\u00f0\u00f3\u00f6\u00fa\u00fd\u00fe",  # Icelandic
)
_CENTRAL = (
    "\u00e1\u010d\u010f\u00e9\u011b\u00ed\u0148\u00f3\u0159\u0161\u0165\u00fa\u016f\u00fd\u017e",  # Czech
    "\u00e1\u00e4\u010d\u010f\u00e9\u00ed\u013a\u013e\u0148\u00f3\u00f4\u0155\u0161\u0165\u00fa\u00fd\u017e",  # Slovak
    "\u0105\u0107\u0119\u0142\u0144\u00f3\u015b\u017a\u017c",  # Polish
    "\u00e1\u00e9\u00ed\u00f3\u00f6\u0151\u00fa\u00fc\u0171",  # Hungarian
    "\u010d\u0107\u0111\u0161\u017e",  # Croatian, Slovene
    "\u0103\u00e2\u00ee\u015f\u0163",  # Romanian
)
_TURKISH = ("\u00e7\u011f\u0131\u00f6\u015f\u00fc\u0130\u00e2\u00ee",)
_CYRILLIC = (
    "".join(map(chr, range(0x430, 0x450))) + "\u0451",  # Russian, Bulgarian
    "".join(map(chr, range(0x430, 0x450))) + "\u0454\u0456\u0457\u0491",  # Ukrainian
)
_GREEK = ("".join(map(chr, range(0x3B1, 0x3CA))) + "\u03ac\u03ad\u03ae\u03af\u03cc\u03cd\u03ce",)
_HEBREW = ("".join(map(chr, range(0x5D0, 0x5EB))),)
_ARABIC = ("".join(map(chr, (*range(0x621, 0x63B), *range(0x641, 0x64B), 0x67E, 0x686, 0x698, 0x6AF))),)
_THAI = ("".join(map(chr, (*range(0xE01, 0xE3B), *range(0xE40, 0xE4F)))),)
# The commonest letters, at least two in three of a text. Encodings of one byte a character have different scripts at
# the same bytes, so that Hebrew read as Cyrillic is all letters, but not these.
_FREQUENT = frozenset(
    "\u043e\u0435\u0430\u0438\u043d\u0442\u0441\u0440\u0432\u043b\u043a\u043c\u0456"  # Cyrillic
    "\u03b1\u03bf\u03b9\u03b5\u03c4\u03c3\u03bd\u03b7\u03c5\u03c1\u03c0\u03ba"  # Greek
    "\u03bc\u03c2\u03ac\u03af\u03ad\u03cc\u03ae"
    "\u05d9\u05d5\u05d4\u05dc\u05d0\u05e8\u05ea\u05d1\u05de\u05e9\u05e0\u05dd"  # Hebrew
    "\u0627\u0644\u064a\u0645\u0648\u0646\u062a\u0631\u0628\u0639\u062f\u0647\u0641\u0633\u0643"  # Arabic
    "\u0e32\u0e19\u0e23\u0e2d\u0e01\u0e40\u0e07\u0e48\u0e49\u0e31\u0e21\u0e35"  # Thai
    "\u0e27\u0e25\u0e22\u0e17\u0e15\u0e2a\u0e34\u0e14\u0e41"
)
_PUNCTUATION = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2026\u00ab\u00bb\u2039\u203a\u00b0\u20ac\u00a3\u00a7\u00a9\u00ae\u2122\u2022"
)

# In order of preference: of equal scores the first wins.
_ALPHABETIC: dict[str, tuple[str, ...]] = {
    "latin-1": _WESTERN,
    "cp1252": _WESTERN,
    "mac-roman": _WESTERN,
    "cp850": _WESTERN,
    "cp1250": _CENTRAL,
    "iso8859-2": _CENTRAL,
    "cp1254": _TURKISH,
    "cp852": _CENTRAL,
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC[:1],
    "koi8-u": _CYRILLIC[1:],
    "cp866": _CYRILLIC,
    "iso8859-5": _CYRILLIC,
    "mac-cyrillic": _CYRILLIC,
    "cp1253": _GREEK,
    "iso8859-7": _GREEK,
    "cp1255": _HEBREW,
    "cp1256": _ARABIC,
    "iso8859-6": _ARABIC,
    "cp874": _THAI,
}
# The last of each pair holds more characters than the first.
_EAST_ASIAN = ("shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "gbk", "gb18030", "big5", "cp950")
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_ALL_ALPHABETS = (*_WESTERN, *_CENTRAL, *_TURKISH, *_CYRILLIC, *_GREEK, *_HEBREW, *_ARABIC, *_THAI)
_OPENING, _CLOSING = "\u2018\u201c\u201e\u201a\u00ab", "\u2019\u201d\u201c\u00bb\u2026"
_NO_CHARACTERS = ("Cc", "Cn", "Co", "Cs")


class _Neighbours(NamedTuple):
    before: str
    character: str
    after: str


def guess_encoding(data: bytes) -> str | None:
    """Returns the likeliest encoding of a text that is not UTF-8, or None where none is likely.

    Args:
        data: some of the text, beginning and ending anywhere.
    """
    is_wide = _is_wide(data)
    sample = data[:MAX_BYTES] if is_wide else _telling_lines(data)
    best, best_score = None, MIN_WIDE_SCORE if is_wide else MIN_SCORE
    for encoding in _WIDE if is_wide else (*_ALPHABETIC, *_EAST_ASIAN):
        text = _decoded(sample, encoding)
        if text is not None and (score := _score(text, encoding)) > best_score:
            best, best_score = encoding, score
    return best


def _is_wide(data: bytes) -> bool:
    """Returns whether there are control characters, which no text in an encoding of one byte a character has."""
    controls = bytes({*range(9), *range(14, 32)} - {0x1B})
    return len(data) - len(data.translate(None, controls)) > len(data) // 100


def _telling_lines(data: bytes) -> bytes:
    """Returns the first lines with bytes beyond ASCII."""
    lines, size = [], 0
    for line in data.split(b"\n"):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size >= MAX_BYTES:
                break
    return b"\n".join(lines)[: 2 * MAX_BYTES]


def _decoded(data: bytes, encoding: str) -> str | None:
    """Returns the text, without a character that the end cuts in two; None if it is not in the encoding."""
    for num_cut in range(4):  # by the beginning
        try:
            return data[num_cut:].decode(encoding)
        except UnicodeDecodeError as err:
            if err.start >= len(data) - num_cut - 4 and err.start > 0:
                return err.object[: err.start].decode(encoding)
            if err.start > 0 or encoding in _ALPHABETIC:
                return None
    return None


def _score(text: str, encoding: str) -> float:
    found = list(_beyond_ascii(text, is_wide=encoding in _WIDE))
    if not found:
        return 0.0
    if encoding in _ALPHABETIC:
        return max(_alphabetic_score(found, alphabet) for alphabet in _ALPHABETIC[encoding])
    if encoding in _WIDE:
        alphabetic = max(_alphabetic_score(found, alphabet) for alphabet in _ALL_ALPHABETS)
        return max(alphabetic, *(_east_asian_score(found, kind) for kind in ("shift_jis", "gbk", "big5", "euc_kr")))
    return _east_asian_score(found, encoding)


def _beyond_ascii(text: str, *, is_wide: bool) -> Iterator[_Neighbours]:
    """Yields the characters that count, with those on both sides."""
    padded = f" {text} "
    num = 0
    for before, character, after in zip(padded, text, padded[2:], strict=False):
        if (is_wide or character > "\x7f") and not (character.isspace() and character < "\x80"):
            yield _Neighbours(before, character, after)
            num += 1
            if num == MAX_CHARACTERS:
                return


def _alphabetic_score(found: list[_Neighbours], alphabet: str) -> float:
    if not _is_latin_alphabet(alphabet) and not any(near.character.lower() in alphabet for near in found):
        return 0.0  # marks alone are no script
    return sum(_alphabetic_points(near, alphabet) for near in found) / len(found)


def _alphabetic_points(near: _Neighbours, alphabet: str) -> float:
    before, character, after = near
    if character < "\x80":
        return 1.0 if character.isprintable() else -2.0
    if character.isupper() and before.islower():
        return -1.0
    if character in _PUNCTUATION:  # which is where other encodings of the same script have capitals
        return _punctuation_points(near) if _is_latin_alphabet(alphabet) else 0.5
    if character > "\u036f" and (_is_latin(before) or _is_latin(after)):
        return -1.0
    if character.lower() in alphabet or character in alphabet:
        return 1.0 if character <= "\u036f" else _letter_points(near)
    if unicodedata.category(character) in _NO_CHARACTERS:
        return -2.0
    if character.isalpha() and character.islower():
        return 0.0
    return -1.0 if before.isalpha() and after.isalpha() else -0.5


def _letter_points(near: _Neighbours) -> float:
    """Returns the points of a letter of another script than Latin; one that stands alone counts nothing."""
    before, character, after = near
    if not any(other.isalpha() and other > "\x7f" for other in (before, after)):
        return 0.0
    return 1.0 if character.lower() in _FREQUENT else 0.8


def _punctuation_points(near: _Neighbours) -> float:
    """Returns the points of a mark; quotation marks and apostrophes count most, for the characters around them."""
    before, character, after = near
    if before.isalpha() and after.isalpha():
        return 1.1 if character == "\u2019" else -1.0
    is_opening = character in _OPENING and before.isspace() and after.isalnum()
    is_closing = character in _CLOSING and not before.isspace() and not after.isalnum()
    return 1.1 if is_opening or is_closing else 0.8


def _is_latin_alphabet(alphabet: str) -> bool:
    return alphabet[0] <= "\u036f"


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _east_asian_score(found: list[_Neighbours], encoding: str) -> float:
    points = [_east_asian_points(near, encoding) for near in found]
    if encoding in ("shift_jis", "cp932", "euc_jp") and sum(map(_is_kana, found)) < len(found) / 20:
        return 0.0
    return sum(points) / len(points)


def _east_asian_points(near: _Neighbours, encoding: str) -> float:
    before, character, after = near
    if character < "\x80":
        return 1.0 if character.isprintable() else -2.0
    if "\u3000" <= character <= "\u3015" or "\uff01" <= character <= "\uff5e" or character in _PUNCTUATION:
        return 0.8
    if _is_common(character, encoding):
        return 1.0
    if unicodedata.category(character) in _NO_CHARACTERS:
        return -2.0
    return -1.0 if _is_latin(before) or _is_latin(after) else 0.0


def _is_kana(near: _Neighbours) -> bool:
    return "\u3041" <= near.character <= "\u30fe"


@cache
def _is_common(character: str, encoding: str) -> bool:
    """Returns whether a character is common in the languages that are written in an encoding."""
    if encoding in ("euc_kr", "cp949"):
        return "\uac00" <= character <= "\ud7a3" and _lead(character, "euc_kr") > 0
    if encoding in ("big5", "cp950"):
        return 0xA4 <= _lead(character, "big5") <= 0xC6
    if encoding in ("gbk", "gb18030"):
        return 0xB0 <= _lead(character, "gb2312") <= 0xD7
    return "\u3041" <= character <= "\u30fe" or 0x88 <= _lead(character, "shift_jis") <= 0x97


def _lead(character: str, encoding: str) -> int:
    """Returns the first of the two bytes of a character; 0 if it has not two."""
    try:
        data = character.encode(encoding)
    except UnicodeEncodeError:
        return 0
    return data[0] if len(data) == 2 else 0
