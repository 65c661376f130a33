import os
from fractions import Fraction
from pathlib import Path

import pytest

from gen.errors import MidiError
from gen.music.midi.read import may_have_pitched_notes, read_midi
from gen.music.midi.rules import (
    BYTES_AFTER_END,
    BYTES_BEFORE_HEADER,
    CHUNKS_SKIPPED,
    DATA_CLIPPED,
    KEYS_LEFT_OUT,
    LENGTH_0,
    LENGTHS_WRONG,
    METAS_LEFT_OUT,
    METRES_LEFT_OUT,
    PATTERNS_LEFT_OUT,
    SMPTE_TIME,
    STRAY_OFFS,
    TEMPOS_LEFT_OUT,
    TRACKS_CUT,
    TRACKS_MISSING,
    WITHOUT_END,
)
from gen.music.score import KeySignature, Note, PedalSpan, Tempo, TimeSignature, Track
from tests.music.midi_bytes import hexdump, midi, saved

MIDDLE_C = """
    00 90 3c 40      # at once: middle C on, velocity 64
    83 60 80 3c 00   # 480 ticks later: off
"""


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    data = """
        4d 54 68 64  00 00 00 06      # MThd, 6 bytes
        00 01  00 02  01 e0           # type 1, 2 tracks, 480 ticks a beat
        4d 54 72 6b  00 00 00 19      # MTrk, 25 bytes
        00 ff 51 03 0f 42 40          # tempo: 1,000,000 us a beat
        00 ff 58 04 03 03 18 08       # 3/8
        00 ff 59 02 fe 01             # two flats, minor
        00 ff 2f 00                   # end of track
        4d 54 72 6b  00 00 00 1f      # MTrk, 31 bytes
        00 ff 03 03 46 c3 bc          # name, in some encoding
        00 c2 28                      # channel 3: violin
        00 b2 40 7f                   # pedal down
        00 92 45 50                   # A4 on, velocity 80
        60 92 45 00                   # 96 ticks later: off, as a note-on of velocity 0
        00 b2 40 3f                   # pedal up: 63
        83 00 ff 2f 00                # 384 ticks later: end of track
    """
    score, findings = read_midi(saved(tmp_path, hexdump(data)))
    violin = Track((Note(0, 96, 69, 80),), program=40, name="F\xc3\xbc", pedal=(PedalSpan(0, 96),))
    assert score.tracks == (violin,)
    assert score.ticks_per_beat == 480
    assert score.tempos == (Tempo(0, 1_000_000),)
    assert score.time_signatures == (TimeSignature(0, 3, 8),)
    assert score.key_signatures == (KeySignature(0, "Gm"),)
    assert not findings


