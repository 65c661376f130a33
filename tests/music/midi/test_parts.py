"""Drums on other channels than channel 10, and melody on it."""

from pathlib import Path

import pytest

from gen.music.midi.read import may_have_pitched_notes, read_midi, read_midi_events
from tests.music.midi_bytes import hexdump, midi, saved


def sysex(text: str) -> str:
    """Returns a system exclusive message with delta time 0; `text` is its bytes after the status."""
    data = hexdump(text)
    return f"00 f0 {len(data):02x} {data.hex()} "


GM_ON, GM2_ON = sysex("7e 7f 09 01 f7"), sysex("7e 7f 09 03 f7")
GS_ON = sysex("41 10 42 12 40 00 7f 00 41 f7")
XG_ON = sysex("43 10 4c 00 00 7e 00 f7")
ON_11, ON_10 = "00 9a 24 40  60 8a 24 00", "00 99 24 40  60 89 24 00"  # a note each


def bank(channel: int, number: int) -> str:
    """Returns events that select a bank and its first program."""
    return f"00 b{channel:x} 00 {number:02x}  00 c{channel:x} 00 "


def flags(folder: Path, *tracks: str) -> list[bool]:
    """Returns whether each note is a drum, in order of time."""
    path = saved(folder, midi(*tracks))
    notes = [(note.onset_ticks, track.is_drum) for track in read_midi(path)[0].tracks for note in track.notes]
    assert may_have_pitched_notes(path) or all(is_drum for _, is_drum in notes)
    return [is_drum for _, is_drum in sorted(notes)]


@pytest.mark.parametrize(("digit", "channel"), [*enumerate([9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15])])
def test_gs_makes_any_channel_drums(tmp_path: Path, digit: int, channel: int) -> None:
    to_drums = sysex(f"41 10 42 12 40 1{digit:x} 15 01 00 f7")
    to_melody = sysex(f"41 10 42 12 40 1{digit:x} 15 00 00 f7")
    note = f"00 9{channel:x} 24 40  60 8{channel:x} 24 00"
    assert flags(tmp_path, to_drums + note + to_melody + note) == [True, False]


DRUMS_ON_11 = {
    "GS, the second map": sysex("41 10 42 12 40 1a 15 02 0f f7"),
    "GS, another device": sysex("41 00 42 12 40 1a 15 01 10 f7"),
    "GS, as one of several values": sysex("41 10 42 12 40 1a 13 01 02 01 00 f7"),
    "GS, in three events": "00 f0 03 41 10 42  10 f7 03 12 40 1a  10 f7 04 15 02 0f f7",
    "XG, part mode": sysex("43 10 4c 08 0a 07 01 f7"),
    "XG, part mode of the second kit": XG_ON + sysex("43 10 4c 08 0a 07 03 f7"),
    "XG, bank": XG_ON + bank(10, 127),
    "XG, bank of effects": bank(10, 126),
    "XG, bank, not switched on": bank(10, 127),
    "GM2, bank": GM2_ON + bank(10, 120),
    "GM2, bank with its lower half": "00 ba 00 78  00 ba 20 00  00 ca 00",
}


@pytest.mark.parametrize("told", DRUMS_ON_11)
def test_a_channel_other_than_the_tenth_may_be_drums(tmp_path: Path, told: str) -> None:
    assert flags(tmp_path, DRUMS_ON_11[told] + ON_11 + ON_10) == [True, True]


MELODY_ON_10 = {
    "GS": sysex("41 10 42 12 40 10 15 00 1b f7"),
    "XG, part mode": sysex("43 10 4c 08 09 07 00 f7"),
    "XG, bank": XG_ON + bank(9, 0),
    "GM2, bank": bank(9, 121),
}


@pytest.mark.parametrize("told", MELODY_ON_10)
def test_the_tenth_channel_may_be_melody(tmp_path: Path, told: str) -> None:
    assert flags(tmp_path, ON_10 + MELODY_ON_10[told] + ON_10) == [True, False]


