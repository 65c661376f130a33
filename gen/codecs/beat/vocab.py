"""The symbols of the beat codec, and the first id of each kind.

    Bar                a bar begins
    TimeSignature_n/d  its metre, where it changes
    Tempo_x            quarters a minute: 35 levels an octave, 2 % apart, from 15 to 480
    Position_k         the next events are k 24ths of a quarter after the bar line
    MicroTiming_x      and moved by x ticks, 16 of which are a position: -8 to 7, never 0
    Program_p          the instrument of the pitches that follow
    Velocity_v         MIDI velocity 4 v to 4 v + 3 of the program of the next Pitch, or of drums
    Pitch_p            a note begins
    Drum_p             a drum is struck, the one that this pitch is on the drum channel
    Duration_d         the note lasts d 24ths of a quarter; after Duration_96, a whole note, another may be added

Then come the symbols of controls, `Begin` and `End`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, Vocab
from gen.music.metre import GRID_TICKS, POSITION_TICKS, POSITIONS
from gen.music.score import TimeSignature

NUM_PITCHES: Final = 128
NUM_PROGRAMS: Final = 128
DRUMS: Final = 128  # the number of drums among players, after all programs
NUM_PLAYERS: Final = NUM_PROGRAMS + 1
VELOCITY_WIDTH: Final = 4  # MIDI velocities to a symbol
NUM_VELOCITIES: Final = 128 // VELOCITY_WIDTH
MAX_DURATION: Final = 96  # positions of one symbol
MAX_BAR_POSITIONS: Final = 8 * POSITIONS  # 4/2
DENOMINATORS: Final = (1, 2, 4, 8, 16, 32)
_MAX_NUMERATOR = 24
SIGNATURES: Final = tuple(
    (numerator, denominator)
    for denominator in DENOMINATORS
    for numerator in range(1, _MAX_NUMERATOR + 1)
    if numerator * 4 * POSITIONS <= MAX_BAR_POSITIONS * denominator
)
NUM_TEMPOS: Final = 176
EARLIEST: Final = -POSITION_TICKS // 2  # of MicroTiming, in ticks
LATEST: Final = EARLIEST + POSITION_TICKS - 1

BAR: Final = 0
TIME_SIGNATURE: Final = 1  # the id of the first of SIGNATURES
TEMPO: Final = TIME_SIGNATURE + len(SIGNATURES)
POSITION: Final = TEMPO + NUM_TEMPOS  # the id of Position_0
MICRO_TIMING: Final = POSITION + MAX_BAR_POSITIONS  # the id of MicroTiming_-8; there is none of 0
PROGRAM: Final = MICRO_TIMING + POSITION_TICKS - 1  # the id of Program_0
VELOCITY: Final = PROGRAM + NUM_PROGRAMS
PITCH: Final = VELOCITY + NUM_VELOCITIES
DRUM: Final = PITCH + NUM_PITCHES
DURATION: Final = DRUM + NUM_PITCHES  # the id of Duration_1; d positions are DURATION + d - 1
NUM_SYMBOLS: Final = DURATION + MAX_DURATION  # without controls, Begin and End
LAST_DURATION: Final = NUM_SYMBOLS - 1

_MIN_BPM = 15
_LEVELS_AN_OCTAVE = 35
_BPM = [_MIN_BPM * 2 ** (level / _LEVELS_AN_OCTAVE) for level in range(NUM_TEMPOS)]
LEVEL_US: Final = np.array([round(60e6 / bpm) for bpm in _BPM])  # microseconds a quarter of each level, descending
_HALF_A_LEVEL = 2 ** (0.5 / _LEVELS_AN_OCTAVE)
MICRO_TIMINGS: Final = tuple(ticks for ticks in range(EARLIEST, LATEST + 1) if ticks)
# By ticks less EARLIEST; -1 for 0 ticks, which has no symbol.
MICRO_TIMING_IDS: Final = np.array(
    [MICRO_TIMING + ticks - EARLIEST - (ticks > 0) if ticks else -1 for ticks in range(EARLIEST, LATEST + 1)]
)


def beat_vocab(added: Sequence[str] = ()) -> Vocab:
    """Returns the vocabulary, with added symbols before Begin and End."""
    return Vocab(
        (
            "Bar",
            *(f"TimeSignature_{numerator}/{denominator}" for numerator, denominator in SIGNATURES),
            *(f"Tempo_{bpm:.4g}" for bpm in _BPM),
            *(f"Position_{position}" for position in range(MAX_BAR_POSITIONS)),
            *(f"MicroTiming_{ticks}" for ticks in MICRO_TIMINGS),
            *(f"Program_{program}" for program in range(NUM_PROGRAMS)),
            *(f"Velocity_{level}" for level in range(NUM_VELOCITIES)),
            *(f"Pitch_{pitch}" for pitch in range(NUM_PITCHES)),
            *(f"Drum_{pitch}" for pitch in range(NUM_PITCHES)),
            *(f"Duration_{positions}" for positions in range(1, MAX_DURATION + 1)),
            *added,
            BEGIN,
            END,
        )
    )


def tempo_levels(tempos_us: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the level nearest by ratio to each of (N,) tempos in microseconds a quarter."""
    octaves = np.log2(60e6 / _MIN_BPM / tempos_us)
    levels = np.clip(np.rint(octaves * _LEVELS_AN_OCTAVE), 0, NUM_TEMPOS - 1)
    return np.asarray(levels, dtype=np.int64)


def note_values(tempos_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns how often note values are halved so that each of (N,) tempos has a level; negative for doubled."""
    halved = np.ceil(np.log2(LEVEL_US[-1] / _HALF_A_LEVEL / tempos_us))
    doubled = np.ceil(np.log2(tempos_us / (LEVEL_US[0] * _HALF_A_LEVEL)))
    return np.asarray(np.maximum(halved, 0) - np.maximum(doubled, 0), dtype=np.int64)


def bar_ticks(signature: int) -> int:
    """Returns the ticks of the grid in a bar; `signature` is an index into `SIGNATURES`."""
    numerator, denominator = SIGNATURES[signature]
    return numerator * 4 * GRID_TICKS // denominator


def signature_at(onset_ticks: int, signature: int) -> TimeSignature:
    """Returns the time signature at an index of `SIGNATURES`."""
    return TimeSignature(onset_ticks, *SIGNATURES[signature])


def level_velocity(level: int) -> int:
    """Returns the MIDI velocity in the middle of a Velocity symbol's range."""
    return level * VELOCITY_WIDTH + VELOCITY_WIDTH // 2
