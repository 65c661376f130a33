from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.errors import MidiError, SettingError
from gen.music.midi.read import read_midi
from gen.music.midi.write import write_midi
from gen.music.score import NO_EVENTS, ChannelEvent, ChannelEvents, Note, Score, Tempo, TimeSignature, Track
from tests.music.mido_files import with_ticks
from tests.music.scores import scores


def a_track(program: int, *, is_drum: bool = False) -> Track:
    return Track((Note(0, 10, 60, 64),), program, is_drum)


@given(scores())
@settings(max_examples=50)  # a file is written each time
def test_what_was_written_is_read_back(score: Score) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.mid"
        write_midi(path, score)
        again, findings = read_midi(path)
    assert again == score
    assert not findings


@given(scores())
@settings(max_examples=50)  # a file is written each time
def test_symusic_reads_the_same_notes(score: Score) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.mid"
        write_midi(path, score)
        other: Any = symusic.Score(path)
    theirs = sorted(
        (note.time, note.duration, note.pitch, note.velocity, track.program, track.is_drum)
        for track in other.tracks
        for note in track.notes
    )
    ours = sorted((*note, track.program, track.is_drum) for track in score.tracks for note in track.notes)
    assert theirs == ours
    assert other.ticks_per_quarter == score.ticks_per_beat
    tempos = [Tempo(tempo.time, tempo.mspq) for tempo in other.tempos]
    assert [*dict(tempos).items()] == [*score.tempos]


@given(scores())
@settings(max_examples=50)  # a file is written each time
def test_pretty_midi_hears_the_same_instruments_at_the_same_times(score: Score) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.mid"
        write_midi(path, score)
        other = pretty_midi.PrettyMIDI(str(path))
    theirs = [
        (instrument.is_drum, instrument.program, note.pitch, note.velocity, note.start, note.end)
        for instrument in other.instruments
        for note in instrument.notes
    ]
    ours = []
    for track in score.tracks:
        onsets, durations, pitches, velocities = track.columns
        starts, stops = score.seconds(onsets).tolist(), score.seconds(onsets + durations).tolist()
        for pitch, velocity, start, stop in zip(pitches.tolist(), velocities.tolist(), starts, stops, strict=True):
            ours.append((track.is_drum, track.program, pitch, velocity, start, stop))
    assert np.array(sorted(theirs)) == pytest.approx(np.array(sorted(ours)), abs=1e-6)
    assert [(metre.numerator, metre.denominator) for metre in other.time_signature_changes] == [
        (metre.numerator, metre.denominator) for metre in score.time_signatures
    ]


def test_each_instrument_has_a_channel_and_drums_the_tenth(tmp_path: Path) -> None:
    programs = [*range(8), None, *range(8, 15)]  # None: drums
    tracks = tuple(a_track(program or 0, is_drum=program is None) for program in programs)
    write_midi(tmp_path / "x.mid", Score(tracks))
    channels = []
    for track, program in zip(mido.MidiFile(tmp_path / "x.mid").tracks[1:], programs, strict=True):
        messages = [message for message in track if not message.is_meta]
        assert messages[0].program == (program or 0)
        assert len({message.channel for message in messages}) == 1
        channels.append(messages[0].channel)
    assert channels[8] == 9
    assert sorted(channels) == list(range(16))


def test_changes_of_metre_and_tempo_are_written_where_they_are(tmp_path: Path) -> None:
    metres = (TimeSignature(0, 4, 4), TimeSignature(1920, 7, 8), TimeSignature(3600, 3, 4))
    tempos = (Tempo(0, 500_000), Tempo(1920, 333_333), Tempo(2000, 1_000_000))
    write_midi(tmp_path / "x.mid", Score((Track((Note(0, 5000, 60, 64),)),), 480, tempos, metres))
    ticks = 0
    said: list[tuple[int, ...]] = []
    for message in mido.MidiFile(tmp_path / "x.mid").tracks[0]:
        ticks += message.time
        if message.type == "set_tempo":
            said.append((ticks, message.tempo))
        elif message.type == "time_signature":
            said.append((ticks, message.numerator, message.denominator))
    assert sorted(said) == sorted([*metres, *tempos])
    other = pretty_midi.PrettyMIDI(str(tmp_path / "x.mid"))
    assert [round(metre.time, 9) for metre in other.time_signature_changes] == [
        round(seconds, 9) for seconds in Score((), 480, tempos).seconds([0, 1920, 3600]).tolist()
    ]


