"""Trains on corpora of music with default options, and measures the sound and the pictures of the samples.

    python benchmarks/corpora.py CORPUS... [--minutes 3] [--samples 3] [--keep DIR] [options of gen train]

`gen train` gets no option but --minutes and those given here, `gen sample` none but --seed and --num-samples. Every
sample is written as .mid, .wav, .png and .svg:

.mid   as mido reads it: notes, programs, channels, notes that hang, and the seconds to the end of the last note
.wav   seconds, peak and root mean square relative to full scale, and the share of windows of 50 ms that are silent
.png   width, height and bytes; of the .svg the bytes

With --keep the runs, their cache and all samples stay in DIR, otherwise nothing stays. The exit code is 1 if a sample
has no note or one that hangs, sounds shorter or much longer than its notes, clips, or is silent. The last line is JSON.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import mido
import numpy as np

from gen.music.views.sound import MAX_PEAK, MAX_TAIL_SECONDS
from gen.runs.header import versions

SUFFIXES = (".mid", ".wav", ".png", ".svg")
DRUM_CHANNEL = 9
WINDOW_SECONDS = 0.05
SILENCE_DBFS = -60.0
ROUNDING = 1e-3  # of full scale and of a second


@dataclass(frozen=True, slots=True)
class Notes:
    """What mido reads in a .mid."""

    notes: int
    programs: list[int]  # of pitched notes
    channels: list[int]  # that have notes, from 0; drums have 9
    hanging: int
    seconds: float  # to the end of the last note


@dataclass(frozen=True, slots=True)
class Sound:
    """What a .wav sounds like."""

    wav_seconds: float
    peak_dbfs: float
    rms_dbfs: float
    silent_share: float  # 0 to 1, of windows


@dataclass(frozen=True, slots=True)
class Pictures:
    """The sizes of the piano rolls."""

    png_pixels: tuple[int, int]  # width and height
    png_bytes: int
    svg_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample, in all its files."""

    name: str
    notes: Notes
    sound: Sound
    pictures: Pictures

    @property
    def faults(self) -> list[str]:
        """Returns what is wrong with it, in words."""
        notes, sound = self.notes, self.sound
        tail = sound.wav_seconds - notes.seconds
        found = {
            "no note": notes.notes == 0,
            f"{notes.hanging} notes hang": notes.hanging > 0,
            f"sounds for {tail:.2f} s beyond its last note": not -ROUNDING <= tail <= MAX_TAIL_SECONDS + ROUNDING,
            f"clips ({sound.peak_dbfs:.2f} dBFS)": sound.peak_dbfs > dbfs(MAX_PEAK + ROUNDING),
            "is silent": sound.rms_dbfs < SILENCE_DBFS,
        }
        return [words for words, is_so in found.items() if is_so]


@dataclass(frozen=True, slots=True)
class Trained:
    """A corpus, its run and the run's samples."""

    corpus: str
    codec: str
    reason: str  # for the codec
    steps: int
    bits_a_note: float  # on the validation part
    samples: list[Sample]


