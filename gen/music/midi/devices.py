"""Tells which channel each event of a file is on, where a file plays on more than one port.

A port has sixteen channels of its own. It is named by a port prefix (FF 21, a number), by a device name (FF 09), or by
both, from where they stand to the next one in the track. A track that names neither plays on port 0 of no name. In a
file of one track (type 0), what stands right after a channel prefix (FF 20) is said of that channel alone.

Channels are numbered through: 16 for each port before, plus 0..15. Ports without a channel event do not count; the
others stand in order of their devices, which come as the file first names them, then of their numbers.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.events import CHANNEL_PREFIX, DEVICE_NAME, PORT_PREFIX, Events
from gen.music.midi.rules import MAX_PORTS

CHANNELS = 16  # of a port

_ALL = -1  # for a channel: all of them, and what is of no channel

Ints = NDArray[np.int64]


class Channels(NamedTuple):
    """(N,) the channel of each channel event, and (S,) the port of each meta and system event, -1 for an unused one."""

    numbers: Ints
    system_ports: Ints
    num_ports: int


class _Change(NamedTuple):
    """From a place in the file on, one channel or all are on another port."""

    place: int
    channel: int
    device: int | None  # None leaves it as it is
    number: int | None


def find_channels(events: Events, *, is_one_track: bool) -> Channels:
    """Returns the channels of a file's events; ports past `MAX_PORTS` count as the last of them."""
    channels = (events.statuses & 0x0F).astype(np.int64)
    system_places = events.systems.places
    if not len(events.systems.where((PORT_PREFIX, DEVICE_NAME))):
        return Channels(channels, np.zeros(len(system_places), np.int64), 1)
    changes = list(_changes(events, is_one_track=is_one_track))
    ports = _ports(changes, _ALL, events.places)
    for channel in {change.channel for change in changes} - {_ALL}:
        chosen = channels == channel
        ports[chosen] = _ports(changes, channel, events.places[chosen])
    used = np.unique(ports)
    system_ports = _ports(changes, _ALL, system_places)
    is_used = np.isin(system_ports, used)
    places, of_systems = (np.minimum(np.searchsorted(used, p), MAX_PORTS - 1) for p in (ports, system_ports))
    return Channels(channels + CHANNELS * places, np.where(is_used, of_systems, -1), min(len(used), MAX_PORTS))


def _changes(events: Events, *, is_one_track: bool) -> Iterator[_Change]:
    """Yields what the file says of ports, in its order; each track starts on port 0 of no name."""
    said = events.systems.where((PORT_PREFIX, DEVICE_NAME, CHANNEL_PREFIX))
    places = events.systems.places[said]
    num_before = np.searchsorted(events.places, places).tolist()  # channel events
    devices = {b"": 0}
    starts = iter(enumerate(events.starts))
    track, prefix, prefixed_at = -1, _ALL, -1
    for place, num_events, event in zip(places.tolist(), num_before, events.each_system(said), strict=True):
        while track < event.track:
            track, start = next(starts)
            prefix = _ALL
            yield _Change(start, _ALL, 0, 0)
        prefix = prefix if num_events == prefixed_at else _ALL  # a channel event ends it
        if event.kind == CHANNEL_PREFIX:
            if is_one_track and event.data and event.data[0] < CHANNELS:
                prefix, prefixed_at = event.data[0], num_events
        elif event.kind == DEVICE_NAME:
            yield _Change(place, prefix, devices.setdefault(event.data, len(devices)), None)
        elif event.data:
            yield _Change(place, prefix, None, event.data[0])
    yield from (_Change(start, _ALL, 0, 0) for _, start in starts)


def _ports(changes: Sequence[_Change], channel: int, places: Ints) -> Ints:
    """Returns the ports of events of a channel by their places, as numbers in the order of ports."""
    starts, ports = [-1], [0]
    for change in changes:
        if change.channel in (_ALL, channel):
            device, number = divmod(ports[-1], 256)
            device = device if change.device is None else change.device
            starts.append(change.place)
            ports.append(device * 256 + (number if change.number is None else change.number))
    found = np.searchsorted(np.array(starts), places, side="right") - 1
    return np.asarray(np.array(ports)[found], np.int64)
