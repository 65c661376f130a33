"""Measures the speed of preparing a corpus of MIDI, beside mido's parse of the same files.

    python benchmarks/prepare_midi.py FOLDER... [--rounds 3]

mido      one pass in one process: `mido.MidiFile(path)` of each file, and a walk over the messages of its tracks
serial    gen.corpus.prepare with an empty cache and no workers: hashed, read, encoded, checked and written to disk
prepared  the same with the workers that it chooses by itself, including the time to start them
cached    the same again, from the cache

They run in turn, each in a fresh process, in an order that is reversed from round to round; the medians over the rounds
are printed. The files are read once beforehand, so that no side waits for the disk. The limit to hold on two cores: a
fifth of mido's time. The last line is JSON.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import mido

from gen.config import Reading
from gen.corpus.prepare import prepare
from gen.music.midi.recognise import MIDI_SUFFIXES

NAMES = ("mido", "serial", "prepared", "cached")
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

Measured = dict[str, float]


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure the preparation of a corpus of MIDI.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    paths = midi_files(arguments.folders)
    size = sum(len(path.read_bytes()) for path in paths)
    rounds = [one_round(number, arguments.folders, paths) for number in range(arguments.rounds)]
    seconds = {name: median(measured[name] for measured in rounds) for name in NAMES}
    print(f"{len(paths)} files, {size / 1e6:.1f} MB, {num_cpus()} cores")
    for name in NAMES:
        print(f"{name:<9} {seconds[name]:7.2f} s, {seconds['mido'] / seconds[name]:6.1f} times mido")
    peaks = {name: max(measured[name] for measured in rounds) for name in ("peak_mib", "worker_peak_mib")}
    print(f"memory    {peaks['peak_mib']:.0f} MiB at the peak, of a worker {peaks['worker_peak_mib']:.0f}")
    from gen.runs.header import versions  # torch, whose memory would count as that of each fresh process

    facts = {"benchmark": "prepare_midi", "files": len(paths), "bytes": size, "cores": num_cpus()}
    print(json.dumps(facts | {"rounds": arguments.rounds, "seconds": seconds} | peaks | {"versions": versions()}))


def one_round(number: int, folders: Sequence[str], paths: Sequence[Path]) -> Measured:
    """Returns the seconds that each side took, and the peaks of memory."""
    sides: list[Callable[[], Measured]] = [
        lambda: fresh(read_with_mido, paths),
        lambda: fresh(prepare_serially, folders),
        lambda: fresh(prepare_twice, folders),
    ]
    turn = number % len(sides)
    measured: Measured = {}
    for side in sides[turn:] + sides[:turn]:
        measured |= side()
        print(f"round {number + 1}: {measured}", file=sys.stderr)
    return measured


def fresh(measure: Callable[..., Measured], *arguments: object) -> Measured:
    """Calls a function in a process of its own, with a cache of its own."""
    with tempfile.TemporaryDirectory(prefix="gen-prepare-") as cache:
        os.environ["GEN_CACHE"] = cache
        with multiprocessing.get_context("spawn").Pool(1) as process:
            return process.apply(measure, arguments)


def read_with_mido(paths: Sequence[Path]) -> Measured:
    """Returns how long mido takes."""
    start = time.perf_counter()
    for path in paths:
        for track in mido.MidiFile(path).tracks:
            for _ in track:
                pass
    return {"mido": time.perf_counter() - start}


def prepare_serially(folders: Sequence[str]) -> Measured:
    """Returns how long one process takes."""
    return {"serial": preparing_seconds(folders, num_workers=0)}


def prepare_twice(folders: Sequence[str]) -> Measured:
    """Returns how long it takes as users do it, at first and again, and how much memory."""
    measured = {name: preparing_seconds(folders, num_workers=None) for name in ("prepared", "cached")}
    for name, who in (("peak_mib", resource.RUSAGE_SELF), ("worker_peak_mib", resource.RUSAGE_CHILDREN)):
        measured[name] = resource.getrusage(who).ru_maxrss * RSS_UNIT / (1 << 20)
    return measured


def preparing_seconds(folders: Sequence[str], *, num_workers: int | None) -> float:
    """Returns how long it takes to prepare the corpus."""
    start = time.perf_counter()
    prepare(folders, codec="performance", reading=Reading(labels="none"), num_workers=num_workers)
    return time.perf_counter() - start


def midi_files(folders: Sequence[str]) -> list[Path]:
    """Returns the MIDI files below some folders."""
    found = (path for folder in folders for path in Path(folder).rglob("*"))
    return sorted(path for path in found if path.suffix.lower() in MIDI_SUFFIXES)


def num_cpus() -> int:
    """Returns how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


if __name__ == "__main__":
    main()
