"""Which stretches of a corpus are trained on, and which are only measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gen.errors import SettingError

WHOLE_DOCUMENTS_FROM = 20


class Stretch(NamedTuple):
    """A stretch of a document: ids[start:stop]."""

    start: int
    stop: int
    label: int  # 0 for none
    is_closed: bool  # the document really ends there, so `end` is what comes next


@dataclass(frozen=True, slots=True)
class Split:
    """The two parts of a corpus; no id belongs to both."""

    train: tuple[Stretch, ...]
    valid: tuple[Stretch, ...]


def whole(starts: NDArray[np.int64], labels: NDArray[np.int32]) -> tuple[Stretch, ...]:
    """Returns every document as one closed stretch.

    Args:
        starts: (D + 1,) where each document starts; the last is where the last one stops.
        labels: (D,) of the documents.
    """
    return tuple(
        Stretch(int(start), int(stop), int(label), is_closed=True)
        for start, stop, label in zip(starts[:-1], starts[1:], labels, strict=True)
    )


def split(
    starts: NDArray[np.int64],
    labels: NDArray[np.int32],
    *,
    valid_fraction: float,
    seed: int,
    twins: Sequence[int] | NDArray[np.int64] | None = None,
) -> Split:
    """Splits a corpus into training and validation.

    Of fewer than 20 documents the last fraction of each is validation, cut at int((1 - fraction) * length) as in
    nanoGPT. Of 20 or more, whole documents are drawn by the seed until they make up the fraction (one at least).

    Args:
        starts: (D + 1,) where each document starts; the last is where the last one stops.
        labels: (D,) of the documents.
        valid_fraction: in [0, 1); 0 for no validation.
        twins: (D,) the first document of equal contents; equal documents then fall on the same side.

    Raises:
        SettingError: the fraction is out of range.
    """
    if not 0 <= valid_fraction < 1:
        raise SettingError(f"--valid: must be at least 0 and below 1 ({valid_fraction:g})")
    documents = whole(starts, labels)
    if valid_fraction == 0:
        return Split(documents, ())
    if len(documents) < WHOLE_DOCUMENTS_FROM:
        return _split_each(documents, valid_fraction)
    drawn = _draw(np.arange(len(documents)) if twins is None else np.asarray(twins), valid_fraction, seed)
    return Split(
        tuple(document for place, document in enumerate(documents) if place not in drawn),
        tuple(document for place, document in enumerate(documents) if place in drawn),
    )


def _split_each(documents: Sequence[Stretch], valid_fraction: float) -> Split:
    train, valid = [], []
    for document in documents:
        cut = document.start + int((1 - valid_fraction) * (document.stop - document.start))
        train.append(document._replace(stop=cut, is_closed=False))
        valid.append(document._replace(start=cut))
    return Split(
        tuple(stretch for stretch in train if stretch.stop > stretch.start),
        tuple(stretch for stretch in valid if stretch.stop > stretch.start),
    )


def _draw(twins: NDArray[np.int64], valid_fraction: float, seed: int) -> frozenset[int]:
    """Returns the documents of the validation: groups of equal ones in random order, while there is room."""
    groups, sizes = np.unique(twins, return_counts=True)
    wanted = min(max(round(valid_fraction * len(twins)), 1), len(twins) - 1)
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    drawn: list[int] = []
    for group in order:
        if len(drawn) + sizes[group] <= wanted:
            drawn.extend(np.flatnonzero(twins == groups[group]).tolist())
    if not drawn:  # copies of a few documents and nothing else: the smallest group, or copies on both sides
        smallest = int(np.argmin(sizes))
        drawn = np.flatnonzero(twins == groups[smallest]).tolist()[: len(twins) - 1]
    return frozenset(drawn)
