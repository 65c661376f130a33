"""The `byte` codec and the automaton of UTF-8, against Python's own decoder."""

from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gen.codec import decode, stream
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.utf8 import Utf8Grammar
from gen.errors import SettingError

CODEC = ByteCodec()
EDGES = [0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert decode(CODEC, CODEC.encode(text)) == text


@given(st.text())
def test_each_character_is_given_when_its_last_byte_comes(text: str) -> None:
    decoder = CODEC.decoder()
    for character in text:
        *first, last = character.encode()
        assert [decoder.push(byte) for byte in first] == [()] * len(first)
        assert decoder.push(last) == (character,)
    assert decoder.finish() == ()


@given(st.binary())
def test_bytes_that_are_no_utf8_become_replacement_characters_as_python_makes_them(data: bytes) -> None:
    assert "".join(stream(CODEC, data)) == data.decode("utf-8", "replace")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(SettingError, match=r"lone surrogate U\+DCE9"):
        CODEC.encode("caf\udce9")


@settings(max_examples=400)
@given(st.binary(max_size=6))
@example(b"\xc0\x80")  # overlong
@example(b"\xe0\x9f\xbf")  # overlong
@example(b"\xed\xa0\x80")  # surrogate
@example(b"\xf0\x8f\xbf\xbf")  # overlong
@example(b"\xf4\x90\x80\x80")  # beyond U+10FFFF
@example(b"\xf5\x80")
@example(b"\xff")
def test_the_automaton_accepts_exactly_the_prefixes_of_utf8(data: bytes) -> None:
    assert num_accepted(data) == num_valid(data)


@pytest.mark.parametrize("code_point", EDGES)
def test_the_automaton_accepts_the_first_and_last_character_of_every_length(code_point: int) -> None:
    data = chr(code_point).encode()
    assert num_accepted(data) == len(data)


@pytest.mark.parametrize("lead", range(256))
def test_after_every_lead_byte_the_automaton_allows_what_python_accepts(lead: int) -> None:
    for second in range(256):
        data = bytes((lead, second))
        assert num_accepted(data) == num_valid(data)


@pytest.mark.parametrize(("budget", "longest"), [(1, 1), (2, 2), (3, 3), (4, 4), (9, 4), (None, 4)])
def test_a_budget_allows_exactly_the_characters_that_fit(budget: int | None, longest: int) -> None:
    allowed = Utf8Grammar().allowed(budget)
    leads = {
        chr(c).encode()[0] for c in range(0x110000) if not 0xD800 <= c < 0xE000 and len(chr(c).encode()) <= longest
    }
    assert set(np.flatnonzero(allowed[:256]).tolist()) == leads


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_every_masked_walk_of_every_budget_is_strictly_valid(budget: int, random: Random) -> None:
    grammar = Utf8Grammar()
    data = bytearray()
    while len(data) < budget:
        byte = random.choice(np.flatnonzero(grammar.allowed(budget - len(data))[:256]).tolist())
        grammar.advance(byte)
        data.append(byte)
    assert len(bytes(data).decode("utf-8", "strict")) > 0


def test_a_prompt_that_ends_within_a_character_is_finished_even_beyond_the_budget() -> None:
    grammar = Utf8Grammar()
    grammar.advance(0xE0)
    assert grammar.tokens_to_close() == 2
    assert np.flatnonzero(grammar.allowed(1)).tolist() == list(range(0xA0, 0xC0))


def test_the_text_may_not_end_within_a_character() -> None:
    grammar = Utf8Grammar()
    assert grammar.allowed(1)[CODEC.vocab.end]
    grammar.advance(0xC3)
    assert not grammar.allowed(1)[CODEC.vocab.end]


def num_accepted(data: bytes) -> int:
    """Returns how many of the bytes the automaton takes."""
    grammar = Utf8Grammar()
    for count, byte in enumerate(data):
        if not grammar.allowed(None)[byte]:
            return count
        grammar.advance(byte)
    return len(data)


def num_valid(data: bytes) -> int:
    """Returns how many of the bytes can stand at the head of a valid text, by Python's decoder alone."""
    return max(count for count in range(len(data) + 1) if is_prefix(data[:count]))


def is_prefix(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as err:
        return err.reason == "unexpected end of data"
    return True
