"""The parts of a corpus: what is trained on, and what is only measured."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.indices import CHUNK, IndexArray, index_type, indices_where, looked_up
from gen.data.mapped import let_go
from gen.data.stretches import Columns, Stretches
from gen.errors import SettingError

WHOLE_DOCUMENTS_FROM = 20


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """Stretches of a corpus, to train or to measure on, with the ids that they are cut from.

    Args:
        ids: (N,) the ids of the whole corpus, without begin and end.
        stretches: the ranges of `ids` that belong to the part.
        begin: the id that is the input before the first target of a document.
        end: the id that is the last target of a closed stretch.
    """

    ids: IdArray
    stretches: Stretches
    begin: int
    end: int

    @property
    def num_targets(self) -> int:
        """The number of tokens to predict, with the `end` of each closed stretch."""
        return self.stretches.num_targets


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a corpus; no id belongs to two."""

    train: Stretches
    valid: Stretches
    test: Stretches


def whole(starts: NDArray[np.int64], labels: NDArray[np.int32]) -> Stretches:
    """Returns every document as one closed stretch.

    Args:
        starts: (D + 1,) where each document starts; the last is where the last one stops.
        labels: (D,) of the documents.
    """
    return Stretches(Columns(starts[:-1], starts[1:], labels, np.broadcast_to(np.ones(1, np.bool_), labels.shape)))


def split(
    starts: NDArray[np.int64],
    labels: NDArray[np.int32],
    *,
    valid_fraction: float,
    test_fraction: float = 0.0,
    seed: int,
    twins: IndexArray | None = None,
    is_stratified: bool = False,
    is_of_whole_documents: bool = False,
) -> Split:
    """Splits a corpus into training, validation and test.

    Of fewer than 20 documents the last fractions of each are validation and then test; the former is cut at
    int((1 - fraction) * length) as in nanoGPT. Of 20 or more, whole documents are drawn by the seed until they
    make up the fraction (one at least), for the validation first, so that it does not depend on the test.

    Args:
        starts: (D + 1,) where each document starts; the last is where the last one stops.
        labels: (D,) of the documents.
        valid_fraction, test_fraction: in [0, 1), and together below 1; 0 for no such part.
        twins: (D,) the first document of equal contents; equal documents then fall on the same side, and where all are
            equal they are trained on.
        is_stratified: the fractions hold for the documents of each label by themselves; of a label with one document
            that is trained on.
        is_of_whole_documents: documents are never cut, however few there are.

    Raises:
        SettingError: a fraction is out of range.
    """
    check_fractions(valid_fraction, test_fraction)
    documents = whole(starts, labels)
    if valid_fraction == test_fraction == 0:
        return Split(documents, Stretches(), Stretches())
    if len(documents) < WHOLE_DOCUMENTS_FROM and not is_of_whole_documents:
        return _split_each(documents, valid_fraction, test_fraction)
    kind = index_type(len(documents))
    firsts = np.arange(len(documents), dtype=kind) if twins is None else twins
    if is_stratified:
        part_of = _draw_by_label(firsts, labels, valid_fraction, test_fraction, seed)
    else:
        part_of = _draw(firsts, valid_fraction, test_fraction, seed)
    let_go(twins)
    return Split(*(documents.take(indices_where(part_of == part)) for part in range(3)))


