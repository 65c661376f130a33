"""Checks that a music model writes sound MIDI, at any temperature and length, even untrained.

    python benchmarks/music_validity.py RUN|CORPUS [--samples 50] [--length 500] [--budgets 0]
        [--temperatures 0.5 1 1.5] [--minutes 3] [--untrained] [options of gen train]

RUN is the name of a run, its folder or its file; anything else is a corpus, and a run is trained on it first. At each
temperature the script draws --samples samples of --length tokens, and with --budgets N one sample of each length from 1
to N. With --untrained a model of the same codec and sizes that has taken no step does the same. The samples are written
as by `gen sample --out x.mid`.

Each file is walked through message by message, as mido reads it, for notes that hang, that start while they sound, that
end without a start, or that have no length. Its notes, as ticks, with their programs or as drums, must be those that
pretty_midi and symusic find independently. Each program must have the notes of each pitch that the names of the drawn
tokens say, and the tokens must not be more than asked for. The exit code is 1 if anything is wrong. The last line is
JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import mido
import symusic
import torch

from gen.codec import decode
from gen.config import SamplingConfig
from gen.errors import CheckpointError
from gen.models.recurrent import RecurrentLM
from gen.runs.header import versions
from gen.runs.run import Run, load
from gen.runs.trained import find_model_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it imports pkg_resources
    import pretty_midi

FAULTS = ("hanging", "double", "stray", "zero", "pretty_midi", "symusic", "tokens", "too long", "unreadable")
DRUM_CHANNEL = 9
DRUMS = 128  # beyond the programs


class Note(NamedTuple):
    """A note as a reader finds it; `player` is its program, or DRUMS."""

    onset_ticks: int
    duration_ticks: int
    player: int
    pitch: int
    velocity: int


@dataclass
class Checked:
    """What was found in a group of files."""

    model: str
    temperature: float
    lengths: str  # in tokens
    files: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    notes: list[int] = field(default_factory=list)  # a file
    examples: list[str] = field(default_factory=list)  # of faults, in words


def main() -> None:
    """Reads the arguments, trains, samples, checks, prints."""
    arguments, options = parse()
    with tempfile.TemporaryDirectory(prefix="gen-music-") as folder:
        groups = [
            check_samples(Path(folder) / "x.mid", run, Checked(model, temperature, words), lengths)
            for model, run in models(Path(folder), arguments, options)
            for temperature in arguments.temperatures
            for words, lengths in wanted(arguments)
        ]
    print_table(groups)
    data = {
        "benchmark": "music_validity",
        "source": arguments.source,
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
    parser.add_argument("--length", type=int, default=500, metavar="N", help="tokens of each of them [default 500]")
    parser.add_argument("--budgets", type=int, default=0, metavar="N", help="and a file of each of 1 to N tokens")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.5, 1.0, 1.5], metavar="T")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, if a corpus is given")
    parser.add_argument("--untrained", action="store_true", help="check a model without training as well")
    return parser.parse_known_args()


def models(folder: Path, arguments: argparse.Namespace, options: Sequence[str]) -> Iterator[tuple[str, Run]]:
    """Yields the trained model and, if asked for, an untrained one, each with its name."""
    try:
        path = find_model_file(arguments.source)
    except CheckpointError:
        path = train(folder, arguments.source, "--minutes", str(arguments.minutes), *options)
    yield "trained", load(path, device="cpu")
    if arguments.untrained:
        run = load(path, device="cpu")
        run.model = RecurrentLM(run.config, torch.Generator().manual_seed(0)).eval()
        yield "untrained", run


def train(folder: Path, corpus: str, *options: str) -> Path:
    """Trains in a folder as a user would; returns the run's. What it tells people goes to stderr."""
    place = str(Path(corpus).resolve()) if Path(corpus).exists() else corpus
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "gen", "train", place, "--run", "trained", *options]
    subprocess.run(command, cwd=folder, env=environment, check=True)  # noqa: S603
    return find_model_file(folder / "checkpoints" / "trained")


