"""Augmentation of music: tables from ids to ids, drawn once a segment and an epoch.

Oore et al. 2018 transpose their training data and stretch it by up to 5 %; here loudness changes too. No value leaves
the range of the corpus, and ascending ids stay ascending, so that a varied segment is one that the encoder could have
written.

A model that learns music equally in all keys would also write equally in all keys, unlike its corpus. So a part of the
segments is read unchanged, and the others are tagged (Caswell, Chelba & Grangier 2019, "Tagged Back-Translation"): the
tag is an input at every token (`RecurrentLM.initial_state`), since the model forgets a tag that only opens a segment.
The last epochs of a run, too, are read unchanged (gen.training.trainer).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import BoolArray, IdArray, IdTable
from gen.codecs.controls import ControlTokens

MIN_TRANSPOSITION: Final = -5  # semitones; up to 6: each of the twelve keys once
MAX_TRANSPOSITION: Final = 6
MAX_VELOCITY_CHANGE: Final = 2  # levels of 4 MIDI velocities
MAX_STRETCH: Final = 0.05
UNCHANGED_SHARE: Final = 0.25  # of the segments


# Changes a table for a segment, given (V,) True for each id of the segment.
Change = Callable[[NDArray[np.int64], BoolArray, np.random.Generator], None]


@dataclass(frozen=True, slots=True)
class Shift:
    """A `Change` that moves all values of one kind, such as the pitches, by the same number.

    Args:
        firsts: the id of value 0, in each group of ids that has this kind of value.
        num_values: the number of values, and of ids in each group.
        least, most: the range of the shift, which is uniform.
        lowest, highest: the range of values in which all stay.
        controls: the controls whose keys are transposed by the shift.
    """

    firsts: tuple[int, ...]
    num_values: int
    least: int
    most: int
    lowest: int
    highest: int
    controls: ControlTokens | None = None

    def __call__(self, table: NDArray[np.int64], is_present: BoolArray, rng: np.random.Generator) -> None:
        shift = self._draw(is_present, rng)
        for first in self.firsts:  # ids that the segment lacks may wrap around
            table[first : first + self.num_values] = first + (np.arange(self.num_values) + shift) % self.num_values
        if self.controls is not None:
            self.controls.transpose_(table, shift)

    def _draw(self, is_present: BoolArray, rng: np.random.Generator) -> int:
        used = np.flatnonzero(np.any([is_present[first : first + self.num_values] for first in self.firsts], axis=0))
        least, most = self.least, self.most
        if len(used):
            least = max(least, self.lowest - int(used[0]))
            most = min(most, self.highest - int(used[-1]))
        # A segment that is beyond the range already, which is that of a part of the corpus, stays unmoved.
        return int(rng.integers(least, most + 1)) if least <= 0 <= most else 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A `Change` of all times by the same factor; the ids from `first` on are those of the times 1 to `longest`."""

    first: int
    longest: int

    def __call__(self, table: NDArray[np.int64], _is_present: BoolArray, rng: np.random.Generator) -> None:
        stretched = np.rint(np.arange(1, self.longest + 1) * rng.uniform(1 - MAX_STRETCH, 1 + MAX_STRETCH))
        times = np.clip(stretched.astype(np.int64), 1, self.longest)
        table[self.first : self.first + self.longest] = self.first - 1 + times


@dataclass(frozen=True, slots=True)
class MusicVariation:
    """A `gen.codec.Variation`.

    Args:
        vocab_size: V.
        controls: of the codec; each becomes `any` in a part of the segments.
        changes: those of an augmented segment, in the order in which they draw; None if no segment is augmented.
    """

    vocab_size: int
    controls: ControlTokens
    changes: tuple[Change, ...] | None

    def __call__(self, ids: IdArray, rng: np.random.Generator) -> IdTable:
        table = np.arange(self.vocab_size)
        is_varied = self.changes is not None and rng.random() >= UNCHANGED_SHARE
        is_present = np.zeros(self.vocab_size, dtype=np.bool_)
        is_present[ids] = True
        for change in self.changes or () if is_varied else ():
            change(table, is_present, rng)
        self.controls.drop_(table, rng)
        return IdTable(table, is_varied)


def transposition(*firsts: int, pitches: tuple[int, int], controls: ControlTokens) -> Shift:
    """Returns the shift of pitches, and of keys, to another key; `pitches` is the range of the corpus."""
    return Shift(firsts, 128, MIN_TRANSPOSITION, MAX_TRANSPOSITION, *pitches, controls)


def loudness(first: int, count: int) -> Shift:
    """Returns the shift of `count` levels of velocity."""
    return Shift((first,), count, -MAX_VELOCITY_CHANGE, MAX_VELOCITY_CHANGE, 0, count - 1)
