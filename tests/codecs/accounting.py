"""Accounts for the events of MIDI files: those that mido finds, those that a codec keeps, those that it leaves out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mido

from gen.codecs.beat.codec import BeatCodec
from gen.codecs.beat.layout import PROGRAMS_LEFT_OUT
from gen.codecs.choice import MusicCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.errors import MidiError
from gen.music.midi.census import left_out
from gen.music.midi.rules import DRUMS_LEFT_OUT, NOTES, PITCHED_LEFT_OUT, STRAY_OFFS, UNISONS, WITHOUT_END
from tests.music.mido_kinds import mido_counts

CODECS: dict[str, MusicCodec] = {
    "performance": PerformanceCodec(),
    "performance of drums": PerformanceCodec(is_drums=True),
    "beat": BeatCodec(),
}
NOTE_OFFS = "note-offs"
NOTES_LEFT_OUT = (DRUMS_LEFT_OUT, PITCHED_LEFT_OUT, PROGRAMS_LEFT_OUT)


@dataclass
class Ledger:
    """What the files of one codec add up to, by kind."""

    files: int = 0
    refused: int = 0
    found: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    off: Counter[str] = field(default_factory=Counter)

    def add(self, found: Counter[str], findings: Counter[str]) -> None:
        """Adds a file: what mido counts, and what the codec says."""
        self.files += 1
        for kind in found.keys() | {NOTES, NOTE_OFFS}:
            kept, gone = sorted_out(kind, findings)
            self.found[kind] += found[kind]
            self.kept[kind] += kept
            self.left_out[kind] += gone
            self.off[kind] += abs(found[kind] - kept - gone)


def sorted_out(kind: str, findings: Counter[str]) -> tuple[int, int]:
    """Returns how many events of a kind were kept, and how many left out."""
    notes, gone = findings[NOTES] + findings[UNISONS], sum(findings[name] for name in NOTES_LEFT_OUT)
    if kind == NOTES:
        return notes, gone
    if kind == NOTE_OFFS:
        return notes + gone - findings[WITHOUT_END], findings[STRAY_OFFS]
    return findings[kind], findings[left_out(kind)]


def every_event(file: mido.MidiFile) -> Counter[str]:
    """Returns how many events of each kind mido finds."""
    messages = [message for track in file.tracks for message in track]
    ons = sum(message.type == "note_on" and message.velocity > 0 for message in messages)
    keys = sum(message.type in ("note_on", "note_off") for message in messages)
    return mido_counts(file) + Counter({NOTES: ons, NOTE_OFFS: keys - ons})


def account(paths: Sequence[Path]) -> tuple[dict[str, Ledger], list[str]]:
    """Returns a ledger for each codec, and which files mido refuses."""
    ledgers = {name: Ledger() for name in CODECS}
    refused = []
    for path in paths:
        try:
            found = every_event(mido.MidiFile(path))
        except (OSError, EOFError, ValueError, IndexError, KeyError) as err:
            refused.append(f"{path}: {err}")
            continue
        for name, codec in CODECS.items():
            try:
                (part,) = codec.encode_file(path)
            except MidiError:
                ledgers[name].refused += 1
            else:
                ledgers[name].add(found, Counter(part.findings))
    return ledgers, refused
