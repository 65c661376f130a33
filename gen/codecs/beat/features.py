"""Named features of music in the beat codec, after each id.

position in the bar      quarters since the bar line
position in the beat     the same within a quarter
first beat               1 in the first quarter of a bar
position in the piece    bars since the beginning
bar of four              the same within four bars, a usual phrase
density                  notes in the bar so far
notes at this time       notes that have begun at the last position: which voice comes next
register, loudness       pitch and velocity level of the last note
program p, drums         1 where the last note or Program is of that instrument
key C, ..., minor key    1 where the last notes are in it
"""

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.codecs.beat.vocab import (
    BAR,
    DRUM,
    DRUMS,
    DURATION,
    MAX_BAR_POSITIONS,
    NUM_PROGRAMS,
    NUM_VELOCITIES,
    PITCH,
    POSITION,
    PROGRAM,
    VELOCITY,
)
from gen.codecs.music_features import Bools, Floats, as_floats, key_features, latest, since
from gen.music.metre import POSITIONS

PHRASE_BARS = 4


def beat_features(ids: IdArray) -> dict[str, Floats]:
    """Returns the (N,) features of (N,) ids by their names."""
    tokens = ids.astype(np.int64)
    is_bar, is_position = tokens == BAR, _among(tokens, POSITION, MAX_BAR_POSITIONS)
    is_pitch, is_drum = (tokens >= PITCH) & (tokens < DRUM), (tokens >= DRUM) & (tokens < DURATION)
    bars = np.cumsum(is_bar)
    positions = latest(np.where(is_bar, 0, tokens - POSITION), is_bar | is_position)
    return {
        "position in the bar": as_floats(positions / POSITIONS),
        "position in the beat": as_floats(positions % POSITIONS / POSITIONS),
        "first beat": as_floats(positions < POSITIONS),
        "position in the piece": as_floats(bars),
        "bar of four": as_floats((bars - 1) % PHRASE_BARS),
        "density": as_floats(since(is_bar, is_pitch | is_drum)),
        "notes at this time": as_floats(since(is_bar | is_position, is_pitch | is_drum)),
        "register": as_floats(latest(tokens - PITCH, is_pitch)),
        "loudness": as_floats(latest(tokens - VELOCITY, _among(tokens, VELOCITY, NUM_VELOCITIES))),
        **_players(tokens, is_drum),
        **key_features(tokens - PITCH, is_pitch),
    }


def _players(tokens: NDArray[np.int64], is_drum: Bools) -> dict[str, Floats]:
    """Returns for each instrument of (N,) ids whether the last note or Program is of it."""
    is_program = _among(tokens, PROGRAM, NUM_PROGRAMS)
    players = latest(np.where(is_drum, DRUMS, tokens - PROGRAM), is_drum | is_program)
    return {
        "drums" if player == DRUMS else f"program {player}": as_floats(players == player)
        for player in np.unique(players).tolist()
    }


def _among(tokens: NDArray[np.int64], first: int, count: int) -> Bools:
    return (tokens >= first) & (tokens < first + count)
