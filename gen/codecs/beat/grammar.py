"""The grammar of metric music: an automaton that allows exactly the documents that the encoder writes.

The language: Bar, in the first bar and where it changes TimeSignature, then likewise Tempo. Then, at ascending times,
Position and perhaps MicroTiming, perhaps a new Tempo (not at the bar line, not with a MicroTiming), and notes in order
of program, then pitch, and drums last: Program where it is not that of the Pitch before, Velocity where it is not that
of the program's note before, Pitch, and Durations: Duration_96 as often as it fits, and at most one more. For drums
Velocity where it is not that of the Drum before, and Drum. No pitch begins while its program sounds it, no more
programs play than MIDI has channels, and no more bars in a row are silent than the limit. A document ends with a note.

Fitted to a corpus, it allows no metre, tempo, program or drum that the corpus lacks, and no note longer than nearly all
of its notes.

With C controls, all their tokens stand right after each Bar, in their order, with the values that are asked for.

One exception: a document may be cut after any id that leaves no note unfinished, so also after a Bar or one of its
controls, which then have no effect.

The budget. A note that is begun takes up to these ids: Position, MicroTiming if it needs one, Program and Velocity if
it needs them, Pitch and Duration, or Drum. After any other id the document may be cut, and a Bar may follow until too
many bars are silent. So b ids can be filled if as many Bars with their controls may be written, or if b is enough for a
note. If k of a bar's controls are due, they are k of the b.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gen.codec import BoolArray
from gen.codecs.beat import vocab
from gen.codecs.beat.cursor import BeatCursor, Phase
from gen.codecs.beat.layout import MAX_POSITIONS, MAX_PROGRAMS, MAX_SILENT_BARS
from gen.music.metre import GRID_TICKS, POSITION_TICKS
from gen.music.score import DEFAULT_TEMPO, Tempo

_NO_LIMIT = 1 << 62
_LEVELS = np.arange(vocab.NUM_VELOCITIES)
_OPENING = (Phase.BAR, Phase.METRE, Phase.OPENED)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """The symbols of the codec that a grammar allows, as masks.

    Args:
        signatures: (78,) of `SIGNATURES`; at least one.
        tempos: (176,) of levels; at least one.
        programs: (128,)
        drums: (128,); if none, at least one program.
        longest_note: positions, >= 1.
    """

    signatures: BoolArray
    tempos: BoolArray
    programs: BoolArray
    drums: BoolArray
    longest_note: int = MAX_POSITIONS


EVERYTHING = Limits(
    signatures=np.ones(len(vocab.SIGNATURES), np.bool_),
    tempos=np.ones(vocab.NUM_TEMPOS, np.bool_),
    programs=np.ones(vocab.NUM_PROGRAMS, np.bool_),
    drums=np.ones(vocab.NUM_PITCHES, np.bool_),
)


class BeatGrammar:
    """The automaton; a new one stands after `begin`.

    `advance` also takes ids that the language lacks, which a prompt may have, as `BeatCursor` reads them. A budget too
    small for a state after such ids is taken as the least that suffices.

    Args:
        vocab_size: with controls, Begin and End.
        choosers: for each control a function from the seconds since the start to the id that is asked for.
    """

    def __init__(
        self, vocab_size: int, limits: Limits = EVERYTHING, *, choosers: tuple[Callable[[float], int], ...] = ()
    ) -> None:
        self._limits = limits
        self._cursor = BeatCursor()
        self._mask = np.zeros(vocab_size, np.bool_)
        self._end = vocab_size - 1
        self._choosers = choosers
        self._num_written = len(choosers)  # controls of this bar
        self._tempo = Tempo(0, DEFAULT_TEMPO)
        self._tempo_seconds = 0.0  # when it began
        # (129,) by player, drums last:
        self._may_play = np.append(limits.programs, limits.drums.any())
        self._free_from = np.zeros(vocab.NUM_PLAYERS, np.int64)  # the first tick at which one of its pitches is silent
        # The ids of a note: Program if it changes, Velocity until there was one, Pitch, Duration; of a drum: Velocity
        # until there was one, and Drum.
        self._costs = np.append(np.full(vocab.NUM_PROGRAMS, 4), 2)

    def allowed(self, budget: int | None) -> BoolArray:
        """Returns the (V,) mask of ids that may come next, as `gen.codec.Grammar` says."""
        mask, phase = self._mask, self._cursor.phase
        mask[:] = False
        room = _NO_LIMIT if budget is None else max(budget, self._least_budget(budget)) - 1  # ids after this one
        if phase == Phase.START:
            mask[vocab.BAR] = True
        elif phase == Phase.BAR and self._num_due():
            mask[self._choosers[self._num_written](self._seconds(self._cursor.bar_start))] = True
        elif phase in _OPENING:
            self._allow_opening(room)
        elif phase == Phase.PITCH:
            self._allow_durations(self._limits.longest_note)
        elif phase == Phase.PROGRAM:
            self._allow_pitches(self._cursor.program or 0, room)
        elif phase == Phase.VELOCITY:
            self._allow_loud_pitches(room)
        else:
            self._allow_notes_and_time(room)
        if not mask.any():  # after ids that the language lacks: all pitches sound, and only a bar may follow
            mask[vocab.BAR] = True
        return mask

    def advance(self, token: int) -> None:
        """Takes the id that was drawn, or one id of a prompt."""
        cursor = self._cursor
        before = cursor.program
        for event in cursor.advance(token):
            if isinstance(event, Tempo):
                self._tempo_seconds = self._seconds(event.onset_ticks)
                self._tempo = event
        if token == vocab.BAR:
            self._num_written = 0
        elif token >= vocab.NUM_SYMBOLS and self._num_due():
            self._num_written += 1
        if cursor.program is not None and cursor.program != before:
            self._costs[cursor.program] -= 1  # no Program needed
            if before is not None:
                self._costs[before] += 1
        player = vocab.DRUMS if vocab.DRUM <= token < vocab.DURATION else cursor.program or 0
        if vocab.PITCH <= token < vocab.NUM_SYMBOLS and player in cursor.ends:
            self._has_played(player)

    def tokens_to_close(self) -> int:
        """Returns how many more ids are needed until no note is unfinished."""
        cursor = self._cursor
        match cursor.phase:
            case Phase.POSITION | Phase.BEHIND | Phase.MICRO_TIMING:
                return 1 if self._may_change_tempo() else self._tokens_to_note()
            case Phase.PROGRAM:
                return 2 + (cursor.levels[cursor.program or 0] < 0)
            case Phase.VELOCITY:
                return 1 if self._may_strike_loud() else 2
            case Phase.PITCH:
                return 1
            case _:
                return 0

    def _has_played(self, player: int) -> None:
        """Updates the ids that the next note of a player takes, and the tick from which it can begin."""
        cursor, costs, ends = self._cursor, self._costs, self._cursor.ends
        if player == vocab.DRUMS:
            costs[vocab.DRUMS] = 1 + (cursor.levels[vocab.DRUMS] < 0)
            if self._may_play[vocab.DRUMS]:
                self._free_from[vocab.DRUMS] = ends[vocab.DRUMS][self._limits.drums].min()
            return
        costs[player] = 2 + (cursor.levels[player] < 0)
        self._free_from[player] = ends[player].min()
        if len(ends) - (vocab.DRUMS in ends) >= MAX_PROGRAMS:
            is_playing = np.isin(np.arange(vocab.NUM_PROGRAMS), [*ends])
            allowed = self._may_play[: vocab.DRUMS] & is_playing
            # A primer may have only programs that the corpus lacks; then these remain allowed.
            self._may_play[: vocab.DRUMS] = allowed if allowed.any() or not self._limits.programs.any() else is_playing

    def _allow_opening(self, room: int) -> None:
        """Allows the ids that may follow a bar, its metre or its tempo."""
        cursor, limits, mask = self._cursor, self._limits, self._mask
        may_change = self._can_fill(room)
        if cursor.phase == Phase.BAR and (may_change or cursor.signature is None):
            mask[vocab.TIME_SIGNATURE : vocab.TEMPO] = limits.signatures
            if cursor.signature is None:
                return
            mask[vocab.TIME_SIGNATURE + cursor.signature] = False
        if cursor.phase != Phase.OPENED and (may_change or cursor.tempo is None):
            mask[vocab.TEMPO : vocab.POSITION] = limits.tempos
            if cursor.tempo is None:
                mask[vocab.TIME_SIGNATURE : vocab.TEMPO] = False
                return
            mask[vocab.TEMPO + cursor.tempo] = False
        self._allow_time(room)

    def _allow_notes_and_time(self, room: int) -> None:
        cursor, phase = self._cursor, self._cursor.phase
        if phase in (Phase.POSITION, Phase.BEHIND):
            self._allow_micro_timings(room)
            if phase == Phase.BEHIND:
                return
            if self._may_change_tempo() and self._can_fill(room, is_at_position=True):
                assert cursor.tempo is not None
                self._mask[vocab.TEMPO : vocab.POSITION] = self._limits.tempos
                self._mask[vocab.TEMPO + cursor.tempo] = False
        if cursor.is_open:
            self._allow_notes(room)
        if phase in (Phase.TEMPO, Phase.NOTE, Phase.LONG):
            self._allow_time(room)
            self._mask[self._end] = phase != Phase.TEMPO
        if phase == Phase.LONG:
            self._allow_durations(self._limits.longest_note - cursor.positions)

    def _allow_time(self, room: int) -> None:
        """Allows a Bar, and Positions at which a note can be written within `room` ids."""
        cursor = self._cursor
        if self._can_begin_bar(room):
            self._mask[vocab.BAR] = True
        free, free_moved = self._free_at(room), self._free_at(room - 1)  # without and with a MicroTiming
        first = _positions_up(max(cursor.time + 1, free) - cursor.bar_start)
        first_moved = _positions_up(max(cursor.time + 1, free_moved) - vocab.LATEST - cursor.bar_start)
        stop = cursor.bar_length // POSITION_TICKS
        self._mask[vocab.POSITION + min(first, first_moved, stop) : vocab.POSITION + stop] = True

    def _allow_micro_timings(self, room: int) -> None:
        cursor = self._cursor
        least = max(cursor.before + 1, self._free_at(room)) - cursor.position
        ids = vocab.MICRO_TIMING_IDS[min(max(0, least - vocab.EARLIEST), POSITION_TICKS) :]
        self._mask[ids[ids >= 0]] = True

    def _allow_notes(self, room: int) -> None:
        """Allows the ids that begin a note at the present time."""
        cursor, mask = self._cursor, self._mask
        can_play = self._may_play & (self._free_from <= cursor.time) & (self._costs <= room + 1)
        can_play[: max(cursor.last_player, 0)] = False
        for player in (vocab.DRUMS,) if cursor.program is None else (cursor.program, vocab.DRUMS):
            if can_play[player]:
                self._allow_pitches(player, room)
                can_play[player] = False
        mask[vocab.PROGRAM : vocab.VELOCITY] = can_play[: vocab.DRUMS]

    def _allow_pitches(self, player: int, room: int) -> None:
        """Allows the pitches that a player may begin now, and Velocities before them."""
        pitches = self._pitches(player)
        if not pitches.any():
            return
        first = vocab.DRUM if player == vocab.DRUMS else vocab.PITCH
        after_pitch = int(player != vocab.DRUMS)
        level = self._cursor.levels[player]
        if level >= 0 and room >= after_pitch:
            self._mask[first : first + vocab.NUM_PITCHES] = pitches
        if room > after_pitch:
            self._mask[vocab.VELOCITY : vocab.PITCH] |= level != _LEVELS

    def _allow_loud_pitches(self, room: int) -> None:
        """Allows the pitches that may follow a Velocity."""
        cursor = self._cursor
        program = cursor.program
        if program is not None and program >= cursor.last_player and cursor.levels[program] != cursor.level and room:
            self._mask[vocab.PITCH : vocab.DRUM] = self._pitches(program)
        if self._may_strike_loud():
            self._mask[vocab.DRUM : vocab.DURATION] = self._pitches(vocab.DRUMS)

    def _may_strike_loud(self) -> bool:
        """Returns whether a Drum may follow a Velocity."""
        cursor = self._cursor
        is_for_drums = not cursor.has_program and cursor.levels[vocab.DRUMS] != cursor.level
        return is_for_drums and bool(self._pitches(vocab.DRUMS).any())

    def _pitches(self, player: int) -> BoolArray:
        """Returns (128,) True for each pitch that a player may begin now."""
        cursor = self._cursor
        pitches = cursor.silent_pitches(player)
        if player == vocab.DRUMS:
            pitches &= self._limits.drums
        if player == cursor.last_player:
            pitches[: cursor.last_pitch + 1] = False
        if not self._may_play[player]:
            pitches[:] = False
        return pitches

    def _num_due(self) -> int:
        """Returns how many controls this bar still lacks."""
        return len(self._choosers) - self._num_written

    def _seconds(self, ticks: int) -> float:
        """Returns the time of a tick that is not before the last tempo."""
        us_a_tick = self._tempo.tempo_us_per_beat / GRID_TICKS
        return self._tempo_seconds + (ticks - self._tempo.onset_ticks) * us_a_tick / 1e6

    def _allow_durations(self, positions: int) -> None:
        self._mask[vocab.DURATION : vocab.DURATION + min(positions, vocab.MAX_DURATION)] = True

    def _may_change_tempo(self) -> bool:
        cursor = self._cursor
        if cursor.phase != Phase.POSITION or cursor.tempo is None or cursor.time <= cursor.bar_start:
            return False
        tempos = self._limits.tempos
        return bool(np.count_nonzero(tempos) > tempos[cursor.tempo])

    def _tokens_to_note(self) -> int:
        """Returns the ids of the shortest note after a Position or a MicroTiming; 1, a Bar, if no note can be."""
        cursor = self._cursor
        here = self._cost_at(cursor.time) if cursor.phase != Phase.BEHIND else _NO_LIMIT
        moved = 1 + self._cost_at(cursor.position + vocab.LATEST) if cursor.phase != Phase.MICRO_TIMING else _NO_LIMIT
        least = min(here, moved)
        return least if least < _NO_LIMIT else 1

    def _cost_at(self, time: int) -> int:
        """Returns the ids of the shortest note at a time."""
        costs = self._costs[self._may_play & (self._free_from <= time)]
        return int(costs.min()) if len(costs) else _NO_LIMIT

    def _free_at(self, room: int) -> int:
        """Returns the first tick at which a note of at most `room` ids can be written."""
        free_from = self._free_from[self._may_play & (self._costs <= room)]
        return int(free_from.min()) if len(free_from) else _NO_LIMIT

    def _can_begin_bar(self, room: int) -> bool:
        """Returns whether a Bar may be written, and `room` ids after it."""
        cursor = self._cursor
        if cursor.last_end > cursor.bar_start + cursor.bar_length:
            return True
        left = MAX_SILENT_BARS - (cursor.silent_bars + 1 if cursor.is_silent else 0)  # Bars after it
        num_controls = len(self._choosers)
        is_filled = room <= num_controls + left * (1 + num_controls)
        return left >= 0 and (is_filled or room > num_controls + self._cost_in_silence())

    def _can_fill(self, room: int, *, is_at_position: bool = False) -> bool:
        """Returns whether `room` ids can be written after a TimeSignature or a Tempo that comes now."""
        cursor = self._cursor
        if not cursor.is_silent:
            return True
        is_filled = room <= (MAX_SILENT_BARS - cursor.silent_bars) * (1 + len(self._choosers))
        return is_filled or room >= self._cost_in_silence() + (not is_at_position)

    def _cost_in_silence(self) -> int:
        return int(self._costs[self._may_play].min())

    def _least_budget(self, budget: int) -> int:
        """Returns the least number of ids from `budget` on that ends with no note unfinished."""
        phase = self._cursor.phase
        if phase == Phase.POSITION and self._may_change_tempo():
            needed = self._tokens_to_note()
            return budget if budget >= needed or self._can_fill(budget - 1, is_at_position=True) else needed
        needed = self.tokens_to_close()
        if needed or phase == Phase.START:
            return max(needed, 1)
        num_due = self._num_due() if phase == Phase.BAR else 0
        is_at_position = phase == Phase.TEMPO
        if budget <= num_due or self._can_fill(budget - num_due, is_at_position=is_at_position):
            return budget
        return num_due + self._cost_in_silence() + 1


def _positions_up(ticks: int) -> int:
    """Returns the first position of a bar that is no earlier than some ticks after its start."""
    return max(0, -(-ticks // POSITION_TICKS))