def wanted(arguments: argparse.Namespace) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yields the groups of samples at a temperature: in words, then how many tokens for how many samples."""
    if arguments.samples:
        yield str(arguments.length), [(arguments.length, arguments.samples)]
    if arguments.budgets:
        yield f"1 to {arguments.budgets}", [(length, 1) for length in range(1, arguments.budgets + 1)]


def check_samples(path: Path, run: Run, checked: Checked, lengths: Iterable[tuple[int, int]]) -> Checked:
    """Writes each sample to the same file and adds what is wrong with it."""
    sampling = SamplingConfig(checked.temperature)
    for length, count in lengths:
        rows: list[list[int]] = [[] for _ in range(count)]
        for item in run.generate(length=length, sampling=sampling, num_samples=count, seed=length):
            if item.token != run.codec.vocab.end:
                rows[item.row].append(item.token)
        for number, tokens in enumerate(rows):
            run.codec.write(path, decode(run.codec, tokens))
            checked.faults["too long"] += len(tokens) > length
            check_file(path, f"{number + 1} of {length} tokens", told(run, tokens), checked)
    print(f"{checked.model}, temperature {checked.temperature:g}, {checked.lengths} tokens: done", file=sys.stderr)
    return checked


def told(run: Run, tokens: Sequence[int]) -> Counter[tuple[int, int]]:
    """Returns how many notes there are of each player and pitch, by nothing but the names of the tokens."""
    struck = DRUMS if getattr(run.codec, "is_drums", False) else 0
    program = 0
    found: Counter[tuple[int, int]] = Counter()
    for kind, _, value in (run.codec.vocab.symbols[token].partition("_") for token in tokens):
        if kind == "Program":
            program = int(value)
        elif kind in ("Pitch", "Drum", "NoteOn"):
            player = {"Pitch": program, "Drum": DRUMS, "NoteOn": struck}[kind]
            found[player, int(value)] += 1
    return found


def check_file(path: Path, name: str, expected: Counter[tuple[int, int]], checked: Checked) -> None:
    """Adds what is wrong with one file."""
    checked.files += 1
    try:
        notes, faults = walk(mido.MidiFile(path))
        readers = {"pretty_midi": read_with_pretty_midi(path), "symusic": read_with_symusic(path)}
    except Exception as err:  # noqa: BLE001 - whatever a reader raises, it could not read the file
        checked.faults["unreadable"] += 1
        checked.examples.append(f"{name}: {type(err).__name__}: {err}")
        return
    for reader, found in readers.items():
        if found != notes:
            only = Counter(found)
            only.subtract(Counter(notes))
            faults[reader] += 1
            checked.examples.append(f"{name}: {reader} differs by {[n for n in only.items() if n[1]][:3]}")
    if Counter((note.player, note.pitch) for note in notes) != expected:
        faults["tokens"] += 1
        checked.examples.append(f"{name}: not the notes that the tokens tell of")
    checked.faults += faults
    checked.notes.append(len(notes))


def walk(file: mido.MidiFile) -> tuple[list[Note], Counter[str]]:
    """Returns the sorted notes of a file and its faults, reading each track's messages one after the other."""
    notes: list[Note] = []
    faults: Counter[str] = Counter()
    for track in file.tracks:
        now = 0
        programs: Counter[int] = Counter()  # by channel
        sounding: dict[tuple[int, int], tuple[int, int]] = {}  # channel and pitch to onset and velocity
        for message in track:
            now += message.time
            if message.type == "program_change":
                programs[message.channel] = message.program
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
                player = DRUMS if message.channel == DRUM_CHANNEL else programs[message.channel]
                notes.append(Note(onset, now - onset, player, message.note, velocity))
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
                yield Note(onset, duration, DRUMS if part.is_drum else part.program, note.pitch, note.velocity)

    return sorted(notes())


def read_with_symusic(path: Path) -> list[Note]:
    """Returns the sorted notes that symusic finds, in ticks of the file."""
    score: Any = symusic.Score(path)  # its own types leave the tracks out
    return sorted(
        Note(note.time, note.duration, DRUMS if track.is_drum else track.program, note.pitch, note.velocity)
        for track in score.tracks
        for note in track.notes
    )


def print_table(groups: Sequence[Checked]) -> None:
    """Prints a line a group, then what was wrong."""
    columns = f"{'model':<10} {'temp.':>5} {'tokens':>9} {'files':>5} {'notes a file':>14}"
    print(f"{columns} " + " ".join(f"{name:>11}" for name in FAULTS))
    for group in groups:
        low, middle, high = (f(group.notes or [0]) for f in (min, median, max))
        print(
            f"{group.model:<10} {group.temperature:5g} {group.lengths:>9} {group.files:5} "
            f"{f'{low} {middle:g} {high}':>14} " + " ".join(f"{group.faults[name]:11}" for name in FAULTS)
        )
    for group in groups:
        for example in group.examples[:5]:
            print(f"{group.model} {group.temperature:g}: {example}")


if __name__ == "__main__":
    main()