NOT_SAID = {
    "nothing": "",
    "a bank without a program": "00 ba 00 7f",
    "bank 127 in GS, the sounds of an older synthesiser": GS_ON + bank(10, 127),
    "bank 8, a variation": bank(10, 8),
    "the message of another maker": sysex("42 10 42 12 40 1a 15 02 0f f7"),
    "a message without its end": sysex("41 10 42 12 40 1a 15 02 0f"),
    "the address of another setting": sysex("41 10 42 12 40 1a 16 02 0f f7"),
    "a question": sysex("41 10 42 11 40 1a 15 00 00 01 0f f7"),
    "what goes on with a message that has ended": sysex("41 10 42 f7") + "00 f7 07 12 40 1a 15 02 0f f7",
    "what goes on with nothing": "00 f7 0a 41 10 42 12 40 1a 15 02 0f f7",
    "nearly nothing": sysex("f7"),
    "a maker alone": sysex("43 f7"),
}


@pytest.mark.parametrize("told", NOT_SAID)
def test_other_events_change_nothing(tmp_path: Path, told: str) -> None:
    assert flags(tmp_path, NOT_SAID[told] + ON_11) == [False]


def test_bank_0_on_the_tenth_channel_is_drums_outside_xg(tmp_path: Path) -> None:
    assert flags(tmp_path, bank(9, 0) + ON_10) == [True]
    assert flags(tmp_path, GM_ON + bank(9, 0) + ON_10) == [True]


@pytest.mark.parametrize("reset", [GM_ON, GM2_ON, GS_ON, XG_ON, sysex("43 10 4c 00 00 7f 00 f7")])
def test_a_reset_brings_the_default_back(tmp_path: Path, reset: str) -> None:
    told = DRUMS_ON_11["GS, the second map"] + MELODY_ON_10["GS"]
    assert flags(tmp_path, told + ON_11 + ON_10 + reset + ON_11 + ON_10) == [True, False, False, True]


def test_another_bank_makes_a_channel_melody_again(tmp_path: Path) -> None:
    assert flags(tmp_path, bank(10, 127) + ON_11 + bank(10, 0) + ON_11) == [True, False]


def test_a_bank_of_melody_does_not_undo_a_part_mode(tmp_path: Path) -> None:
    assert flags(tmp_path, DRUMS_ON_11["GS, the second map"] + bank(10, 0) + ON_11) == [True]


def test_what_is_said_holds_for_its_port(tmp_path: Path) -> None:
    told = DRUMS_ON_11["GS, the second map"]
    assert flags(tmp_path, "00 ff 21 01 00" + told + ON_11, "00 ff 21 01 01  70 f8" + ON_11) == [True, False]


def test_the_order_is_that_of_time_not_of_tracks(tmp_path: Path) -> None:
    early, late = "00 f8" + ON_11, "60 f8" + DRUMS_ON_11["GS, the second map"] + ON_11
    assert flags(tmp_path, late, early) == [False, True]


def test_drums_off_channel_10_have_the_kit_that_is_set_when_they_begin(tmp_path: Path) -> None:
    track = "00 ca 05" + ON_11 + "00 ba 00 7f  00 ca 10" + ON_11 + "00 ca 20" + ON_11
    score, _ = read_midi(saved(tmp_path, midi(track)))
    assert [(t.program, t.is_drum, len(t.notes)) for t in score.tracks] == [(5, False, 1), (16, True, 2)]


def test_a_message_goes_on_in_its_own_track_alone(tmp_path: Path) -> None:
    assert flags(tmp_path, "00 f0 03 41 10 42", "00 f7 07 12 40 1a 15 02 0f f7" + ON_11) == [False]


def test_all_events_of_a_message_are_counted_as_kept(tmp_path: Path) -> None:
    path = saved(tmp_path, midi(DRUMS_ON_11["GS, in three events"] + ON_11))
    assert not read_midi_events(path).census.left_out["system exclusive messages"]
