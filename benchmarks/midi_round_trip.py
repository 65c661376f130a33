"""Reads every MIDI file of some folders, checks the counts of notes, and measures what the performance codec loses.

    python benchmarks/midi_round_trip.py FOLDER...

Per folder: files read and refused; notes that mido counts (NoteOn with velocity), notes encoded, how far the two are
apart once what the findings say is left out ("off", always 0); onset error median and maximum in milliseconds;
velocity error likewise; and the time of mido's parse, of reading (mido's parse included) and of encoding.
"""

import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import mido

from gen.codecs.performance import PerformanceCodec, choose_performance
from gen.codecs.round_trip import RoundTrip, round_trip, sum_up
from gen.errors import MidiError
from gen.music.midi import read_midi
from gen.music.rules import DRUMS_LEFT_OUT, NOTES, PITCHED_LEFT_OUT, REPAIRS, UNISONS

SUFFIXES = (".mid", ".midi", ".kar")


@dataclass
class Totals:
    """What the files of one folder add up to."""

    files: int = 0
    repaired: int = 0
    tokens: int = 0
    mido_notes: int = 0
    off: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    refused: list[str] = field(default_factory=list)
    trips: list[RoundTrip] = field(default_factory=list)


def main(folders: list[str]) -> None:
    """Prints a table with a line for each folder, then the findings and the refusals."""
    print(
        f"{'folder':18} {'files':>5} {'refused':>7} {'repaired':>8} {'mido':>8} {'encoded':>8} {'off':>3} {'tokens':>9}"
    )
    details = []
    for folder in folders:
        totals = measure(sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES))
        print(
            f"{Path(folder).name:18} {totals.files:5} {len(totals.refused):7} {totals.repaired:8} "
            f"{totals.mido_notes:8} {totals.findings[NOTES]:8} {totals.off:3} {totals.tokens:9}"
        )
        details += [f"{Path(folder).name}:", *describe(totals)]
    print("", *details, sep="\n")


def measure(paths: list[Path]) -> Totals:
    """Reads, encodes and decodes each file once."""
    totals = Totals()
    start = time.perf_counter()
    codec = choose_performance(paths)
    totals.seconds["choose"] += time.perf_counter() - start
    for path in paths:
        try:
            measure_file(path, codec, totals)
        except MidiError as err:
            totals.refused.append(str(err))
    return totals


def measure_file(path: Path, codec: PerformanceCodec, totals: Totals) -> None:
    """Adds one file to the totals. Raises MidiError."""
    clock = time.perf_counter
    start = clock()
    parsed = mido.MidiFile(path)
    totals.seconds["mido"] += clock() - start
    count = sum(message.type == "note_on" and message.velocity > 0 for track in parsed.tracks for message in track)

    start = clock()
    score, _ = read_midi(path)
    totals.seconds["read"] += clock() - start
    start = clock()
    codec.encode(score)
    totals.seconds["encode"] += clock() - start

    (part,) = codec.encode_file(path)
    found = Counter(part.findings)
    totals.files += 1
    totals.repaired += bool(REPAIRS & found.keys())
    totals.tokens += len(part.ids)
    totals.mido_notes += count
    totals.findings += found
    totals.off += abs(count - found[NOTES] - found[UNISONS] - found[DRUMS_LEFT_OUT] - found[PITCHED_LEFT_OUT])
    totals.trips.append(round_trip(score, codec))


def describe(totals: Totals) -> list[str]:
    """Returns lines that say what was found, lost and spent."""
    lines = [f"  {reason}" for reason in totals.refused]
    lost = sum_up(totals.trips)
    lines.append(f"  notes kept {lost.kept} of {lost.notes} ({100 * lost.kept / max(1, lost.notes):.2f} %)")
    lines.append(
        f"  onset error median {lost.onset_error_ms_median:.2f} ms, max {lost.onset_error_ms_max:.3f} ms; "
        f"velocity error median {lost.velocity_error_median:.0f}, max {lost.velocity_error_max}"
    )
    lines.append("  findings: " + ", ".join(f"{name} {count}" for name, count in totals.findings.items()))
    spent = totals.seconds
    lines.append(
        f"  seconds: mido's parse {spent['mido']:.2f}, read {spent['read']:.2f}, encode {spent['encode']:.2f}, "
        f"choose {spent['choose']:.2f}"
    )
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
