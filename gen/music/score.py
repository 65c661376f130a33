"""Scores: tracks of notes whose times are in ticks, with tempos that convert ticks to seconds.

A `Score` holds the contents of a MIDI file after the repairs of `gen.music.midi.rules`: every note has an onset, a
duration of at least one tick, a pitch 0..127 and a velocity 1..127. Pedal, bends and controllers are stored beside the
notes; they do not change the notes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gen.errors import SettingError

DEFAULT_TEMPO = 500_000  # microseconds a beat, 120 beats a minute: the tempo of MIDI before the first tempo event
MAX_TICKS_PER_BEAT = 0x7FFF
MAX_TEMPO = 0xFFFFFF
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)

NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

# Bounds of the columns of notes and of channel events. The sum of an onset and a duration stays far within 64 bits.
_MIN_NOTE = np.array(((0,), (1,), (0,), (1,)))
_MAX_NOTE = np.array(((1 << 48,), (1 << 48,), (127,), (127,)))
_MIN_EVENT = np.array(((0,), (0xA0,), (0,), (0,)))
_MAX_EVENT = np.array(((1 << 48,), (0xE0,), (127,), (127,)))


class Note(NamedTuple):
    """One note of a score, in ticks; its key is down for `duration_ticks`, at least 1."""

    onset_ticks: int
    duration_ticks: int
    pitch: int
    velocity: int


class ChannelEvent(NamedTuple):
    """An event of a channel other than notes, programs and the sustain pedal.

    `status` is 0xA0 (pressure `second` of the key `first`), 0xB0 (value `second` of the controller `first`), 0xD0
    (pressure `first` of the channel; `second` is 0) or 0xE0 (pitch bend `second` * 128 + `first`; 8192 is the centre).
    """

    onset_ticks: int
    status: int
    first: int
    second: int


_Row = TypeVar("_Row", Note, ChannelEvent)


class _Table(Sequence[_Row]):
    """A sequence of tuples of four integers, stored as an array in a tenth of the memory and time of a tuple of tuples.

    It equals a tuple with the same rows.

    Args:
        rows: tuples, or a (4, N) array of their columns, which is not copied.
    """

    __slots__ = ("columns",)
    row_type: ClassVar[type[Any]]
    columns: NDArray[np.int64]  # (4, N), not to be modified

    def __init__(self, rows: "Iterable[_Row] | NDArray[np.int64]" = ()) -> None:
        if isinstance(rows, _Table):
            self.columns = rows.columns
        elif isinstance(rows, np.ndarray):
            self.columns = rows
        else:
            self.columns = np.array(list(rows), dtype=np.int64).reshape(-1, 4).T

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @overload
    def __getitem__(self, index: int) -> _Row: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> _Row | Self:
        if isinstance(index, slice):
            return type(self)(self.columns[:, index])
        row: _Row = self.row_type._make(self.columns[:, index].tolist())
        return row

    def __iter__(self) -> Iterator[_Row]:
        return map(self.row_type._make, zip(*self.columns.tolist(), strict=True))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Table):
            return np.array_equal(self.columns, other.columns)
        return tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class Notes(_Table[Note]):
    """Notes; their columns are onsets, durations, pitches and velocities."""

    __slots__ = ()
    row_type = Note


class ChannelEvents(_Table[ChannelEvent]):
    """Events of a channel; their columns are onsets, statuses, first and second data bytes."""

    __slots__ = ()
    row_type = ChannelEvent


NO_EVENTS = ChannelEvents()


class PedalSpan(NamedTuple):
    """A time in which a pedal is down: from `onset_ticks` on, for `duration_ticks`."""

    onset_ticks: int
    duration_ticks: int


class Tempo(NamedTuple):
    """A tempo: from `onset_ticks` on, a beat lasts `tempo_us_per_beat` microseconds."""

    onset_ticks: int
    tempo_us_per_beat: int

    def __str__(self) -> str:
        return f"tempo {60e6 / self.tempo_us_per_beat:.0f} beats a minute"


class TimeSignature(NamedTuple):
    """A metre: from `onset_ticks` on, a bar lasts `numerator` notes of length 1/`denominator`."""

    onset_ticks: int
    numerator: int
    denominator: int

    def __str__(self) -> str:
        return f"metre {self.numerator}/{self.denominator}"


class KeySignature(NamedTuple):
    """A key: from `onset_ticks` on, the piece is in `key`, written as mido writes it: "C", "F#m"."""

    onset_ticks: int
    key: str


class Text(NamedTuple):
    """A text event; `kind` is the type of the meta event: 1 a text, 2 a copyright notice, 5 a lyric, ..."""

    onset_ticks: int
    kind: int
    text: str  # one character per byte, because MIDI names no encoding


class NoteEvent(NamedTuple):
    """One note in seconds, as music decoders return it; `gen sample` prints these while it samples."""

    onset_seconds: float
    duration_seconds: float
    pitch: int
    velocity: int
    program: int = 0  # General MIDI
    is_drum: bool = False

    def __str__(self) -> str:
        name = pitch_name(self.pitch)
        line = f"{self.onset_seconds:9.2f} s  {name:<4} velocity {self.velocity:3d}  {self.duration_seconds:6.2f} s"
        return f"{line}  drums" if self.is_drum else f"{line}  program {self.program}" if self.program else line


@dataclass(frozen=True, slots=True)
class Track:
    """The notes of one program on one channel.

    Args:
        notes: in ascending order.
        program: General MIDI program, 0..127: the instrument.
        is_drum: whether the track plays drums.
        pedal: the spans in which the sustain pedal is down, in ascending order, without overlap.
        events: all other events of the channel over the whole piece, in order of time. Tracks on the same channel
            have the same events.
        channel: 16 * port + 0..15, the channel in the MIDI file; None lets `write_midi` choose. It does not count when
            tracks are compared.

    Raises:
        SettingError: a number is out of range.
    """

    notes: Sequence[Note]
    program: int = 0
    is_drum: bool = False
    name: str = ""
    pedal: tuple[PedalSpan, ...] = ()
    events: ChannelEvents = NO_EVENTS
    channel: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.program <= 127:
            raise SettingError(f"track: program must be 0 to 127 ({self.program})")
        columns = self.columns
        if columns.size and ((columns < _MIN_NOTE) | (columns > _MAX_NOTE)).any():
            index = int(np.argmax(((columns < _MIN_NOTE) | (columns > _MAX_NOTE)).any(axis=0)))
            raise SettingError(f"track: a note is out of range ({Notes(columns)[index]})")
        columns = self.events.columns
        if columns.size and ((columns < _MIN_EVENT) | (columns > _MAX_EVENT)).any():
            raise SettingError("track: an event is out of range")

    @property
    def columns(self) -> NDArray[np.int64]:
        """(4, N): onsets, durations, pitches and velocities of the notes; not to be modified."""
        return Notes(self.notes).columns


@dataclass(frozen=True, slots=True)
class Score:
    """A piece of music.

    Args:
        ticks_per_beat: the length of a beat, a quarter note.
        tempos: in ascending order, at most one per tick; before the first the tempo is `DEFAULT_TEMPO`.
        texts: the texts of all tracks of the file, in ascending order.
        stop_ticks: the tick at which a piece was cut, where a continuation begins; None if it was not cut.

    Raises:
        SettingError: a number is out of range.
    """

    tracks: tuple[Track, ...]
    ticks_per_beat: int = 480
    tempos: tuple[Tempo, ...] = ()
    time_signatures: tuple[TimeSignature, ...] = ()
    key_signatures: tuple[KeySignature, ...] = ()
    texts: tuple[Text, ...] = ()
    stop_ticks: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.ticks_per_beat <= MAX_TICKS_PER_BEAT:
            raise SettingError(f"score: ticks per beat must be 1 to {MAX_TICKS_PER_BEAT} ({self.ticks_per_beat})")
        for tempo in self.tempos:
            if not 1 <= tempo.tempo_us_per_beat <= MAX_TEMPO:
                raise SettingError(f"score: a tempo must be 1 to {MAX_TEMPO} us a beat ({tempo.tempo_us_per_beat})")
        for _, numerator, denominator in self.time_signatures:
            if numerator < 1 or denominator not in DENOMINATORS:
                raise SettingError(f"score: no time signature ({numerator}/{denominator})")

    @property
    def num_notes(self) -> int:
        """The number of notes of all tracks, drums included."""
        return sum(len(track.notes) for track in self.tracks)

    @property
    def end_ticks(self) -> int:
        """The tick at which the last note ends; 0 without notes."""
        ends = (int((track.columns[0] + track.columns[1]).max()) for track in self.tracks if track.notes)
        return max(ends, default=0)

    @property
    def duration_seconds(self) -> float:
        """The time at which the last note ends; 0 without notes."""
        return float(self.seconds([self.end_ticks])[0])

    def seconds(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Converts (N,) ticks to seconds; exact up to one rounding of float64."""
        starts, tempos = self.tempo_changes()
        elapsed = _elapsed(starts, tempos)
        at = np.asarray(ticks, dtype=np.int64)
        index = np.searchsorted(starts, at, side="right") - 1
        total = elapsed[index] + (at - starts[index]) * tempos[index]
        return np.asarray(total / (self.ticks_per_beat * 1e6), dtype=np.float64)

    def ticks(self, seconds: ArrayLike) -> NDArray[np.int64]:
        """Converts (N,) seconds, none of them negative, to the nearest ticks."""
        starts, tempos = self.tempo_changes()
        elapsed = _elapsed(starts, tempos)
        total = np.asarray(seconds, dtype=np.float64) * (self.ticks_per_beat * 1e6)
        index = np.searchsorted(elapsed, total, side="right") - 1
        return np.asarray(starts[index] + np.rint((total - elapsed[index]) / tempos[index]), dtype=np.int64)

    def tempo_changes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (N,) the ticks at which tempos begin, the first at 0, and (N,) their microseconds per beat."""
        changes = self.tempos
        if not changes or changes[0].onset_ticks > 0:
            changes = (Tempo(0, DEFAULT_TEMPO), *changes)
        # From a million tuples numpy builds an array three times as slowly as from two lists.
        starts = np.array([change.onset_ticks for change in changes], dtype=np.int64)
        return starts, np.array([change.tempo_us_per_beat for change in changes], dtype=np.int64)


def _elapsed(starts: NDArray[np.int64], tempos: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the (T,) times at which tempos begin, in microseconds times ticks per beat."""
    return np.concatenate(([0], np.cumsum(np.diff(starts) * tempos[:-1])))


def differences(values: NDArray[np.int64], *, before: int = 0) -> NDArray[np.int64]:
    """Returns each of (N,) values minus the one before it; `before` precedes the first.

    A small file needs a dozen calls, and on few values np.diff with `prepend` takes five times as long.
    """
    result = values.copy()
    result[:1] -= before
    result[1:] -= values[:-1]
    return result


def pitch_name(pitch: int) -> str:
    """Returns the name of a pitch, with sharps; middle C, pitch 60, is C4."""
    return f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"
