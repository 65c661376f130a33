import pretty_midi
import pytest

from gen.music.views.instruments import drum_name, instrument_name


def words(name: str) -> set[str]:
    return set(name.lower().replace("(", " ").replace(")", " ").replace("-", " ").split())


@pytest.mark.parametrize("program", range(128))
def test_an_instrument_has_a_name_of_the_words_that_pretty_midi_uses(program: int) -> None:
    ours, theirs = words(instrument_name(program)), words(pretty_midi.program_to_instrument_name(program))
    # "bandoneon" and "bass and lead" are General MIDI's own words for 23 and 87, "tango accordion" a maker's.
    assert ours & theirs or program == 23


def test_no_two_instruments_are_called_the_same() -> None:
    assert len({instrument_name(program) for program in range(128)}) == 128


@pytest.mark.parametrize("pitch", range(35, 82))
def test_a_drum_has_a_name_of_the_words_that_pretty_midi_uses(pitch: int) -> None:
    theirs = words(pretty_midi.note_number_to_drum_name(pitch)) | {"high", "cymbal", "hat"}
    assert words(drum_name(pitch)) & theirs


@pytest.mark.parametrize(("pitch", "name"), [(34, "drum 34"), (82, "drum 82"), (36, "bass drum"), (22, "hi-hat edge")])
def test_a_drum_without_a_name_is_a_number(pitch: int, name: str) -> None:
    assert drum_name(pitch) == name


@pytest.mark.parametrize(("program", "name"), [(0, "drums"), (40, "brush drums"), (127, "drums")])
def test_on_the_drum_channel_a_program_is_a_kit(program: int, name: str) -> None:
    assert instrument_name(program, is_drum=True) == name
