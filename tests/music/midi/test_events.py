"""The reader of events, compared with mido on files that mido wrote and on real ones."""

import io
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given

from gen.music.midi.chunks import find_chunks, may_sound_pitched
from gen.music.midi.events import Events, System, read_events
from gen.music.midi.rules import TRACKS_CUT
from tests.music.midi_bytes import hexdump, midi
from tests.music.mido_files import as_bytes, mido_files, with_ticks

ANYWHERE = Path("x.mid")
CHANNEL_EVENTS = {
    "note_on",
    "note_off",
    "polytouch",
    "control_change",
    "program_change",
    "aftertouch",
    "pitchwheel",
}
NOTHING = b"\0"  # where an event has one data byte


def events_of(data: bytes) -> Events:
    return read_events(find_chunks(ANYWHERE, data))


def check_against_mido(events: Events, file: mido.MidiFile) -> None:
    """Compares every event with mido's messages, track after track."""
    timed = [(number, tick, m) for number, track in enumerate(file.tracks) for tick, m in with_ticks(track)]
    rows = zip(events.tracks, events.ticks, events.statuses, events.firsts, events.seconds, strict=True)
    assert [tuple(map(int, row)) for row in rows] == [
        (number, tick, *(bytes(message.bytes()) + NOTHING)[:3])
        for number, tick, message in timed
        if message.type in CHANNEL_EVENTS
    ]
    assert [(track, tick, written(kind, data)) for track, tick, kind, data in systems(events)] == [
        (number, tick, bytes(m.bytes())) for number, tick, m in timed if m.type not in CHANNEL_EVENTS
    ]
    assert events.ends == [track[-1][0] for track in map(with_ticks, file.tracks)]


def systems(events: Events) -> list[System]:
    return list(events.each_system(np.arange(len(events.systems.ticks))))


def written(kind: int, data: bytes) -> bytes:
    """Returns the bytes of a meta or system event as mido writes them."""
    if kind < 0x100:
        return bytes(mido.MetaMessage.from_bytes([0xFF, kind, *number(len(data)), *data]).bytes())
    return bytes([kind >> 8]) + data


def number(value: int) -> bytes:
    """Returns a number in the variable-length form of MIDI files."""
    return (bytes([0x80 | value >> 7]) if value > 127 else b"") + bytes([value & 0x7F])


@given(file=mido_files())
def test_every_event_is_the_one_that_mido_wrote(file: mido.MidiFile) -> None:
    chunks = find_chunks(ANYWHERE, as_bytes(file))
    assert (chunks.ticks_per_beat, len(chunks.tracks)) == (file.ticks_per_beat, len(file.tracks))
    events = read_events(chunks)
    check_against_mido(events, mido.MidiFile(file=io.BytesIO(chunks.data)))  # with the ends of tracks that it added
    assert not events.findings


@given(file=mido_files())
def test_what_cannot_sound_pitched_holds_no_pitched_note(file: mido.MidiFile) -> None:
    messages = [message for track in file.tracks for message in track]
    is_pitched = any(m.type == "note_on" and m.velocity > 0 and m.channel != 9 for m in messages)
    assert may_sound_pitched(find_chunks(ANYWHERE, as_bytes(file))) or not is_pitched


def test_real_files_are_read_as_mido_reads_them(shared_data: Path) -> None:
    paths = sorted((shared_data / "midi").rglob("*.mid"))[::160]
    assert len(paths) > 20
    for path in paths:
        check_against_mido(events_of(path.read_bytes()), mido.MidiFile(path))


RUNNING = "00 90 3c 40"
AFTER = {
    "a meta event": "00 ff 01 01 41",
    "a system exclusive message": "00 f0 02 01 f7",
    "its continuation": "00 f7 02 01 f7",
    "a song position": "00 f2 01 02",
    "a tune request": "00 f6",
    "a clock": "00 f8",
}


@pytest.mark.parametrize("between", AFTER)
def test_a_running_status_holds_after(between: str) -> None:
    events = events_of(midi(RUNNING + AFTER[between] + "60 3c 00"))
    assert events.statuses.tolist() == [0x90, 0x90]
    assert events.ticks.tolist() == [0, 0x60]


