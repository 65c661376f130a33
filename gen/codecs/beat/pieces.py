"""The notes of beat ids, and the ids that belong to each.

A note has its Pitch with the Durations after it, or its Drum, and all that leads there from the note before: bar lines,
metre, tempo, position, program and velocity.
"""

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray, Pieces
from gen.codecs.beat import vocab
from gen.codecs.beat.cursor import BeatCursor, BeatNote, Event, Phase
from gen.codecs.beat.decoder import BeatDecoder
from gen.music.score import NoteEvent


def beat_pieces(ids: IdArray) -> Pieces[NoteEvent]:
    """Returns the notes in the order of their ids, and (N,) the note that each id belongs to."""
    decoder = BeatDecoder()
    pieces = [piece for token in ids.tolist() for piece in decoder.push(token)]
    return Pieces([piece for piece in (*pieces, *decoder.finish()) if isinstance(piece, NoteEvent)], _owners(ids))


def _owners(ids: IdArray) -> NDArray[np.int64]:
    owners = np.full(len(ids), -1, np.int64)
    cursor = BeatCursor()
    num_notes = start = 0  # of the ids, the first that belongs to no note yet
    for at, token in enumerate(ids.tolist()):
        is_length = vocab.DURATION <= token < vocab.NUM_SYMBOLS and cursor.phase in (Phase.PITCH, Phase.LONG)
        events = cursor.advance(token)
        is_pitch = vocab.PITCH <= token < vocab.DRUM and cursor.phase == Phase.PITCH
        is_drum = vocab.DRUM <= token < vocab.DURATION and _is_drum(events[-1:])
        num_notes += is_pitch or is_drum
        if is_length or is_pitch or is_drum:
            owners[start : at + 1], start = num_notes - 1, at + 1
    owners[ids >= vocab.NUM_SYMBOLS] = -1
    return owners


def _is_drum(events: tuple[Event, ...]) -> bool:
    """Tells whether a drum was struck, which the cursor leaves out where it still sounds."""
    return any(isinstance(event, BeatNote) and event.player == vocab.DRUMS for event in events)
