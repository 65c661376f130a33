"""Measures how closely samples follow a note density and a key that are asked for.

    python benchmarks/controls.py RUN|CORPUS [--minutes 3] [--samples 20] [--seconds 20] [--densities 2 4 8]
        [--keys C D# F# A Cm D#m F#m Am] [--controls density,key] [options of gen train]

RUN is the name of a run, its folder or its file; anything else is a corpus, and a run is trained on it first.

Density. Samples are drawn at each density that the model knows, which are those that its corpus often has, or at those
of --densities. More samples follow an envelope from the lowest density that the model knows to the highest and back.
The notes that begin in each window of two seconds are counted. The script prints the measured density for each one
asked for, the rank correlation of the two over all samples (Spearman: Pearson's of the ranks, equal ones at their
mean), and the correlation over time of the envelope with the mean density of its samples.

Key. Samples are drawn in each of --keys, and the same number without a request. The key of each is estimated from the
time that its pitch classes sound (Krumhansl 1990). The script prints the share of samples in the key asked for, and the
share in that key, its relative or one a fifth away, beside the same shares without a request. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import gen
from gen.codec import Controls
from gen.codecs.envelope import read_envelope
from gen.errors import CheckpointError
from gen.music.keys import KEY_NAMES, estimated_keys, key_number, moved_key
from gen.runs.header import versions

WINDOW_SECONDS = 2.0
TOKENS_A_NOTE = 8  # at most: NoteOn, NoteOff, two TimeShifts, Velocity and the control, with room to spare
FIFTH = 7  # semitones
KEYS = ("C", "D#", "F#", "A", "Cm", "D#m", "F#m", "Am")  # as far from each other as can be

Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """What samples at one density came to, in notes a second."""

    asked: float
    densities: list[float]  # of each sample


class Kept(NamedTuple):
    """How many samples are in a key; shares, 0 to 1."""

    asked: str
    same: float
    related: float  # in it, its relative, or one a fifth away
    same_unasked: float  # of the samples that were asked for nothing
    related_unasked: float


def main() -> None:
    """Reads the arguments, trains, samples, measures, prints."""
    arguments, options = parse()
    with tempfile.TemporaryDirectory(prefix="gen-controls-") as folder:
        run = run_of(arguments, options, Path(folder))
    known = corpus_densities(run)
    results = [
        Measured(density, [float(np.mean(counts)) for counts in densities(run, f"{density:g}", arguments, seed=number)])
        for number, density in enumerate(arguments.densities or known)
    ]
    envelope = f"0:{known[0]:g} {arguments.seconds / 2:g}:{known[-1]:g} {arguments.seconds:g}:{known[0]:g}"
    asked, written = follow(run, envelope, arguments)
    keys = keep_keys(run, arguments) if "key" in controls_of(run).names else []
    data = {
        "benchmark": "controls",
        "source": arguments.source,
        "minutes": arguments.minutes,
        "seconds": arguments.seconds,
        "options": options,
        "known": known,
        "rank_correlation": rank_correlation(results),
        "envelope": envelope,
        "envelope_asked": asked.tolist(),
        "envelope_written": written.tolist(),
        "envelope_correlation": correlation_of(asked, written),
        "results": [result._asdict() for result in results],
        "keys": [key._asdict() for key in keys],
        "versions": versions(),
    }
    print_densities(known, results)
    print(f"rank correlation {data['rank_correlation']:.3f}")
    print(f"envelope {envelope}: correlation over time {data['envelope_correlation']:.3f}")
    print_keys(keys)
    print(json.dumps(data))


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Returns the arguments of this script, and those for gen train."""
    parser = argparse.ArgumentParser(description="Measure whether an asked density and an asked key are obeyed.")
    parser.add_argument("source", metavar="RUN|CORPUS")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, if a corpus is given [default 3]")
    parser.add_argument("--controls", default="density,key", metavar="NAMES", help="to train with")
    parser.add_argument("--samples", type=int, default=20, metavar="N", help="of each density and key [default 20]")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="a sample lasts [default 20]")
    parser.add_argument("--densities", type=float, nargs="+", metavar="D", help="[default those that the model knows]")
    parser.add_argument("--keys", nargs="+", default=KEYS, metavar="KEY")
    return parser.parse_known_args()


def run_of(arguments: argparse.Namespace, options: Sequence[str], folder: Path) -> gen.Run:
    """Returns the run that is named, or one that is trained in the folder as a user would; gen speaks on stderr."""
    try:
        return gen.load(arguments.source)
    except CheckpointError:
        corpus = str(Path(arguments.source).resolve()) if Path(arguments.source).exists() else arguments.source
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "gen", "train", corpus, "--run", "controls", "--controls", arguments.controls]
    command += ["--minutes", str(arguments.minutes), *options]
    subprocess.run(command, cwd=folder, env=environment, check=True)  # noqa: S603
    return gen.load(folder / "checkpoints" / "controls")


def controls_of(run: gen.Run) -> Controls:
    """Returns the controls of a run that was trained with some."""
    controls = run.codec.controls
    assert controls is not None, "trained without controls"
    return controls


