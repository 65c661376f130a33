"""Reads every MIDI file of some folders, checks the counts of notes, and measures the losses of a music codec.

    python benchmarks/midi_round_trip.py [--codec performance|beat] FOLDER...

Without --codec both codecs are measured. For each folder: files read and refused; notes that mido counts (NoteOn with
velocity), notes encoded, the difference after notes that the findings report as left out ("off"); tokens. Then, of the
notes within the codec's limits after a round trip: the number of onsets at their original tick; onset error in
milliseconds of the file, and velocity error, median and maximum; the number of notes that last the ticks that they are
heard, and their length error; the seconds by which pieces end earlier or later; the findings; and the processor's time
for mido's parse beside that for reading and encoding. "off" leaves out files that mido refuses.
"""

import argparse
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import mido

from gen.codecs.beat.layout import PROGRAMS_LEFT_OUT
from gen.codecs.beat.layout import REPAIRS as BEAT_REPAIRS
from gen.codecs.choice import MusicCodec, choose_music
from gen.corpus.round_trip import RoundTrip, round_trip, sum_up
from gen.errors import MidiError
from gen.music.midi.read import read_midi
from gen.music.midi.recognise import MIDI_SUFFIXES
from gen.music.midi.rules import DRUMS_LEFT_OUT, NOTES, PITCHED_LEFT_OUT, REPAIRS, UNISONS

LEFT_OUT = (UNISONS, DRUMS_LEFT_OUT, PITCHED_LEFT_OUT, PROGRAMS_LEFT_OUT)


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


def main() -> None:
    """Prints for each codec a table with a line for each folder, then the findings and the refusals."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--codec", choices=("performance", "beat"))
    parser.add_argument("folders", nargs="+", type=Path)
    given = parser.parse_args()
    for name in (given.codec,) if given.codec else ("performance", "beat"):
        report(name, given.folders)


def report(name: str, folders: list[Path]) -> None:
    """Measures one codec."""
    columns = f"{'files':>5} {'refused':>7} {'repaired':>8} {'mido':>8} {'encoded':>8} {'off':>3} tokens"
    print(f"{name}\n{'folder':18} {columns}")
    details = []
    for folder in folders:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
        totals = measure(paths, choose_music(paths, name).codec)
        print(
            f"{folder.name:18} {totals.files:5} {len(totals.refused):7} {totals.repaired:8} "
            f"{totals.mido_notes:8} {totals.findings[NOTES]:8} {totals.off:3} {totals.tokens}",
            flush=True,
        )
        chosen = choose_music(paths)
        details += [f"{folder.name}: auto takes {chosen.codec.name}: {chosen.reason}", *describe(totals)]
    print("", *details, "", sep="\n")


def measure(paths: list[Path], codec: MusicCodec) -> Totals:
    """Reads, encodes and decodes each file once."""
    totals = Totals()
    for path in paths:
        try:
            measure_file(path, codec, totals)
        except MidiError as err:
            totals.refused.append(str(err))
    return totals


def measure_file(path: Path, codec: MusicCodec, totals: Totals) -> None:
    """Adds one file to the totals. Raises MidiError."""
    clock = time.process_time
    start = clock()
    parsed = mido.MidiFile(path)
    totals.seconds["mido"] += clock() - start
    count = sum(message.type == "note_on" and message.velocity > 0 for track in parsed.tracks for message in track)

    start = clock()
    (part,) = codec.encode_file(path)
    totals.seconds["read and encode"] += clock() - start

    found = Counter(part.findings)
    totals.files += 1
    totals.repaired += bool((REPAIRS | BEAT_REPAIRS) & found.keys())
    totals.tokens += len(part.ids)
    totals.mido_notes += count
    totals.findings += found
    totals.off += abs(count - found[NOTES] - sum(found[name] for name in LEFT_OUT))
    totals.trips.append(round_trip(read_midi(path)[0], codec))


def describe(totals: Totals) -> list[str]:
    """Returns lines that say what was found, lost and spent."""
    lines = [f"  {reason}" for reason in totals.refused]
    lost = sum_up(totals.trips)
    within = totals.mido_notes - sum(totals.findings[name] for name in LEFT_OUT)
    lines.append(
        f"  notes kept {lost.kept} of {within} within the limits ({100 * lost.kept / max(1, within):.2f} %), of "
        f"{totals.mido_notes} in all ({100 * lost.kept / max(1, totals.mido_notes):.2f} %)"
    )
    lines.append(
        f"  onsets at their tick {lost.exact} ({100 * lost.exact / max(1, lost.kept):.2f} %), error median "
        f"{lost.onset_error_ms_median:.2f} ms, max {lost.onset_error_ms_max:.3f} ms; "
        f"velocity error median {lost.velocity_error_median:.0f}, max {lost.velocity_error_max}"
    )
    lines.append(
        f"  lengths as heard {lost.exact_lengths} ({100 * lost.exact_lengths / max(1, lost.lengths):.2f} %), "
        f"error median {lost.length_error_ms_median:.2f} ms, max {lost.length_error_ms_max:.3f} ms; "
        f"ends of pieces off by {lost.end_error_seconds_median:.3f} s, max {lost.end_error_seconds_max:.3f} s"
    )
    lines.append("  findings: " + ", ".join(f"{name} {count}" for name, count in totals.findings.items()))
    parsed, ours = totals.seconds["mido"], totals.seconds["read and encode"]
    lines.append(f"  seconds: mido's parse {parsed:.2f}, read and encode {ours:.2f}: {parsed / max(ours, 1e-9):.1f} x")
    return lines


if __name__ == "__main__":
    main()
