"""The notes of performance ids, and the ids that belong to each.

The TimeShifts and the Velocity before a NoteOn belong to the note that it begins; the TimeShifts before a NoteOff, and
the NoteOff itself, to the note that it ends.
"""

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray, Pieces
from gen.codecs.performance.decoder import PerformanceDecoder
from gen.codecs.performance.vocab import CONTROL, FRAMES_PER_SECOND, NOTE_OFF, TIME_SHIFT, VELOCITY
from gen.music.score import NoteEvent

_Begun = tuple[int, int]  # onset in frames, and pitch: no two notes have both in common


def performance_pieces(ids: IdArray) -> Pieces[NoteEvent]:
    """Returns the notes in the order of their NoteOns, and (N,) the note that each id belongs to."""
    begun, owners = _owners(ids)
    decoder = PerformanceDecoder()
    notes = [note for token in ids.tolist() for note in decoder.push(token)]
    by_begin = {
        (round(note.onset_seconds * FRAMES_PER_SECOND), note.pitch): note for note in (*notes, *decoder.finish())
    }
    return Pieces([by_begin[begin] for begin in begun], owners)


def _owners(ids: IdArray) -> tuple[list[_Begun], NDArray[np.int64]]:
    """Returns when each note begins, with its pitch, and (N,) the note that each id belongs to."""
    owners = np.full(len(ids), -1, np.int64)
    begun: dict[_Begun, int] = {}
    sounding: dict[int, int] = {}  # by pitch, the index of the note
    now = start = 0  # frames; the first id that belongs to no note yet
    for at, token in enumerate(ids.tolist()):
        owner: int | None = None
        if token < NOTE_OFF and (now, token) not in begun:
            owner = sounding[token] = begun[now, token] = len(begun)
        elif NOTE_OFF <= token < TIME_SHIFT:
            owner = sounding.pop(token - NOTE_OFF, None)
        elif TIME_SHIFT <= token < VELOCITY:
            now += token - TIME_SHIFT + 1
        if owner is not None:
            owners[start : at + 1], start = owner, at + 1
    owners[ids >= CONTROL] = -1
    return list(begun), owners
