"""Features of texts, worked out by hand."""

import numpy as np
import pytest

from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.text.features import text_features


def values(name: str, text: str) -> str:
    """Returns a feature as a digit a character."""
    found = text_features(text)[name]
    assert found.shape == (len(text),)
    return "".join(f"{int(value)}" for value in found)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("position in line", "ab\ncde\n\nf", "120123001"),
        ("position in word", "to be2, \u0436", "120123001"),
        ("indentation", "  a\n\tb c\nd", "12221111" + "10"),
        ("line after a blank one", "a\n\nbc\nd\n\ne", "000110000" + "1"),
        ("speaker line", "\nROMEO:\nHo: ho\n", "0111111" + "0" * 8),
        ("upper case", "AbC\u0416", "1011"),
        ("digit", "a1 23", "01011"),
        ("blank", "a \tb\n", "01101"),
        ("inside quotes", 'a "b" c', "0011000"),
        ("inside quotes", "\u201ca\u201d\u300cb\u300d", "110110"),
        ("inside quotes", '"a\n\nb"', "111001"),
        ("inside quotes", '\'"\' "a\\"b"', "000011111" + "0"),
        ("inside ( )", "a(b(c)d)e", "011111100"),
        ("inside ( )", ") (a", "0011"),
        ("inside ( )", "(a\n\nb", "11100"),
        ("inside { }", "{a\n\nb}", "111110"),
        ("inside [ ]", "'[' [x]", "0000110"),
        ("depth of brackets", "({[x]})", "1233210"),
        ("inside /* */", "a/*b*/c", "0111100"),
        ("inside /* */", "a/*b", "0110"),
    ],
)
def test_a_feature_is_that_worked_out_by_hand(name: str, text: str, expected: str) -> None:
    assert values(name, text) == expected


def test_no_feature_needs_a_text() -> None:
    assert all(found.shape == (0,) for found in text_features("").values())


def test_a_byte_has_the_features_of_the_characters_that_are_whole_after_it() -> None:
    text = "(\u0436\n\U0001f40e)"
    chars, codec = CharCodec.build(text), ByteCodec()
    of_chars, of_bytes = chars.features(chars.encode(text)), codec.features(codec.encode(text))
    ends = np.cumsum([len(character.encode()) for character in text]) - 1
    assert of_chars.keys() == of_bytes.keys()
    for name, found in of_bytes.items():
        np.testing.assert_array_equal(found[ends], of_chars[name])