def test_the_file_is_of_type_1_and_has_a_tempo_though_the_score_names_none(tmp_path: Path) -> None:
    write_midi(tmp_path / "x.mid", Score((a_track(0),)))
    written = mido.MidiFile(tmp_path / "x.mid")
    assert (written.type, len(written.tracks), written.tracks[0][0].tempo) == (1, 2, 500_000)


def test_a_note_that_starts_where_the_last_of_its_pitch_ends_is_written_after_it(tmp_path: Path) -> None:
    write_midi(tmp_path / "x.mid", Score((Track((Note(0, 10, 60, 64), Note(10, 5, 60, 64))),)))
    kinds = [message.type for message in mido.MidiFile(tmp_path / "x.mid").tracks[1]]
    assert kinds == ["program_change", "note_on", "note_off", "note_on", "note_off", "end_of_track"]


def test_twenty_tracks_share_channels_by_program(tmp_path: Path) -> None:
    score = Score(tuple(a_track(index % 15) for index in range(20)))
    write_midi(tmp_path / "x.mid", score)
    assert [track.program for track in read_midi(tmp_path / "x.mid")[0].tracks] == [index % 15 for index in range(20)]


def played(path: Path) -> list[tuple[int, bool, int, int, int, int]]:
    """Returns (program, is_drum, onset, duration, pitch, velocity) of the notes of a file, as a player plays them.

    It takes the messages of all tracks in order of time, then of the tracks; a note-off ends the oldest note.
    """
    timed = []
    for track in mido.MidiFile(path).tracks:
        port = next((message.port for message in track if message.type == "midi_port"), 0)
        timed += [(tick, port, message) for tick, message in with_ticks(track) if not message.is_meta]
    programs: defaultdict[tuple[int, int], int] = defaultdict(int)
    sounding: defaultdict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
    notes = []
    for tick, port, message in sorted(timed, key=lambda row: row[0]):
        if message.type == "program_change":
            programs[port, message.channel] = message.program
        elif message.type == "note_on":
            key = (port, message.channel, message.note)
            sounding[key].append((tick, programs[port, message.channel], message.velocity))
        elif message.type == "note_off":
            start, program, velocity = sounding[port, message.channel, message.note].pop(0)
            notes.append((program, message.channel == 9, start, tick - start, message.note, velocity))
    assert not any(sounding.values())
    return sorted(notes)


def written(score: Score, folder: Path) -> list[tuple[int, bool, int, int, int, int]]:
    """Writes a score, compares the notes of the file with those of the score, and returns them."""
    write_midi(folder / "x.mid", score)
    found = played(folder / "x.mid")
    wanted = sorted((track.program, track.is_drum, *note) for track in score.tracks for note in track.notes)
    assert found == wanted
    return found


def ports_of(path: Path) -> set[int]:
    return {message.port for track in mido.MidiFile(path).tracks for message in track if message.type == "midi_port"}


def at(program: int, *onsets: int, pitch: int = 60) -> Track:
    return Track(tuple(Note(onset, 10, pitch, 64) for onset in onsets), program)


def test_programs_that_do_not_sound_at_once_share_channels_in_time(tmp_path: Path) -> None:
    written(Score(tuple(at(program, program * 20, 900 - program * 20) for program in range(40))), tmp_path)
    assert ports_of(tmp_path / "x.mid") == set()


