"""The order in which a corpus is read: every target once an epoch, resets where they belong, all by the seed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.codec import IdTable, Variation
from gen.data.batches import IGNORED, Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches

BEGIN, END = 1000, 1001


def new_batches(
    stretches: list[Stretch],
    *,
    vary: Variation | None = None,
    vary_plainly: Variation | None = None,
    **changes: float,
) -> Batches:
    options: dict[str, float] = {"batch_size": 3, "bptt": 4, "reset_rate": 0.0, "seed": 0} | changes
    ids = np.arange(1000, dtype=np.uint16)
    return Batches(
        Excerpt(ids, Stretches(stretches), BEGIN, END),
        batch_size=int(options["batch_size"]),
        bptt=int(options["bptt"]),
        reset_rate=options["reset_rate"],
        seed=int(options["seed"]),
        vary=vary,
        vary_plainly=vary_plainly,
    )


def tunes(*lengths: int) -> list[Stretch]:
    stops = np.cumsum(lengths).tolist()
    return [Stretch(stop - n, stop, 0, True) for stop, n in zip(stops, lengths, strict=True)]


def epoch_of(batches: Batches, epoch: int = 0) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return [batches.batch(epoch, window)[:3] for window in range(batches.num_windows(epoch))]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    batch_size=st.integers(1, 7),
    bptt=st.integers(1, 20),
    epoch=st.integers(0, 3),
)
def test_every_target_is_read_once_an_epoch(lengths: list[int], batch_size: int, bptt: int, epoch: int) -> None:
    batches = new_batches(tunes(*lengths), batch_size=batch_size, bptt=bptt)

    read = np.concatenate([targets[targets != IGNORED] for _, targets, _ in epoch_of(batches, epoch)])

    expected = sorted([*range(sum(lengths)), *[END] * len(lengths)])
    assert sorted(read.tolist()) == expected


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12), reset_rate=st.sampled_from([0.0, 0.5, 1.0]))
def test_each_input_is_the_token_before_its_target_or_begin(lengths: list[int], reset_rate: float) -> None:
    for inputs, targets, is_fresh in epoch_of(new_batches(tunes(*lengths), reset_rate=reset_rate)):
        for row, column in zip(*np.nonzero((targets != IGNORED) & (targets != END)), strict=True):
            before = inputs[row, column]
            assert before == targets[row, column] - 1 or (before == BEGIN and column == 0 and is_fresh[row])


def test_state_is_fresh_exactly_where_a_segment_starts_when_there_are_no_resets() -> None:
    for inputs, targets, is_fresh in epoch_of(new_batches(tunes(5, 9, 13, 2, 7))):
        is_padding = (targets == IGNORED).all(axis=1)
        assert ((inputs[:, 0] == BEGIN) == is_fresh).all()
        assert is_fresh[is_padding].all()


def test_a_row_never_runs_from_one_document_into_the_next_within_a_window() -> None:
    for _, targets, _ in epoch_of(new_batches(tunes(5, 9, 13, 2, 7), bptt=32)):
        for row in targets:
            ends = np.flatnonzero(row == END)
            assert len(ends) <= 1
            assert not len(ends) or (row[ends[0] + 1 :] == IGNORED).all()


def test_one_long_text_becomes_equal_rows_cut_elsewhere_each_epoch() -> None:
    batches = new_batches([Stretch(0, 960, 0, False)], batch_size=8, bptt=10)

    firsts = [{int(t[0, 0]) for _, t, fresh in [batches.batch(epoch, 0)[:3]] if fresh.all()} for epoch in range(3)]

    assert batches.num_windows(0) in (12, 13, 14)  # 960 / 8 / 10, and what the two cut ends add
    assert len({frozenset(first) for first in firsts}) == 3


def test_resets_come_as_often_as_asked_and_cut_documents_start_half_of_them_with_begin() -> None:
    batches = new_batches([Stretch(0, 960, 0, False)], batch_size=8, bptt=2, reset_rate=0.25)

    windows = epoch_of(batches)
    is_fresh = np.stack([fresh for _, _, fresh in windows])
    has_begin = np.stack([inputs[:, 0] == BEGIN for inputs, _, _ in windows])

    assert 0.15 < is_fresh.mean() < 0.35  # 480 draws: 5 sigma is 0.1
    assert 0.3 < has_begin[is_fresh].mean() < 0.75


def test_resets_of_whole_documents_start_from_the_token_before() -> None:
    for inputs, targets, _ in epoch_of(new_batches(tunes(*[20] * 30), reset_rate=1.0)):
        starts = inputs[:, 0] == BEGIN
        assert (targets[starts, 0] % 20 == 0).all()


def test_labels_follow_their_segments() -> None:
    stretches = [Stretch(0, 40, 1, True), Stretch(40, 90, 2, True)]
    batches = new_batches(stretches, batch_size=2)

    for window in range(batches.num_windows(0)):
        batch = batches.batch(0, window)
        for row in range(2):
            read = batch.targets[row][(batch.targets[row] != IGNORED) & (batch.targets[row] != END)]
            expected = 0 if not len(read) else 1 + int(read[0] >= 40)
            assert not len(read) or batch.labels[row] in (0, expected)


@pytest.mark.parametrize("first", [0, 3, 8])
def test_windows_are_the_same_wherever_reading_begins_and_however_many_are_made_at_a_time(
    monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    straight = new_batches(tunes(50, 70, 90), reset_rate=0.3)
    monkeypatch.setattr("gen.data.batches.BLOCK_TOKENS", 5 * 3 * 4)  # five windows of the three rows of four tokens
    in_blocks = new_batches(tunes(50, 70, 90), reset_rate=0.3)

    for window in range(first, in_blocks.num_windows(0)):
        for ours, theirs in zip(in_blocks.batch(0, window)[:4], straight.batch(0, window)[:4], strict=True):
            assert np.array_equal(ours, theirs)


def test_a_batch_and_any_of_its_rows_know_how_many_targets_all_rows_have() -> None:
    batches = new_batches(tunes(5, 9, 13, 2, 7))

    for window in range(batches.num_windows(0)):
        batch = batches.batch(0, window)
        assert batch.num_targets == batch.rows(slice(1, 2)).num_targets == (batch.targets != IGNORED).sum()


@pytest.mark.parametrize("changes", [{}, {"reset_rate": 0.3}])
def test_a_batch_depends_on_seed_epoch_and_window_alone(changes: dict[str, Any]) -> None:
    straight, other = (new_batches(tunes(50, 70, 90), vary=None, **changes) for _ in range(2))
    epoch_of(straight, 0)

    for ours, theirs in zip(straight.batch(1, 3)[:4], other.batch(1, 3)[:4], strict=True):
        assert np.array_equal(ours, theirs)
    reseeded = new_batches(tunes(50, 70, 90), vary=None, seed=1, **changes)
    assert not np.array_equal(reseeded.batch(0, 0).targets, straight.batch(0, 0).targets)


def rotated(ids: np.ndarray, rng: np.random.Generator) -> IdTable:
    """Returns a table that permutes the ids of a segment by a random shift and keeps all other ids."""
    table = np.arange(END + 1)
    table[ids] = np.roll(ids, rng.integers(1, len(ids)) if len(ids) > 1 else 0)
    return IdTable(table, is_varied=True)


@pytest.mark.parametrize("reset_rate", [0.0, 0.5])
def test_a_segment_is_read_through_one_table_an_epoch_and_through_another_the_next(reset_rate: float) -> None:
    stretches = tunes(50, 90, 80, 70)  # none longer than a row, so that none is cut
    plain, varied = (new_batches(stretches, vary=vary, reset_rate=reset_rate) for vary in (None, rotated))
    tables = []
    for epoch in (0, 1):
        seen = np.full(290, -1)
        for (inputs, targets, fresh), (inputs_v, targets_v, fresh_v) in zip(
            epoch_of(plain, epoch), epoch_of(varied, epoch), strict=True
        ):
            assert np.array_equal(fresh, fresh_v)
            for before, after in ((inputs, inputs_v), (targets, targets_v)):
                is_id = (before >= 0) & (before < BEGIN)
                assert np.array_equal(before[~is_id], after[~is_id])
                assert ((seen[before[is_id]] == -1) | (seen[before[is_id]] == after[is_id])).all()
                seen[before[is_id]] = after[is_id]
        for start, stop in ((s.start, s.stop) for s in stretches):
            shifts = (seen[start:stop] - np.arange(start, stop)) % (stop - start)
            assert len(set(shifts.tolist())) == 1
            assert shifts[0] != 0
        tables.append(seen)
    assert not np.array_equal(tables[0], tables[1])


def varied_from_90_on(ids: np.ndarray, _rng: np.random.Generator) -> IdTable:
    return IdTable(np.arange(END + 1), is_varied=bool(ids[0] >= 90))


@pytest.mark.parametrize("reset_rate", [0.0, 0.9])
def test_every_window_of_a_varied_segment_says_so(reset_rate: float) -> None:
    batches = new_batches(tunes(90, 150, 90), vary=varied_from_90_on, reset_rate=reset_rate)
    read = [batches.batch(0, window) for window in range(batches.num_windows(0))]
    is_varied = np.concatenate([batch.is_varied for batch in read])
    first = np.concatenate([batch.targets[:, 0] for batch in read])

    assert np.array_equal(is_varied, first >= 90), "rows that are over are not varied"
    assert np.array_equal(read[0].rows(slice(1, 2)).is_varied, read[0].is_varied[1:2])


def test_variations_do_not_depend_on_which_windows_were_read_before() -> None:
    whole, late = (new_batches(tunes(500, 400), vary=rotated, reset_rate=0.1) for _ in range(2))
    windows = [whole.batch(1, window) for window in range(whole.num_windows(1))]
    last = late.batch(1, len(windows) - 1)
    assert np.array_equal(windows[-1].inputs, last.inputs)
    assert np.array_equal(windows[-1].targets, last.targets)


def test_an_epoch_that_is_read_plainly_has_the_plain_table_and_the_same_order() -> None:
    options: dict[str, Any] = {"batch_size": 2, "bptt": 8, "reset_rate": 0.1}
    plain = new_batches(tunes(50, 70, 90), **options)
    both = new_batches(tunes(50, 70, 90), vary=rotated, **options)
    for window in range(plain.num_windows(0)):
        varied, wanted = both.batch(0, window), plain.batch(0, window)
        for ours, theirs in zip(both.batch(0, window, is_plain=True)[:-1], wanted[:-1], strict=True):
            assert np.array_equal(ours, theirs)
        assert varied.is_varied[varied.targets[:, 0] != IGNORED].all()
        assert np.array_equal(varied.is_fresh, wanted.is_fresh)
        assert not np.array_equal(varied.targets, wanted.targets)

    shifted = new_batches(
        tunes(50, 70, 90),
        vary_plainly=lambda _ids, _rng: IdTable((np.arange(END + 1) + 1) % BEGIN, is_varied=False),
        **options,
    )
    ours, theirs = shifted.batch(0, 1, is_plain=True).targets, plain.batch(0, 1).targets
    is_id = (theirs >= 0) & (theirs < BEGIN)
    assert np.array_equal(ours[is_id], (theirs[is_id] + 1) % BEGIN)
