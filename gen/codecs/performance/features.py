"""Named features of music in the performance codec, after each id.

position in the piece    seconds since the beginning
time since the last note seconds
notes sounding           how many keys are down
density                  notes in the last two seconds
register, loudness       pitch and velocity level of the last note
key C, ..., minor key    1 where the last notes are in it
"""

import numpy as np

from gen.codec import IdArray
from gen.codecs.music_features import Floats, as_floats, key_features, latest
from gen.codecs.performance.vocab import CONTROL, FRAMES_PER_SECOND, NOTE_OFF, NOTE_ON, TIME_SHIFT, VELOCITY

DENSITY_FRAMES = 2 * FRAMES_PER_SECOND


def performance_features(ids: IdArray) -> dict[str, Floats]:
    """Returns the (N,) features of (N,) ids by their names."""
    tokens = ids.astype(np.int64)
    is_on, is_off = tokens < NOTE_OFF, (tokens >= NOTE_OFF) & (tokens < TIME_SHIFT)
    is_shift = (tokens >= TIME_SHIFT) & (tokens < VELOCITY)
    frames = np.cumsum(np.where(is_shift, tokens - TIME_SHIFT + 1, 0))
    num_notes = np.append(0, np.cumsum(is_on))
    long_ago = np.searchsorted(frames, frames - DENSITY_FRAMES, side="right")
    return {
        "position in the piece": as_floats(frames / FRAMES_PER_SECOND),
        "time since the last note": as_floats((frames - latest(frames, is_on)) / FRAMES_PER_SECOND),
        "notes sounding": as_floats(np.cumsum(is_on) - np.cumsum(is_off)),
        "density": as_floats(num_notes[1:] - num_notes[long_ago]),
        "register": as_floats(latest(tokens - NOTE_ON, is_on)),
        "loudness": as_floats(latest(tokens - VELOCITY, (tokens >= VELOCITY) & (tokens < CONTROL))),
        **key_features(tokens, is_on),
    }
