"""Turns what a channel is told into what the synthesiser can do: bends, controllers, banks and pedals of a track.

tinysoundfont knows bends, their range, volume, expression and pan. Here are added:

- Volume and expression follow General MIDI: amplitude is the square of the value; the synthesiser's own curve is cubic.
- Modulation is a vibrato of up to half a semitone (General MIDI 2); `gen.music.views.sound` plays it by changing the
  tuning.
- Fine and coarse tuning (registered parameters 1 and 2), which would otherwise be overwritten by the vibrato.
- A bank counts at once, by its upper half; a font that lacks it plays bank 0.
- Controller 121 resets as its makers agreed (RP-015): volume, pan and bank stay.
- Sostenuto and hold pedals lengthen notes as the sustain pedal does; notes that begin under the soft pedal are softer.

Pressures and effects are not played.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.parts import BANK_SELECT
from gen.music.midi.rules import pedal_spans
from gen.music.score import ChannelEvents, PedalSpan, Track

SOFT_SHARE = 0.75  # of a note's velocity, under the soft pedal
MAX_VIBRATO_CENTS = 50

VOLUME, DEFAULT_VOLUME = 7, 100  # of General MIDI, where a file tells volumes
_MODULATION, _DATA, _EXPRESSION = 1, 6, 11
_SOSTENUTO, _SOFT, _HOLD = 66, 67, 69
_DATA_FINE = 38
_UNREGISTERED_FINE, _UNREGISTERED, _REGISTERED_FINE, _REGISTERED = 98, 99, 100, 101
_SOUND_OFF, _RESET, _NOTES_OFF = 120, 121, 123
_FINE = 32  # more than a controller is that of its finer half
_PLAYED = frozenset({10, 42, *range(98, 102), _SOUND_OFF})  # pan, what chooses a parameter, all sound off
_NO_BEND = 8192
_FINE_TUNING, _COARSE_TUNING, _NO_PARAMETER = (0, 1), (0, 2), (127, 127)

Ints = NDArray[np.int64]


class Kind(IntEnum):
    """What a synthesiser is told; of what is due at once, keys go up first, and down last."""

    OFF = 0
    CONTROL = 1  # a controller and its value
    BEND = 2  # 0 to 16383
    BANK = 3
    TUNING = 4  # in cents
    VIBRATO = 5  # its depth in cents
    ON = 6


class Gesture(NamedTuple):
    """One of them other than a key; `first` is the controller, or the value where there is no other."""

    tick: int
    kind: Kind
    first: int
    second: int = 0


@dataclass(slots=True)
class _Tuning:
    """The parameters that a channel was given."""

    parameter: tuple[int, int] = _NO_PARAMETER
    coarse: int = 64
    fine: int = 64 << 7

    def choose(self, controller: int, value: int) -> None:
        """Takes one of the four controllers that choose a parameter."""
        upper, lower = self.parameter
        if controller in (_UNREGISTERED, _UNREGISTERED_FINE):
            self.parameter = _NO_PARAMETER
        else:
            self.parameter = (value, lower) if controller == _REGISTERED else (upper, value)

    def set(self, controller: int, value: int) -> bool:
        """Takes a value for the parameter; returns whether it is one of tuning."""
        if self.parameter == _COARSE_TUNING:
            self.coarse = value if controller == _DATA else self.coarse
        elif self.parameter == _FINE_TUNING:
            self.fine = value << 7 | self.fine & 0x7F if controller == _DATA else self.fine & ~0x7F | value
        else:
            return False
        return True

    @property
    def cents(self) -> int:
        """How much higher than written the channel sounds."""
        return 100 * (self.coarse - 64) + round(100 * (self.fine - (64 << 7)) / (64 << 7))


def gestures(track: Track) -> Iterator[Gesture]:
    """Yields what a track's channel is told, in order of time."""
    tuning = _Tuning()
    ticks = track.events.columns[0]
    is_held = (_held(ticks, track.pedal) > ticks).tolist()
    for (tick, status, first, second), held in zip(track.events, is_held, strict=True):
        if status == 0xE0:
            yield Gesture(tick, Kind.BEND, second << 7 | first)
        elif status == 0xB0 and not (held and first >= _NOTES_OFF):  # keys go up, but the pedal holds the notes
            yield from _controlled(tick, first, second, tuning)


def loudness(tick: int, controller: int, value: int) -> Iterator[Gesture]:
    """Yields a value 0..127 of volume or expression in the synthesiser's terms, fourteen bits of them."""
    upper, lower = divmod(round(16383 * (value / 127) ** (2 / 3)), 128)
    yield Gesture(tick, Kind.CONTROL, controller, upper)
    yield Gesture(tick, Kind.CONTROL, controller + _FINE, lower)


