"""Music as data: tracks of notes in ticks, with the tempo map that turns ticks into seconds.

A `Score` holds what a MIDI file says, cleaned by the rules of `gen.music.midi.rules`: every note has an onset, a length
of at least one tick, a pitch 0..127 and a velocity 1..127. Pedal, bends and controllers are kept beside the notes, not
applied to them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gen.errors import SettingError

DEFAULT_TEMPO = 500_000  # microseconds a beat, 120 a minute: what MIDI assumes until it is told
MAX_TICKS_PER_BEAT = 0x7FFF
MAX_TEMPO = 0xFFFFFF
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)

# Of onset, duration, pitch and velocity; a sum of two of them stays far within 64 bits.
_LEAST = np.array(((0,), (1,), (0,), (1,)))
_MOST = np.array(((1 << 48,), (1 << 48,), (127,), (127,)))
_MIN_EVENT_SHARE = np.array(((0,), (0xA0,), (0,), (0,)))
_MAX_EVENT_SHARE = np.array(((1 << 48,), (0xE0,), (127,), (127,)))
_NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Note(NamedTuple):
    """One note; `duration_ticks` is how long its key is down, at least 1."""

    onset_ticks: int
    duration_ticks: int
    pitch: int
    velocity: int


class ChannelEvent(NamedTuple):
    """What a channel is told beside notes, programs and the sustain pedal.

    `status` is 0xA0 (pressure of the key `first`), 0xB0 (controller `first`), 0xD0 (pressure `first`; `second` is 0) or
    0xE0 (bend, `second` * 128 + `first`, of which 8192 is none).
    """

    onset_ticks: int
    status: int
    first: int
    second: int


_Row = TypeVar("_Row", Note, ChannelEvent)


class _Table(Sequence[_Row]):
    """Tuples of four integers as a table, which takes a tenth of their memory and time; equal to those tuples.

    Args:
        rows: tuples, or a (4, N) array with their columns, which is not copied.
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
    def __getitem__(self, place: int) -> _Row: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> _Row | Self:
        if isinstance(place, slice):
            return type(self)(self.columns[:, place])
        row: _Row = self.row_type._make(self.columns[:, place].tolist())
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
    """Notes: columns are onsets, durations, pitches and velocities."""

    __slots__ = ()
    row_type = Note


class ChannelEvents(_Table[ChannelEvent]):
    """Events of a channel: columns are onsets, statuses, first and second data bytes."""

    __slots__ = ()
    row_type = ChannelEvent


NO_EVENTS = ChannelEvents()


class PedalSpan(NamedTuple):
    """The sustain pedal goes down at `onset_ticks` and up `duration_ticks` later."""

    onset_ticks: int
    duration_ticks: int


class Tempo(NamedTuple):
    """From `onset_ticks` on a beat lasts `tempo_us_per_beat` microseconds."""

    onset_ticks: int
    tempo_us_per_beat: int

    def __str__(self) -> str:
        return f"tempo {60e6 / self.tempo_us_per_beat:.0f} beats a minute"


class TimeSignature(NamedTuple):
    """From `onset_ticks` on a bar is `numerator` notes of length 1/`denominator`."""

    onset_ticks: int
    numerator: int
    denominator: int

    def __str__(self) -> str:
        return f"metre {self.numerator}/{self.denominator}"


class KeySignature(NamedTuple):
    """From `onset_ticks` on the key is `key`, written as mido writes it: "C", "F#m"."""

    onset_ticks: int
    key: str


class Text(NamedTuple):
    """Words at `onset_ticks`; `kind` is the type of the meta event: 1 a text, 2 a copyright notice, 5 a lyric, ..."""

    onset_ticks: int
    kind: int
    text: str  # each character a byte, for MIDI names no encoding


class NoteEvent(NamedTuple):
    """One note in real time: what a music decoder yields, and what a streamed sample prints."""

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
        program: General MIDI program, 0..127.
        is_drum: the track plays drums.
        pedal: spans in ascending order that do not overlap.
        events: what else its channel is told, from the first to the last tick of the piece, in order of time; tracks of
            one channel have the same.
        channel: where the file had it, 16 for each port before its own plus 0..15; None lets the writer choose. Equal
            music on another channel is equal.

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
        if columns.size and ((columns < _LEAST) | (columns > _MOST)).any():
            place = int(np.argmax(((columns < _LEAST) | (columns > _MOST)).any(axis=0)))
            raise SettingError(f"track: a note is out of range ({Notes(columns)[place]})")
        columns = self.events.columns
        if columns.size and ((columns < _MIN_EVENT_SHARE) | (columns > _MAX_EVENT_SHARE)).any():
            raise SettingError("track: an event is out of range")

    @property
    def columns(self) -> NDArray[np.int64]:
        """(4, N): onsets, durations, pitches and velocities of the notes; not to be modified."""
        return Notes(self.notes).columns


@dataclass(frozen=True, slots=True)
class Score:
    """A piece of music.

    Args:
        tempos: in ascending order, at most one a tick; before the first the tempo is `DEFAULT_TEMPO`.
        texts: of all tracks of a file, in ascending order.
        stop_ticks: where a piece that was cut stops, so that what goes on from it begins there; None for where it ends.

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
        """The notes of all tracks, drums included."""
        return sum(len(track.notes) for track in self.tracks)

    @property
    def duration_seconds(self) -> float:
        """When the last note ends; 0 without notes."""
        ends = [int((track.columns[0] + track.columns[1]).max()) for track in self.tracks if track.notes]
        return float(self.seconds([max(ends)])[0]) if ends else 0.0

    def seconds(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Returns when the given (N,) ticks sound; exact up to one rounding of float64."""
        starts, tempos, elapsed = self._tempo_map()
        at = np.asarray(ticks, dtype=np.int64)
        place = np.searchsorted(starts, at, side="right") - 1
        total = elapsed[place] + (at - starts[place]) * tempos[place]
        return np.asarray(total / (self.ticks_per_beat * 1e6), dtype=np.float64)

    def ticks(self, seconds: ArrayLike) -> NDArray[np.int64]:
        """Returns the ticks nearest to the given (N,) seconds, which are not negative."""
        starts, tempos, elapsed = self._tempo_map()
        total = np.asarray(seconds, dtype=np.float64) * (self.ticks_per_beat * 1e6)
        place = np.searchsorted(elapsed, total, side="right") - 1
        return np.asarray(starts[place] + np.rint((total - elapsed[place]) / tempos[place]), dtype=np.int64)

    def _tempo_map(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns per tempo: its first tick, microseconds a beat, and microseconds times ticks per beat before it."""
        changes = self.tempos
        if not changes or changes[0].onset_ticks > 0:
            changes = (Tempo(0, DEFAULT_TEMPO), *changes)
        # Number by number: of a million tuples numpy makes an array in three times as long.
        starts = np.array([change.onset_ticks for change in changes], dtype=np.int64)
        tempos = np.array([change.tempo_us_per_beat for change in changes], dtype=np.int64)
        elapsed = np.concatenate(([0], np.cumsum(np.diff(starts) * tempos[:-1])))
        return starts, tempos, elapsed


def differences(values: NDArray[np.int64], *, before: int = 0) -> NDArray[np.int64]:
    """Returns each of (N,) values less the one before it; `before` stands before the first.

    A small file costs a dozen of them, and np.diff with `prepend` takes five times as long for so few values.
    """
    result = values.copy()
    result[:1] -= before
    result[1:] -= values[:-1]
    return result


def pitch_name(pitch: int) -> str:
    """Returns a pitch's name, with sharps; middle C, which is 60, is C4."""
    return f"{_NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"
