"""Measures the preparation of a large text: MB/s and peak memory, in a fresh process.

    python benchmarks/prepare_text.py [TEXT] [--mebibytes 1024] [--codec auto]

The text, by default the built-in Shakespeare, is repeated into a temporary file. The limits to hold: 50 MB/s over all
passes, and 1.5 GiB of memory for 1 GiB of text.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from gen.corpus.builtin import builtin_path
from gen.corpus.prepare import prepare

MEBIBYTE = 1 << 20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


class Measured(NamedTuple):
    """What preparing took, at first and again from the cache."""

    first_seconds: float
    cached_seconds: float
    peak_bytes: int
    num_tokens: int
    codec: str


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure the preparation of a large text.")
    parser.add_argument("text", nargs="?", type=Path, default=builtin_path("shakespeare"))
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--codec", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gen-prepare-") as folder:
        big = Path(folder) / "big.txt"
        repeat(arguments.text, big, num_bytes=arguments.mebibytes * MEBIBYTE)
        size = big.stat().st_size
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            measured = fresh.apply(measure, (big, arguments.codec, Path(folder) / "cache"))
    print(f"{arguments.text.name} repeated to {size / MEBIBYTE:.0f} MiB")
    print(f"codec     {measured.codec}, {measured.num_tokens} tokens")
    for name, seconds in (("prepared", measured.first_seconds), ("cached", measured.cached_seconds)):
        print(f"{name:<9} {seconds:.2f} s, {size / 1e6 / seconds:.0f} MB/s")
    print(f"memory    {measured.peak_bytes / MEBIBYTE:.0f} MiB at the peak")


def repeat(text: Path, big: Path, *, num_bytes: int) -> None:
    """Writes whole copies of a text until the file has at least so many bytes."""
    data = text.read_bytes()
    with big.open("wb") as file:
        while file.tell() < num_bytes:
            file.write(data)


def measure(path: Path, codec: str, cache: Path) -> Measured:
    """Prepares a text twice, with a cache of its own."""
    os.environ["GEN_CACHE"] = str(cache)
    start = time.perf_counter()
    store = prepare([str(path)], codec=codec)
    middle = time.perf_counter()
    prepare([str(path)], codec=codec)
    stop = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    return Measured(middle - start, stop - middle, peak, len(store.ids), store.codec_spec["name"])


if __name__ == "__main__":
    main()
