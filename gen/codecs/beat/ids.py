"""The ids of a layout in bars, and the lengths of notes among ids: the arithmetic of the beat codec on arrays."""

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.codecs.beat.layout import EARLY_TICKS, BeatLayout, GridNotes
from gen.codecs.beat.vocab import (
    BAR,
    DRUM,
    DRUMS,
    DURATION,
    LAST_DURATION,
    MAX_DURATION,
    MICRO_TIMING_IDS,
    NUM_SYMBOLS,
    PITCH,
    POSITION,
    PROGRAM,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    VELOCITY_WIDTH,
)
from gen.music.metre import POSITION_TICKS
from gen.music.score import differences

_NONE = -1
# Columns of a table with a row for each bar, tempo and note; its ids are the columns that are filled, left to right.
_BAR, _METRE, _TEMPO, _POSITION, _MICRO_TIMING, _TEMPO_HERE, _PROGRAM, _VELOCITY, _PITCH, _LONG, _REST = range(11)

Ints = NDArray[np.int64]


def layout_ids(layout: BeatLayout) -> IdArray:
    """Returns the (N,) ids of a layout in the order that `gen.codecs.beat.grammar` describes."""
    bars, notes = layout.bars, layout.notes
    tempo_ticks, levels = layout.tempos.T
    tempo_bars = bars.of(tempo_ticks)
    opens_bar = tempo_ticks == bars.starts[tempo_bars]
    num_bars, num_tempos = len(bars.starts), int(np.count_nonzero(~opens_bar))
    ticks = np.concatenate((bars.starts, tempo_ticks[~opens_bar] + EARLY_TICKS, notes.onsets + EARLY_TICKS))
    ranks = np.concatenate((np.zeros(num_bars, np.int64), np.ones(num_tempos, np.int64), _ranks(notes) + 2))
    order = np.argsort(ticks << 16 | ranks)
    rows = np.empty_like(order)
    rows[order] = np.arange(len(order))
    at_bars, at_tempos, at_notes = rows[:num_bars], rows[num_bars:][:num_tempos], rows[num_bars + num_tempos :]

    table = np.full((11, len(order)), _NONE, np.int16)
    table[_BAR, at_bars] = BAR
    is_new_metre = differences(bars.signatures, before=-1) != 0
    table[_METRE, at_bars[is_new_metre]] = TIME_SIGNATURE + bars.signatures[is_new_metre]
    table[_TEMPO, at_bars[tempo_bars[opens_bar]]] = TEMPO + levels[opens_bar]
    table[_TEMPO_HERE, at_tempos] = TEMPO + levels[~opens_bar]
    num_longest = _fill_notes_(table, at_notes, notes)
    _fill_positions_(table, ticks[order])

    is_filled = table.T != _NONE
    ids: IdArray = table.T[is_filled].astype(np.uint16)
    if num_longest.max() > 1:
        repeats = np.ones((len(order), 11), np.int64)
        repeats[at_notes, _LONG] = np.maximum(num_longest, 1)
        ids = np.repeat(ids, repeats[is_filled])
    return ids


def note_positions(ids: IdArray) -> Ints:
    """Returns the lengths in positions of the (N,) pitched notes of ids, which begin and end between notes."""
    is_duration = (ids >= DURATION) & (ids < NUM_SYMBOLS)
    starts = np.flatnonzero(is_duration & np.concatenate(([True], ~is_duration[:-1])))
    if not len(starts):
        return np.zeros(0, np.int64)
    return np.add.reduceat(np.where(is_duration, ids.astype(np.int64) - DURATION + 1, 0), starts)


def _ranks(notes: GridNotes) -> Ints:
    """Returns the rank of each of (N,) notes among those of its onset."""
    return notes.programs << 7 | notes.pitches


def _fill_notes_(table: NDArray[np.int16], at: Ints, notes: GridNotes) -> Ints:
    """Fills the (N,) rows `at` with notes, without times; returns the number of Duration_96 before each last one."""
    is_pitched = notes.programs != DRUMS
    programs = notes.programs[is_pitched]
    is_new_program = differences(programs, before=-1) != 0
    table[_PROGRAM, at[is_pitched][is_new_program]] = PROGRAM + programs[is_new_program]
    levels = notes.velocities // VELOCITY_WIDTH
    by_program = np.argsort(notes.programs.astype(np.uint8), kind="stable")  # few bits sort by radix
    is_new = differences((notes.programs << 7 | levels)[by_program], before=-1) != 0
    table[_VELOCITY, at[by_program[is_new]]] = VELOCITY + levels[by_program[is_new]]
    table[_PITCH, at] = np.where(is_pitched, PITCH, DRUM) + notes.pitches
    num_longest = np.maximum(notes.positions - 1, 0) // MAX_DURATION
    table[_LONG, at[num_longest > 0]] = LAST_DURATION
    table[_REST, at[is_pitched]] = (DURATION - 1 + notes.positions - num_longest * MAX_DURATION)[is_pitched]
    return num_longest


def _fill_positions_(table: NDArray[np.int16], ticks: Ints) -> None:
    """Writes Position and MicroTiming at the first row of each time; `ticks` are those of the rows plus EARLY_TICKS."""
    is_bar = table[_BAR] != _NONE
    starts = np.maximum.accumulate(np.where(is_bar, ticks, 0))
    is_first = ~is_bar & ((differences(ticks, before=-1) != 0) | np.concatenate(([False], is_bar[:-1])))
    positions, micro_timings = np.divmod((ticks - starts)[is_first], POSITION_TICKS)
    table[_POSITION, is_first] = POSITION + positions
    table[_MICRO_TIMING, is_first] = MICRO_TIMING_IDS[micro_timings]
