"""Finds the times at which each channel plays drums, and those at which it plays melody.

At first channel 10 of each port plays drums and the others play melody. These messages change it:

- Roland GS: the system exclusive message "use for rhythm part" (address 40 1x 15; x is 1 to 9 for the first nine
  channels, 0 for the tenth, A to F for the others).
- Yamaha XG: the part mode (address 08 nn 07), and banks 126 and 127 for drums. Once a file has switched XG on, any
  other bank means melody, also on channel 10.
- General MIDI 2: bank 120 for drums, bank 121 for melody.
- A selected bank counts from the next program change on. Once GS has been switched on, banks are variations of sounds
  and no longer choose between drums and melody.
- A message may be split into several events (F0, then F7); it counts at the last of them.
- A message that switches GM, GM2, GS or XG on resets all channels of its port.

Of several messages at one tick the last in the file counts. It also counts for the notes at that tick.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.devices import Channels
from gen.music.midi.events import CONTINUED, EXCLUSIVE, Events
from gen.music.midi.protocol import BANK_SELECT, CHANNELS, CONTROLLER, DRUM_CHANNEL, EXCLUSIVE_STATUS, PROGRAM

DRUM_BANKS = (120, 126, 127)
MELODY_BANK = 121

_Mode = Literal["", "gs", "xg"]

_END = b"\xf7"
_ROLAND, _YAMAHA = 0x41, 0x43
_GS_DATA = (0x42, 0x12)  # the model GS, the command "data set"
_GS_RESET, _GS_SYSTEM_MODE = (0x40, 0x00, 0x7F), (0x00, 0x00, 0x7F)
_GS_RHYTHM = 0x15
_XG, _XG_PART_MODE = 0x4C, 0x07
_XG_RESETS = ((0x00, 0x00, 0x7E), (0x00, 0x00, 0x7F))

Ints = NDArray[np.int64]


class Parts(NamedTuple):
    """The changes of channels between drums and melody.

    Args:
        changes: by channel, (C,) ticks in ascending order, and (C + 1,) whether the channel plays drums: before the
            first tick, and from each tick on.
        num_exclusive: the number of system exclusive events with such changes.
        num_banks: the number of bank selections with such changes.
    """

    changes: Mapping[int, tuple[Ints, NDArray[np.bool_]]]
    num_exclusive: int = 0
    num_banks: int = 0

    def is_drum(self, channel: int, ticks: Ints) -> NDArray[np.bool_]:
        """Returns (N,) whether a channel of `changes` plays drums at some ticks."""
        starts, flags = self.changes[channel]
        return np.asarray(flags[np.searchsorted(starts, ticks, side="right")])


class _Reset(NamedTuple):
    """A message that resets all channels of its port."""

    mode: _Mode


class _PartMode(NamedTuple):
    """A message that makes a channel of its port play drums or melody."""

    channel: int
    is_drum: bool


class _Message(NamedTuple):
    """A message at a tick; the offset in the file orders messages at the same tick."""

    tick: int
    offset: int
    channel: int  # for a system exclusive message, the first channel of its port
    change: _Reset | _PartMode | None  # None for the selection of a bank or a program
    bank: int | None = None  # None for the selection of a program
    num_events: int = 1  # the number of events that the message is split into


@dataclass(slots=True)
class _Channel:
    """The state of a channel."""

    is_drum: bool
    bank: int | None = None  # None before the first selection
    is_drum_by_bank: bool | None = None  # None if the bank does not decide
    num_banks: int = 0  # selections of banks that decided
    is_counted: bool = True  # whether `num_banks` counts the last selection

    def select(self, bank: int) -> None:
        """Selects the bank of the next program."""
        self.bank, self.is_counted = bank, False

    def choose_program(self, mode: _Mode) -> None:
        """Puts the selected bank into effect."""
        if mode == "gs" or self.bank is None:
            self.is_drum_by_bank = None
        elif self.bank in DRUM_BANKS:
            self.is_drum_by_bank = True
        else:
            self.is_drum_by_bank = False if self.bank == MELODY_BANK or mode == "xg" else None
        self.num_banks += self.is_drum_by_bank is not None and not self.is_counted
        self.is_counted = True


@dataclass(slots=True)
class _Port:
    """The state of a port."""

    mode: _Mode = ""
    channels: dict[int, _Channel] = field(default_factory=dict)

    def channel(self, number: int) -> _Channel:
        """Returns the state of a channel; before its first message that is the initial state."""
        return self.channels.setdefault(number, _Channel(number == DRUM_CHANNEL))


def find_parts(events: Events, channels: Channels) -> Parts:
    """Returns the changes of the channels of a file between drums and melody."""
    exclusive = list(_exclusive(events, channels))
    is_bank = (events.statuses & 0xF0 == CONTROLLER) & (events.firsts == BANK_SELECT)
    if not exclusive and not (is_bank & (events.seconds >= min(DRUM_BANKS))).any():
        return Parts({})
    messages = sorted([*exclusive, *_selections(events, channels, is_bank)])
    ports: defaultdict[int, _Port] = defaultdict(_Port)
    settings: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    num_banks = 0
    for message in messages:
        port, number = divmod(message.channel, CHANNELS)
        for changed in _apply(ports[port], number, message):
            channel = ports[port].channel(changed)
            is_drum = channel.is_drum if channel.is_drum_by_bank is None else channel.is_drum_by_bank
            settings[port * CHANNELS + changed].append((message.tick, is_drum))
            num_banks += channel.num_banks
            channel.num_banks = 0
    changes = {channel: _changes(channel, of_channel) for channel, of_channel in settings.items()}
    changes = {channel: change for channel, change in changes.items() if len(change[0])}
    return Parts(changes, sum(message.num_events for message in exclusive), num_banks)


def may_make_melody(data: bytes) -> bool:
    """Returns whether a file may make channel 10 play melody; False is certain."""
    return bytes([EXCLUSIVE_STATUS]) in data or bytes((BANK_SELECT, MELODY_BANK)) in data


def _apply(port: _Port, number: int, message: _Message) -> list[int]:
    """Applies a message to its port; returns the channels of the port that it may have changed."""
    change = message.change
    if isinstance(change, _Reset):
        port.mode = change.mode
        changed = list(port.channels)
        port.channels.clear()
        return changed
    if isinstance(change, _PartMode):
        port.channels[change.channel] = _Channel(change.is_drum)
        return [change.channel]
    channel = port.channel(number)
    if message.bank is not None:
        channel.select(message.bank)
        return []
    channel.choose_program(port.mode)
    return [number]


def _changes(channel: int, settings: list[tuple[int, bool]]) -> tuple[Ints, NDArray[np.bool_]]:
    """Returns the changes of a channel as in `Parts`, given its settings by tick, of which some change nothing."""
    at_first = channel % CHANNELS == DRUM_CHANNEL
    changes = [after for before, after in pairwise([(0, at_first), *settings]) if before[1] != after[1]]
    return np.array([tick for tick, _ in changes], np.int64), np.array([at_first, *(flag for _, flag in changes)])


def _selections(events: Events, channels: Channels, is_bank: NDArray[np.bool_]) -> Iterator[_Message]:
    """Yields each selection of a bank or a program, on channels where a bank is selected."""
    is_program = (events.statuses & 0xF0 == PROGRAM) & np.isin(channels.numbers, channels.numbers[is_bank])
    chosen = np.flatnonzero(is_bank | is_program)
    rows = (events.ticks, events.offsets, channels.numbers, events.seconds, is_bank)
    for tick, offset, channel, bank, selects in zip(*(row[chosen].tolist() for row in rows), strict=True):
        yield _Message(tick, offset, channel, None, bank if selects else None)


def _exclusive(events: Events, channels: Channels) -> Iterator[_Message]:
    """Yields each system exclusive message about drums, at the tick and offset of the last of its events."""
    found = events.systems.where((EXCLUSIVE, CONTINUED))
    offsets, ports = events.systems.offsets[found].tolist(), channels.system_ports[found].tolist()
    track, data, num_events = -1, bytearray(), 0
    for offset, port, event in zip(offsets, ports, events.each_system(found), strict=True):
        if event.kind == EXCLUSIVE:
            track, data, num_events = event.track, bytearray(event.data), 1
        elif event.track == track and data[-1:] != _END:
            data += event.data
            num_events += 1
        else:  # it continues no message
            continue
        change = _meaning(data)
        if change is not None and port >= 0:
            yield _Message(event.tick, offset, port * CHANNELS, change, num_events=num_events)


def _meaning(data: bytearray) -> _Reset | _PartMode | None:
    """Returns the effect of a system exclusive message on drums, given its bytes after F0; None without an effect."""
    if data[-1:] != _END:
        return None
    if data[0] == 0x7E and data[2:3] == b"\x09":
        return _Reset("")
    if data[0] == _ROLAND and tuple(data[2:4]) == _GS_DATA:
        return _gs_meaning(tuple(data[4:7]), data[7:-2])
    if data[0] == _YAMAHA and data[1] & 0xF0 == 0x10 and data[2:3] == bytes([_XG]):
        return _xg_meaning(tuple(data[3:6]), data[6:-1])
    return None


def _gs_meaning(address: tuple[int, ...], values: bytearray) -> _Reset | _PartMode | None:
    if address in (_GS_RESET, _GS_SYSTEM_MODE):
        return _Reset("gs")
    index = _GS_RHYTHM - address[2] if len(address) == 3 else -1
    if address[:1] != (0x40,) or address[1] & 0xF0 != 0x10 or not 0 <= index < len(values):
        return None
    part = address[1] & 0x0F
    channel = DRUM_CHANNEL if part == 0 else part - (part <= DRUM_CHANNEL)
    return _PartMode(channel, values[index] > 0)


def _xg_meaning(address: tuple[int, ...], values: bytearray) -> _Reset | _PartMode | None:
    if address in _XG_RESETS:
        return _Reset("xg")
    index = _XG_PART_MODE - address[2] if len(address) == 3 else -1
    if address[:1] != (0x08,) or address[1] >= CHANNELS or not 0 <= index < len(values):
        return None
    return _PartMode(address[1], values[index] > 0)