def test_a_running_status_goes_on_through_a_change_of_program() -> None:
    events = events_of(midi("00 c0 05 10 06 10 90 3c 40 10 3e 40"))
    assert events.statuses.tolist() == [0xC0, 0xC0, 0x90, 0x90]
    assert events.firsts.tolist() == [5, 6, 0x3C, 0x3E]
    assert events.ticks.tolist() == [0, 16, 32, 48]


def test_a_status_of_one_track_does_not_run_into_the_next() -> None:
    events = events_of(midi(RUNNING, "00 3c 40", RUNNING))
    assert events.tracks.tolist() == [0, 2]
    assert events.findings == {TRACKS_CUT: 1}
    assert events.damage == "a data byte without a status before it"


@pytest.mark.parametrize(
    ("number", "ticks"),
    [
        ("00", 0),
        ("7f", 127),
        ("81 00", 128),
        ("ff 7f", 16383),
        ("81 80 00", 16384),
        ("ff ff 7f", 2097151),
        ("ff ff ff 7f", 268435455),
        ("80 80 80 80 01", 1),
    ],
)
def test_a_delta_time_is_read_whatever_its_length(number: str, ticks: int) -> None:
    assert events_of(midi(f"{number} 90 3c 40")).ticks.tolist() == [ticks]


SEVERAL = """
    00 ff 03 01 41   # a name
    81 00 90 3c 40   # a note
    10 3e 40         # another in the running status
    00 c0 05         # a program
    10 06            # another
    10 f0 02 01 f7   # a system exclusive message
    10 b0 40 7f      # a pedal
    00 f2 01 02      # a song position
    10 80 3c 00      # the end of the first note
"""
# What each event is, and where in the track it stops.
STOPS = {"system": (5, 23, 31), "channel": (10, 13, 16, 18, 27, 35)}


@pytest.mark.parametrize("cut", range(len(hexdump(SEVERAL)) + 1))
def test_of_a_track_cut_anywhere_its_whole_events_are_kept(cut: int) -> None:
    header = midi(SEVERAL)[:22]
    whole = events_of(header + hexdump(SEVERAL))
    events = events_of(header + hexdump(SEVERAL)[:cut])
    num_systems, num_events = (sum(stop <= cut for stop in stops) for stops in STOPS.values())
    assert (len(systems(whole)), len(whole.ticks)) == (3, 6)
    assert systems(events) == systems(whole)[:num_systems]
    assert events.ticks.tolist() == whole.ticks[:num_events].tolist()
    assert events.statuses.tolist() == whole.statuses[:num_events].tolist()
    assert events.firsts.tolist() == whole.firsts[:num_events].tolist()
    assert events.seconds.tolist() == whole.seconds[:num_events].tolist()


@pytest.mark.parametrize(
    "unfinished",
    ["00 90 3c", "00 90", "00 c0", "00 f0 7f", "00 ff 51 03 01", "00 ff 51", "00 ff", "00 f2 01", "00", "81"],
)
def test_an_event_may_not_reach_into_the_next_track(unfinished: str) -> None:
    body = hexdump("00 91 40 40" + unfinished)
    data = midi(RUNNING, promised=2)
    events = events_of(data[:14] + b"MTrk" + len(body).to_bytes(4) + body + data[14:])
    assert events.statuses.tolist() == [0x91, 0x90]
    assert [event.kind for event in systems(events)] == [0x2F]  # the end of the other track
    assert events.findings == {TRACKS_CUT: 1}
    assert events.damage == "truncated inside a track"


def test_time_that_is_too_long_ends_a_track_and_takes_nothing_from_the_others() -> None:
    late = "ff ff ff 7f 90 3c 40  00 c0 05  00 ff 51 03 07 a1 20"
    events = events_of(midi(RUNNING + "00 c0 07" + late * 9, RUNNING + "00 c1 08"))
    limit = [k * 268_435_455 for k in range(9)]  # eight of them are below 2^31
    assert events.ticks.tolist() == [0, 0, *(tick for tick in limit[1:] for _ in range(2)), 0, 0]
    assert [(event.track, event.tick) for event in systems(events)] == [*((0, tick) for tick in limit[1:]), (1, 0)]
    assert events.ends == [2**31 - 1, 0]
    assert events.damage == "a track past 2147483647 ticks"
