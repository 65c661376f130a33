"""Files that play on more than one port."""

from pathlib import Path

from gen.music.midi.read import read_midi
from gen.music.score import Note, PedalSpan
from tests.music.midi_bytes import midi, saved

NOTE = "00 90 3c 40  60 80 3c 00"  # middle C on channel 1, for 96 ticks


def programs(folder: Path, *tracks: str, kind: int = 1) -> list[tuple[int, int | None]]:
    """Returns program and channel of each track of a file."""
    score, _ = read_midi(saved(folder, midi(*tracks, kind=kind)))
    return [(track.program, track.channel) for track in score.tracks]


def test_a_channel_has_a_program_on_each_port(tmp_path: Path) -> None:
    tracks = ("00 ff 21 01 00  00 c0 00" + NOTE, "00 ff 21 01 01  00 c0 28" + NOTE)
    assert programs(tmp_path, *tracks) == [(0, 0), (40, 16)]


def test_device_names_tell_ports_apart(tmp_path: Path) -> None:
    tracks = ("00 ff 09 01 41  00 c0 00" + NOTE, "00 ff 09 01 42  00 c0 28" + NOTE)
    assert programs(tmp_path, *tracks) == [(0, 0), (40, 16)]


def test_one_device_has_a_port_for_each_number(tmp_path: Path) -> None:
    tracks = (
        "00 ff 09 01 41  00 ff 21 01 00  00 c0 01" + NOTE,
        "00 ff 21 01 01  00 ff 09 01 41  00 c0 02" + NOTE,
        "00 ff 09 01 41  00 c0 01" + NOTE,
    )
    assert programs(tmp_path, *tracks) == [(1, 0), (2, 16), (1, 0)]


def test_a_port_holds_up_to_the_next_in_its_track(tmp_path: Path) -> None:
    track = "00 ff 21 01 05  00 c0 01" + NOTE + "00 ff 21 01 02  00 c0 02" + NOTE
    assert programs(tmp_path, track) == [(1, 16), (2, 0)]


def test_a_note_off_on_another_port_ends_nothing(tmp_path: Path) -> None:
    track = "00 90 3c 40  10 ff 21 01 01  00 80 3c 00  20 ff 21 01 00  00 80 3c 00"
    score, findings = read_midi(saved(tmp_path, midi(track)))
    assert [*score.tracks[0].notes] == [Note(0, 0x30, 60, 64)]
    assert findings == {"stray note-offs": 1}


def test_a_pedal_holds_the_notes_of_its_port_alone(tmp_path: Path) -> None:
    tracks = ("00 ff 21 01 00  00 b0 40 7f" + NOTE + "60 b0 40 00", "00 ff 21 01 01" + NOTE)
    score, _ = read_midi(saved(tmp_path, midi(*tracks)))
    assert [track.pedal for track in score.tracks] == [(PedalSpan(0, 192),), ()]


def test_bends_are_of_their_port(tmp_path: Path) -> None:
    tracks = ("00 ff 21 01 00  00 e0 00 7f" + NOTE, "00 ff 21 01 01  00 d0 11" + NOTE)
    score, _ = read_midi(saved(tmp_path, midi(*tracks)))
    assert [tuple(track.events) for track in score.tracks] == [((0, 0xE0, 0, 127),), ((0, 0xD0, 17, 0),)]


def test_the_tenth_channel_of_each_port_is_drums(tmp_path: Path) -> None:
    tracks = ("00 ff 21 01 00  00 99 24 40  60 99 24 00", "00 ff 21 01 01  00 99 24 40  60 99 24 00")
    score, _ = read_midi(saved(tmp_path, midi(*tracks)))
    assert [(track.is_drum, track.channel) for track in score.tracks] == [(True, 9), (True, 25)]


def test_in_a_file_of_one_track_a_port_may_be_of_one_channel(tmp_path: Path) -> None:
    other = "00 91 3c 40  60 81 3c 00"
    track = "00 ff 20 01 01  00 ff 21 01 03  00 c0 01  00 c1 02" + NOTE + other
    assert programs(tmp_path, track, kind=0) == [(1, 0), (2, 17)]


def test_a_channel_prefix_ends_at_the_next_channel_event(tmp_path: Path) -> None:
    track = "00 ff 20 01 01  00 c0 01" + NOTE + "00 ff 21 01 03  00 c0 02" + NOTE
    assert programs(tmp_path, track, kind=0) == [(1, 0), (2, 16)]


def test_twenty_instruments_on_two_ports_keep_their_programs(tmp_path: Path) -> None:
    tracks = []
    for number in range(20):
        port, channel = divmod(number, 10)
        channel += channel == 9
        tracks.append(
            f"00 ff 21 01 {port:02x}  00 c{channel:x} {number:02x}  00 9{channel:x} 3c 40  60 8{channel:x} 3c 00"
        )
    assert [program for program, _ in programs(tmp_path, *tracks)] == [*range(20)]


def test_ports_are_numbered_up_to_255(tmp_path: Path) -> None:
    tracks = [f"00 ff 21 01 {port:02x}  00 c0 {port & 127:02x}" + NOTE for port in (0, 16, 127, 255)]
    assert programs(tmp_path, *tracks) == [(0, 0), (16, 16), (127, 32), (127, 48)]
