"""Compares two versions of gen on one machine: speed of training, sampling and start.

    python benchmarks/versions.py OLD_PYTHON NEW_PYTHON [--repeats 7] [--steps 150]

Each argument is the Python of an environment in which one version is installed. Both are run through the command line,
in turn, so that other load affects both alike:

    training    tokens per second of `gen train` on the built-in Shakespeare: an LSTM, a GRU and a vanilla RNN, and an
                LSTM on the built-in chorales
    sampling    tokens per second of `gen sample`, for one sample and for 16, with and without filters, of text, of
                music and of int8 weights
    first       seconds from the start of `gen sample` to its first character
    help        seconds of `gen --help`

The old version trains the runs that both sample. The script prints the medians, and the median of the ratios of
neighbouring measurements; above 1, the new version is faster. The last line is JSON.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

SIZES = ("--hidden", "256", "--layers", "1", "--embedding", "64", "--batch-size", "32", "--bptt", "64")
FIXED = ("--device", "cpu", "--precision", "fp32", "--lr", "0.003", "--seed", "0")
LENGTH = 4000
FILTERS = ("--temperature", "0.8", "--top-k", "40", "--top-p", "0.95", "--repetition-penalty", "1.1")


class Trial(NamedTuple):
    """One kind of measurement: a name, and what returns its figure for the Python of a version."""

    name: str
    measure: Callable[[str], float]
    is_rate: bool  # whether more is better


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Compare two versions of gen on one machine.")
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    parser.add_argument("--steps", type=int, default=150, metavar="N", help="of each training run")
    arguments = parser.parse_args()
    results = []
    print(f"{'':<28} {'old':>10} {'new':>10} {'ratio':>7} {'least':>7} {'most':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for trial in trials(Path(folder), arguments.old, arguments.steps):
            pairs = [(trial.measure(arguments.old), trial.measure(arguments.new)) for _ in range(arguments.repeats)]
            ratios = sorted(new / old if trial.is_rate else old / new for old, new in pairs)
            old, new = (median(column) for column in zip(*pairs, strict=True))
            row = {"old": old, "new": new, "ratio": median(ratios), "least": ratios[0], "most": ratios[-1]}
            digits = ".0f" if trial.is_rate else ".3f"
            figures = f"{old:10{digits}} {new:10{digits}} {row['ratio']:7.3f} {row['least']:7.3f} {row['most']:7.3f}"
            print(f"{trial.name:<28} {figures}", flush=True)
            results.append({"measured": trial.name} | row)
    print(json.dumps({"benchmark": "versions", "results": results}))


def trials(folder: Path, old: str, steps: int) -> list[Trial]:
    """Returns all trials; trains the runs that are sampled."""
    text = trained_once(folder, old, "text", "shakespeare", "--codec", "char")
    music = trained_once(folder, old, "music", "chorales", "--codec", "beat")
    found = [
        Trial(f"train {cell}", training(folder, steps, "shakespeare", "--cell", cell), is_rate=True)
        for cell in ("lstm", "gru", "rnn")
    ]
    found.append(Trial("train lstm, chorales", training(folder, steps, "chorales", "--codec", "beat"), is_rate=True))
    samples = {
        "sample text": (text, ()),
        "sample text, filters": (text, FILTERS),
        "sample text, 16 at once": (text, ("--num-samples", "16")),
        "sample text, int8": (text, ("--precision", "int8")),
        "sample music": (music, ("--out", str(folder / "music.mid"))),
    }
    found += [Trial(name, sampling(run, *options), is_rate=True) for name, (run, options) in samples.items()]
    found.append(Trial("first character, seconds", first_character(text), is_rate=False))
    found.append(Trial("gen --help, seconds", help_seconds, is_rate=False))
    return found


def trained_once(folder: Path, python: str, name: str, corpus: str, *options: str) -> Path:
    """Returns the folder of a short run."""
    gen(python, "train", corpus, "--run", name, "--out", str(folder), "--steps", "30", *SIZES, *FIXED, *options)
    return folder / name


def training(folder: Path, steps: int, corpus: str, *options: str) -> Callable[[str], float]:
    """Returns what trains a new run and returns its tokens per second."""

    def measure(python: str) -> float:
        out = tempfile.mkdtemp(dir=folder)
        limits = ("--run", "timed", "--out", out, "--steps", str(steps), "--json")
        done = gen(python, "train", corpus, *limits, *SIZES, *FIXED, *options)
        return float(json.loads(done.stdout)["tokens_per_second"])

    return measure


def sampling(run: Path, *options: str) -> Callable[[str], float]:
    """Returns what samples a run and returns the tokens per second that `--stats` tells."""

    def measure(python: str) -> float:
        done = gen(python, "sample", str(run), "--length", str(LENGTH), "--seed", "1", "--stats", *options)
        found = re.search(r"([\d,.]+) tokens/s", done.stderr)
        assert found is not None, done.stderr
        return float(found[1].replace(",", ""))

    return measure


def first_character(run: Path) -> Callable[[str], float]:
    """Returns what measures the seconds from the start of a process to the first byte that it prints."""

    def measure(python: str) -> float:
        start = time.perf_counter()
        command = [python, "-m", "gen", "sample", str(run), "--length", "200000", "--seed", "1"]
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, cwd=run.parent
        ) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            seconds = time.perf_counter() - start
            process.kill()
        return seconds

    return measure


def help_seconds(python: str) -> float:
    """Returns how long `gen --help` takes."""
    start = time.perf_counter()
    gen(python, "--help")
    return time.perf_counter() - start


def gen(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line of one version; its environment decides which."""
    command = [python, "-m", "gen", *arguments]
    environment = os.environ | {"NO_COLOR": "1"}
    elsewhere = tempfile.gettempdir()  # in a checkout, `-m gen` would run the one that stands there
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=True, env=environment, cwd=elsewhere
    )


if __name__ == "__main__":
    main()
