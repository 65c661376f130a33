"""Converts the bends, controllers, banks and pedals of a track into commands for the synthesiser.

tinysoundfont itself plays bends, their range, volume, expression and pan. This module adds:

- Volume and expression as in General MIDI: the amplitude is the square of the value. The curve of the synthesiser is
  cubic.
- Modulation: a vibrato of up to half a semitone (General MIDI 2), which `gen.music.views.sound` plays by changing the
  tuning.
- Fine and coarse tuning (registered parameters 1 and 2), which the vibrato would otherwise overwrite.
- Banks: a bank counts at once, by its upper half; a font without the bank plays bank 0.
- Controller 121, which resets controllers as in recommended practice RP-015: volume, pan and bank stay.
- Pedals: the sostenuto and hold pedals lengthen notes as the sustain pedal does; notes that begin under the soft pedal
  are softer.

Pressures and effects are not played.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi import protocol
from gen.music.pedal import held_until, pedal_spans, span_columns
from gen.music.score import ChannelEvents, Track

SOFT_SHARE = 0.75  # of a note's velocity, under the soft pedal
MAX_VIBRATO_CENTS = 50
DEFAULT_VOLUME = 100  # of General MIDI: the volume before the first change, in files with volume changes

_PARAMETER_CHOICES = (protocol.UNREGISTERED_FINE, protocol.UNREGISTERED, protocol.REGISTERED_FINE, protocol.REGISTERED)
_PLAYED = frozenset({protocol.PAN, protocol.PAN + protocol.FINE, *_PARAMETER_CHOICES, protocol.ALL_SOUND_OFF})
_FINE_TUNING, _COARSE_TUNING, _NO_PARAMETER = (0, 1), (0, 2), (127, 127)

Ints = NDArray[np.int64]


class Command(IntEnum):
    """A command for the synthesiser; of those that are due at once, the lowest comes first."""

    OFF = 0
    CONTROL = 1  # a controller and its value
    BEND = 2  # a value from 0 to 16383
    BANK = 3
    TUNING = 4  # cents
    VIBRATO = 5  # the depth in cents
    ON = 6


class Gesture(NamedTuple):
    """A command at a tick, other than ON and OFF; `first` is the controller of CONTROL, else the value."""

    tick: int
    command: Command
    first: int
    second: int = 0


@dataclass(slots=True)
class _Tuning:
    """The tuning of a channel, and the parameter that data entry sets."""

    parameter: tuple[int, int] = _NO_PARAMETER
    coarse: int = 64
    fine: int = 64 << 7

    def choose(self, controller: int, value: int) -> None:
        """Chooses the parameter by the value of one of the four controllers for it."""
        upper, lower = self.parameter
        if controller in (protocol.UNREGISTERED, protocol.UNREGISTERED_FINE):
            self.parameter = _NO_PARAMETER
        else:
            self.parameter = (value, lower) if controller == protocol.REGISTERED else (upper, value)

    def set(self, controller: int, value: int) -> bool:
        """Sets the chosen parameter if it is one of tuning; returns whether it is."""
        if self.parameter == _COARSE_TUNING:
            self.coarse = value if controller == protocol.DATA_ENTRY else self.coarse
        elif self.parameter == _FINE_TUNING:
            is_upper = controller == protocol.DATA_ENTRY
            self.fine = value << 7 | self.fine & 0x7F if is_upper else self.fine & ~0x7F | value
        else:
            return False
        return True

    @property
    def cents(self) -> int:
        """The interval in cents from the written to the sounding pitch."""
        return 100 * (self.coarse - 64) + round(100 * (self.fine - (64 << 7)) / (64 << 7))


def gestures(track: Track) -> Iterator[Gesture]:
    """Yields the commands of a track's channel, in order of time."""
    tuning = _Tuning()
    ticks = track.events.columns[0]
    is_held = (held_until(ticks, span_columns(track.pedal)) > ticks).tolist()
    for (tick, status, first, second), held in zip(track.events, is_held, strict=True):
        if status == protocol.BEND:
            yield Gesture(tick, Command.BEND, second << 7 | first)
        elif status != protocol.CONTROLLER:
            continue
        elif not (held and first >= protocol.ALL_NOTES_OFF):  # a pedal holds notes despite notes-off
            yield from _controlled(tick, first, second, tuning)


def loudness(tick: int, controller: int, value: int) -> Iterator[Gesture]:
    """Yields the commands for a value 0..127 of volume or expression, converted to the synthesiser's curve."""
    upper, lower = divmod(round(16383 * (value / 127) ** (2 / 3)), 128)
    yield Gesture(tick, Command.CONTROL, controller, upper)
    yield Gesture(tick, Command.CONTROL, controller + protocol.FINE, lower)


