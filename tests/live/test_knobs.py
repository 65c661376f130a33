import pytest
from mido import Message

from gen.config import SamplingConfig
from gen.live.knobs import ArrowKey, Knobs

DENSITIES = (1.0, 2.0, 4.0, 8.0, 16.0)


def turned(knobs: Knobs, control: int, value: int) -> Knobs:
    knobs.take(Message("control_change", control=control, value=value))
    return knobs


def pressed(knobs: Knobs, *keys: ArrowKey) -> Knobs:
    for key in keys:
        knobs.press(key)
    return knobs


def held(knobs: Knobs, key: ArrowKey) -> Knobs:
    for _ in range(99):
        knobs.press(key)
    return knobs


@pytest.mark.parametrize(("value", "temperature"), [(0, 0.0), (64, 1.0), (127, 1.984375)])
def test_the_whole_turn_of_the_wheel_is_temperature_0_to_2(value: int, temperature: float) -> None:
    assert turned(Knobs(SamplingConfig(0.7, 5)), 1, value).sampling() == SamplingConfig(temperature, 5)


@pytest.mark.parametrize(("value", "density"), [(0, 1.0), (64, 4.0), (100, 8.0), (127, 16.0)])
def test_the_whole_turn_of_the_other_knob_is_all_that_the_model_knows(value: int, density: float) -> None:
    knobs = turned(Knobs(SamplingConfig(), densities=DENSITIES), 74, value)
    assert (knobs.density(0.0), knobs.density(99.0), knobs.hand_density) == (density,) * 3


@pytest.mark.parametrize("other", [Message("control_change", control=7, value=9), Message("pitchwheel", pitch=9)])
def test_other_messages_turn_nothing(other: Message) -> None:
    knobs = Knobs(SamplingConfig(0.7), densities=DENSITIES)
    knobs.take(other)
    assert (knobs.sampling(), knobs.hand_density) == (SamplingConfig(0.7), None)


def test_up_and_down_are_a_twentieth_of_a_temperature_between_0_and_2() -> None:
    knobs = Knobs(SamplingConfig(0.9, 5))
    assert pressed(knobs, "up", "up", "up").sampling() == SamplingConfig(1.05, 5)
    assert held(knobs, "down").sampling() == SamplingConfig(0.0, 5)
    assert held(knobs, "up").sampling() == SamplingConfig(2.0, 5)


def test_right_and_left_are_a_density_from_the_middle_on() -> None:
    knobs = Knobs(SamplingConfig(), densities=DENSITIES)
    assert pressed(knobs, "left").hand_density == 4.0
    assert pressed(knobs, "right").hand_density == 8.0
    assert held(knobs, "right").hand_density == 16.0
    assert held(knobs, "left").hand_density == 1.0


def test_what_was_asked_holds_until_a_hand_sets_it() -> None:
    knobs = Knobs(SamplingConfig(), density=lambda seconds: 2 * seconds, densities=DENSITIES)
    assert (knobs.density(1.5), knobs.hand_density) == (3.0, None)
    assert pressed(knobs, "right").density(1.5) == 4.0


def test_without_densities_nothing_is_asked_and_no_hand_changes_it() -> None:
    knobs = pressed(turned(Knobs(SamplingConfig()), 74, 9), "right")
    assert (knobs.has_density, knobs.density(1.0), knobs.hand_density) == (False, None, None)
