"""Assigns the events of a file to channels, also in a file that plays on several ports.

A port has sixteen channels. A port prefix (FF 21, a number) or a device name (FF 09) selects a port for the events that
follow in its track, or both together do. A track without either plays on port 0 of a device without a name. In a file
of one track (type 0), a port prefix or device name right after a channel prefix (FF 20) counts for that channel only.

The number of a channel is 16 * port + 0..15. Ports are numbered in the order in which the file first names their
devices, then by port prefix; ports without any channel event are not numbered.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.events import Events
from gen.music.midi.protocol import CHANNEL_PREFIX, CHANNELS, DEVICE_NAME, PORT_PREFIX
from gen.music.midi.rules import MAX_PORTS

_ALL = -1  # in place of a channel: all channels, and events that have no channel

Ints = NDArray[np.int64]


class Channels(NamedTuple):
    """The (N,) channels of channel events and the (S,) ports of meta and system events, -1 for a port without notes."""

    numbers: Ints
    system_ports: Ints
    num_ports: int


class _Change(NamedTuple):
    """A change of the port of one channel or of all channels, from an offset in the file on."""

    offset: int
    channel: int
    device: int | None  # None keeps the device
    number: int | None  # None keeps the number


def find_channels(events: Events, *, is_one_track: bool) -> Channels:
    """Returns the channels of the events of a file; ports beyond `MAX_PORTS` count as the last."""
    channels = (events.statuses & 0x0F).astype(np.int64)
    system_offsets = events.systems.offsets
    if not len(events.systems.where((PORT_PREFIX, DEVICE_NAME))):
        return Channels(channels, np.zeros(len(system_offsets), np.int64), 1)
    changes = list(_changes(events, is_one_track=is_one_track))
    ports = _ports(changes, _ALL, events.offsets)
    for channel in {change.channel for change in changes} - {_ALL}:
        chosen = channels == channel
        ports[chosen] = _ports(changes, channel, events.offsets[chosen])
    used = np.unique(ports)
    system_ports = _ports(changes, _ALL, system_offsets)
    is_used = np.isin(system_ports, used)
    offsets, of_systems = (np.minimum(np.searchsorted(used, p), MAX_PORTS - 1) for p in (ports, system_ports))
    return Channels(channels + CHANNELS * offsets, np.where(is_used, of_systems, -1), min(len(used), MAX_PORTS))


def _changes(events: Events, *, is_one_track: bool) -> Iterator[_Change]:
    """Yields the changes of port in the order of the file; each track starts on port 0 of a device without a name."""
    chosen = events.systems.where((PORT_PREFIX, DEVICE_NAME, CHANNEL_PREFIX))
    offsets = events.systems.offsets[chosen]
    num_before = np.searchsorted(events.offsets, offsets).tolist()  # of channel events
    devices = {b"": 0}
    starts = iter(enumerate(events.starts))
    track, prefix, prefixed_at = -1, _ALL, -1
    for offset, num_events, event in zip(offsets.tolist(), num_before, events.each_system(chosen), strict=True):
        while track < event.track:
            track, start = next(starts)
            prefix = _ALL
            yield _Change(start, _ALL, 0, 0)
        prefix = prefix if num_events == prefixed_at else _ALL  # a channel event ends the prefix
        if event.kind == CHANNEL_PREFIX:
            if is_one_track and event.data and event.data[0] < CHANNELS:
                prefix, prefixed_at = event.data[0], num_events
        elif event.kind == DEVICE_NAME:
            yield _Change(offset, prefix, devices.setdefault(event.data, len(devices)), None)
        elif event.data:
            yield _Change(offset, prefix, None, event.data[0])
    yield from (_Change(start, _ALL, 0, 0) for _, start in starts)


def _ports(changes: Sequence[_Change], channel: int, offsets: Ints) -> Ints:
    """Returns the ports of the events of a channel at some offsets, as numbers that sort in the order of ports."""
    starts, ports = [-1], [0]
    for change in changes:
        if change.channel in (_ALL, channel):
            device, number = divmod(ports[-1], 256)
            device = device if change.device is None else change.device
            starts.append(change.offset)
            ports.append(device * 256 + (number if change.number is None else change.number))
    found = np.searchsorted(np.array(starts), offsets, side="right") - 1
    return np.asarray(np.array(ports)[found], np.int64)