def test_fifteen_programs_may_follow_fifteen_others_at_the_same_tick(tmp_path: Path) -> None:
    tracks = [at(program, 0 if program < 15 else 10, pitch=60 + program // 15) for program in range(30)]
    written(Score(tuple(tracks)), tmp_path)
    assert ports_of(tmp_path / "x.mid") == set()


def test_a_pitch_that_another_program_lets_go_is_struck_on_another_channel(tmp_path: Path) -> None:
    tracks = [at(program, 0) for program in range(15)]
    written(Score((*tracks, at(15, 10))), tmp_path)
    assert ports_of(tmp_path / "x.mid") == {0, 1}


def test_more_than_fifteen_programs_at_once_take_another_port(tmp_path: Path) -> None:
    written(Score(tuple(at(program, 0, 100) for program in range(31))), tmp_path)
    assert ports_of(tmp_path / "x.mid") == {0, 1, 2}
    assert [t.program for t in read_midi(tmp_path / "x.mid")[0].tracks] == [*range(31)]


def test_a_track_without_notes_is_no_hindrance_among_many_programs(tmp_path: Path) -> None:
    score = Score((*(a_track(program) for program in range(16)), Track((), 16)))
    write_midi(tmp_path / "a.mid", score)
    assert read_midi(tmp_path / "a.mid")[0].tracks == score.tracks[:16]


def test_what_is_added_to_fifteen_programs_takes_a_channel_that_is_silent(tmp_path: Path) -> None:
    tracks = [replace(at(program, program), channel=program + (program > 8)) for program in range(15)]
    written(Score((*tracks, at(20, 100), at(21, 200))), tmp_path)
    assert ports_of(tmp_path / "x.mid") == set()
    for track, read in zip(tracks, read_midi(tmp_path / "x.mid")[0].tracks, strict=False):
        assert read.channel == track.channel


def test_programs_of_one_channel_stay_on_it(tmp_path: Path) -> None:
    tracks = [replace(at(program, program * 10), channel=3) for program in range(20)]
    written(Score(tuple(tracks)), tmp_path)
    assert {m.channel for t in mido.MidiFile(tmp_path / "x.mid").tracks for m in t if not m.is_meta} == {3}


def test_programs_of_one_channel_that_meet_get_channels_of_their_own(tmp_path: Path) -> None:
    tracks = (replace(at(1, 0, 20), channel=3), replace(at(2, 20, 40), channel=3))
    written(Score(tracks), tmp_path)


def test_what_a_channel_is_told_goes_with_its_notes(tmp_path: Path) -> None:
    bends = ChannelEvents([ChannelEvent(0, 0xB0, 7, 90), ChannelEvent(5, 0xE0, 0, 127), ChannelEvent(6, 0xD0, 9, 0)])
    tracks = [replace(at(program % 4, program), events=bends if program == 17 else NO_EVENTS) for program in range(20)]
    score = Score(tuple(tracks))
    written(score, tmp_path)
    again, _ = read_midi(tmp_path / "x.mid")
    assert [track.events for track in again.tracks] == [track.events for track in score.tracks]


def test_a_bank_is_followed_by_its_program(tmp_path: Path) -> None:
    banks = ChannelEvents([ChannelEvent(0, 0xB0, 0, 8), ChannelEvent(15, 0xB0, 0, 9)])
    written(Score((Track(at(5, 0, 20, 40).notes, 5, events=banks),)), tmp_path)
    messages = [m for _, m in with_ticks(mido.MidiFile(tmp_path / "x.mid").tracks[1]) if not m.is_meta]
    kinds = [m.value if m.type == "control_change" else m.type for m in messages if m.type != "note_off"]
    assert kinds == [8, "program_change", "note_on", 9, "program_change", "note_on", "note_on"]


def test_drums_of_several_kits_keep_them(tmp_path: Path) -> None:
    tracks = (a_track(0, is_drum=True), a_track(16, is_drum=True), a_track(0, is_drum=True), a_track(3))
    written(Score(tracks), tmp_path)
    assert [(t.program, t.is_drum) for t in read_midi(tmp_path / "x.mid")[0].tracks] == [
        (track.program, track.is_drum) for track in tracks
    ]


orchestras = st.lists(
    st.builds(
        lambda onsets, program, pitch, channel, is_drum: replace(
            at(program, *sorted(onsets), pitch=pitch), channel=channel, is_drum=is_drum
        ),
        st.sets(st.integers(0, 12).map(lambda place: place * 10), min_size=1, max_size=4),
        st.integers(0, 40),
        st.integers(60, 63),
        st.one_of(st.none(), st.sampled_from((0, 1, 9, 17, 25))),
        st.sampled_from((False, False, False, False, True)),
    ),
    min_size=1,
    max_size=60,
)


@given(tracks=orchestras)
@settings(max_examples=200)
def test_every_note_is_played_by_its_program_however_many_there_are(tracks: list[Track]) -> None:
    with TemporaryDirectory() as folder:
        written(Score(tuple(tracks)), Path(folder))
        again, _ = read_midi(Path(folder) / "x.mid")
    notes = [
        sorted((track.program, track.is_drum, *note) for track in score for note in track.notes)
        for score in (tracks, again.tracks)
    ]
    assert notes[0] == notes[1]


def test_a_pause_that_midi_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="too long without an event"):
        write_midi(tmp_path / "x.mid", Score((Track((Note(1 << 28, 10, 60, 64),)),)))


def test_a_missing_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot be written .no such file"):
        write_midi(tmp_path / "none" / "x.mid", Score((a_track(0),)))
