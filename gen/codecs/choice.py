"""Chooses the music codec that suits a corpus, and gives the reason.

Music in expressive time, as a pianist plays it, is for `performance`; music on the grid of its metre, or of several
instruments, is for `beat`. The share of onsets that are on the grid tells the two apart: of played music about one in
twenty at 480 ticks a quarter, which is chance; of written music nearly all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.errors import MidiError
from gen.music.metre import grid_share
from gen.music.midi.read import may_have_pitched_notes, read_midi
from gen.music.score import Score

AUTO_MUSIC: Final = "music"  # stands for the codec that suits the files; part of store keys
MAX_FILES_SAMPLED: Final = 64  # at even distances
METRIC_SHARE: Final = 0.5  # of the onsets on the grid, from which music is metric
BAND_SHARE: Final = 0.25  # of the files with several instruments, from which a corpus is for `beat`

MusicCodec = PerformanceCodec | BeatCodec


class ChosenCodec(NamedTuple):
    """A codec and the reason in a few words; None where it was named."""

    codec: MusicCodec
    reason: str | None


def choose_music(paths: Sequence[Path], name: str = AUTO_MUSIC) -> ChosenCodec:
    """Returns the codec for the MIDI files of a corpus. Files that cannot be read are passed over.

    Args:
        name: "beat" or "performance", or "music" for the one that suits.
    """
    if name == AUTO_MUSIC:
        return _suitable(paths)
    return ChosenCodec(BeatCodec() if name == BeatCodec.name else choose_performance(paths), None)


def specs_before_choice(name: str) -> Any:
    """Returns the specs of what `choose_music` may take for a name, which store keys hold."""
    beat, performance = BeatCodec().spec(), PerformanceCodec().spec()
    return [name, performance, beat] if name == AUTO_MUSIC else beat if name == BeatCodec.name else performance


def choose_performance(paths: Sequence[Path]) -> PerformanceCodec:
    """Returns the codec of drums if the usable files hold nothing else, or else that of pitched notes.

    The bytes alone tell of most files of drums that they are, so that only the first file with pitched notes is read.
    """
    is_usable = False
    for path in paths:
        try:
            if is_usable and not may_have_pitched_notes(path):
                continue
            score, _ = read_midi(path)
        except MidiError:
            continue
        if any(not track.is_drum for track in score.tracks):
            return PerformanceCodec()
        is_usable = True
    return PerformanceCodec(is_drums=is_usable)


def _suitable(paths: Sequence[Path]) -> ChosenCodec:
    scores = _sampled_scores(paths)
    if not scores:
        return ChosenCodec(BeatCodec(), "no file can be read")
    on_grid = _weighted_grid_share(scores)
    timing = f"{_tenths(on_grid)} onsets are on the grid"
    if on_grid >= METRIC_SHARE:
        return ChosenCodec(BeatCodec(), timing)
    bands = float(np.mean([len({(track.program, track.is_drum) for track in score.tracks}) > 1 for score in scores]))
    if bands >= BAND_SHARE:
        return ChosenCodec(BeatCodec(), f"{_tenths(bands)} files have several instruments")
    performance = choose_performance(paths)
    return ChosenCodec(performance, f"{'only drums, and ' if performance.is_drums else ''}{timing}")


def _sampled_scores(paths: Sequence[Path]) -> list[Score]:
    """Returns the scores of some files at even distances; of the files after those while none can be read."""
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
    """Returns the share of the notes of all scores that begin on the grid."""
    return float(np.average([grid_share(score) for score in scores], weights=[score.num_notes for score in scores]))


def _tenths(share: float) -> str:
    """Returns a share in words: "all", "9 of 10"; never all or none unless it is so."""
    if share >= 1:
        return "all"
    return f"{min(9, max(1, round(10 * share)))} of 10" if share > 0 else "no"