def evenly(stretches: Stretches, max_tokens: int, *, window: int) -> Stretches:
    """Returns stretches of about `max_tokens` tokens, spread evenly: every n-th window of those that hold more."""
    num_tokens = stretches.num_tokens
    if num_tokens <= max_tokens:
        return stretches
    step, passed = math.ceil(num_tokens / max_tokens), 0
    found = []
    for columns in stretches.chunks():
        windows = np.cumsum(-(-(columns.stops - columns.starts) // window))  # up to and with each stretch
        chosen = np.arange(-passed % step, windows[-1], step)
        at = np.searchsorted(windows, chosen, side="right")
        first = np.where(at > 0, windows[at - 1], 0)  # window of each chosen stretch
        whole = columns.take(at)
        starts = whole.starts + (chosen - first) * window
        stops = np.minimum(starts + window, whole.stops)
        found.append(Columns(starts, stops, whole.labels, whole.is_closed & (stops == whole.stops)))
        passed += int(windows[-1])
    return Stretches(Columns(*(np.concatenate(column) for column in zip(*found, strict=True))))


def check_fractions(valid_fraction: float, test_fraction: float) -> None:
    """Raises SettingError unless both, and what is left to train on, are shares of a whole."""
    for name, fraction in (("valid", valid_fraction), ("test", test_fraction)):
        if not 0 <= fraction < 1:
            raise SettingError(f"--{name}: must be at least 0 and below 1 ({fraction:g})")
    if valid_fraction + test_fraction >= 1:
        raise SettingError(
            f"--test: with --valid it must be below 1 ({test_fraction:g} and {valid_fraction:g})",
            hint="what is left is trained on",
        )


def _split_each(documents: Stretches, valid_fraction: float, test_fraction: float) -> Split:
    starts, stops, labels, is_closed = documents.columns()
    lengths = stops - starts
    test = stops if test_fraction == 0 else starts + ((1 - test_fraction) * lengths).astype(np.int64)
    valid = starts + ((1 - valid_fraction - test_fraction) * lengths).astype(np.int64)
    bounds = (starts, np.minimum(valid, test), test, stops)
    parts = (
        Columns(start, stop, labels, is_closed & (stop == stops) & (number > 0))
        for number, (start, stop) in enumerate(itertools.pairwise(bounds))
    )
    return Split(*(Stretches(part.take(np.flatnonzero(part.stops > part.starts))) for part in parts))


def _draw_by_label(
    twins: IndexArray, labels: NDArray[np.int32], valid_fraction: float, test_fraction: float, seed: int
) -> NDArray[np.int8]:
    """Returns what `_draw` does, drawn for each label by itself; equal documents count with the label of the first."""
    parts = np.zeros(len(twins), np.int8)
    label_of = labels[twins]
    for label in np.unique(label_of):
        own = indices_where(label_of == label)
        _, groups = np.unique(twins[own], return_inverse=True)
        firsts = np.zeros(groups.max() + 1, own.dtype)
        firsts[groups[::-1]] = np.arange(len(own))[::-1]
        parts[own] = _draw(firsts[groups], valid_fraction, test_fraction, seed)
    return parts


def _draw(twins: IndexArray, valid_fraction: float, test_fraction: float, seed: int) -> NDArray[np.int8]:
    """Returns (D,) the part of each document: 0 to train on, 1 for validation, 2 for test.

    Groups of equal documents are drawn whole, in random order, while there is room; one is left to train on.
    """
    num_documents = num_left = len(twins)
    parts = np.zeros(num_documents, np.int8)
    sizes = np.bincount(twins, minlength=num_documents).astype(twins.dtype)  # of each group, at its first document
    order = indices_where(sizes > 0)
    order = looked_up(order, _permutation(len(order), seed))
    for part, fraction in ((1, valid_fraction), (2, test_fraction)):
        wanted = min(max(round(fraction * num_documents), 1), num_left - 1)
        if fraction == 0 or len(order) < 2:
            continue
        is_drawn = _fits(sizes, order, wanted)
        if not is_drawn.any():  # all groups of copies are too large: the smallest is drawn
            smallest = order[looked_up(sizes, order) == sizes[order].min()].min()
            is_drawn = order == smallest
        is_group = np.zeros(num_documents, np.bool_)
        is_group[order[is_drawn]] = True
        documents = indices_where(looked_up(is_group, twins))
        parts[documents] = part
        num_left -= len(documents)
        order = order[~is_drawn]
    return parts


def _permutation(count: int, seed: int) -> IndexArray:
    """Returns 0 to count - 1 in random order, which does not depend on their type."""
    kind = torch.from_numpy(np.empty(0, index_type(count))).dtype
    found: IndexArray = torch.randperm(count, dtype=kind, generator=torch.Generator().manual_seed(seed)).numpy()
    return found


def _fits(sizes: IndexArray, order: IndexArray, room: int) -> NDArray[np.bool_]:
    """Returns (N,) whether each item of an order is taken: it is if its size fits into the room that is left."""
    is_taken = np.zeros(len(order), np.bool_)
    for start in range(0, len(order), CHUNK):
        sizes_here = sizes[order[start : start + CHUNK]]
        waiting = np.arange(len(sizes_here))
        while room and len(waiting := waiting[sizes_here[waiting] <= room]):
            totals = np.cumsum(sizes_here[waiting], dtype=np.int64)
            num_taken = int(np.searchsorted(totals, room, side="right"))
            is_taken[start + waiting[:num_taken]] = True
            room -= int(totals[num_taken - 1])
            waiting = waiting[num_taken:]
        if not room:
            break
    return is_taken
