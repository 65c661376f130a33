"""Turns the ids of a performance into notes, one by one and in order of onset.

It accepts any ids, even those that the grammar forbids:

    NoteOff of a silent pitch             is ignored
    NoteOn of a sounding pitch            ends the note that sounds, and begins another
    second NoteOn of a pitch in a frame   is ignored
    NoteOff in the frame of the NoteOn    the note lasts one frame
    no NoteOff                            the note ends with the document
    control token                         is ignored

A note is held back until it has ended, and all notes that began before it. If more than `MAX_WAITING` notes are held
back, those that have ended are returned at once, so that memory stays bounded.
"""

from collections import deque
from dataclasses import dataclass

from gen.codecs.performance.vocab import (
    CONTROL,
    FRAMES_PER_SECOND,
    NOTE_OFF,
    NUM_PITCHES,
    NUM_VELOCITIES,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_WIDTH,
)
from gen.music.score import NoteEvent

MAX_WAITING = 1024


@dataclass(slots=True)
class _OpenNote:
    onset_frames: int
    pitch: int
    velocity: int
    end_frames: int = 0  # 0 while it sounds

    def event(self) -> NoteEvent:
        return NoteEvent(
            onset_seconds=self.onset_frames / FRAMES_PER_SECOND,
            duration_seconds=(self.end_frames - self.onset_frames) / FRAMES_PER_SECOND,
            pitch=self.pitch,
            velocity=self.velocity,
        )


class PerformanceDecoder:
    """A `gen.codec.StreamDecoder` of notes."""

    def __init__(self) -> None:
        self._now = 0  # frames
        self._velocity = level_velocity(NUM_VELOCITIES // 2)  # in use until the first Velocity token
        self._sounding: dict[int, _OpenNote] = {}  # by pitch
        self._waiting: deque[_OpenNote] = deque()  # held back, in order of onset
        self._last_onset = [-1] * NUM_PITCHES  # frame of the last NoteOn of each pitch

    def push(self, token: int) -> tuple[NoteEvent, ...]:
        """Takes one id; returns the notes that need not be held back any longer, in order of onset."""
        if token < NOTE_OFF:
            return self._note_on(token)
        if token < TIME_SHIFT:
            return self._note_off(token - NOTE_OFF)
        if token < VELOCITY:
            self._now += token - TIME_SHIFT + 1
        elif token < CONTROL:
            self._velocity = level_velocity(token - VELOCITY)
        return ()

    def finish(self) -> tuple[NoteEvent, ...]:
        """Ends the notes that still sound; returns all that were held back."""
        for note in self._sounding.values():
            note.end_frames = max(self._now, note.onset_frames + 1)
        self._sounding.clear()
        return self._certain()

    def _note_on(self, pitch: int) -> tuple[NoteEvent, ...]:
        if self._last_onset[pitch] == self._now:
            return ()
        certain = self._note_off(pitch)
        self._last_onset[pitch] = self._now
        note = _OpenNote(self._now, pitch, self._velocity)
        self._sounding[pitch] = note
        self._waiting.append(note)
        return certain

    def _note_off(self, pitch: int) -> tuple[NoteEvent, ...]:
        note = self._sounding.pop(pitch, None)
        if note is None:
            return ()
        note.end_frames = max(self._now, note.onset_frames + 1)
        return self._certain()

    def _certain(self) -> tuple[NoteEvent, ...]:
        """Removes and returns the notes that need not be held back any longer."""
        certain: list[NoteEvent] = []
        waiting = self._waiting
        while waiting and waiting[0].end_frames:
            certain.append(waiting.popleft().event())
        if len(waiting) > MAX_WAITING:
            certain += [note.event() for note in waiting if note.end_frames]
            self._waiting = deque(note for note in waiting if not note.end_frames)
        return tuple(certain)


def level_velocity(level: int) -> int:
    """Returns the MIDI velocity in the middle of the range of a Velocity symbol."""
    return level * VELOCITY_WIDTH + VELOCITY_WIDTH // 2
