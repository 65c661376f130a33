"""Primers: a piece up to one of its bars, which a model continues."""

import math
from dataclasses import replace

import numpy as np

from gen.errors import SettingError
from gen.music.metre import bars_of
from gen.music.score import ChannelEvents, Note, Notes, PedalSpan, Score, Track

_MIDDLE_C, _VELOCITY = 60, 64


def before_bar(score: Score, bar: int) -> Score:
    """Returns the part of a score before a bar; notes that sound into the bar are cut at its beginning.

    Args:
        bar: the number of the bar, from 1, as in a picture of the piece.

    Raises:
        SettingError: the piece has fewer bars, or no note begins before this one.
    """
    bars = bars_of(score)
    if not 1 <= bar <= bars.num_bars:
        raise SettingError(f"--from-bar: must be 1 to {bars.num_bars}, the bars of the primer ({bar})")
    end = math.ceil(bars.start_of(bar))
    cut = replace(
        score,
        tracks=tuple(_before(track, end) for track in score.tracks),
        tempos=tuple(change for change in score.tempos if change.onset_ticks < end),
        time_signatures=tuple(change for change in score.time_signatures if change.onset_ticks < end),
        key_signatures=tuple(change for change in score.key_signatures if change.onset_ticks < end),
        texts=tuple(text for text in score.texts if text.onset_ticks < end),
        stop_ticks=end,
    )
    if not cut.num_notes:
        raise SettingError(f"--from-bar: nothing begins before it ({bar})")
    return cut


def led_to_stop(score: Score, *, is_drum: bool) -> Score:
    """Returns a score that was cut with one more note at its end, so that the ids before that note lead to the end."""
    if score.stop_ticks is None:
        return score
    stop = Track(Notes([Note(score.stop_ticks, 1, _MIDDLE_C, _VELOCITY)]), is_drum=is_drum)
    return replace(score, tracks=(*score.tracks, stop), stop_ticks=None)


def _before(track: Track, end: int) -> Track:
    onsets, durations, pitches, velocities = track.columns[:, track.columns[0] < end]
    durations = np.minimum(durations, end - onsets)
    pedal = (PedalSpan(start, min(length, end - start)) for start, length in track.pedal if start < end)
    return replace(
        track,
        notes=Notes(np.stack((onsets, durations, pitches, velocities))),
        pedal=tuple(pedal),
        events=ChannelEvents(track.events.columns[:, track.events.columns[0] < end]),
    )
