"""The performance codec's arithmetic on arrays: from notes on a grid to ids, and from ids to the lengths of notes."""

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.codecs.performance.layout import PerformanceLayout
from gen.codecs.performance.vocab import MAX_SHIFT, NOTE_OFF, NOTE_ON, TIME_SHIFT, VELOCITY, VELOCITY_WIDTH
from gen.music.score import differences


def layout_ids(layout: PerformanceLayout) -> IdArray:
    """Returns the (N,) ids of notes on the grid of frames.

    A note makes two events, a NoteOff and a NoteOn. Events are sorted by frame; within a frame NoteOffs come before
    NoteOns, each in order of pitch. The ids of an event are: the longest TimeShift as often as needed, one TimeShift
    for the rest of the time since the event before, a Velocity if it has changed, and the NoteOn or NoteOff.
    """
    num_notes = len(layout.pitches)
    frames = np.concatenate((layout.end_frames, layout.onset_frames))
    is_on = np.repeat((False, True), num_notes)
    pitches = np.tile(layout.pitches, 2)
    order = np.argsort(frames << 8 | is_on.astype(np.int64) << 7 | pitches)  # no two keys are equal
    frames, is_on, pitches = frames[order], is_on[order], pitches[order]

    levels = layout.velocities // VELOCITY_WIDTH  # (NoteOns,) in the order of the layout, which is that of the events
    is_new_level = np.zeros(2 * num_notes, dtype=bool)
    is_new_level[is_on] = differences(levels, before=-1) != 0

    num_longest, rest = np.divmod(differences(frames), MAX_SHIFT)
    ends = np.cumsum(num_longest + (rest > 0) + is_new_level + 1)  # the index after the last id of each event
    ids = np.full(ends[-1] if num_notes else 0, TIME_SHIFT + MAX_SHIFT - 1, dtype=np.uint16)
    ids[ends - 1] = np.where(is_on, NOTE_ON, NOTE_OFF) + pitches
    ids[(ends - 2)[is_new_level]] = VELOCITY + levels[is_new_level[is_on]]
    has_rest = rest > 0
    ids[(ends - 2 - is_new_level)[has_rest]] = TIME_SHIFT - 1 + rest[has_rest]
    return ids


def note_lengths(ids: IdArray) -> NDArray[np.int64]:
    """Returns the (N,) lengths in frames of the notes of ids as the encoder writes them, by pitch, then onset.

    Notes that do not end within `ids` are left out.
    """
    is_shift = (ids >= TIME_SHIFT) & (ids < VELOCITY)
    now = np.cumsum(np.where(is_shift, ids.astype(np.int64) - TIME_SHIFT + 1, 0))
    events = []  # by pitch, the indices of the NoteOns, then of the NoteOffs
    for start, stop in ((NOTE_ON, NOTE_OFF), (NOTE_OFF, TIME_SHIFT)):
        found = np.flatnonzero((ids >= start) & (ids < stop))
        pitches = ids[found] - start
        order = np.argsort(pitches, kind="stable")
        counts = np.bincount(pitches, minlength=NOTE_OFF - NOTE_ON)
        events.append(np.split(found[order], np.cumsum(counts)[:-1]))
    lengths = [now[offs] - now[ons[: len(offs)]] for ons, offs in zip(*events, strict=True)]
    return np.concatenate(lengths)
