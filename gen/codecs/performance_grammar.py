"""Which token of a performance may come next: an automaton for exactly what the encoder writes.

The language, frame by frame: TimeShift_100 as often as needed and at most one shorter TimeShift; then NoteOffs of
sounding pitches, ascending; then NoteOns of silent pitches, ascending, each after a Velocity where it changes (the
first NoteOn always). Something happens in every frame that is reached. No silence is longer than the limit. A document
has a note and ends with the NoteOff after which nothing sounds.

Fitted to a corpus, it also lets no note sound longer than nearly all notes there do: a model that once misses a
NoteOff was never shown how to come back to it, and would hold the note for minutes.

With controls, C of them, their tokens stand before the first NoteOn of each span of two seconds that has one, and its
Velocity: always all of them, in their order, and then that note. Their values are asked for from outside.

One exception: a document may be cut wherever nothing sounds, so also after a TimeShift, which then says nothing.

The budget. Let n pitches sound and b ids be left. From a state with n > 0 the document can be closed, and filled up to
exactly b ids, if b >= n, or n + 1 where a TimeShift must come first (a NoteOn was written in this frame, or a NoteOff
above one of the sounding pitches); after a Velocity if b >= n + 3; after k of the C controls if b >= C - k + n + 3, one
more where no Velocity was written yet. With n = 0 after a TimeShift if b is 0, or that many TimeShift_100 still fit the
silence, or b >= 3 (NoteOn, TimeShift, NoteOff; 4 with the first Velocity), C more where the span has no controls yet:
the length of a TimeShift decides the span that it leads to, and so what must be left after it. With n = 0 right after a
NoteOff always: ten TimeShift_100 fit the silence, and of more than ten ids a TimeShift leaves 4 + C and more. A NoteOff
needs no control, so that what sounds is closed at the same cost in every span.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from gen.codec import BoolArray, Vocab
from gen.codecs.controls import ControlIds
from gen.codecs.performance_vocab import (
    CONTROL,
    FRAMES_PER_SECOND,
    MAX_SHIFT,
    NOTE_OFF,
    NOTE_ON,
    NUM_PITCHES,
    NUM_VELOCITIES,
    SPAN,
    TIME_SHIFT,
    VELOCITY,
)
from gen.music.rules import MAX_SILENCE_SECONDS

MAX_SILENCE = MAX_SILENCE_SECONDS * FRAMES_PER_SECOND

_ALL_PITCHES = (1 << NUM_PITCHES) - 1
_NO_LIMIT = 1 << 62
_LONGEST_SHIFT = TIME_SHIFT + MAX_SHIFT - 1


class PerformanceGrammar:
    """The automaton; a new one stands after `begin`.

    `advance` also takes ids that the language lacks, as a prompt may have them, and goes on from the nearest state.
    A budget too small for a state that such ids left is taken as the least that suffices.

    Args:
        vocab: of the codec.
        controls: of the codec.
        choosers: for each control what tells the id that is asked for, by the seconds from the start.
        longest_note: frames that a note may sound at most, >= 1; None for no limit.
    """

    def __init__(
        self,
        vocab: Vocab,
        controls: ControlIds,
        *,
        choosers: tuple[Callable[[float], int], ...],
        longest_note: int | None,
    ) -> None:
        self._vocab = vocab
        self._controls = controls
        self._choosers = choosers
        self._num_controls = len(controls)
        self._next_control = 0  # how many of the span's controls are written, until all are
        self._is_announced = False  # they all are, their note not yet
        self._span = -1  # the last that has its controls
        self._longest_note = _NO_LIMIT if longest_note is None else longest_note
        self._now = 0  # frames
        self._deadlines: deque[tuple[int, int]] = deque()  # (frame, pitch) of sounding notes, some of them over
        self._deadline = [0] * NUM_PITCHES  # of the note that sounds
        self._mask = np.zeros(len(self._vocab), dtype=np.bool_)
        self._is_sounding = np.zeros(NUM_PITCHES, dtype=np.bool_)
        self._is_silent = np.ones(NUM_PITCHES, dtype=np.bool_)
        self._sounding = 0  # the same as bits
        self._num_sounding = 0
        self._last_on = -1  # pitch of the last NoteOn in this frame, -1 for none
        self._last_off = -1
        self._velocity = -1  # -1 until the first
        self._awaits_note = False  # a Velocity was written, its NoteOn not yet
        self._is_shifted = False  # the last id was a TimeShift
        self._is_shift_over = False  # and a shorter one than the longest
        self._silence_left = MAX_SILENCE  # frames
        self._may_end = False

    def allowed(self, budget: int | None) -> BoolArray:
        """Returns the (V,) mask of ids that may come next, as `gen.codec.Grammar` says."""
        mask = self._mask
        mask[:] = False
        sounding = self._num_sounding
        room = _NO_LIMIT if budget is None else max(budget, self._least_budget(budget)) - 1  # ids after this one
        first_on = self._last_on + 1
        if self._awaits_note:
            mask[NOTE_ON + first_on : NOTE_OFF] = self._is_silent[first_on:]
            return mask
        if self._next_control:
            mask[self._asked_for(self._next_control)] = True
            return mask
        if self._is_announced:
            self._allow_notes(room)
            return mask
        left = self._frames_left()
        if sounding and first_on == 0:
            self._allow_offs(room, stop=self._lowest_due() + 1 if left == 0 else NUM_PITCHES)
        if left == 0:
            return mask
        if not self._needs_controls():
            self._allow_notes(room)
        elif room >= sounding + self._shortest_note(needs_controls=True) - 1 and self._has_silent_pitch():
            mask[self._asked_for(0)] = True
        if not self._is_shift_over:
            if not sounding:
                self._allow_silence(room)
            elif room >= sounding:
                mask[TIME_SHIFT : TIME_SHIFT + min(left, MAX_SHIFT)] = True
        mask[self._vocab.end] = self._may_end
        return mask

    def advance(self, token: int) -> None:
        """Takes the id that was drawn, or one id of a prompt."""
        if token < NOTE_OFF:
            self._note_on(token - NOTE_ON)
        elif token < TIME_SHIFT:
            self._note_off(token - NOTE_OFF)
        elif token < VELOCITY:
            self._is_shifted = True
            self._is_shift_over = token != _LONGEST_SHIFT
            self._last_on = self._last_off = -1
            self._may_end = False
            self._now += token - TIME_SHIFT + 1
            if not self._num_sounding:
                self._silence_left -= token - TIME_SHIFT + 1
        elif token < CONTROL:
            self._velocity = token - VELOCITY
            self._awaits_note = self._has_silent_pitch()
            self._next_control = 0
            self._is_announced = self._is_shifted = self._is_shift_over = self._may_end = False
        elif token < self._vocab.begin:
            self._control(self._controls.place_of(token) + 1)

    def tokens_to_close(self) -> int:
        """Returns how many more ids are needed until nothing sounds."""
        if self._awaits_note:
            return self._num_sounding + 3
        if self._next_control or self._is_announced:
            num_due = 0 if self._is_announced else self._num_controls - self._next_control
            return self._num_sounding + num_due + self._shortest_note(needs_controls=False)
        return self._num_sounding + self._needs_shift()

    def _has_silent_pitch(self) -> bool:
        """Returns whether a NoteOn may still be written in this frame."""
        return (_ALL_PITCHES & ~self._sounding) >> (self._last_on + 1) != 0

    def _needs_shift(self) -> bool:
        """Returns whether a sounding pitch must wait for the next frame to end."""
        below = (1 << (self._last_off + 1)) - 1
        return self._num_sounding > 0 and (self._last_on >= 0 or self._sounding & below != 0)

    def _frames_left(self) -> int:
        """Returns how long every sounding note may still sound; 0 if one of them has to end in this frame.

        After ids that the language lacks, a note that can no longer end in this frame has one frame more.
        """
        while self._deadlines and not self._sounds_until(*self._deadlines[0]):
            self._deadlines.popleft()
        if not self._deadlines:
            return _NO_LIMIT
        left = self._deadlines[0][0] - self._now
        can_end = left > 0 or (self._last_on < 0 and self._lowest_due() > self._last_off)
        return max(left, 0) if can_end else 1

    def _lowest_due(self) -> int:
        """Returns the lowest pitch that has to end by now; there is one."""
        return min(pitch for frame, pitch in self._deadlines if frame <= self._now and self._sounds_until(frame, pitch))

    def _sounds_until(self, frame: int, pitch: int) -> bool:
        return bool(self._sounding >> pitch & 1) and self._deadline[pitch] == frame

    def _least_budget(self, budget: int) -> int:
        """Returns the least number of ids from `budget` on that ends with nothing sounding."""
        if self._num_sounding or self._is_note_due():
            return self.tokens_to_close()
        longest_shifts = 0 if self._is_shift_over else max(0, self._silence_left) // MAX_SHIFT
        if not self._is_shifted or budget <= longest_shifts:
            return budget
        return self._shortest_note(needs_controls=self._needs_controls())

    def _shortest_note(self, *, needs_controls: bool) -> int:
        """Returns how many ids a note takes: NoteOn, TimeShift, NoteOff, perhaps controls and a Velocity first."""
        return 3 + (self._velocity < 0) + self._num_controls * needs_controls

    def _needs_controls(self, frames: int = 0) -> bool:
        """Returns whether a note that begins so many frames from now is the first of its span."""
        return self._num_controls > 0 and (self._now + frames) // SPAN > self._span

    def _is_note_due(self) -> bool:
        """Returns whether a Velocity or a control was written, its note not yet."""
        return self._awaits_note or self._is_announced or self._next_control > 0

    def _asked_for(self, place: int) -> int:
        """Returns the id that is asked of a control, by the middle of the span that it tells of."""
        return self._choosers[place]((self._now // SPAN + 0.5) * SPAN / FRAMES_PER_SECOND)

    def _allow_notes(self, room: int) -> None:
        first_on = self._last_on + 1
        if self._velocity >= 0 and room >= self._num_sounding + 2:
            self._mask[NOTE_ON + first_on : NOTE_OFF] = self._is_silent[first_on:]
        if room >= self._num_sounding + 3 and self._has_silent_pitch():
            self._mask[VELOCITY : VELOCITY + NUM_VELOCITIES] = True
            if self._velocity >= 0:
                self._mask[VELOCITY + self._velocity] = False

    def _allow_offs(self, room: int, *, stop: int) -> None:
        """Allows NoteOffs of sounding pitches below `stop`."""
        first = self._last_off + 1
        if room >= self._num_sounding:
            self._mask[NOTE_OFF + first : NOTE_OFF + stop] = self._is_sounding[first:stop]
        else:  # no id to spare for another frame: each NoteOff must be the lowest
            lowest = (self._sounding & -self._sounding).bit_length() - 1
            if lowest >= first:
                self._mask[NOTE_OFF + lowest] = True

    def _allow_silence(self, room: int) -> None:
        left = self._silence_left
        to_span = SPAN - self._now % SPAN  # a shift of so many frames, or more, reaches another span
        stop = min(left + 1, MAX_SHIFT)  # without the longest
        for first, last in ((1, min(to_span, stop)), (to_span, stop)):
            if first < last and self._may_follow(room, shift=first):
                self._mask[TIME_SHIFT + first - 1 : TIME_SHIFT + last - 1] = True
        if left >= MAX_SHIFT:
            are_shifts_left = room <= (left - MAX_SHIFT) // MAX_SHIFT
            self._mask[_LONGEST_SHIFT] = are_shifts_left or self._may_follow(room, shift=MAX_SHIFT)

    def _may_follow(self, room: int, *, shift: int) -> bool:
        """Returns whether a TimeShift out of silence leaves nothing to be written, or enough for a note."""
        return room == 0 or room >= self._shortest_note(needs_controls=self._needs_controls(shift))

    def _note_on(self, pitch: int) -> None:
        self._last_on = max(self._last_on, pitch)
        self._awaits_note = self._is_shifted = self._is_shift_over = self._may_end = False
        self._is_announced = False
        self._next_control = 0
        self._span = self._now // SPAN
        if not self._is_sounding[pitch]:
            self._is_sounding[pitch] = True
            self._is_silent[pitch] = False
            self._sounding |= 1 << pitch
            self._num_sounding += 1
            self._deadline[pitch] = self._now + self._longest_note
            self._deadlines.append((self._deadline[pitch], pitch))

    def _note_off(self, pitch: int) -> None:
        if not self._is_sounding[pitch]:
            return
        self._is_sounding[pitch] = False
        self._is_silent[pitch] = True
        self._sounding &= ~(1 << pitch)
        self._num_sounding -= 1
        self._last_off = max(self._last_off, pitch)
        self._is_shifted = self._is_shift_over = False
        if not self._num_sounding:
            self._silence_left = MAX_SILENCE
            self._may_end = not self._is_note_due()

    def _control(self, num_written: int) -> None:
        """Takes a control, the last of so many that the span has now."""
        can_go_on = self._has_silent_pitch()
        self._is_announced = can_go_on and num_written == self._num_controls
        self._next_control = num_written if can_go_on and num_written < self._num_controls else 0
        self._span = self._now // SPAN
        self._awaits_note = self._is_shifted = self._is_shift_over = self._may_end = False
