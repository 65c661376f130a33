"""The symbols of the performance codec, 390 without controls, and the first id of each kind.

Oore et al. 2018, "This Time with Feeling": 128 NoteOn, 128 NoteOff, 100 TimeShift, 32 Velocity. Then come the symbols
of the codec's controls, if it has any (`gen.codecs.controls`), and Begin and End. Times are in frames of 10 ms.
"""

from functools import cache
from typing import Final

from gen.codec import BEGIN, END, Vocab
from gen.codecs.controls import control_symbols

FRAMES_PER_SECOND: Final = 100
MAX_SHIFT: Final = 100  # frames: the longest TimeShift lasts a second
VELOCITY_WIDTH: Final = 4  # MIDI velocities per symbol: Velocity_20 stands for 80 to 83

NOTE_ON: Final = 0  # the id of NoteOn_0; pitch p is NOTE_ON + p
NOTE_OFF: Final = 128
TIME_SHIFT: Final = 256  # the id of TimeShift_1; f frames are TIME_SHIFT + f - 1
VELOCITY: Final = TIME_SHIFT + MAX_SHIFT
NUM_VELOCITIES: Final = 128 // VELOCITY_WIDTH
NUM_PITCHES: Final = 128
CONTROL: Final = VELOCITY + NUM_VELOCITIES
SPAN: Final = 100  # frames; the control tokens stand where a span begins
DENSITY_SPANS: Final = 2  # spans whose notes a density counts


@cache
def performance_vocab(controls: tuple[str, ...] = ()) -> Vocab:
    """Returns the vocabulary with the symbols of the given controls."""
    return Vocab(
        (
            *(f"NoteOn_{pitch}" for pitch in range(NUM_PITCHES)),
            *(f"NoteOff_{pitch}" for pitch in range(NUM_PITCHES)),
            *(f"TimeShift_{frames}" for frames in range(1, MAX_SHIFT + 1)),
            *(f"Velocity_{level}" for level in range(NUM_VELOCITIES)),
            *control_symbols(controls),
            BEGIN,
            END,
        )
    )
