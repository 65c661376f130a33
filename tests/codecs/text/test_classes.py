"""The kinds of characters."""

import pytest

from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec

TEXT = "aB 1\n\t(]\"',\u0436"


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("a", "letters"),
        ("\u0436", "letters"),
        ("B", "upper case letters"),
        (" ", "spaces"),
        ("\t", "spaces"),
        ("\n", "line ends"),
        ("1", "digits"),
        ("(", "opening brackets"),
        ("]", "closing brackets"),
        ('"', "quotation marks"),
        (",", "punctuation"),
    ],
)
def test_a_character_is_of_its_kind(character: str, name: str) -> None:
    codec = CharCodec.build(TEXT)
    classes = codec.symbol_classes()
    assert classes.names[classes.of[codec.vocab.index[character]]] == name


def test_the_bytes_of_ascii_are_characters_and_the_others_a_kind_of_their_own() -> None:
    classes = ByteCodec().symbol_classes()
    assert [classes.names[classes.of[byte]] for byte in b"a(\n\xd0"] == [
        "letters", "opening brackets", "line ends", "other symbols"
    ]  # fmt: skip
