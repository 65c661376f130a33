"""The layout of a score for the beat codec: notes of programs in bars, tempos, and counts of what was changed.

The rules, beside those for bars in `gen.codecs.beat.bars`; each change of a score is counted under the name in quotes:

- Onsets are rounded to the nearest of 384 ticks a quarter, which is exact for a file of 24, 48, 96, 192 or 384 ticks
  and for its triplets in any other: "onsets rounded".
- The sustain pedal is applied to lengths, as in `gen.music.midi.rules`: a note that it holds sounds until the pedal
  rises or its program strikes the pitch again, whichever is first: "notes held by the pedal".
- Lengths are rounded to the nearest 24th of a quarter, and are one at least: "lengths rounded". None is longer than
  `MAX_POSITIONS`: "notes shortened".
- Drums have no length, for a drum rings as it does however long its key is down; the decoder gives each
  `DRUM_TICKS`. This is not counted.
- All tracks of a program are one, and so are all tracks of drums. GridNotes of one pitch that begin too close for the
  shortest length (a position; drums `DRUM_TICKS`) become one, the loudest, that lasts as long as the longest: "unisons
  joined". A pitch struck while it sounds ends the note before: "overlapping notes cut", or "notes cut by another
  voice" where the two are of different tracks.
- Past `MAX_PROGRAMS` programs, as many as a port has channels for, those with the fewest notes are left out: "notes
  of further programs left out".
- More than `MAX_SILENT_BARS` bars in a row in which nothing begins or sounds are cut to as many: "silences cut".
- A tempo that the codec is too slow or too fast for becomes one in another note value (`gen.codecs.beat.grid`), and no
  second changes: "tempos in another note value".
- A tempo becomes the nearest level: "tempos rounded". It begins at the nearest position: "tempos moved"; of several
  there the last counts, and those that begin after the last note are left out: "tempos left out".
- More than `MAX_BARS` bars are refused.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codecs.beat.bars import SIGNATURES_MOVED, SIGNATURES_REPLACED, equal_bars
from gen.codecs.beat.grid import Grid, grid_of
from gen.codecs.beat.vocab import DRUMS, LEVEL_US, MAX_BAR_POSITIONS, bar_ticks, note_values, tempo_levels
from gen.errors import MidiError
from gen.music.metre import POSITION_TICKS, POSITIONS
from gen.music.midi.rules import NOTES, OVERLAPS, PEDALLED, SILENCES, UNISONS, VOICE_CUTS
from gen.music.pedal import held_ends
from gen.music.score import Score, Track, differences

MAX_POSITIONS: Final = 256 * POSITIONS  # that a note lasts: 64 bars of 4/4
MAX_SILENT_BARS: Final = 8
MAX_PROGRAMS: Final = 15
MAX_BARS: Final = 1 << 17
DRUM_TICKS: Final = 4  # a hundredth of a quarter: 5 ms at 120, so that a flam is two hits
EARLY_TICKS: Final = POSITION_TICKS // 2  # a note this much before a bar line belongs to the bar after it

ONSETS_ROUNDED: Final = "onsets rounded"
LENGTHS_ROUNDED: Final = "lengths rounded"
NOTES_SHORTENED: Final = "notes shortened"
PROGRAMS_LEFT_OUT: Final = "notes of further programs left out"
TEMPOS_IN_OTHER_VALUES: Final = "tempos in another note value"
TEMPOS_ROUNDED: Final = "tempos rounded"
TEMPOS_MOVED: Final = "tempos moved"
TEMPOS_LEFT_OUT: Final = "tempos left out"

REPAIRS: Final = frozenset({OVERLAPS, SILENCES, NOTES_SHORTENED, SIGNATURES_MOVED, SIGNATURES_REPLACED})

_NEVER = 1 << 62
_MAX_TICKS = (MAX_BARS + 1) * MAX_BAR_POSITIONS * POSITION_TICKS + (MAX_POSITIONS + 1) * POSITION_TICKS

Ints = NDArray[np.int64]


class Bars(NamedTuple):
    """(B,) arrays, one number a bar: its start and its length in ticks, the index of its signature in `SIGNATURES`."""

    starts: Ints
    lengths: Ints
    signatures: Ints

    def of(self, ticks: Ints) -> Ints:
        """Returns the index of the bar that holds each of (N,) ticks."""
        return np.searchsorted(self.starts, ticks, side="right") - 1


class GridNotes(NamedTuple):
    """(N,) arrays in ascending order of onset, program and pitch; no pitch of a program sounds twice at once."""

    onsets: Ints  # ticks of the grid
    positions: Ints  # of their lengths; 0 for drums
    programs: Ints  # of each, or DRUMS
    pitches: Ints
    velocities: Ints

    @property
    def ends(self) -> Ints:
        """The end of each, in ticks of the grid."""
        return self.onsets + np.where(self.programs == DRUMS, DRUM_TICKS, self.positions * POSITION_TICKS)


@dataclass(frozen=True, slots=True)
class BeatLayout:
    """A score on the grid.

    Args:
        grid: of the score before silences were cut.
        tempos: (T, 2) onset and level of each, ascending; the first at 0, no two neighbours equal.
        cuts: (C, 2) silences that were cut: a tick on the grid before cuts, and the ticks that were cut before it.
    """

    grid: Grid
    bars: Bars
    notes: GridNotes
    tempos: Ints
    cuts: Ints
    findings: Counter[str]


def lay_out_beats(score: Score) -> BeatLayout:
    """Returns the layout of a score with at least one note. Raises MidiError if it has too many bars."""
    findings: Counter[str] = Counter()
    tracks = _kept(score, findings)
    grid = score_grid(score)
    notes = _settled(tracks, grid, findings)
    bars = _bars(score, grid, notes, findings)
    tempos = _tempos(score, grid, notes, bars, findings)
    findings[NOTES] = len(notes.onsets)
    layout = BeatLayout(grid, bars, notes, tempos, np.zeros((0, 2), np.int64), +findings)
    return _without_silences(layout)


def score_grid(score: Score) -> Grid:
    """Returns the grid of a score, up to the last tick that the codec takes."""
    return grid_of(score, most_ticks=_MAX_TICKS)


def has_notes(score: Score) -> bool:
    """Returns whether a score has a note."""
    return any(len(track.notes) for track in score.tracks)


def _kept(score: Score, findings: Counter[str]) -> list[Track]:
    """Returns the tracks with notes, of at most `MAX_PROGRAMS` programs."""
    tracks = [track for track in score.tracks if len(track.notes)]
    counts: Counter[int] = Counter()
    for track in tracks:
        if not track.is_drum:
            counts[track.program] += len(track.notes)
    if len(counts) <= MAX_PROGRAMS:
        return tracks
    chosen = {program for program, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_PROGRAMS]}
    findings[PROGRAMS_LEFT_OUT] = sum(count for program, count in counts.items() if program not in chosen)
    return [track for track in tracks if track.is_drum or track.program in chosen]


def _settled(tracks: list[Track], grid: Grid, findings: Counter[str]) -> GridNotes:
    """Returns the notes on the grid, unisons joined and each cut at the next of its pitch and program."""
    onset_ticks, durations, pitches, velocities = np.concatenate([track.columns for track in tracks], axis=1)
    sizes = [len(track.notes) for track in tracks]
    programs = np.repeat([DRUMS if track.is_drum else track.program for track in tracks], sizes)
    exact = grid.exact(np.stack((onset_ticks, onset_ticks + durations, held_ends(tracks))))
    findings[ONSETS_ROUNDED] = int(np.count_nonzero(exact[0] % grid.unit))
    onsets, ends, _ = grid.nearest(exact)
    lengths, held = exact[1:] - exact[0]

    keys = programs << 7 | pitches
    order = np.argsort(keys << 48 | onsets, kind="stable")
    columns = (keys, onsets, ends, lengths, held, velocities, np.repeat(np.arange(len(tracks)), sizes))
    keys, onsets, ends, lengths, held, velocities, voices = (a[order] for a in columns)
    is_first = _is_first(keys, onsets)
    if not is_first.all():
        first = np.flatnonzero(is_first)
        findings[UNISONS] = len(onsets) - len(first)
        keys, onsets, voices = keys[first], onsets[first], voices[first]
        ends, lengths, held, velocities = (np.maximum.reduceat(a, first) for a in (ends, lengths, held, velocities))

    is_pitched = keys < DRUMS << 7
    limits = np.full_like(onsets, _NEVER)
    limits[:-1][keys[1:] == keys[:-1]] = onsets[1:][keys[1:] == keys[:-1]]  # the pitch is struck again
    cut = np.flatnonzero((ends > limits) & is_pitched)
    findings[OVERLAPS] = int(np.count_nonzero(voices[cut] == voices[np.minimum(cut + 1, len(voices) - 1)]))
    findings[VOICE_CUTS] = len(cut) - findings[OVERLAPS]
    room = np.minimum(limits - onsets, _MAX_TICKS)
    positions = _positions(np.where(is_pitched, held, 0), room, grid, findings)
    findings[PEDALLED] = int(np.count_nonzero(is_pitched & (np.minimum(held, room * grid.unit) > lengths)))
    positions[~is_pitched] = 0
    programs, pitches = keys >> 7, keys & 127
    order = np.argsort(onsets << 15 | keys)
    return GridNotes(*(a[order] for a in (onsets, positions, programs, pitches, velocities)))


def _positions(held: Ints, room: Ints, grid: Grid, findings: Counter[str]) -> Ints:
    """Returns the lengths of (N,) notes in positions.

    Args:
        held: lengths in units of the grid; 0 for drums.
        room: ticks of the grid until its pitch is struck again.
    """
    positions = np.minimum(grid.nearest(held, ticks=POSITION_TICKS), room // POSITION_TICKS)
    is_long = positions > MAX_POSITIONS
    is_rounded = positions * (POSITION_TICKS * grid.unit) != np.minimum(held, room * grid.unit)
    findings[NOTES_SHORTENED] = int(np.count_nonzero(is_long))
    findings[LENGTHS_ROUNDED] = int(np.count_nonzero(is_rounded & ~is_long))
    return np.clip(positions, 1, MAX_POSITIONS)


def _is_first(keys: Ints, onsets: Ints) -> NDArray[np.bool_]:
    """Returns which of (N,) notes, ordered by key and onset, are not joined to one before them."""
    least = np.where(keys >> 7 == DRUMS, DRUM_TICKS, POSITION_TICKS)
    is_first: NDArray[np.bool_] = (differences(keys, before=-1) != 0) | (differences(onsets) >= least)
    if is_first.all():
        return is_first
    # Where three or more stand close together, the third may be far enough from the first.
    last = 0
    for index in np.flatnonzero(~is_first).tolist():
        last = index - 1 if is_first[index - 1] else last
        if onsets[index] - onsets[last] >= least[index]:
            is_first[index] = True
    return is_first


def _bars(score: Score, grid: Grid, notes: GridNotes, findings: Counter[str]) -> Bars:
    """Returns the bars up to the one that holds the last onset."""
    found, bar_findings = equal_bars(score, grid, until=int(notes.onsets[-1]) + EARLY_TICKS)
    num_bars = sum(bars.num_bars for bars in found)
    if num_bars > MAX_BARS:
        raise MidiError(f"score: more than {MAX_BARS} bars ({num_bars})")
    findings += bar_findings
    signatures = np.repeat([bars.signature for bars in found], [bars.num_bars for bars in found])
    lengths = np.repeat([bar_ticks(bars.signature) for bars in found], [bars.num_bars for bars in found])
    return Bars(np.cumsum(lengths) - lengths, lengths, signatures)


def _tempos(score: Score, grid: Grid, notes: GridNotes, bars: Bars, findings: Counter[str]) -> Ints:
    """Returns onset and level of each tempo, as in `BeatLayout`."""
    onset_ticks, tempos_us = score.tempo_changes()
    halvings = note_values(tempos_us)
    findings[TEMPOS_IN_OTHER_VALUES] = int(np.count_nonzero(halvings))
    tempos_us = np.ldexp(tempos_us, halvings)
    exact = grid.exact(onset_ticks)
    positions = grid.nearest(exact, ticks=POSITION_TICKS)
    starts, levels = positions * POSITION_TICKS, tempo_levels(tempos_us)
    findings[TEMPOS_ROUNDED] = int(np.count_nonzero(LEVEL_US[levels] != tempos_us))
    findings[TEMPOS_MOVED] = int(np.count_nonzero(positions * (POSITION_TICKS * grid.unit) != exact))
    is_used = starts <= max(notes.onsets[-1], bars.starts[-1])
    is_used[:-1] &= starts[1:] != starts[:-1]
    is_written = np.arange(len(starts)) >= len(starts) - len(score.tempos)  # the first may be the default of MIDI
    findings[TEMPOS_LEFT_OUT] = int(np.count_nonzero(~is_used & is_written))
    starts, levels = starts[is_used], levels[is_used]
    is_new = differences(levels, before=-1) != 0
    return np.stack((starts[is_new], levels[is_new]), axis=1)


def _without_silences(layout: BeatLayout) -> BeatLayout:
    """Returns the layout with silences cut to the limit."""
    bars, notes = layout.bars, layout.notes
    onset_bars = bars.of(notes.onsets + EARLY_TICKS)
    if differences(onset_bars, before=-1).max() <= MAX_SILENT_BARS:
        return layout
    kept = _kept_bars(bars, notes, onset_bars)
    lengths = bars.lengths[kept]
    starts = np.cumsum(lengths) - lengths
    moves = bars.starts[kept] - starts  # ticks that were cut before each bar that is kept
    tempos = _moved_tempos(layout.tempos, bars, kept, starts)
    is_cut = differences(moves) > 0
    return BeatLayout(
        layout.grid,
        Bars(starts, lengths, bars.signatures[kept]),
        notes._replace(onsets=notes.onsets - moves[np.cumsum(kept)[onset_bars] - 1]),
        tempos,
        np.stack((bars.starts[kept] - EARLY_TICKS, differences(moves)), axis=1)[is_cut],
        layout.findings + Counter({SILENCES: int(np.count_nonzero(is_cut))}),
    )


def _kept_bars(bars: Bars, notes: GridNotes, onset_bars: Ints) -> NDArray[np.bool_]:
    """Returns which bars are not silent, or among the first of a silence; `onset_bars` (N,) are those of the notes."""
    num_bars = len(bars.starts)
    has_onset = np.bincount(onset_bars, minlength=num_bars) > 0
    last_ends = np.concatenate(([0], np.maximum.accumulate(notes.ends)))
    sounds = last_ends[np.searchsorted(notes.onsets + EARLY_TICKS, bars.starts)] > bars.starts
    is_silent = ~(has_onset | sounds)
    indices = np.arange(num_bars)
    last_loud = np.maximum.accumulate(np.where(is_silent, -1, indices))
    return ~is_silent | (indices - last_loud <= MAX_SILENT_BARS)


def _moved_tempos(tempos: Ints, bars: Bars, kept: NDArray[np.bool_], starts: Ints) -> Ints:
    """Returns the tempos after bars were cut; a tempo of a cut bar begins with the next bar that is kept."""
    at, levels = tempos.T
    of_bar = bars.of(at)
    new_bars = np.minimum(np.cumsum(kept)[of_bar] - kept[of_bar], len(starts) - 1)
    at = starts[new_bars] + np.where(kept[of_bar], at - bars.starts[of_bar], 0)
    is_last = np.append(at[1:] != at[:-1], True)
    at, levels = at[is_last], levels[is_last]
    is_new = differences(levels, before=-1) != 0
    return np.stack((at[is_new], levels[is_new]), axis=1)
