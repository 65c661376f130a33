"""Counts the events of a file by kind, and of each kind those that a codec keeps and those that it leaves out.

The counts include all events except notes, note-offs and ends of tracks. Each kind has a name that users see; "pitch
bends left out" counts the pitch bends that a codec leaves out.
"""

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gen.music.midi import protocol
from gen.music.midi.events import CONTINUED, EXCLUSIVE, Events
from gen.music.midi.protocol import FINE

TEMPOS, METRES, KEYS = "tempos", "time signatures", "key signatures"
PROGRAMS, PEDALS, BANKS = "program changes", "sustain pedal changes", "bank changes"
EXCLUSIVES = "system exclusive messages"
PORTS, DEVICES, CHANNEL_PREFIXES = "port prefixes", "device names", "channel prefixes"
LEFT_OUT = " left out"  # the end of the names of findings that count events left out
# The kinds that assign notes to channels or drums. Only events that do so count as kept.
PLAYERS = frozenset({BANKS, EXCLUSIVES, PORTS, DEVICES, CHANNEL_PREFIXES})

_OTHER_CONTROLLERS = "other controller changes"
_CONTROLLERS = {
    protocol.BANK_SELECT: BANKS,
    protocol.MODULATION: "modulation changes",
    protocol.VOLUME: "volume changes",
    protocol.BALANCE: "balance changes",
    protocol.PAN: "pan changes",
    protocol.EXPRESSION: "expression changes",
    protocol.DATA_ENTRY: "parameter changes",
    protocol.SUSTAIN_PEDAL: PEDALS,
    protocol.SOSTENUTO_PEDAL: "sostenuto pedal changes",
    protocol.SOFT_PEDAL: "soft pedal changes",
    protocol.HOLD_PEDAL: "hold pedal changes",
    91: "reverb changes",
    93: "chorus changes",
    **dict.fromkeys(range(96, 102), "parameter changes"),
    **dict.fromkeys(range(120, 128), "channel mode messages"),
}
_CONTROLLER_NAMES = [_CONTROLLERS.get(n - FINE if FINE <= n < 2 * FINE else n, _OTHER_CONTROLLERS) for n in range(128)]
_VOICE_NAMES = {
    protocol.KEY_PRESSURE: "key pressures",
    protocol.PROGRAM: PROGRAMS,
    protocol.CHANNEL_PRESSURE: "channel pressures",
    protocol.BEND: "pitch bends",
}
_META_NAMES = {
    0x00: "sequence numbers",
    protocol.TEXT: "texts",
    protocol.COPYRIGHT: "copyright notices",
    protocol.TRACK_NAME: "track names",
    0x04: "instrument names",
    protocol.LYRIC: "lyrics",
    protocol.MARKER: "markers",
    protocol.CUE_POINT: "cue points",
    0x08: "program names",
    protocol.DEVICE_NAME: DEVICES,
    protocol.CHANNEL_PREFIX: CHANNEL_PREFIXES,
    protocol.PORT_PREFIX: PORTS,
    protocol.TEMPO: TEMPOS,
    0x54: "SMPTE offsets",
    protocol.TIME_SIGNATURE: METRES,
    protocol.KEY_SIGNATURE: KEYS,
    0x7F: "sequencer's own events",
}
_OTHER_SYSTEM, _OTHER_META = "other system messages", "other meta events"
EVENT_KINDS = frozenset(
    (*_CONTROLLER_NAMES, *_VOICE_NAMES.values(), *_META_NAMES.values(), EXCLUSIVES, _OTHER_SYSTEM, _OTHER_META)
)


def left_out(kind: str) -> str:
    """Returns the name of the finding that counts the events of a kind that were left out."""
    return kind + LEFT_OUT


class Census(NamedTuple):
    """The events of a file by kind, without those that reading refused.

    Args:
        counts: all events of each kind.
        left_out: those that no codec can keep, because the score does not hold them.
    """

    counts: Counter[str]
    left_out: Counter[str]

    def account(self, findings: Counter[str], *, kept: Collection[str]) -> Counter[str]:
        """Returns the findings with the numbers of events of each kind that were kept and that were left out.

        Args:
            findings: may hold numbers of events that the codec left out, by the names of `left_out`.
            kept: the kinds that the codec uses.
        """
        result = Counter(findings)
        for kind, count in self.counts.items():
            name = left_out(kind)
            result[name] = self.left_out[kind] + findings[name] if kind in kept else count
            result[kind] = count - result[name]
        return +result


def count_events(events: Events) -> Counter[str]:
    """Returns the number of events of each kind in a file, without note-ons, note-offs and ends of tracks."""
    counts: Counter[str] = Counter()
    kinds = np.bincount(events.statuses >> 4, minlength=16).tolist()
    for status, name in _VOICE_NAMES.items():
        counts[name] = kinds[status >> 4]
    if kinds[protocol.CONTROLLER >> 4]:
        numbers = np.bincount(events.firsts[events.statuses & 0xF0 == protocol.CONTROLLER])
        for number in np.flatnonzero(numbers).tolist():
            counts[_CONTROLLER_NAMES[number]] += int(numbers[number])
    for kind, count in Counter(events.systems.kinds.tolist()).items():
        if kind != protocol.END_OF_TRACK:
            counts[system_name(kind)] += count
    return +counts


def system_name(kind: int) -> str:
    """Returns the name of a kind of meta or system events."""
    if kind >= protocol.FIRST_SYSTEM_STATUS << 8:
        return EXCLUSIVES if kind in (EXCLUSIVE, CONTINUED) else _OTHER_SYSTEM
    return _META_NAMES.get(kind, _OTHER_META)
