"""Checks that what a music model writes is sound MIDI, whatever the temperature and however little it has learned.

    python benchmarks/music_validity.py RUN|CORPUS [--samples 50] [--length 500] [--temperatures 0.5 1 1.5]
        [--minutes 3] [--untrained N] [options of gen train]

RUN is the name of a run, its folder or its file; anything else is a corpus, and a run is trained on it first. With
--untrained, N samples of a model that has taken no step are checked as well. `gen sample` writes the files. Each is
walked through message by message, as mido reads it, for notes that hang, that start while they sound, that end without
a start, or that last no time; then its notes, as ticks, must be those that pretty_midi and symusic find by themselves.
The exit code is 1 if anything is wrong. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import mido
import symusic

from gen.errors import CheckpointError
from gen.run import find_model_file
from gen.versions import versions

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it imports pkg_resources
    import pretty_midi

FAULTS = ("hanging", "double", "stray", "zero", "pretty_midi", "symusic", "unreadable")

Note = tuple[int, int, int, int, int]  # onset and duration in ticks, channel 9 or not, pitch, velocity


@dataclass
class Checked:
    """What was found in a group of files."""

    model: str
    temperature: float
    files: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    notes: list[int] = field(default_factory=list)  # a file
    examples: list[str] = field(default_factory=list)  # of faults, in words


def main() -> None:
    """Reads the arguments, trains, samples, checks, prints."""
    arguments, options = parse()
    place = str(Path(arguments.source).resolve()) if Path(arguments.source).exists() else arguments.source
    with tempfile.TemporaryDirectory(prefix="gen-music-") as name:
        folder = Path(name)
        try:
            run, corpus = str(find_model_file(arguments.source).resolve()), "chorales"
        except CheckpointError:
            run, corpus = "trained", place
            gen(folder, "train", corpus, "--run", run, "--minutes", str(arguments.minutes), *options)
        groups = [
            check_samples(folder, run, "trained", temperature, arguments.samples, arguments.length)
            for temperature in arguments.temperatures
        ]
        if arguments.untrained:
            gen(folder, "train", corpus, "--run", "untrained", "--steps", "0", *options)
            groups.append(check_samples(folder, "untrained", "untrained", 1.0, arguments.untrained, arguments.length))
    print_table(groups)
    data = {
        "benchmark": "music_validity",
        "source": arguments.source,
        "length": arguments.length,
        "results": [asdict(group) for group in groups],
        "versions": versions(),
    }
    print(json.dumps(data))
    sys.exit(any(group.faults.total() for group in groups))


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Returns the arguments of this script, and those for gen train."""
    parser = argparse.ArgumentParser(description="Check the MIDI files that a model writes.")
    parser.add_argument("source", metavar="RUN|CORPUS")
    parser.add_argument("--samples", type=int, default=50, metavar="N", help="files a temperature [default 50]")
    parser.add_argument("--length", type=int, default=500, metavar="N", help="tokens a file [default 500]")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.5, 1.0, 1.5], metavar="T")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, if a corpus is given")
    parser.add_argument("--untrained", type=int, default=0, metavar="N", help="files of a model without training")
    return parser.parse_known_args()


def gen(folder: Path, *arguments: str) -> None:
    """Runs gen in a folder as a user would; what it tells people goes to stderr."""
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "gen", *arguments], cwd=folder, env=environment, check=True)  # noqa: S603


def check_samples(folder: Path, run: str, model: str, temperature: float, count: int, length: int) -> Checked:
    """Lets a run write files and checks each."""
    target = folder / f"{model}-{temperature:g}"
    target.mkdir()
    numbers = ("--temperature", str(temperature), "--length", str(length), "--num-samples", str(count), "--seed", "0")
    gen(folder, "sample", run, *numbers, "--out", str(target / "x.mid"))
    checked = Checked(model, temperature)
    for path in sorted(target.glob("*.mid")):
        check_file(path, checked)
    if checked.files != count:
        checked.faults["unreadable"] += count - checked.files
        checked.examples.append(f"{count} files asked for, {checked.files} written")
    return checked


def check_file(path: Path, checked: Checked) -> None:
    """Adds what is wrong with one file."""
    checked.files += 1
    try:
        notes, faults = walk(mido.MidiFile(path))
        readers = {"pretty_midi": read_with_pretty_midi(path), "symusic": read_with_symusic(path)}
    except Exception as err:  # noqa: BLE001 - whatever a reader raises, it could not read the file
        checked.faults["unreadable"] += 1
        checked.examples.append(f"{path.name}: {type(err).__name__}: {err}")
        return
    for name, found in readers.items():
        if found != notes:
            only = Counter(found)
            only.subtract(Counter(notes))
            faults[name] += 1
            checked.examples.append(f"{path.name}: {name} differs by {[n for n in only.items() if n[1]][:3]}")
    checked.faults += faults
    checked.notes.append(len(notes))


def walk(file: mido.MidiFile) -> tuple[list[Note], Counter[str]]:
    """Returns the sorted notes of a file and its faults, reading each track's messages one after the other."""
    notes: list[Note] = []
    faults: Counter[str] = Counter()
    for track in file.tracks:
        now = 0
        sounding: dict[tuple[int, int], tuple[int, int]] = {}  # channel and pitch to onset and velocity
        for message in track:
            now += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            key = (message.channel, message.note)
            if message.type == "note_on" and message.velocity > 0:
                faults["double"] += key in sounding
                sounding[key] = (now, message.velocity)
            elif key not in sounding:
                faults["stray"] += 1
            else:
                onset, velocity = sounding.pop(key)
                faults["zero"] += now == onset
                notes.append((onset, now - onset, int(message.channel == 9), message.note, velocity))
        faults["hanging"] += len(sounding)
    return sorted(notes), +faults


def read_with_pretty_midi(path: Path) -> list[Note]:
    """Returns the sorted notes that pretty_midi finds; it gives seconds, which its own tempo map turns into ticks."""
    midi = pretty_midi.PrettyMIDI(str(path))

    def notes() -> Iterable[Note]:
        for part in midi.instruments:
            for note in part.notes:
                onset = midi.time_to_tick(note.start)
                duration = midi.time_to_tick(note.end) - onset
                yield (onset, duration, int(part.is_drum), note.pitch, note.velocity)

    return sorted(notes())


def read_with_symusic(path: Path) -> list[Note]:
    """Returns the sorted notes that symusic finds, in ticks of the file."""
    score: Any = symusic.Score(path)  # its own types leave the tracks out
    return sorted(
        (note.time, note.duration, int(track.is_drum), note.pitch, note.velocity)
        for track in score.tracks
        for note in track.notes
    )


def print_table(groups: Sequence[Checked]) -> None:
    """Prints a line a group, then what was wrong."""
    print(f"{'model':<10} {'temp.':>5} {'files':>5} {'notes a file':>14} " + " ".join(f"{name:>11}" for name in FAULTS))
    for group in groups:
        low, middle, high = (f(group.notes or [0]) for f in (min, median, max))
        print(
            f"{group.model:<10} {group.temperature:5g} {group.files:5} {f'{low} {middle:g} {high}':>14} "
            + " ".join(f"{group.faults[name]:11}" for name in FAULTS)
        )
    for group in groups:
        for example in group.examples[:5]:
            print(f"{group.model} {group.temperature:g}: {example}")


if __name__ == "__main__":
    main()
