"""Tells when a channel plays drums.

Channel 10 of each port does, unless it is told otherwise, and others do once they are told to:

- Roland GS: the system exclusive message "use for rhythm part" (address 40 1x 15; x is 1 to 9 for the first nine
  channels, 0 for the tenth, A to F for the others).
- Yamaha XG: the part mode (address 08 nn 07), and bank 127 or 126. Once a file has switched XG on, any other bank is of
  melody, on channel 10 too.
- General MIDI 2: bank 120; bank 121 is of melody.
- A bank counts from the next change of program on. Once GS has been switched on, banks are variations of sounds and say
  nothing of drums.
- A message may come in several events (F0, then F7); it counts where the last of them stands.
- Switching on GM, GM2, GS or XG brings back what holds at the beginning, on that port.

Of several at one tick the last in the file counts, and it holds for the notes of that tick.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.devices import CHANNELS, Channels
from gen.music.midi.events import CONTINUED, EXCLUSIVE, Events

DRUM_CHANNEL = 9  # of each port; the tenth, counted from 1 in the manuals
BANK_SELECT = 0  # a controller: the upper half of the number of a bank
DRUM_BANKS = (120, 126, 127)
MELODY_BANK = 121

_Mode = Literal["", "gs", "xg"]

_END = b"\xf7"
_ROLAND, _YAMAHA = 0x41, 0x43
_GS_DATA = (0x42, 0x12)  # GS, "data set"
_GS_RESET, _GS_SYSTEM_MODE = (0x40, 0x00, 0x7F), (0x00, 0x00, 0x7F)
_GS_RHYTHM = 0x15
_XG = 0x4C
_XG_RESETS = ((0x00, 0x00, 0x7E), (0x00, 0x00, 0x7F))

Ints = NDArray[np.int64]


class Parts(NamedTuple):
    """Which channels change between drums and melody.

    Args:
        changes: by channel, (C,) ticks in ascending order and (C + 1,) whether it plays drums before the first of them,
            and from each on.
        num_exclusive: how many system exclusive events said so.
        num_banks: how many selections of a bank did.
    """

    changes: Mapping[int, tuple[Ints, NDArray[np.bool_]]]
    num_exclusive: int = 0
    num_banks: int = 0

    def is_drum(self, channel: int, ticks: Ints) -> NDArray[np.bool_]:
        """Returns whether one of these channels plays drums at (N,) ticks."""
        starts, flags = self.changes[channel]
        return np.asarray(flags[np.searchsorted(starts, ticks, side="right")])


class _Reset(NamedTuple):
    """All channels of the port are as at the beginning."""

    mode: _Mode


class _PartMode(NamedTuple):
    """A channel of the port plays drums or melody."""

    channel: int
    is_drum: bool


class _Message(NamedTuple):
    """What happens at a tick; `place` in the file orders what happens at the same one."""

    tick: int
    place: int
    channel: int  # of a system exclusive message, the first of its port
    change: _Reset | _PartMode | None  # None where a bank or a program is chosen
    bank: int | None = None  # None where a program is chosen
    num_events: int = 1  # that it comes in


@dataclass(slots=True)
class _Channel:
    """A channel as it stands."""

    is_drum: bool
    bank: int | None = None  # None: none was selected
    by_bank: bool | None = None  # None: the bank says nothing
    num_banks: int = 0  # selections of a bank that said something
    is_counted: bool = True  # the last of them

    def select(self, bank: int) -> None:
        """Takes a bank, which the next program is in."""
        self.bank, self.is_counted = bank, False

    def choose_program(self, mode: _Mode) -> None:
        """Takes the bank that was selected."""
        if mode == "gs" or self.bank is None:
            self.by_bank = None
        elif self.bank in DRUM_BANKS:
            self.by_bank = True
        else:
            self.by_bank = False if self.bank == MELODY_BANK or mode == "xg" else None
        self.num_banks += self.by_bank is not None and not self.is_counted
        self.is_counted = True


@dataclass(slots=True)
class _Port:
    """A port as it stands."""

    mode: _Mode = ""
    channels: dict[int, _Channel] = field(default_factory=dict)

    def channel(self, number: int) -> _Channel:
        """Returns a channel, of which nothing may have been said yet."""
        return self.channels.setdefault(number, _Channel(number == DRUM_CHANNEL))


def find_parts(events: Events, channels: Channels) -> Parts:
    """Returns which channels of a file change between drums and melody."""
    exclusive = list(_exclusive(events, channels))
    is_bank = (events.statuses & 0xF0 == 0xB0) & (events.firsts == BANK_SELECT)
    if not exclusive and not (is_bank & (events.seconds >= min(DRUM_BANKS))).any():
        return Parts({})
    messages = sorted([*exclusive, *_selections(events, channels, is_bank)])
    ports: defaultdict[int, _Port] = defaultdict(_Port)
    turns: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    num_banks = 0
    for message in messages:
        port, number = divmod(message.channel, CHANNELS)
        for told in _apply(ports[port], number, message):
            channel = ports[port].channel(told)
            is_drum = channel.is_drum if channel.by_bank is None else channel.by_bank
            turns[port * CHANNELS + told].append((message.tick, is_drum))
            num_banks += channel.num_banks
            channel.num_banks = 0
    changes = {channel: _turns(channel, told) for channel, told in turns.items()}
    changes = {channel: turn for channel, turn in changes.items() if len(turn[0])}
    return Parts(changes, sum(message.num_events for message in exclusive), num_banks)


def may_make_melody(data: bytes) -> bool:
    """Returns whether something may take the drums off channel 10; False is certain, True may be chance."""
    return bytes([EXCLUSIVE >> 8]) in data or bytes((BANK_SELECT, MELODY_BANK)) in data


def _apply(port: _Port, number: int, message: _Message) -> list[int]:
    """Does what a message says; returns the channels of the port that it may have changed."""
    change = message.change
    if isinstance(change, _Reset):
        port.mode = change.mode
        told = list(port.channels)
        port.channels.clear()
        return told
    if isinstance(change, _PartMode):
        port.channels[change.channel] = _Channel(change.is_drum)
        return [change.channel]
    channel = port.channel(number)
    if message.bank is not None:
        channel.select(message.bank)
        return []
    channel.choose_program(port.mode)
    return [number]


def _turns(channel: int, told: list[tuple[int, bool]]) -> tuple[Ints, NDArray[np.bool_]]:
    at_first = channel % CHANNELS == DRUM_CHANNEL
    turns = [after for before, after in pairwise([(0, at_first), *told]) if before[1] != after[1]]
    return np.array([tick for tick, _ in turns], np.int64), np.array([at_first, *(flag for _, flag in turns)])


def _selections(events: Events, channels: Channels, is_bank: NDArray[np.bool_]) -> Iterator[_Message]:
    """Yields each selection of a bank or a program, on channels where a bank is selected."""
    is_program = (events.statuses & 0xF0 == 0xC0) & np.isin(channels.numbers, channels.numbers[is_bank])
    chosen = np.flatnonzero(is_bank | is_program)
    rows = (events.ticks, events.places, channels.numbers, events.seconds, is_bank)
    for tick, place, channel, bank, selects in zip(*(row[chosen].tolist() for row in rows), strict=True):
        yield _Message(tick, place, channel, None, bank if selects else None)


def _exclusive(events: Events, channels: Channels) -> Iterator[_Message]:
    """Yields each system exclusive message that says something of drums, where the last of its events stands."""
    found = events.systems.where((EXCLUSIVE, CONTINUED))
    places, ports = events.systems.places[found].tolist(), channels.system_ports[found].tolist()
    track, data, num_events = -1, bytearray(), 0
    for place, port, event in zip(places, ports, events.each_system(found), strict=True):
        if event.kind == EXCLUSIVE:
            track, data, num_events = event.track, bytearray(event.data), 1
        elif event.track == track and data[-1:] != _END:
            data += event.data
            num_events += 1
        else:  # nothing to go on with
            continue
        change = _meaning(data)
        if change is not None and port >= 0:
            yield _Message(event.tick, place, port * CHANNELS, change, num_events=num_events)


def _meaning(data: bytearray) -> _Reset | _PartMode | None:
    """Returns what a system exclusive message says of drums, given what follows F0; None for any other message."""
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
    place = _GS_RHYTHM - address[2] if len(address) == 3 else -1
    if address[:1] != (0x40,) or address[1] & 0xF0 != 0x10 or not 0 <= place < len(values):
        return None
    part = address[1] & 0x0F
    channel = DRUM_CHANNEL if part == 0 else part - (part <= DRUM_CHANNEL)
    return _PartMode(channel, values[place] > 0)


def _xg_meaning(address: tuple[int, ...], values: bytearray) -> _Reset | _PartMode | None:
    if address in _XG_RESETS:
        return _Reset("xg")
    place = 7 - address[2] if len(address) == 3 else -1
    if address[:1] != (0x08,) or address[1] >= CHANNELS or not 0 <= place < len(values):
        return None
    return _PartMode(address[1], values[place] > 0)
