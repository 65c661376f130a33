"""Measures whether a model writes as densely as it is asked to.

    python benchmarks/controls.py CORPUS [--minutes 3] [--samples 20] [--seconds 20] [--densities 1 2 ... 12]
        [options of gen train]

A model is trained with `--controls density`. Then samples are drawn at each density asked for, and along an envelope
that rises and falls; the notes that begin in each second are counted. Printed are the measured density for each one
asked for, the rank correlation of the two over all samples (Spearman: Pearson's of the ranks, equal ones at their
mean), and the correlation over time of the envelope with the mean density of its samples, in windows of two seconds.
A model knows the densities that its corpus often has, and takes others for the nearest of these; so the rank
correlation is also printed of those asked densities alone that lie among them. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import gen
from gen.codecs.envelope import read_envelope
from gen.versions import versions

WINDOW_SECONDS = 2.0
TOKENS_A_NOTE = 8  # at most: NoteOn, NoteOff, two TimeShifts, Velocity and the control, with room to spare

Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """What samples at one density came to, in notes a second."""

    asked: float
    densities: list[float]  # of each sample


def main() -> None:
    """Reads the arguments, trains, samples, counts, prints."""
    parser = argparse.ArgumentParser(description="Measure whether an asked density is obeyed.")
    parser.add_argument("corpus")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--samples", type=int, default=20, metavar="N", help="of each density [default 20]")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="a sample lasts [default 20]")
    parser.add_argument("--densities", type=float, nargs="+", default=list(range(1, 13)), metavar="D")
    arguments, options = parser.parse_known_args()
    corpus = str(Path(arguments.corpus).resolve()) if Path(arguments.corpus).exists() else arguments.corpus
    with tempfile.TemporaryDirectory(prefix="gen-controls-") as folder:
        train(Path(folder), corpus, "--minutes", str(arguments.minutes), *options)
        run = gen.load(Path(folder) / "checkpoints" / "controls")
    known = np.array(corpus_densities(run))
    results = [
        Measured(density, [float(np.mean(counts)) for counts in sample(run, str(density), arguments, seed=number)])
        for number, density in enumerate(arguments.densities)
    ]
    envelope = f"0:2 {arguments.seconds / 2}:8 {arguments.seconds}:2"
    followed = follow(run, envelope, arguments)
    correlation = rank_correlation(results)
    within = rank_correlation([result for result in results if known.min() <= result.asked <= known.max()])
    print_table(known, results)
    print(f"rank correlation {correlation:.3f}, among what the model knows {within:.3f}")
    print(f"envelope {envelope}: correlation over time {followed:.3f}")
    data = {
        "benchmark": "controls",
        "corpus": arguments.corpus,
        "minutes": arguments.minutes,
        "seconds": arguments.seconds,
        "options": options,
        "rank_correlation": correlation,
        "rank_correlation_within": within,
        "envelope": envelope,
        "envelope_correlation": followed,
        "known": known.tolist(),
        "results": [result._asdict() for result in results],
        "versions": versions(),
    }
    print(json.dumps(data))


def train(folder: Path, corpus: str, *options: str) -> None:
    """Trains as a user would; what is told to people goes to stderr."""
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "gen", "train", corpus, "--run", "controls", "--controls", "density", *options]
    subprocess.run(command, cwd=folder, env=environment, check=True)  # noqa: S603


def corpus_densities(run: gen.Run) -> list[float]:
    """Returns the densities that the model knows, in notes a second."""
    symbols = run.codec.vocab.symbols
    levels = getattr(run.codec, "densities", ()) or range(sum(s.startswith("Density_") for s in symbols) - 1)
    return [0.5 * 2 ** (level / 2) for level in levels]


def sample(run: gen.Run, density: str, arguments: argparse.Namespace, *, seed: int) -> list[Floats]:
    """Returns the notes a second in each window of each sample."""
    most = max(float(point.rpartition(":")[2]) for point in density.split())
    length = int(arguments.seconds * max(4.0, 2 * most) * TOKENS_A_NOTE)
    scores = run.sample(length=length, seed=seed, num_samples=arguments.samples, controls={"density": density})
    return [windows(score, arguments.seconds) for score in scores]


def windows(score: gen.Score, seconds: float) -> Floats:
    """Returns how many notes a second begin in each window up to some time; a piece that ends before is shorter."""
    onsets = np.concatenate([score.seconds(track.columns[0]) for track in score.tracks if track.notes] or [np.zeros(0)])
    end = min(seconds, max(score.duration_seconds, WINDOW_SECONDS))
    edges = np.arange(0, end - WINDOW_SECONDS + 1e-9, WINDOW_SECONDS)
    counts, _ = np.histogram(onsets, bins=[*edges.tolist(), float(edges[-1]) + WINDOW_SECONDS])
    return np.asarray(counts / WINDOW_SECONDS)


def follow(run: gen.Run, envelope: str, arguments: argparse.Namespace) -> float:
    """Returns the correlation over time of what is asked with the mean of what is written."""
    rows = sample(run, envelope, arguments, seed=0)
    num_windows = int(arguments.seconds / WINDOW_SECONDS)
    written = [np.mean([row[n] for row in rows if len(row) > n] or [0.0]) for n in range(num_windows)]
    asked_at = read_envelope("density", envelope)
    asked = [float(asked_at((n + 0.5) * WINDOW_SECONDS) or 0) for n in range(num_windows)]
    return correlation_of(np.array(asked), np.array(written))


def rank_correlation(results: Sequence[Measured]) -> float:
    """Returns Spearman's correlation of what was asked with what was measured, a sample a pair."""
    asked = [result.asked for result in results for _ in result.densities]
    measured = [density for result in results for density in result.densities]
    return correlation_of(ranks(np.array(asked)), ranks(np.array(measured)))


def ranks(values: Floats) -> Floats:
    """Returns the (N,) ranks from 0; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[places])


def correlation_of(one: Floats, other: Floats) -> float:
    """Returns Pearson's correlation; 0 where one of the two never changes."""
    return float(np.corrcoef(one, other)[0, 1]) if len(one) and np.ptp(one) and np.ptp(other) else 0.0


def print_table(known: Floats, results: Sequence[Measured]) -> None:
    """Prints a line for each density asked for."""
    print(f"the model knows densities of {known.min():.1f} to {known.max():.1f} notes a second")
    print(f"{'asked':>6} {'samples':>8} {'low':>7} {'median':>7} {'high':>7}")
    for asked, densities in results:
        low, middle, high = np.quantile(densities, (0.1, 0.5, 0.9))
        print(f"{asked:6g} {len(densities):8} {low:7.2f} {middle:7.2f} {high:7.2f}")


if __name__ == "__main__":
    main()
