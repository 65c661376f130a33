"""The grammar of performances: an automaton that allows exactly the documents that the encoder writes.

The language, frame by frame: TimeShift_100 as often as needed and at most one shorter TimeShift; then NoteOffs of
sounding pitches, ascending; then NoteOns of silent pitches, ascending, each after a Velocity where it changes (the
first NoteOn always). Every frame that is reached has an event. No silence is longer than the limit. A document
has a note and ends with the NoteOff after which nothing sounds.

Fitted to a corpus, it allows no note longer than nearly all notes of the corpus: a model that misses a NoteOff has seen
no example of a late one, and would hold the note for minutes.

With controls, C of them, their tokens open the document and stand right after each TimeShift that reaches another span
of a second: all of them, in their order, with the values that are asked for.

One exception: a document may be cut wherever nothing sounds, so also after a TimeShift or one of its controls, which
then have no effect.

The budget. Let n pitches sound, b ids be left, and s be the ids of a TimeShift_1: 1, and C more in the last frame of a
span. From a state with n > 0 the document can be closed, and filled up to exactly b ids, if b >= n, or n + s where a
TimeShift must come first (a NoteOn was written in this frame, or a NoteOff above one of the sounding pitches); after a
Velocity if b >= n + 2 + s. Where k of the controls are due, they are k of the b. With n = 0 after a TimeShift if b is
0, or no more than what TimeShift_100 and their controls can fill of the silence, or b >= 2 + s (NoteOn, TimeShift,
NoteOff; one more with the first Velocity). With n = 0 right after a NoteOff, and at the start, always: ten
TimeShift_100 with the controls of ten spans fit the silence, and of more ids than these a TimeShift_100 leaves enough
for a note.
"""

import itertools
from collections import deque
from collections.abc import Callable

import numpy as np

