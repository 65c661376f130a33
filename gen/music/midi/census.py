"""Counts the events of a file by kind, and tells which of them a codec keeps and which it leaves out.

Together with the notes these are all events of the file but for the note-offs, which are counted with their notes, and
the ends of tracks. Each kind has a name for people; "pitch bends left out" counts those that a codec leaves out.
"""

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gen.music.midi.events import (
    CHANNEL_PREFIX,
    CONTINUED,
    COPYRIGHT,
    CUE_POINT,
    DEVICE_NAME,
    EXCLUSIVE,
    KEY_SIGNATURE,
    LYRIC,
    MARKER,
    PORT_PREFIX,
    TEMPO,
    TEXT,
    TIME_SIGNATURE,
    TRACK_NAME,
    Events,
)

TEMPOS, METRES, KEYS = "tempos", "time signatures", "key signatures"
PROGRAMS, PEDALS, BANKS = "program changes", "sustain pedal changes", "bank changes"
EXCLUSIVES = "system exclusive messages"
PORTS, DEVICES, CHANNEL_PREFIXES = "port prefixes", "device names", "channel prefixes"
LEFT_OUT = " left out"  # ends the names of findings that count what was left out
PLAYERS = frozenset({BANKS, EXCLUSIVES, PORTS, DEVICES, CHANNEL_PREFIXES})  # as far as they say which notes are drums

_END_OF_TRACK = 0x2F
_OTHER_CONTROLLERS = "other controller changes"
# Controllers 32 to 63 are the finer halves of the first 32.
_CONTROLLERS = {
    0: BANKS,
    1: "modulation changes",
    7: "volume changes",
    8: "balance changes",
    10: "pan changes",
    11: "expression changes",
    6: "parameter changes",
    64: PEDALS,
    66: "sostenuto pedal changes",
    67: "soft pedal changes",
    69: "hold pedal changes",
    91: "reverb changes",
    93: "chorus changes",
    **dict.fromkeys(range(96, 102), "parameter changes"),
    **dict.fromkeys(range(120, 128), "channel mode messages"),
}
_CONTROLLER_NAMES = [_CONTROLLERS.get(n - 32 if 32 <= n < 64 else n, _OTHER_CONTROLLERS) for n in range(128)]
_VOICE_NAMES = {0xA0: "key pressures", 0xC0: PROGRAMS, 0xD0: "channel pressures", 0xE0: "pitch bends"}
_META_NAMES = {
    0x00: "sequence numbers",
    TEXT: "texts",
    COPYRIGHT: "copyright notices",
    TRACK_NAME: "track names",
    0x04: "instrument names",
    LYRIC: "lyrics",
    MARKER: "markers",
    CUE_POINT: "cue points",
    0x08: "program names",
    DEVICE_NAME: DEVICES,
    CHANNEL_PREFIX: CHANNEL_PREFIXES,
    PORT_PREFIX: PORTS,
    TEMPO: TEMPOS,
    0x54: "SMPTE offsets",
    TIME_SIGNATURE: METRES,
    KEY_SIGNATURE: KEYS,
    0x7F: "sequencer's own events",
}
_OTHER_SYSTEM, _OTHER_META = "other system messages", "other meta events"
KINDS = frozenset(
    (*_CONTROLLER_NAMES, *_VOICE_NAMES.values(), *_META_NAMES.values(), EXCLUSIVES, _OTHER_SYSTEM, _OTHER_META)
)


def left_out(kind: str) -> str:
    """Returns the name of a finding: how many events of a kind were left out."""
    return kind + LEFT_OUT


class Census(NamedTuple):
    """The events of a file by kind; both count names without what reading already refused.

    Args:
        counts: all of a kind.
        left_out: those of them that the score does not have, whatever the codec.
    """

    counts: Counter[str]
    left_out: Counter[str]

    def account(self, findings: Counter[str], *, kept: Collection[str]) -> Counter[str]:
        """Returns the findings together with how many events of each kind were kept, and how many left out.

        Args:
            findings: may say of a kind how many more of it were left out.
            kept: the kinds that the codec makes use of.
        """
        result = Counter(findings)
        for kind, count in self.counts.items():
            name = left_out(kind)
            result[name] = self.left_out[kind] + findings[name] if kind in kept else count
            result[kind] = count - result[name]
        return +result


def count_events(events: Events) -> Counter[str]:
    """Returns how many events of each kind a file has, beside note-ons, note-offs and ends of tracks."""
    counts: Counter[str] = Counter()
    kinds = np.bincount(events.statuses >> 4, minlength=16).tolist()
    for status, name in _VOICE_NAMES.items():
        counts[name] = kinds[status >> 4]
    if kinds[0xB]:
        numbers = np.bincount(events.firsts[events.statuses & 0xF0 == 0xB0])
        for number in np.flatnonzero(numbers).tolist():
            counts[_CONTROLLER_NAMES[number]] += int(numbers[number])
    for kind, count in Counter(events.systems.kinds.tolist()).items():
        if kind != _END_OF_TRACK:
            counts[system_name(kind)] += count
    return +counts


def system_name(kind: int) -> str:
    """Returns the name of a kind of meta or system events."""
    if kind >= 0xF000:
        return EXCLUSIVES if kind in (EXCLUSIVE, CONTINUED) else _OTHER_SYSTEM
    return _META_NAMES.get(kind, _OTHER_META)
