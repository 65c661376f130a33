import pytest

from gen.codecs.controls import ControlTokens
from gen.codecs.envelope import read_envelope, read_envelopes
from gen.errors import SettingError


def values(name: str, text: str, *seconds: float) -> list[float | str | None]:
    envelope = read_envelope(name, text)
    return [envelope(at) for at in seconds]


def test_one_value_holds_for_all_time() -> None:
    assert values("density", "4", 0, 1e6) == [4.0, 4.0]
    assert values("key", "Am", 0, 1e6) == ["Am", "Am"]


def test_numbers_go_in_a_line_from_point_to_point() -> None:
    assert values("density", "0:2 30s:8 40:8", 0, 15, 30, 35, 99) == [2.0, 5.0, 8.0, 8.0, 8.0]


def test_before_the_first_point_its_value_holds() -> None:
    assert values("density", "10:2 20:4", 0, 10, 15) == [2.0, 2.0, 3.0]


def test_keys_hold_until_the_next() -> None:
    assert values("key", "0:C 60s:Am", 0, 59.9, 60, 99) == ["C", "C", "Am", "Am"]


def test_any_holds_until_the_next_point_and_is_not_gone_to_in_a_line() -> None:
    assert values("density", "0:any 10:4 20:any", 0, 5, 10, 15, 20) == [None, None, 4.0, 4.0, None]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("density", "0:2 30s8", r"--density: point 2 is not TIME:VALUE \(30s8\)"),
        ("density", "0:2 x:8", r"--density: point 2 is not TIME:VALUE \(x:8\)"),
        ("density", "-1:2", r"--density: point 1 is not TIME:VALUE \(-1:2\)"),
        ("density", "nan:2", r"--density: point 1 is not TIME:VALUE"),
        ("density", "0:2 0:8", r"--density: point 2 is not after the one before \(0:8\)"),
        ("density", "2 8", r"--density: point 1 is not TIME:VALUE \(2\)"),
        ("density", "0:0", r"--density: neither a number of notes a second above 0 nor any \(0\)"),
        ("density", "inf", r"--density: neither a number"),
        ("density", "loud", r"--density: neither a number"),
        ("density", " ", r"--density: empty"),
        ("key", "0:H", r"--key: no key \(H\)"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(name: str, text: str, error: str) -> None:
    with pytest.raises(SettingError, match=error):
        read_envelope(name, text)


DENSITY = ControlTokens(("density",), first=0)


def test_a_control_that_is_unknown_or_not_trained_is_an_error() -> None:
    with pytest.raises(SettingError, match=r"controls: unknown \(tempo\)"):
        read_envelopes({"tempo": 3}, DENSITY)
    with pytest.raises(SettingError, match=r"--key: the model was not trained with it \(its controls: density\)"):
        read_envelopes({"key": "C"}, DENSITY)


def test_a_function_a_number_and_a_text_are_envelopes() -> None:
    assert read_envelopes({"density": lambda seconds: 2 * seconds}, DENSITY)["density"](3) == 6
    assert read_envelopes({"density": 5}, DENSITY)["density"](3) == 5
    assert read_envelopes({"density": "5"}, DENSITY)["density"](3) == 5