from gen.codec import BoolArray, Vocab
from gen.codecs.performance.layout import MAX_SILENCE_SECONDS
from gen.codecs.performance.vocab import (
    CONTROL,
    DENSITY_SPANS,
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

MAX_SILENCE = MAX_SILENCE_SECONDS * FRAMES_PER_SECOND

_ALL_PITCHES = (1 << NUM_PITCHES) - 1
_NO_LIMIT = 1 << 62
_MAX_SHIFT = TIME_SHIFT + MAX_SHIFT - 1


class PerformanceGrammar:
    """The automaton; a new one stands after `begin`.

    `advance` also takes ids that the language lacks, which a prompt may have, and moves to the nearest state. A budget
    too small for a state after such ids is taken as the least that suffices.

    Args:
        vocab: of the codec.
        choosers: for each control a function from the seconds since the start to the id that is asked for.
        longest_note: frames that a note may sound at most, >= 1; None for no limit.
    """

    def __init__(
        self,
        vocab: Vocab,
        *,
        choosers: tuple[Callable[[float], int], ...],
        longest_note: int | None,
    ) -> None:
        self._vocab = vocab
        self._choosers = choosers
        self._num_controls = len(choosers)
        self._num_due = self._num_controls  # controls that this span still lacks
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
        if self._num_due:
            mask[self._asked_for(self._num_controls - self._num_due)] = True
            return mask
        if self._awaits_note:
            mask[NOTE_ON + first_on : NOTE_OFF] = self._is_silent[first_on:]
            return mask
        left = self._frames_left()
        if sounding and first_on == 0:
            self._allow_offs(room, stop=self._lowest_due() + 1 if left == 0 else NUM_PITCHES)
        if left == 0:
            return mask
        self._allow_notes(room)
        if not self._is_shift_over:
            if not sounding:
                self._allow_silence(room)
            elif room >= sounding:
                may_reach_span = room >= sounding + self._num_controls
                longest = MAX_SHIFT if may_reach_span else min(MAX_SHIFT, self._to_span() - 1)
                mask[TIME_SHIFT : TIME_SHIFT + min(left, longest)] = True
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
            self._is_shift_over = token != _MAX_SHIFT
            self._last_on = self._last_off = -1
            self._may_end = False
            if token - TIME_SHIFT + 1 >= self._to_span():
                self._num_due = self._num_controls
            self._now += token - TIME_SHIFT + 1
            if not self._num_sounding:
                self._silence_left -= token - TIME_SHIFT + 1
        elif token < CONTROL:
            self._velocity = token - VELOCITY
            self._awaits_note = self._has_silent_pitch()
            self._is_shifted = self._is_shift_over = self._may_end = False
        elif token < self._vocab.begin and self._num_due:
            self._num_due -= 1

    def tokens_to_close(self) -> int:
        """Returns how many more ids are needed until nothing sounds."""
        if self._awaits_note:
            return self._num_due + self._num_sounding + 2 + self._shortest_shift()
        if not self._num_sounding:
            return 0
        return self._num_due + self._num_sounding + self._needs_shift() * self._shortest_shift()

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
        if not self._is_shifted or budget <= self._num_due + (0 if self._is_shift_over else self._longest_fill()):
            return budget
        return self._num_due + self._shortest_note()

    def _to_span(self, frames: int = 0) -> int:
        """Returns how many frames after some from now the next span begins."""
        return SPAN - (self._now + frames) % SPAN

    def _shortest_shift(self, frames: int = 0) -> int:
        """Returns how many ids a TimeShift_1 takes some frames from now: itself, and the controls of a new span."""
        return 1 + self._num_controls * (self._to_span(frames) == 1)

    def _shortest_note(self, frames: int = 0) -> int:
        """Returns how many ids a note takes some frames from now: perhaps Velocity, NoteOn, TimeShift, NoteOff."""
        return 2 + (self._velocity < 0) + self._shortest_shift(frames)

    def _longest_fill(self, frames: int = 0) -> int:
        """Returns how many ids TimeShift_100 and their controls can fill some frames from now, if nothing sounds."""
        num_shifts = max(0, self._silence_left - frames) // MAX_SHIFT
        now = self._now + frames
        return num_shifts + self._num_controls * ((now + num_shifts * MAX_SHIFT) // SPAN - now // SPAN)

    def _asked_for(self, index: int) -> int:
        """Returns the id that is asked of a control in the middle of the time of which a density is."""
        return self._choosers[index]((self._now // SPAN + DENSITY_SPANS / 2) * SPAN / FRAMES_PER_SECOND)

    def _allow_notes(self, room: int) -> None:
        first_on = self._last_on + 1
        needed = self._num_sounding + 1 + self._shortest_shift()
        if self._velocity >= 0 and room >= needed:
            self._mask[NOTE_ON + first_on : NOTE_OFF] = self._is_silent[first_on:]
        if room > needed and self._has_silent_pitch():
            self._mask[VELOCITY : VELOCITY + NUM_VELOCITIES] = True
            if self._velocity >= 0:
                self._mask[VELOCITY + self._velocity] = False

    def _allow_offs(self, room: int, *, stop: int) -> None:
        """Allows NoteOffs of sounding pitches below `stop`."""
        first = self._last_off + 1
        if room >= self._num_sounding - 1 + self._shortest_shift():
            self._mask[NOTE_OFF + first : NOTE_OFF + stop] = self._is_sounding[first:stop]
        else:  # no id to spare for another frame: each NoteOff must be the lowest
            lowest = (self._sounding & -self._sounding).bit_length() - 1
            if lowest >= first:
                self._mask[NOTE_OFF + lowest] = True

    def _allow_silence(self, room: int) -> None:
        """Allows TimeShifts out of silence."""
        stop = min(self._silence_left + 1, MAX_SHIFT)  # without the longest
        to_span = self._to_span()
        # What must be left changes with the span that is reached, and where its last frame is.
        edges = sorted({edge for edge in (1, to_span - 1, to_span, to_span + 1, stop) if 1 <= edge <= stop})
        for first, last in itertools.pairwise(edges):
            self._mask[TIME_SHIFT + first - 1 : TIME_SHIFT + last - 1] = self._may_shift(room, first)
        if self._silence_left >= MAX_SHIFT:
            self._mask[_MAX_SHIFT] = self._may_shift(room, MAX_SHIFT)

    def _may_shift(self, room: int, frames: int) -> bool:
        """Returns whether a TimeShift out of silence leaves nothing to be written, what can be filled, or a note."""
        after = room - self._num_controls * (frames >= self._to_span())
        filled = self._longest_fill(frames) if frames == MAX_SHIFT else 0
        return after <= filled or after >= self._shortest_note(frames)

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
