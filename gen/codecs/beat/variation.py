"""Augmentation of metric music: another key, louder or softer, another tempo.

A quarter of the segments stay unchanged. In the others pitches of all programs move together by -5 to 6 semitones,
drums never, and velocities by 2 levels at most, as in a performance; tempos by 2 levels, which is 4 %, within those of
the corpus. Metre, positions and lengths stay.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray, IdTable
from gen.codecs.beat.vocab import NUM_PITCHES, NUM_TEMPOS, NUM_VELOCITIES, PITCH, TEMPO, VELOCITY
from gen.codecs.controls import ControlTokens
from gen.codecs.variation import (
    MAX_TRANSPOSITION,
    MAX_VELOCITY_CHANGE,
    MIN_TRANSPOSITION,
    UNCHANGED_SHARE,
    drawn_shift,
    move_,
    present,
)

MAX_TEMPO_CHANGE: Final = 2  # levels, 35 of which are an octave


@dataclass(frozen=True, slots=True)
class BeatVariation:
    """A `gen.codec.Variation`.

    Args:
        vocab_size: V.
        controls: of the codec; each becomes `any` in a part of the segments.
        is_augmented: whether anything else varies.
        pitches: the lowest and the highest of the corpus.
        tempos: the lowest and the highest level of the corpus.
    """

    vocab_size: int
    controls: ControlTokens
    is_augmented: bool
    pitches: tuple[int, int]
    tempos: tuple[int, int]

    def __call__(self, ids: IdArray, rng: np.random.Generator) -> IdTable:
        table = np.arange(self.vocab_size)
        is_varied = self.is_augmented and rng.random() >= UNCHANGED_SHARE
        if is_varied:
            self._vary_(table, ids, rng)
        self.controls.drop_(table, rng)
        return IdTable(table, is_varied)

    def _vary_(self, table: NDArray[np.int64], ids: IdArray, rng: np.random.Generator) -> None:
        is_present = present(ids, self.vocab_size)
        shifts = []
        for first, count, least, most, (lowest, highest) in (
            (PITCH, NUM_PITCHES, MIN_TRANSPOSITION, MAX_TRANSPOSITION, self.pitches),
            (VELOCITY, NUM_VELOCITIES, -MAX_VELOCITY_CHANGE, MAX_VELOCITY_CHANGE, (0, NUM_VELOCITIES - 1)),
            (TEMPO, NUM_TEMPOS, -MAX_TEMPO_CHANGE, MAX_TEMPO_CHANGE, self.tempos),
        ):
            is_used = is_present[first : first + count]
            shifts.append(drawn_shift(is_used, rng, least=least, most=most, lowest=lowest, highest=highest))
            move_(table, first, count, shifts[-1])
        self.controls.transpose_(table, shifts[0])
