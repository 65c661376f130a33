"""Augmentation of performances: another key, louder or softer, faster or slower.

A quarter of the segments stay unchanged. In the others pitches of notes move together by -5 to 6 semitones, those of
drums never, within the range of the corpus. Velocity levels move by 2 at most, as far as none is clipped: two different
ones stay different. TimeShifts below the longest are stretched by up to 5 %. With controls, times stay, because the
tokens of controls stand where a second of the grid begins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.codec import BoolArray, IdArray, IdTable
from gen.codecs.controls import ControlTokens
from gen.codecs.performance.vocab import (
    MAX_SHIFT,
    NOTE_OFF,
    NOTE_ON,
    NUM_PITCHES,
    NUM_VELOCITIES,
    TIME_SHIFT,
    VELOCITY,
)
from gen.codecs.variation import (
    MAX_STRETCH,
    MAX_TRANSPOSITION,
    MAX_VELOCITY_CHANGE,
    MIN_TRANSPOSITION,
    UNCHANGED_SHARE,
    drawn_shift,
    move_,
    present,
)


@dataclass(frozen=True, slots=True)
class PerformanceVariation:
    """A `gen.codec.Variation`.

    Args:
        vocab_size: V.
        controls: of the codec; each becomes `any` in a part of the segments.
        is_augmented: whether anything else varies.
        is_drums: whether pitches stay.
        pitches: the lowest and the highest of the corpus.
    """

    vocab_size: int
    controls: ControlTokens
    is_augmented: bool
    is_drums: bool
    pitches: tuple[int, int]

    def __call__(self, ids: IdArray, rng: np.random.Generator) -> IdTable:
        table = np.arange(self.vocab_size)
        is_varied = self.is_augmented and rng.random() >= UNCHANGED_SHARE
        if is_varied:
            is_present = present(ids, self.vocab_size)
            self._transpose_(table, is_present, rng)
            _change_loudness_(table, is_present, rng)
            if not self.controls:
                _stretch_(table, rng)
        self.controls.drop_(table, rng)
        return IdTable(table, is_varied)

    def _transpose_(self, table: NDArray[np.int64], is_present: BoolArray, rng: np.random.Generator) -> None:
        if self.is_drums:
            return
        lowest, highest = self.pitches
        semitones = drawn_shift(
            is_present[NOTE_ON:NOTE_OFF] | is_present[NOTE_OFF:TIME_SHIFT],
            rng,
            least=MIN_TRANSPOSITION,
            most=MAX_TRANSPOSITION,
            lowest=lowest,
            highest=highest,
        )
        for first in (NOTE_ON, NOTE_OFF):
            move_(table, first, NUM_PITCHES, semitones)
        self.controls.transpose_(table, semitones)


def _change_loudness_(table: NDArray[np.int64], is_present: BoolArray, rng: np.random.Generator) -> None:
    levels = drawn_shift(
        is_present[VELOCITY : VELOCITY + NUM_VELOCITIES],
        rng,
        least=-MAX_VELOCITY_CHANGE,
        most=MAX_VELOCITY_CHANGE,
        lowest=0,
        highest=NUM_VELOCITIES - 1,
    )
    move_(table, VELOCITY, NUM_VELOCITIES, levels)


def _stretch_(table: NDArray[np.int64], rng: np.random.Generator) -> None:
    frames = np.arange(1, MAX_SHIFT)
    stretched = np.rint(frames * rng.uniform(1 - MAX_STRETCH, 1 + MAX_STRETCH)).astype(np.int64)
    table[TIME_SHIFT : TIME_SHIFT + MAX_SHIFT - 1] = TIME_SHIFT - 1 + np.clip(stretched, 1, MAX_SHIFT - 1)
