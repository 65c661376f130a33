"""Which token of a performance may come next: an automaton for exactly what the encoder writes.

The language, frame by frame: TimeShift_100 as often as needed and at most one shorter TimeShift; then NoteOffs of
sounding pitches, ascending; then NoteOns of silent pitches, ascending, each after a Velocity where it changes (the
first NoteOn always). Something happens in every frame that is reached. No silence is longer than the limit. A document
has a note and ends with the NoteOff after which nothing sounds.

Fitted to a corpus, it also lets no note sound longer than nearly all notes there do: a model that once misses a
NoteOff was never shown how to come back to it, and would hold the note for minutes.

One exception: a document may be cut wherever nothing sounds, so also after a TimeShift, which then says nothing.

The budget. Let n pitches sound and b ids be left. From a state with n > 0 the document can be closed, and filled up to
exactly b ids, if b >= n, or n + 1 where a TimeShift must come first (a NoteOn was written in this frame, or a NoteOff
above one of the sounding pitches); after a Velocity if b >= n + 3. With n = 0 right after a NoteOff always; after a
TimeShift if b is 0, or that many TimeShift_100 still fit the silence, or b >= 3 (NoteOn, TimeShift, NoteOff; 4 with
the first Velocity).
"""

from collections import deque

import numpy as np

from gen.codec import BoolArray
from gen.codecs.performance_vocab import (
    FRAMES_PER_SECOND,
    MAX_SHIFT,
    NOTE_OFF,
    NOTE_ON,
    NUM_PITCHES,
    NUM_VELOCITIES,
    TIME_SHIFT,
    VELOCITY,
    VOCAB,
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
        longest_note: frames that a note may sound at most, >= 1; None for no limit.
    """

    def __init__(self, longest_note: int | None = None) -> None:
        self._longest_note = _NO_LIMIT if longest_note is None else longest_note
        self._now = 0  # frames
        self._deadlines: deque[tuple[int, int]] = deque()  # (frame, pitch) of sounding notes, some of them over
        self._deadline = [0] * NUM_PITCHES  # of the note that sounds
        self._mask = np.zeros(len(VOCAB), dtype=np.bool_)
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
        left = self._frames_left()
        if sounding and first_on == 0:
            self._allow_offs(room, stop=self._lowest_due() + 1 if left == 0 else NUM_PITCHES)
        if left == 0:
            return mask
        if self._velocity >= 0 and room >= sounding + 2:
            mask[NOTE_ON + first_on : NOTE_OFF] = self._is_silent[first_on:]
        if room >= sounding + 3 and self._has_silent_pitch():
            mask[VELOCITY : VELOCITY + NUM_VELOCITIES] = True
            if self._velocity >= 0:
                mask[VELOCITY + self._velocity] = False
        if not self._is_shift_over:
            if not sounding:
                self._allow_silence(room)
            elif room >= sounding:
                mask[TIME_SHIFT : TIME_SHIFT + min(left, MAX_SHIFT)] = True
        mask[VOCAB.end] = self._may_end
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
        elif token < VOCAB.begin:
            self._velocity = token - VELOCITY
            self._awaits_note = self._has_silent_pitch()
            self._is_shifted = self._is_shift_over = self._may_end = False

    def tokens_to_close(self) -> int:
        """Returns how many more ids are needed until nothing sounds."""
        if self._awaits_note:
            return self._num_sounding + 3
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
        if self._num_sounding or self._awaits_note:
            return self.tokens_to_close()
        longest_shifts = 0 if self._is_shift_over else max(0, self._silence_left) // MAX_SHIFT
        if not self._is_shifted or budget <= longest_shifts:
            return budget
        return self._shortest_note()

    def _shortest_note(self) -> int:
        """Returns how many ids a note takes out of silence: NoteOn, TimeShift, NoteOff, perhaps Velocity first."""
        return 3 if self._velocity >= 0 else 4

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
        is_note_next = room == 0 or room >= self._shortest_note()
        if is_note_next:
            self._mask[TIME_SHIFT : TIME_SHIFT + max(0, min(left, MAX_SHIFT - 1))] = True
        if left >= MAX_SHIFT:
            self._mask[_LONGEST_SHIFT] = is_note_next or room <= (left - MAX_SHIFT) // MAX_SHIFT

    def _note_on(self, pitch: int) -> None:
        self._last_on = max(self._last_on, pitch)
        self._awaits_note = self._is_shifted = self._is_shift_over = self._may_end = False
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
            self._may_end = not self._awaits_note
