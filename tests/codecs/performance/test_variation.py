"""What training reads in place of a performance: the same music in another key, louder, faster."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codec import Grammar, IdArray, decode
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.performance.vocab import NOTE_OFF, NOTE_ON, TIME_SHIFT, VELOCITY
from gen.music.score import Note, Score, Tempo, Track
from tests.music.scores import scores

seeds = st.integers(0, 2**32)


def varied(codec: PerformanceCodec, ids: IdArray, seed: int, *, is_augmented: bool = True) -> np.ndarray:
    variation = codec.variation(is_augmented=is_augmented)
    assert variation is not None
    return variation(ids, np.random.default_rng(seed)).table[ids]


def notes_of(codec: PerformanceCodec, ids: np.ndarray) -> list[Note]:
    return [note for track in decode(codec, ids).tracks for note in track.notes]


def check_accepted(grammar: Grammar, ids: list[int]) -> None:
    for left, token in zip(range(len(ids), 0, -1), ids, strict=True):
        assert grammar.allowed(left)[token]
        grammar.advance(token)
    assert grammar.tokens_to_close() == 0


@given(scores(), seeds, st.booleans())
def test_what_is_varied_is_what_the_encoder_would_write(score: Score, seed: int, is_drums: bool) -> None:
    codec = PerformanceCodec(is_drums=is_drums)
    ids = codec.encode(score)

    read = varied(codec, ids, seed)

    check_accepted(codec.grammar(), read.tolist())
    assert codec.encode(decode(codec, read)).tolist() == read.tolist()


@given(scores(), seeds)
def test_all_pitches_move_alike_and_stay_in_the_range_of_the_corpus(score: Score, seed: int) -> None:
    plain = PerformanceCodec()
    ids = plain.encode(score)
    codec = plain.fitted(ids)  # a corpus of this and nothing else
    read = varied(codec, ids, seed)
    wider = varied(plain, ids, seed)

    before, after, moved = (sorted(note.pitch for note in notes_of(plain, found)) for found in (ids, read, wider))
    assert after == before, "there is no room"
    shifts = set(np.subtract(moved, before).tolist())
    assert len(shifts) == 1
    assert -5 <= min(shifts) <= 6
    assert 0 <= moved[0] <= moved[-1] <= 127


@given(scores(), seeds)
def test_drums_stay_what_they_are(score: Score, seed: int) -> None:
    codec = PerformanceCodec(is_drums=True)
    ids = codec.encode(score)
    read = varied(codec, ids, seed)
    is_note = ids < TIME_SHIFT
    assert np.array_equal(read[is_note], ids[is_note])


@given(scores(), seeds)
def test_levels_move_alike_by_two_at_most_and_none_is_clipped(score: Score, seed: int) -> None:
    codec = PerformanceCodec()
    ids = codec.encode(score)
    is_level = ids >= VELOCITY
    shifts = set((varied(codec, ids, seed)[is_level] - ids[is_level].astype(int)).tolist())
    assert len(shifts) <= 1
    assert all(abs(shift) <= 2 for shift in shifts)


@given(scores(), seeds)
def test_time_is_stretched_by_five_percent_at_most(score: Score, seed: int) -> None:
    codec = PerformanceCodec()
    ids = codec.encode(score)
    is_shift = (ids >= TIME_SHIFT) & (ids < VELOCITY)
    before = ids[is_shift].astype(int) - TIME_SHIFT + 1
    after = varied(codec, ids, seed)[is_shift] - TIME_SHIFT + 1
    assert (after[before == 100] == 100).all()
    assert (abs(after - before) <= 0.05 * before + 0.5).all()
    assert (after[before < 100] < 100).all()


def test_all_twelve_keys_all_levels_and_both_directions_of_time_come() -> None:
    notes = (Note(0, 500, 60, 64), Note(500, 500, 64, 64))
    codec = PerformanceCodec()
    ids = codec.encode(Score((Track(notes),), ticks_per_beat=500, tempos=(Tempo(0, 500_000),)))
    first = [notes_of(codec, varied(codec, ids, seed))[0] for seed in range(400)]
    assert {note.pitch for note in first} == set(range(55, 67))
    assert {(note.velocity - 66) // 4 for note in first} == {-2, -1, 0, 1, 2}
    lengths = {note.duration_ticks for note in first}
    assert {480, 490, 500, 510, 520} <= lengths <= {470, 480, 490, 500, 510, 520, 530}


def test_the_table_of_a_segment_moves_what_ends_in_it_without_having_begun() -> None:
    codec = PerformanceCodec(pitches=(60, 70))
    ids = np.array([NOTE_OFF + 70, NOTE_OFF + 60], np.uint16)
    assert varied(codec, ids, 3).tolist() == ids.tolist()
    assert varied(codec, np.array([NOTE_ON + 60], np.uint16), 3)[0] in range(NOTE_ON + 60, NOTE_ON + 67)


def test_without_augmentation_and_controls_nothing_varies() -> None:
    assert PerformanceCodec().variation(is_augmented=False) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_table(seed: int) -> None:
    codec = PerformanceCodec(control_names=("density", "key"))
    ids = np.array([NOTE_ON + 60, NOTE_OFF + 60], np.uint16)
    assert varied(codec, ids, seed).tolist() == varied(codec, ids, seed).tolist()
