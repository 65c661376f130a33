from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings

from gen.errors import MidiError, SettingError
from gen.music.midi import read_midi
from gen.music.midi_write import write_midi
from gen.music.score import Note, Score, Tempo, TimeSignature, Track
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


def test_sixteen_pitched_instruments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match=r"more instruments than a MIDI file has channels .16"):
        write_midi(tmp_path / "x.mid", Score(tuple(map(a_track, range(16)))))
    assert not list(tmp_path.iterdir())


def test_a_pause_that_midi_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="too long without an event"):
        write_midi(tmp_path / "x.mid", Score((Track((Note(1 << 28, 10, 60, 64),)),)))


def test_a_missing_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot be written .no such file"):
        write_midi(tmp_path / "none" / "x.mid", Score((a_track(0),)))
