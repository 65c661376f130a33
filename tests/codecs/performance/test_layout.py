import numpy as np

from gen.codecs.performance.layout import PerformanceLayout, lay_out_performance
from gen.music.midi.rules import (
    DRUMS_LEFT_OUT,
    NOTES,
    OVERLAPS,
    PEDALLED,
    PITCHED_LEFT_OUT,
    PROGRAMS_MERGED,
    SILENCES,
    UNISONS,
    VOICE_CUTS,
)
from gen.music.score import Note, PedalSpan, Score, Track

MILLISECONDS = 500  # ticks a beat at which a tick is a millisecond


def laid_out(*tracks: Track, is_drums: bool = False) -> PerformanceLayout:
    return lay_out_performance(Score(tracks, ticks_per_beat=MILLISECONDS), is_drums=is_drums)


def rows(layout: PerformanceLayout) -> list[tuple[int, ...]]:
    columns = (layout.onset_frames, layout.end_frames, layout.pitches, layout.velocities)
    return [tuple(row) for row in np.stack(columns, axis=1).tolist()]


def test_times_are_rounded_to_the_nearest_frame() -> None:
    assert rows(laid_out(Track((Note(14, 21, 60, 64), Note(26, 30, 61, 65))))) == [(1, 4, 60, 64), (3, 6, 61, 65)]


def test_a_note_keeps_at_least_a_frame() -> None:
    assert rows(laid_out(Track((Note(100, 1, 60, 64),)))) == [(10, 11, 60, 64)]


def test_rounding_does_not_add_up() -> None:
    layout = laid_out(Track(tuple(Note(index * 104, 50, 60, 64) for index in range(5000))))
    assert np.abs(layout.onset_frames * 10 - 104 * np.arange(5000)).max() <= 5


def test_unisons_become_the_loudest_and_longest() -> None:
    layout = laid_out(Track((Note(0, 100, 60, 90),)), Track((Note(2, 300, 60, 40),)))
    assert rows(layout) == [(0, 30, 60, 90)]
    assert layout.findings == {UNISONS: 1, NOTES: 1}


def test_a_key_struck_again_ends_the_note_before() -> None:
    layout = laid_out(Track((Note(0, 300, 60, 64), Note(100, 100, 60, 64))))
    assert rows(layout) == [(0, 10, 60, 64), (10, 20, 60, 64)]
    assert layout.findings == {OVERLAPS: 1, NOTES: 2}


def test_a_note_cut_by_another_track_is_no_fault() -> None:
    layout = laid_out(Track((Note(0, 300, 60, 64),)), Track((Note(100, 100, 60, 64),)))
    assert layout.findings == {VOICE_CUTS: 1, NOTES: 2}


def test_the_pedal_holds_notes_until_it_rises() -> None:
    track = Track((Note(0, 100, 60, 64), Note(500, 1000, 62, 64)), pedal=(PedalSpan(50, 750),))
    layout = laid_out(track)
    assert rows(layout) == [(0, 80, 60, 64), (50, 150, 62, 64)]
    assert layout.findings == {PEDALLED: 1, NOTES: 2}


def test_the_pedal_lets_go_of_a_pitch_struck_again() -> None:
    layout = laid_out(Track((Note(0, 100, 60, 64), Note(200, 100, 60, 64)), pedal=(PedalSpan(0, 1000),)))
    assert rows(layout) == [(0, 20, 60, 64), (20, 100, 60, 64)]
    assert layout.findings == {PEDALLED: 2, NOTES: 2}


def test_a_pedal_pressed_after_the_key_is_up_holds_nothing() -> None:
    layout = laid_out(Track((Note(0, 100, 60, 64),), pedal=(PedalSpan(101, 500),)))
    assert rows(layout) == [(0, 10, 60, 64)]


def test_silences_are_cut_to_ten_seconds() -> None:
    notes = (Note(15_000, 1000, 60, 64), Note(26_000, 1000, 60, 64), Note(60_000, 1000, 60, 64))
    layout = laid_out(Track(notes))
    assert layout.onset_frames.tolist() == [1000, 2100, 3200]
    assert layout.end_frames.tolist() == [1100, 2200, 3300]
    assert layout.cut_seconds.tolist() == [[15.0, 5.0], [60.0, 23.0]]
    assert layout.findings == {SILENCES: 2, NOTES: 3}


def test_time_under_a_held_note_is_no_silence() -> None:
    layout = laid_out(Track((Note(0, 30_000, 60, 64), Note(20_000, 1000, 62, 64))))
    assert layout.onset_frames.tolist() == [0, 2000]


def test_drums_are_left_out_and_programs_merged() -> None:
    drums = Track((Note(0, 10, 36, 64),), is_drum=True)
    layout = laid_out(Track((Note(0, 100, 60, 64),), 5), Track((Note(0, 100, 64, 64),), 7), drums)
    assert layout.findings == {DRUMS_LEFT_OUT: 1, PROGRAMS_MERGED: 2, NOTES: 2}


def test_a_drum_stream_leaves_out_all_else() -> None:
    drums = Track((Note(0, 10, 36, 64),), is_drum=True)
    layout = laid_out(Track((Note(0, 100, 60, 64),)), drums, is_drums=True)
    assert rows(layout) == [(0, 1, 36, 64)]
    assert layout.findings == {PITCHED_LEFT_OUT: 1, NOTES: 1}