def main() -> None:
    """Reads the arguments, trains and samples, prints."""
    parser = argparse.ArgumentParser(description="Train on corpora of music and measure the samples.")
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, each [default 3]")
    parser.add_argument("--samples", type=int, default=3, metavar="N", help="of each run [default 3]")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave runs and samples here")
    arguments, options = parser.parse_known_args()
    options = ["--minutes", str(arguments.minutes), *options]
    with folder_for(arguments.keep) as folder:
        trained = [train(folder, corpus, options, num_samples=arguments.samples) for corpus in arguments.corpora]
    print_table(trained)
    data = {
        "benchmark": "corpora",
        "minutes": arguments.minutes,
        "options": options,
        "results": [asdict(each) for each in trained],
        "versions": versions(),
    }
    print(json.dumps(data))
    sys.exit(any(sample.faults for each in trained for sample in each.samples))


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """Gives the folder to work in: the one to keep, or one that vanishes."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gen-corpora-") as name:
        yield Path(name)


def train(folder: Path, corpus: str, options: Sequence[str], *, num_samples: int) -> Trained:
    """Trains on a corpus, samples and measures."""
    place = str(Path(corpus).resolve()) if Path(corpus).exists() else corpus
    run = re.sub(r"[^\w.+-]", "-", Path(corpus).name)
    read = json.loads(gen(folder, "corpus", place, "--json"))
    result = json.loads(gen(folder, "train", place, "--run", run, *options, "--json"))
    for suffix in SUFFIXES:
        gen(folder, "sample", run, "--seed", "0", "--num-samples", str(num_samples), "--out", f"{run}{suffix}")
    stems = [run] if num_samples == 1 else [f"{run}-{number}" for number in range(1, num_samples + 1)]
    samples = [measure(folder / stem) for stem in stems]
    reason = read["reason"] or ""
    return Trained(corpus, read["codec"], reason, result["steps"], result["valid_bits_per_unit"], samples)


def gen(folder: Path, *arguments: str) -> str:
    """Runs gen in a folder as a user would and returns its stdout; what it tells people goes to stderr."""
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "gen", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return done.stdout.decode()


def measure(stem: Path) -> Sample:
    """Measures the files of one sample, which differ in their suffixes."""
    mid, wav, png, svg = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    return Sample(stem.name, notes_of(mid), sound_of(wav), pictures_of(png, svg))


def notes_of(path: Path) -> Notes:
    """Reads a .mid; the times are by mido's own tempo map."""
    now = last = 0.0
    count = 0
    program: Counter[int] = Counter()  # by channel
    sounding: Counter[tuple[int, int]] = Counter()
    players = set()
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "program_change":
            program[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            count += 1
            sounding[message.channel, message.note] += 1
            players.add((message.channel, program[message.channel]))
        elif message.type in ("note_on", "note_off"):
            sounding[message.channel, message.note] -= 1
            last = now
    programs = sorted({program for channel, program in players if channel != DRUM_CHANNEL})
    hanging = sum(abs(number) for number in sounding.values())
    return Notes(count, programs, sorted({channel for channel, _ in players}), hanging, last)


def sound_of(path: Path) -> Sound:
    """Reads a .wav of 16 bits and two channels."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
    if not len(samples):
        return Sound(0.0, dbfs(0), dbfs(0), 1.0)
    starts = np.arange(0, len(samples), int(rate * WINDOW_SECONDS))
    energies = np.add.reduceat((samples**2).mean(axis=1), starts)
    powers = energies / np.diff(np.append(starts, len(samples)))
    is_silent = powers < 10 ** (SILENCE_DBFS / 10)
    rms = float(np.sqrt(np.mean(samples**2)))
    return Sound(len(samples) / rate, dbfs(float(np.abs(samples).max())), dbfs(rms), float(is_silent.mean()))


def dbfs(amplitude: float) -> float:
    """Returns an amplitude beside full scale in decibels; of none, that of half the smallest step of 16 bits."""
    return float(20 * np.log10(max(amplitude, 2.0**-16)))


def pictures_of(png: Path, svg: Path) -> Pictures:
    """Reads the sizes of two pictures."""
    head = png.read_bytes()[:24]  # signature, then the length, name, width and height of the first chunk
    pixels = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return Pictures(pixels, png.stat().st_size, svg.stat().st_size)


def print_table(trained: Sequence[Trained]) -> None:
    """Prints two lines for each corpus and one for each sample, then what is wrong."""
    for each in trained:
        print(f"{each.corpus}: {each.codec}, {each.reason}")
        print(f"  {each.bits_a_note:.3f} bits a note of the validation part after {each.steps} steps")
        for sample in each.samples:
            print(f"  {line_of(sample)}")
    for sample in (sample for each in trained for sample in each.samples):
        for fault in sample.faults:
            print(f"{sample.name}: {fault}")


def line_of(sample: Sample) -> str:
    """Returns what was measured of a sample."""
    notes, sound, pictures = sample.notes, sample.sound, sample.pictures
    players = [*map(str, notes.programs), *(["drums"] if DRUM_CHANNEL in notes.channels else [])]
    width, height = pictures.png_pixels
    return (
        f"{sample.name:20} {notes.notes:4} notes, {notes.seconds:6.2f} s, {notes.hanging} hang, "
        f"programs {' '.join(players)}; .wav {sound.wav_seconds:6.2f} s, peak {sound.peak_dbfs:.1f}, "
        f"RMS {sound.rms_dbfs:.1f} dBFS, silent {100 * sound.silent_share:.1f} %; "
        f".png {width} x {height}, {pictures.png_bytes / 1000:.0f} kB, .svg {pictures.svg_bytes / 1000:.0f} kB"
    )


if __name__ == "__main__":
    main()
