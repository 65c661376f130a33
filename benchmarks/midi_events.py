"""Accounts for every event of some folders of MIDI: found by mido, kept by a codec, left out by it.

    python -m benchmarks.midi_events FOLDER...       # from the root of the project

For each codec a table has, by kind, the events that mido counts, those that `gen corpus` reports as kept and as left
out, and the difference of the two sums over the files ("off", which should be 0). Notes of length 0 and joined unisons
are kept. Note-offs are those of the notes, without the missing ones and with the strays. For copies (`gen export a.mid
--out b.mid`) it has files, events, and the number of events in which a copy differs from its file; and the processor's
time for reading, beside mido's. Files that mido or the codec refuse are counted, and left out.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import mido

from gen.errors import MidiError
from gen.music.midi.copy import copy_midi
from gen.music.midi.read import read_midi
from gen.music.midi.recognise import MIDI_SUFFIXES
from tests.codecs.accounting import account


def with_ticks(file: mido.MidiFile) -> Iterator[tuple[int, int, str]]:
    """Yields track, tick and text of every event."""
    for number, track in enumerate(file.tracks):
        tick = 0
        for message in track:
            tick += message.time
            yield number, tick, str(message.copy(time=0))


def compare_copies(paths: Sequence[Path]) -> str:
    """Returns a line on copies of files against the files."""
    num_events = num_files = num_off = num_mended = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.mid"
        for path in paths:
            try:
                mended = copy_midi(path, copy)
                before = list(with_ticks(mido.MidiFile(path)))
            except (MidiError, OSError, EOFError, ValueError, IndexError, KeyError):
                continue
            after = list(with_ticks(mido.MidiFile(copy)))
            num_files, num_events = num_files + 1, num_events + len(before)
            num_mended += bool(mended)
            if not mended:
                num_off += (before != after and (Counter(before) - Counter(after)).total()) or 0
    return f"copies: {num_files} files, {num_events} events, {num_mended} mended; of the others {num_off} events differ"


def compare_speed(paths: Sequence[Path]) -> str:
    """Returns a line on the processor's time for reading."""
    start = time.process_time()
    for path in paths:
        read_midi(path)
    ours = time.process_time() - start
    start = time.process_time()
    for path in paths:
        mido.MidiFile(path)
    theirs = time.process_time() - start
    return f"reading: mido {theirs:.1f} s, read_midi {ours:.1f} s: {theirs / ours:.1f} x"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    found = (path for folder in parser.parse_args().folders for path in folder.rglob("*"))
    paths = sorted(path for path in found if path.suffix.lower() in MIDI_SUFFIXES)
    ledgers, refused = account(paths)
    for name, ledger in ledgers.items():
        print(f"{name}: {ledger.files} files, {ledger.refused} refused")
        print(f"  {'kind':28} {'in the files':>12} {'kept':>10} {'left out':>10} {'off':>5}")
        for kind, count in ledger.found.most_common():
            print(f"  {kind:28} {count:12,} {ledger.kept[kind]:10,} {ledger.left_out[kind]:10,} {ledger.off[kind]:5}")
    print(*refused, compare_copies(paths), compare_speed(paths), sep="\n")


if __name__ == "__main__":
    main()
