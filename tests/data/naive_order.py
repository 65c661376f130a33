"""The order of an epoch, made segment by segment, to compare with `gen.data.epoch`, which uses arrays."""

import heapq
from typing import Any, NamedTuple

import numpy as np

from gen.data.stretches import Stretch


class Dealt(NamedTuple):
    """A segment in its row."""

    start: int
    stop: int
    label: int
    is_closed: bool
    is_cut: bool
    row: int
    first_window: int


def naive_order(stretches: list[Stretch], batch_size: int, bptt: int, rng: np.random.Generator) -> list[Dealt]:
    """Returns all segments, row after row."""
    share = -(-sum(targets(stretch) for stretch in stretches) // batch_size)
    segments = [segment for stretch in stretches for segment in cut(stretch, share, rng)]
    is_hidden = rng.random(len(segments)) < 0.1
    order: list[Any] = list(rng.permutation(len(segments)))
    windows = [-(-targets(stretch) // bptt) for stretch, _ in segments]
    order.sort(key=lambda n: -windows[n])  # stable: equal lengths stay shuffled
    rows: list[list[int]] = [[] for _ in range(batch_size)]
    loads = [(0, row) for row in range(batch_size)]
    for n in order:
        load, row = heapq.heappop(loads)
        rows[row].append(n)
        heapq.heappush(loads, (load + windows[n], row))
    found = []
    for row, members in enumerate(rows):
        rng.shuffle(members)
        first = 0
        for n in members:
            stretch, is_cut = segments[n]
            label = 0 if is_hidden[n] else stretch.label
            found.append(Dealt(stretch.start, stretch.stop, label, stretch.is_closed, is_cut, row, first))
            first += windows[n]
    return found


def targets(stretch: Stretch) -> int:
    return stretch.stop - stretch.start + stretch.is_closed


def cut(stretch: Stretch, share: int, rng: np.random.Generator) -> list[tuple[Stretch, bool]]:
    """Cuts a stretch into segments of at most `share` targets; the first cut falls anywhere."""
    if targets(stretch) == 0:
        return []
    if targets(stretch) <= share:
        return [(stretch, False)]
    bounds = [stretch.start, *range(stretch.start + int(rng.integers(1, share + 1)), stretch.stop, share), stretch.stop]
    last = len(bounds) - 2
    return [
        (Stretch(bounds[n], bounds[n + 1], stretch.label, stretch.is_closed and n == last), True)
        for n in range(len(bounds) - 1)
    ]
