"""The `char` codec."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codec import decode
from gen.codecs.text.char import CharCodec, UnknownCharacterError
from gen.config import Reading
from gen.errors import CheckpointError, SettingError


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    codec = CharCodec.build(text)
    assert decode(codec, codec.encode(text)) == text


@given(st.text())
def test_the_alphabet_is_the_text_s_characters_in_order_and_ids_are_places_in_it(text: str) -> None:
    codec = CharCodec.build(text)
    assert list(codec.alphabet) == sorted(set(text))
    assert codec.encode(text).tolist() == [codec.alphabet.index(character) for character in text]


@pytest.mark.parametrize(
    ("num_symbols", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint8), (257, np.uint16), (70000, np.uint32)]
)
def test_ids_are_as_narrow_as_the_alphabet_allows(num_symbols: int, dtype: type) -> None:
    alphabet = "".join(map(chr, range(0x10000, 0x10000 + num_symbols)))
    ids = CharCodec(alphabet).encode(alphabet)
    assert ids.dtype == dtype
    assert ids.tolist() == list(range(num_symbols))


def test_an_unknown_character_in_a_prompt_is_named_with_what_is_known() -> None:
    codec = CharCodec.build("\n ,.0123456789ABCDEFGabcdefg")
    with pytest.raises(SettingError) as error:
        codec.encode("a caf\u00e9")
    assert str(error.value) == "prompt: character not in the model's vocabulary ('\u00e9', U+00E9)"
    assert error.value.hint == "the alphabet has 28 characters: \\n space , . 0-9 A-G a-g"


@pytest.mark.parametrize("size", [255, 256, 257])
def test_an_unknown_character_is_found_at_every_width_of_ids(size: int) -> None:
    with pytest.raises(SettingError, match=re.escape("'\\x00', U+0000")):
        CharCodec("".join(map(chr, range(1, size + 1)))).encode("a\0")


def test_a_long_alphabet_is_cut_in_the_hint() -> None:
    codec = CharCodec("".join(map(chr, range(0x4E00, 0x6000, 2))))
    with pytest.raises(SettingError) as error:
        codec.encode("a")
    assert error.value.hint is not None
    assert error.value.hint.endswith(" ...")
    assert len(error.value.hint) < 120


def test_an_unknown_character_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    path.write_bytes(b"one\r\ntwo\r\n" * 20000 + "th\u00eb".encode())
    with pytest.raises(UnknownCharacterError, match=re.escape("('\u00eb', U+00EB, line 40001)")):
        list(CharCodec("\nehnotw").encode_file(path))


@pytest.mark.parametrize("alphabet", ["ba", "aa", None, 5])
def test_a_spec_without_a_proper_alphabet_is_refused(alphabet: object) -> None:
    with pytest.raises(CheckpointError, match="not an alphabet"):
        CharCodec.from_spec({"name": "char", "version": 1, "alphabet": alphabet})


def test_the_encoding_of_files_is_no_part_of_the_codec() -> None:
    assert CharCodec("ab", Reading(encoding="latin-1")) == CharCodec("ab")
    assert CharCodec("ab", Reading(encoding="latin-1")).spec() == CharCodec("ab").spec()
