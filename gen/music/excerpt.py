"""A piece up to one of its bars: the primer that a model goes on from."""

from dataclasses import replace
from itertools import chain, islice

import numpy as np

from gen.errors import SettingError
from gen.music.metre import GRID_TICKS, bar_ticks, stretches, to_grid
from gen.music.score import Notes, PedalSpan, Score, Track


def before_bar(score: Score, bar: int) -> Score:
    """Returns what sounds before a bar begins; what goes on into it is cut there.

    Args:
        bar: counted from 1, by the time signatures as `gen.music.metre` reads them.

    Raises:
        SettingError: the piece has fewer bars, or nothing begins before this one.
    """
    onsets = np.concatenate([track.columns[0] for track in score.tracks])
    until = int(to_grid(onsets, ticks_per_beat=score.ticks_per_beat).max(initial=0))
    found, _ = stretches(score, until=until)
    starts = chain.from_iterable(range(s.start, s.end, bar_ticks(s.signature)) for s in found)
    start = next(islice(starts, bar - 1, None), None) if bar >= 1 else None
    if start is None:
        num_bars = sum(stretch.num_bars for stretch in found)
        raise SettingError(f"--from-bar: must be 1 to {num_bars}, the bars of the primer ({bar})")
    end = -(-start * score.ticks_per_beat // GRID_TICKS)
    cut = replace(
        score,
        tracks=tuple(_before(track, end) for track in score.tracks),
        tempos=tuple(change for change in score.tempos if change.onset_ticks < end),
        time_signatures=tuple(change for change in score.time_signatures if change.onset_ticks < end),
        key_signatures=tuple(change for change in score.key_signatures if change.onset_ticks < end),
    )
    if not cut.num_notes:
        raise SettingError(f"--from-bar: nothing begins before it ({bar})")
    return cut


def _before(track: Track, end: int) -> Track:
    onsets, durations, pitches, velocities = track.columns[:, track.columns[0] < end]
    durations = np.minimum(durations, end - onsets)
    pedal = (PedalSpan(start, min(length, end - start)) for start, length in track.pedal if start < end)
    return replace(track, notes=Notes(np.stack((onsets, durations, pitches, velocities))), pedal=tuple(pedal))
