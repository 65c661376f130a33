"""What goes on from a score, from the grid of the beat codec back to the ticks of the score.

The silences that the layout cut are there again, and the tempo is that of the score, so a note that goes on stands on
the score's own beat.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gen.codecs.beat_decoder import Piece
from gen.codecs.beat_layout import BeatLayout
from gen.music.metre import GRID_TICKS
from gen.music.score import NoteEvent, Notes, Score, Tempo, TimeSignature, Track

Ints = NDArray[np.int64]


def further(pieces: Sequence[Piece], opening: Sequence[Piece]) -> list[Piece]:
    """Returns the notes beyond those of an opening, and all tempos and signatures.

    The last note of an opening may be longer among the pieces; it is still that note.
    """
    num_left = sum(isinstance(piece, NoteEvent) for piece in opening)
    kept: list[Piece] = []
    for piece in pieces:
        if num_left and isinstance(piece, NoteEvent):
            num_left -= 1
        else:
            kept.append(piece)
    return kept


def placed(added: Score, opening: Sequence[Piece], layout: BeatLayout | None, *, ticks_per_beat: int) -> Score:
    """Returns what goes on from a score at its place in it.

    Args:
        added: on the grid; its first tempos and time signatures are those of the opening, which are left out.
        opening: what the score says.
        layout: of the score; None if it has no notes.
        ticks_per_beat: of the result, those of the score or a multiple of them.
    """
    moved = 0 if layout is None else int(layout.cuts[:, 1].sum())

    def ticks(grid_ticks: int | Ints) -> Ints:
        return np.asarray((2 * (grid_ticks + moved) * ticks_per_beat + GRID_TICKS) // (2 * GRID_TICKS))

    def placed_track(track: Track) -> Track:
        onsets, durations, pitches, velocities = track.columns
        starts, ends = ticks(onsets), ticks(onsets + durations)
        columns = np.stack((starts, np.maximum(ends - starts, 1), pitches, velocities))
        return Track(Notes(columns), track.program, track.is_drum)

    num_tempos = sum(isinstance(piece, Tempo) for piece in opening)
    num_signatures = sum(isinstance(piece, TimeSignature) for piece in opening)
    return Score(
        tuple(placed_track(track) for track in added.tracks),
        ticks_per_beat,
        tuple(change._replace(onset_ticks=int(ticks(change.onset_ticks))) for change in added.tempos[num_tempos:]),
        tuple(
            change._replace(onset_ticks=int(ticks(change.onset_ticks)))
            for change in added.time_signatures[num_signatures:]
        ),
    )