def has_volume(track: Track) -> bool:
    """Returns whether a track's channel has volume changes."""
    return bool(_is_controller(track.events, protocol.VOLUME).any())


def released_ticks(track: Track) -> Ints:
    """Returns the (N,) ticks at which notes end: when key and pedals are up, or when the key is struck again."""
    onsets, durations, pitches, _ = track.columns
    keys_up = onsets + durations
    ends = held_until(keys_up, span_columns(track.pedal))
    if len(track.events):
        last = int(keys_up.max(initial=0))
        ends = held_until(ends, _spans(track.events, protocol.HOLD_PEDAL, last))
        ends = np.maximum(ends, _caught(onsets, keys_up, _spans(track.events, protocol.SOSTENUTO_PEDAL, last)))
    order = np.lexsort((onsets, pitches))
    is_repeated = (np.diff(pitches[order]) == 0) & (np.diff(onsets[order]) > 0)
    first, second = order[:-1][is_repeated], order[1:][is_repeated]
    ends[first] = np.minimum(ends[first], onsets[second])
    return np.asarray(ends, np.int64)


def struck_velocities(track: Track) -> Ints:
    """Returns the (N,) velocities of notes, reduced under the soft pedal."""
    onsets, _, _, velocities = track.columns
    if not len(track.events):
        return np.asarray(velocities)
    spans = _spans(track.events, protocol.SOFT_PEDAL, int(onsets.max(initial=0)) + 1)
    is_soft = held_until(onsets, spans) > onsets
    softer = np.maximum(1, np.rint(velocities * SOFT_SHARE)).astype(np.int64)
    return np.asarray(np.where(is_soft, softer, velocities))


def _controlled(tick: int, controller: int, value: int, tuning: _Tuning) -> Iterator[Gesture]:
    if controller == protocol.BANK_SELECT:
        yield Gesture(tick, Command.BANK, value)
    elif controller == protocol.MODULATION:
        yield Gesture(tick, Command.VIBRATO, round(MAX_VIBRATO_CENTS * value / 127))
    elif controller == protocol.RESET_CONTROLLERS:
        tuning.parameter = _NO_PARAMETER
        yield Gesture(tick, Command.VIBRATO, 0)
        yield Gesture(tick, Command.BEND, protocol.NO_BEND)
        yield from loudness(tick, protocol.EXPRESSION, 127)
        yield Gesture(tick, Command.CONTROL, protocol.REGISTERED, 127)
        yield Gesture(tick, Command.CONTROL, protocol.REGISTERED_FINE, 127)
    elif controller >= protocol.ALL_NOTES_OFF:
        yield Gesture(tick, Command.CONTROL, protocol.ALL_NOTES_OFF, 0)
    elif controller in (protocol.DATA_ENTRY, protocol.DATA_ENTRY + protocol.FINE):
        if tuning.set(controller, value):
            yield Gesture(tick, Command.TUNING, tuning.cents)
        else:
            yield Gesture(tick, Command.CONTROL, controller, value)
    elif controller in (protocol.VOLUME, protocol.EXPRESSION):
        yield from loudness(tick, controller, value)
    elif controller in _PLAYED:
        if controller in _PARAMETER_CHOICES:
            tuning.choose(controller, value)
        yield Gesture(tick, Command.CONTROL, controller, value)


def _caught(onsets: Ints, keys_up: Ints, spans: Ints) -> Ints:
    """Returns (N,) ticks until which the sostenuto pedal holds notes: those whose keys are down when it goes down."""
    if not spans.size:
        return keys_up
    downs, lengths = spans
    span = np.searchsorted(downs, keys_up) - 1
    is_caught = (span >= 0) & (downs[span] >= onsets)
    return np.asarray(np.where(is_caught, (downs + lengths)[span], keys_up))


def _is_controller(events: ChannelEvents, number: int) -> NDArray[np.bool_]:
    _, statuses, firsts, _ = events.columns
    return np.asarray((statuses == protocol.CONTROLLER) & (firsts == number))


def _spans(events: ChannelEvents, pedal: int, end_ticks: int) -> Ints:
    """Returns (2, S) the spans in which a pedal is down, as `span_columns` does."""
    ticks, _, _, values = events.columns[:, _is_controller(events, pedal)]
    return span_columns(pedal_spans(np.stack((ticks, values), axis=1), end_ticks=end_ticks))