def tells_volume(track: Track) -> bool:
    """Returns whether a track's channel is told its volume."""
    return bool(_is_controller(track.events, VOLUME).any())


def released_ticks(track: Track) -> Ints:
    """Returns the (N,) ticks at which notes end: at the latest when pedals are up, or the key goes down again."""
    onsets, durations, pitches, _ = track.columns
    keys_up = onsets + durations
    ends = _held(keys_up, track.pedal)
    if len(track.events):
        last = int(keys_up.max(initial=0))
        ends = _held(ends, _spans(track.events, _HOLD, last))
        ends = np.maximum(ends, _caught(onsets, keys_up, _spans(track.events, _SOSTENUTO, last)))
    order = np.lexsort((onsets, pitches))
    is_repeated = (np.diff(pitches[order]) == 0) & (np.diff(onsets[order]) > 0)
    first, second = order[:-1][is_repeated], order[1:][is_repeated]
    ends[first] = np.minimum(ends[first], onsets[second])
    return np.asarray(ends, np.int64)


def struck_velocities(track: Track) -> Ints:
    """Returns the (N,) velocities of notes, less under the soft pedal."""
    onsets, _, _, velocities = track.columns
    if not len(track.events):
        return np.asarray(velocities)
    spans = _spans(track.events, _SOFT, int(onsets.max(initial=0)) + 1)
    is_soft = _held(onsets, spans) > onsets
    softer = np.maximum(1, np.rint(velocities * SOFT_SHARE)).astype(np.int64)
    return np.asarray(np.where(is_soft, softer, velocities))


def _controlled(tick: int, controller: int, value: int, tuning: _Tuning) -> Iterator[Gesture]:
    if controller == BANK_SELECT:
        yield Gesture(tick, Kind.BANK, value)
    elif controller == _MODULATION:
        yield Gesture(tick, Kind.VIBRATO, round(MAX_VIBRATO_CENTS * value / 127))
    elif controller == _RESET:
        tuning.parameter = _NO_PARAMETER
        yield Gesture(tick, Kind.VIBRATO, 0)
        yield Gesture(tick, Kind.BEND, _NO_BEND)
        yield from loudness(tick, _EXPRESSION, 127)
        yield Gesture(tick, Kind.CONTROL, _REGISTERED, 127)
        yield Gesture(tick, Kind.CONTROL, _REGISTERED_FINE, 127)
    elif controller >= _NOTES_OFF:
        yield Gesture(tick, Kind.CONTROL, _NOTES_OFF, 0)
    elif controller in (_DATA, _DATA_FINE):
        if tuning.set(controller, value):
            yield Gesture(tick, Kind.TUNING, tuning.cents)
        else:
            yield Gesture(tick, Kind.CONTROL, controller, value)
    elif controller in (VOLUME, _EXPRESSION):
        yield from loudness(tick, controller, value)
    elif controller in _PLAYED:
        if _UNREGISTERED_FINE <= controller <= _REGISTERED:
            tuning.choose(controller, value)
        yield Gesture(tick, Kind.CONTROL, controller, value)


def _caught(onsets: Ints, keys_up: Ints, spans: tuple[PedalSpan, ...]) -> Ints:
    """Returns until when the sostenuto pedal holds (N,) notes: those whose keys are down when it goes down."""
    if not spans:
        return keys_up
    downs, lengths = np.array(spans, np.int64).T
    span = np.searchsorted(downs, keys_up) - 1
    is_caught = (span >= 0) & (downs[span] >= onsets)
    return np.asarray(np.where(is_caught, (downs + lengths)[span], keys_up))


def _is_controller(events: ChannelEvents, number: int) -> NDArray[np.bool_]:
    _, statuses, firsts, _ = events.columns
    return np.asarray((statuses == 0xB0) & (firsts == number))


def _spans(events: ChannelEvents, pedal: int, end_ticks: int) -> tuple[PedalSpan, ...]:
    """Returns when a pedal is down."""
    ticks, _, _, values = events.columns[:, _is_controller(events, pedal)]
    return pedal_spans(np.stack((ticks, values), axis=1), end_ticks=end_ticks)


def _held(ends: Ints, spans: tuple[PedalSpan, ...]) -> Ints:
    """Returns until when a pedal holds what would end at (N,) ticks."""
    if not spans:
        return ends
    downs, lengths = np.array(spans, np.int64).T
    span = np.searchsorted(downs, ends, side="right") - 1
    return np.asarray(np.maximum(ends, np.where(span >= 0, (downs + lengths)[span], 0)))
