from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.errors import SettingError
from gen.generation.stop import stop_at

pieces_of_two_letters = st.lists(st.text("ab", max_size=4), max_size=12)


@given(pieces_of_two_letters, st.text("ab", min_size=1, max_size=4))
def test_what_is_yielded_is_the_text_before_the_first_stop(pieces: list[str], stop: str) -> None:
    assert "".join(stop_at(iter(pieces), stop)) == "".join(pieces).split(stop)[0]


@given(st.text("ab", max_size=20), st.text("ab", min_size=1, max_size=4))
def test_only_the_longest_possible_beginning_of_stop_is_held_back(text: str, stop: str) -> None:
    taken = ""

    def characters() -> Iterator[str]:
        nonlocal taken
        for character in text.split(stop, maxsplit=1)[0]:
            beginnings = [n for n in range(len(stop)) if taken.endswith(stop[:n])]
            assert len(yielded) == len(taken) - max(beginnings)
            taken += character
            yield character

    yielded = ""
    for piece in stop_at(characters(), stop):
        yielded += piece


def test_nothing_is_pulled_after_the_stop() -> None:
    pieces = iter(["one ", "two", " three"])
    assert list(stop_at(pieces, "two")) == ["one "]
    assert list(pieces) == [" three"]


def test_a_stop_that_never_comes_loses_nothing_at_the_end() -> None:
    assert "".join(stop_at(iter("ROMEO"), "EOX")) == "ROMEO"


def test_an_empty_stop_is_a_setting_error_at_once() -> None:
    with pytest.raises(SettingError, match="--stop"):
        stop_at(iter(["a"]), "")