REFUSED = {
    "empty": (b"", "not a MIDI file"),
    "text": (b"ROMEO: but soft", "not a MIDI file"),
    "only the first chunk's name": (b"MThd", "truncated"),
    "a header that promises 4 GiB": (hexdump("4d546864 ffffffff 0001 0001 01e0"), "truncated .*4294967295"),
    "a header of 2 bytes": (hexdump("4d546864 00000002 0001") + bytes(8), "header is too short"),
    "no tracks": (midi(), r"no tracks \(0 promised\)"),
    "40000 tracks that are not there": (midi(promised=40000), r"no tracks \(40000 promised\)"),
    "division 0": (midi(MIDDLE_C, division=0), "division 0"),
    "SMPTE of 23 frames": (midi(MIDDLE_C, division=0xE928), "no SMPTE time .*23 frames"),
    "SMPTE of no ticks": (midi(MIDDLE_C, division=0xE700), "no SMPTE time .0 ticks"),
    "type 3": (midi(MIDDLE_C, kind=3), "unknown type"),
    "a data byte without status": (midi("00 3c 40"), "damaged .a data byte without a status"),
    "a status that is none": (midi("00 f4" + MIDDLE_C), "damaged .undefined status byte 0xf4"),
    "a sysex of 256 MiB": (midi("00 f0 ff ff ff 7f"), "damaged .truncated inside a track"),
    "no notes": (midi("00 c0 05"), "no notes"),
    "patterns without notes": (midi("00 c0 05", "00 80 3c 00", kind=2), "no notes"),
    "one number of 8 KiB": (midi("ff" * 8192 + "00 90 3c 40"), "damaged .*in a row"),
    "all past 2^31 ticks": (midi("87 ff ff ff 7f ff f0 01 f7" + "ff ff ff 7f 90 3c 40"), "past 2147483647 ticks"),
    "30 hours": (midi("00 ff 51 03 0f 42 40 86 ef 20 90 3c 40 01 80 3c 00", division=1), "longer than 24 hours"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unusable_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    data, reason = REFUSED[case]
    path = saved(tmp_path, data)
    with pytest.raises(MidiError, match=reason) as error:
        read_midi(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


C_NOTE, E_NOTE = Note(0, 480, 60, 64), Note(0, 480, 64, 64)
THIRD_ABOVE = MIDDLE_C.replace("3c", "40")
# What is wrong, and the sound notes and the findings that are to come out of it.
SOUND_PARTS = {
    "cut inside the last note-off": (midi(MIDDLE_C)[:-6], [C_NOTE], {LENGTHS_WRONG: 1, TRACKS_CUT: 1, WITHOUT_END: 1}),
    "cut before the end of track": (midi(MIDDLE_C)[:-4], [C_NOTE], {LENGTHS_WRONG: 1}),
    "a track cut inside another's header": (midi(MIDDLE_C, "")[:-8], [C_NOTE], {TRACKS_MISSING: 1, BYTES_AFTER_END: 4}),
    "fewer tracks than promised": (midi(MIDDLE_C, promised=2), [C_NOTE], {TRACKS_MISSING: 1}),
    "too many tracks promised": (midi(MIDDLE_C, promised=0xFFFF), [C_NOTE], {TRACKS_MISSING: 0xFFFE}),
    "more tracks than promised": (midi(MIDDLE_C, THIRD_ABOVE, promised=1), [C_NOTE], {CHUNKS_SKIPPED: 1}),
    "no tracks promised": (midi(MIDDLE_C, THIRD_ABOVE, promised=0), [C_NOTE, E_NOTE], {}),
    "more than 4096 tracks": (midi(MIDDLE_C, *[""] * 4100), [C_NOTE], {CHUNKS_SKIPPED: 5}),
    "an undefined status": (
        midi(MIDDLE_C + "00 f4 00 90 3e 40", THIRD_ABOVE),
        [C_NOTE, E_NOTE],
        {TRACKS_CUT: 1},
    ),
    "a track that begins in a running status": (midi("00 3c 40" + MIDDLE_C, THIRD_ABOVE), [E_NOTE], {TRACKS_CUT: 1}),
    "a system exclusive message without end": (midi(MIDDLE_C + "00 f0 7f 01"), [C_NOTE], {TRACKS_CUT: 1}),
    "a number of 8 KiB": (midi(MIDDLE_C + "ff" * 8192), [C_NOTE], {TRACKS_CUT: 1}),
    "past 2^31 ticks": (midi(MIDDLE_C + "ff ff ff 7f a0 3e 00" * 9, THIRD_ABOVE), [C_NOTE, E_NOTE], {TRACKS_CUT: 1}),
    "a tempo of 0": (midi("00 ff 51 03 00 00 00" + MIDDLE_C), [C_NOTE], {TEMPOS_LEFT_OUT: 1}),
    "a tempo of one byte": (midi("00 ff 51 01 07" + MIDDLE_C), [C_NOTE], {METAS_LEFT_OUT: 1}),
    "an empty time signature": (midi("00 ff 58 00" + MIDDLE_C), [C_NOTE], {METAS_LEFT_OUT: 1}),
    "an empty key signature": (midi("00 ff 59 00" + MIDDLE_C), [C_NOTE], {METAS_LEFT_OUT: 1}),
    "a key of 11 sharps": (midi("00 ff 59 02 0b 00" + MIDDLE_C), [C_NOTE], {KEYS_LEFT_OUT: 1}),
    "a key of mode 2": (midi("00 ff 59 02 00 02" + MIDDLE_C), [C_NOTE], {KEYS_LEFT_OUT: 1}),
    "a metre of 0/4": (midi("00 ff 58 04 00 02 18 08" + MIDDLE_C), [C_NOTE], {METRES_LEFT_OUT: 1}),
    "a metre of 4/2^255": (midi("00 ff 58 04 04 ff 18 08" + MIDDLE_C), [C_NOTE], {METRES_LEFT_OUT: 1}),
    "patterns": (midi("00 ff 03 00", MIDDLE_C, THIRD_ABOVE, kind=2), [C_NOTE], {PATTERNS_LEFT_OUT: 2}),
    "MacBinary before it": (bytes(128) + midi(MIDDLE_C), [C_NOTE], {BYTES_BEFORE_HEADER: 128}),
}


@pytest.mark.parametrize("case", SOUND_PARTS)
def test_what_is_sound_is_read_and_the_rest_is_counted(tmp_path: Path, case: str) -> None:
    data, notes, expected = SOUND_PARTS[case]
    score, findings = read_midi(saved(tmp_path, data))
    assert [note for track in score.tracks for note in track.notes] == notes
    assert findings == expected
    assert (score.tempos, score.time_signatures, score.key_signatures) == ((), (), ())


def test_a_metre_of_two_bytes_is_read(tmp_path: Path) -> None:
    score, findings = read_midi(saved(tmp_path, midi("00 ff 58 02 06 03" + MIDDLE_C)))
    assert score.time_signatures == (TimeSignature(0, 6, 8),)
    assert not findings


@pytest.mark.parametrize("frames", [24, 25, 29, 30])
@pytest.mark.parametrize("ticks", [1, 4, 80, 255])
def test_a_tick_of_smpte_time_lasts_what_the_standard_says(tmp_path: Path, frames: int, ticks: int) -> None:
    data = midi("00 ff 51 03 07 a1 20 00 90 3c 40 ff 7f 80 3c 00", division=(256 - frames) << 8 | ticks)
    score, findings = read_midi(saved(tmp_path, data))
    frames_per_second = Fraction(30000, 1001) if frames == 29 else frames
    (tempo,) = score.tempos
    tick_seconds = Fraction(tempo.tempo_us_per_beat, 1_000_000 * score.ticks_per_beat)
    assert tick_seconds == 1 / (frames_per_second * Fraction(ticks))
    assert score.tracks[0].notes == (Note(0, 16383, 60, 64),)
    assert findings == {SMPTE_TIME: 1}


def test_a_karaoke_file_is_a_midi_file(tmp_path: Path) -> None:
    words = "00 ff 01 06 40 4b 4d 49 44 49 00 ff 03 05 57 6f 72 64 73 60 ff 05 03 4c 61 2d"  # @KMIDI, Words, La-
    path = tmp_path / "x.kar"
    path.write_bytes(midi(words, MIDDLE_C))
    score, findings = read_midi(path)
    assert score.tracks[0].notes == (C_NOTE,)
    assert not findings


def test_a_file_of_more_than_8_mib_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, midi(MIDDLE_C))
    with path.open("r+b") as file:
        file.truncate((8 << 20) + 1)
    with pytest.raises(MidiError, match="larger than 8 MiB"):
        read_midi(path)


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    os.mkfifo(path)
    with pytest.raises(MidiError, match=r"not a regular file .a FIFO"):
        read_midi(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match=r"not a regular file .a folder"):
        read_midi(tmp_path)


def test_a_device_is_refused() -> None:
    with pytest.raises(MidiError, match=r"not a regular file .a device"):
        read_midi(Path("/dev/null"))


def test_a_symlink_loop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    path.symlink_to(path)
    with pytest.raises(MidiError, match=r"cannot be read"):
        read_midi(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match=r"cannot be read .no such file"):
        read_midi(tmp_path / "x.mid")


def test_unknown_chunks_are_skipped_and_counted(tmp_path: Path) -> None:
    data = midi(MIDDLE_C)
    unknown = b"XFIH" + (3).to_bytes(4) + b"abc"
    score, findings = read_midi(saved(tmp_path, data[:14] + unknown + data[14:] + unknown + b"\0\0"))
    assert score.num_notes == 1
    assert findings == {CHUNKS_SKIPPED: 2, BYTES_AFTER_END: 2}


def test_a_longer_header_is_read(tmp_path: Path) -> None:
    data = midi(MIDDLE_C)
    longer = data[:4] + (8).to_bytes(4) + data[8:14] + b"\0\0" + data[14:]
    assert read_midi(saved(tmp_path, longer))[0].num_notes == 1


def test_data_bytes_over_127_are_clipped_and_counted(tmp_path: Path) -> None:
    score, findings = read_midi(saved(tmp_path, midi("00 90 3c c8 60 80 3c 00")))
    assert score.tracks[0].notes == (Note(0, 96, 60, 127),)
    assert findings == {DATA_CLIPPED: 1}


def test_time_before_an_unknown_meta_event_counts(tmp_path: Path) -> None:
    score, _ = read_midi(saved(tmp_path, midi("60 ff 08 01 41" + MIDDLE_C)))
    assert score.tracks[0].notes[0].onset_ticks == 0x60


def test_a_note_off_ends_the_oldest_note_of_its_pitch(tmp_path: Path) -> None:
    overlapping = """
        00 90 3c 40   # on at 0
        60 90 3c 41   # on at 96
        60 80 3c 00   # off at 192
        60 80 3c 00   # off at 288
    """
    score, findings = read_midi(saved(tmp_path, midi(overlapping)))
    assert score.tracks[0].notes == (Note(0, 192, 60, 64), Note(96, 192, 60, 65))
    assert not findings


def test_a_stray_note_off_is_ignored(tmp_path: Path) -> None:
    _, findings = read_midi(saved(tmp_path, midi("00 80 3c 00" + MIDDLE_C)))
    assert findings == {STRAY_OFFS: 1}


def test_a_note_of_length_0_gets_one_tick(tmp_path: Path) -> None:
    score, findings = read_midi(saved(tmp_path, midi("00 90 3c 40 00 80 3c 00")))
    assert score.tracks[0].notes == (Note(0, 1, 60, 64),)
    assert findings == {LENGTH_0: 1}


@pytest.mark.parametrize(
    ("rest", "duration_ticks"),
    [
        ("60 90 3c 40 60 90 3e 40 60 80 3e 00 60 80 3c 00", 384),  # its off comes, and the second has none
        ("60 b0 07 40", 96),  # the track ends
        ("8f 00 b0 07 40", 480),  # the track goes on for longer than a beat
    ],
)
def test_a_note_without_an_end_is_given_one(tmp_path: Path, rest: str, duration_ticks: int) -> None:
    score, findings = read_midi(saved(tmp_path, midi("00 90 3c 40" + rest)))
    assert score.tracks[0].notes[0] == Note(0, duration_ticks, 60, 64)
    assert findings == {WITHOUT_END: 1}


def test_two_notes_without_an_end_do_not_overlap(tmp_path: Path) -> None:
    score, findings = read_midi(saved(tmp_path, midi("00 90 3c 40 60 90 3c 40 60 b0 07 40")))
    assert score.tracks[0].notes == (Note(0, 96, 60, 64), Note(96, 96, 60, 64))
    assert findings == {WITHOUT_END: 2}


def test_a_note_without_an_end_does_not_end_before_an_older_one(tmp_path: Path) -> None:
    events = """
        00 90 3c 40      # on at 0
        60 90 3c 41      # on at 96, never off
        8f 00 80 3c 00   # off at 2016
    """
    score, _ = read_midi(saved(tmp_path, midi(events)))
    assert score.tracks[0].notes == (Note(0, 2016, 60, 64), Note(96, 1920, 60, 65))


def test_a_pedal_that_is_never_lifted_goes_up_with_the_last_note(tmp_path: Path) -> None:
    score, _ = read_midi(saved(tmp_path, midi("00 b0 40 40" + MIDDLE_C)))
    assert score.tracks[0].pedal == (PedalSpan(0, 480),)


def test_a_pedal_acts_on_its_channel_in_all_tracks(tmp_path: Path) -> None:
    score, _ = read_midi(saved(tmp_path, midi("00 b0 40 7f 60 b0 40 00", MIDDLE_C)))
    assert score.tracks[0].pedal == (PedalSpan(0, 96),)


def test_a_track_is_split_by_channel_and_program(tmp_path: Path) -> None:
    events = """
        00 c0 05  00 90 3c 40  60 80 3c 00   # channel 1, program 5
        00 c0 06  00 90 3e 40  60 80 3e 00   # program 6
        00 99 24 40  60 89 24 00             # channel 10: a bass drum
    """
    score, _ = read_midi(saved(tmp_path, midi(events, kind=0)))
    assert [(track.program, track.is_drum, len(track.notes)) for track in score.tracks] == [
        (5, False, 1),
        (6, False, 1),
        (0, True, 1),
    ]


@pytest.mark.parametrize(("events", "may"), [(MIDDLE_C, True), ("00 99 24 40 60 89 24 00", False)])
def test_drums_are_told_by_the_bytes(tmp_path: Path, events: str, may: bool) -> None:
    assert may_have_pitched_notes(saved(tmp_path, midi(events))) is may