def corpus_densities(run: gen.Run) -> list[float]:
    """Returns the densities that the model knows, ascending, in notes a second."""
    return [float(density) for density in controls_of(run).values("density")]


def samples(
    run: gen.Run, controls: Mapping[str, str], arguments: argparse.Namespace, *, densest: float, seed: int
) -> list[gen.Score]:
    """Returns samples with tokens enough for twice the densest that they may be, in notes a second."""
    length = int(arguments.seconds * max(4.0, 2 * densest) * TOKENS_A_NOTE)
    return run.sample(length=length, seed=seed, num_samples=arguments.samples, controls=controls)


def densities(run: gen.Run, density: str, arguments: argparse.Namespace, *, seed: int) -> list[Floats]:
    """Returns the notes a second in each window of each sample."""
    densest = max(float(point.rpartition(":")[2]) for point in density.split())
    scores = samples(run, {"density": density}, arguments, densest=densest, seed=seed)
    return [windows(score, arguments.seconds) for score in scores]


def windows(score: gen.Score, seconds: float) -> Floats:
    """Returns how many notes a second begin in each window up to some time; a piece that ends before is shorter."""
    onsets = np.concatenate([score.seconds(track.columns[0]) for track in score.tracks if track.notes] or [np.zeros(0)])
    end = min(seconds, max(score.duration_seconds, WINDOW_SECONDS))
    edges = np.arange(0, end - WINDOW_SECONDS + 1e-9, WINDOW_SECONDS)
    counts, _ = np.histogram(onsets, bins=[*edges.tolist(), float(edges[-1]) + WINDOW_SECONDS])
    return np.asarray(counts / WINDOW_SECONDS)


def follow(run: gen.Run, envelope: str, arguments: argparse.Namespace) -> tuple[Floats, Floats]:
    """Returns the density that is asked in the middle of each window, and the mean of what is written in it."""
    rows = densities(run, envelope, arguments, seed=0)
    num_windows = int(arguments.seconds / WINDOW_SECONDS)
    written = [np.mean([row[n] for row in rows if len(row) > n] or [0.0]) for n in range(num_windows)]
    asked_at = read_envelope("density", envelope)
    asked = [float(asked_at((n + 0.5) * WINDOW_SECONDS) or 0) for n in range(num_windows)]
    return np.array(asked), np.array(written)


def keep_keys(run: gen.Run, arguments: argparse.Namespace) -> list[Kept]:
    """Returns how many samples are in each key that is asked for."""
    known = corpus_densities(run)
    usual = known[len(known) // 2]
    unasked = keys_of(samples(run, {}, arguments, densest=usual, seed=0), arguments.seconds)
    kept = []
    for number, name in enumerate(arguments.keys):
        found = keys_of(samples(run, {"key": name}, arguments, densest=usual, seed=number), arguments.seconds)
        key = key_number(name)
        shares = [float(np.isin(keys, wanted).mean()) for keys in (found, unasked) for wanted in ([key], related(key))]
        kept.append(Kept(name, *shares))
    return kept


def keys_of(scores: Sequence[gen.Score], seconds: float) -> NDArray[np.int64]:
    """Returns the key of each sample up to some time, -1 of one without pitches."""
    weights = np.zeros((len(scores), 12))
    for row, score in zip(weights, scores, strict=True):
        for track in score.tracks:
            onsets, durations, pitches, _ = track.columns
            is_counted = (score.seconds(onsets) < seconds) & (not track.is_drum)
            np.add.at(row, pitches[is_counted] % 12, durations[is_counted])
    return estimated_keys(weights)


def related(key: int) -> list[int]:
    """Returns a key, its relative, and those a fifth above and below, as places in `KEY_NAMES`."""
    is_minor = key >= len(KEY_NAMES) // 2
    relative = moved_key(key, 3) - 12 if is_minor else moved_key(key, -3) + 12
    return [key, relative, moved_key(key, FIFTH), moved_key(key, -FIFTH)]


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


def print_densities(known: Sequence[float], results: Sequence[Measured]) -> None:
    """Prints a line for each density asked for."""
    print(f"the model knows {len(known)} densities, {known[0]:.1f} to {known[-1]:.1f} notes a second")
    print(f"{'asked':>6} {'samples':>8} {'low':>7} {'median':>7} {'high':>7}")
    for asked, found in results:
        low, middle, high = np.quantile(found, (0.1, 0.5, 0.9))
        print(f"{asked:6.3g} {len(found):8} {low:7.2f} {middle:7.2f} {high:7.2f}")


def print_keys(keys: Sequence[Kept]) -> None:
    """Prints a line for each key asked for, and the mean of all."""
    if not keys:
        return
    print(f"{'key':>6} {'same':>8} {'related':>8} {'unasked: same':>14} {'related':>8}")
    mean = Kept("all", *np.mean([key[1:] for key in keys], axis=0).tolist())
    for name, *shares in (*keys, mean):
        print(f"{name:>6} {shares[0]:8.2f} {shares[1]:8.2f} {shares[2]:14.2f} {shares[3]:8.2f}")


if __name__ == "__main__":
    main()
