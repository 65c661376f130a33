from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gen.errors import SettingError
from gen.generation.stop import stop_at

pieces_of_two_letters = st.lists(st.text("ab", max_size=4), max_size=12)


some_stops = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4)


def before_a_stop(text: str, stops: list[str]) -> str:
    """What a reader keeps who looks at one character after the other and stops at the first whole stop."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))]
    return text


@given(pieces_of_two_letters, some_stops)
@example(["xa", "b"], ["ab", "b"])
def test_what_is_yielded_is_the_text_before_the_stop_that_is_complete_first(
    pieces: list[str], stops: list[str]
) -> None:
    assert "".join(stop_at(iter(pieces), stops)) == before_a_stop("".join(pieces), stops)


@given(st.text("ab", max_size=20), some_stops)
def test_only_the_longest_possible_beginning_of_a_stop_is_held_back(text: str, stops: list[str]) -> None:
    taken = ""

    def characters() -> Iterator[str]:
        nonlocal taken
        for character in before_a_stop(text, stops):
            beginnings = [n for stop in stops for n in range(len(stop)) if taken.endswith(stop[:n])]
            assert len(yielded) == len(taken) - max(beginnings)
            taken += character
            yield character

    yielded = ""
    for piece in stop_at(characters(), stops):
        yielded += piece


def test_nothing_is_pulled_after_the_stop() -> None:
    pieces = iter(["one ", "two", " three"])
    assert list(stop_at(pieces, ["two"])) == ["one "]
    assert list(pieces) == [" three"]


def test_a_stop_that_never_comes_loses_nothing_at_the_end() -> None:
    assert "".join(stop_at(iter("ROMEO"), ["EOX"])) == "ROMEO"


def test_an_empty_stop_is_a_setting_error_at_once() -> None:
    with pytest.raises(SettingError, match="--stop"):
        stop_at(iter(["a"]), ["b", ""])
