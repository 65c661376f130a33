"""Which music codec suits a corpus, and why.

Expressive time, as of a pianist who plays freely, is for `performance`; music on the grid of its metre, or of several
instruments, is for `beat`. Timing is told by how many onsets stand on a position: of played music as many as chance has
it, one in twenty at 480 ticks a quarter; of written music nearly all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec, choose_performance
from gen.errors import MidiError
from gen.music.metre import grid_share
from gen.music.midi.read import read_midi
from gen.music.score import Score

MAX_FILES_SAMPLED = 64  # files, at even distances
METRIC_SHARE = 0.5  # of the onsets on a position
BAND_SHARE = 0.25  # of the files with several instruments

MusicCodec = PerformanceCodec | BeatCodec


class Choice(NamedTuple):
    """A codec and the reason in a few words."""

    codec: MusicCodec
    reason: str


def choose_music(paths: Sequence[Path]) -> Choice:
    """Returns the codec for the MIDI files of a corpus; those that cannot be read say nothing."""
    scores = _looked_at(paths)
    if not scores:
        return Choice(BeatCodec(), "no file can be read")
    on_grid = _weighted_grid_share(scores)
    timing = f"{_tenths(on_grid)} onsets are on the grid"
    if on_grid >= METRIC_SHARE:
        return Choice(BeatCodec(), timing)
    bands = float(np.mean([len({(track.program, track.is_drum) for track in score.tracks}) > 1 for score in scores]))
    if bands >= BAND_SHARE:
        return Choice(BeatCodec(), f"{_tenths(bands)} files have several instruments")
    performance = choose_performance(paths)
    return Choice(performance, f"{'only drums, and ' if performance.is_drums else ''}{timing}")


def _looked_at(paths: Sequence[Path]) -> list[Score]:
    """Returns the scores of some files at even distances; of further ones while there is none."""
    step = -(-len(paths) // MAX_FILES_SAMPLED) or 1
    scores: list[Score] = []
    for start in range(step):
        for path in paths[start::step]:
            try:
                scores.append(read_midi(path)[0])
            except MidiError:
                continue
        if scores:
            break
    return scores


def _weighted_grid_share(scores: Sequence[Score]) -> float:
    """Returns which share of the notes of all scores is on the grid."""
    return float(np.average([grid_share(score) for score in scores], weights=[score.num_notes for score in scores]))


def _tenths(share: float) -> str:
    """Returns a share in words: "all", "9 of 10"; never all or none unless it is so."""
    if share >= 1:
        return "all"
    return f"{min(9, max(1, round(10 * share)))} of 10" if share > 0 else "no"
