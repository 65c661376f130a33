"""Checks that a run that is killed many times ends bit for bit like an undisturbed one.

    python benchmarks/kill_and_resume.py CORPUS [--kills 10] [--steps N] [options of gen train]

The first run is undisturbed. The second, in another folder, is the same run ended by SIGKILL at moments drawn by --seed
and resumed each time until it is done. A moment is drawn uniformly between the start of the process and twice the
undisturbed run's time divided by the kills, but at least half a minute: gen saves every ten seconds, and a kill before
the first save makes no progress. If the run is done before all kills are spent, the rest go to another run from its
start.

All tensors of model.safetensors and training.safetensors are compared, and the position of training (without its
clock), the history of validations, and the lines of metrics.jsonl (without their clocks). The exit code is 1 if
anything differs. The time between two saves is a constant of gen; --save-seconds replaces it, for a quick test of this
script. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint
from gen.runs.header import versions

MIN_SPAN_SECONDS = 30.0  # three times what gen lets pass between two saves
CLOCKS = ("seconds", "tokens_per_second")  # all that may differ
QUICK_GEN = "import sys, gen.runs.session as s; from gen.cli.main import main; s.SECONDS_BETWEEN_SAVES = {}; main()"


@dataclass
class Kill:
    """One SIGKILL."""

    run: str
    after_seconds: float
    found: str  # what had been saved by then


@dataclass
class Bench:
    """Runs gen in a folder of its own.

    Args:
        folder: holds runs and cache.
        arguments: of gen train, without the run's name.
        program: starts gen.
    """

    folder: Path
    arguments: Sequence[str]
    program: Sequence[str]
    kills: list[Kill] = field(default_factory=list)

    def train(self, run: str, *, kill_after: float | None = None) -> bool:
        """Trains or goes on with a run; returns whether it was done before it was killed."""
        command = [*self.program, "train", *self.arguments, "--run", run, "--json"]
        if self.path(run).is_dir():
            command.append("--resume")
        environment = os.environ | {"GEN_CACHE": str(self.folder / "cache")}
        with (self.folder / f"{run}.log").open("ab") as log:
            try:
                subprocess.run(  # noqa: S603 - gen itself
                    command, cwd=self.folder, env=environment, stdout=log, stderr=log, timeout=kill_after, check=True
                )
            except subprocess.TimeoutExpired:  # run() has sent SIGKILL and waited for the end
                assert kill_after is not None
                self.kills.append(Kill(run, round(kill_after, 3), saved(self.path(run))))
                return False
            except subprocess.CalledProcessError as err:
                sys.exit(f"gen train ended with {err.returncode}:\n{(self.folder / f'{run}.log').read_text()[-2000:]}")
        return True

    def path(self, run: str) -> Path:
        """Returns the folder of a run."""
        return self.folder / "checkpoints" / run


def main() -> None:
    """Reads the arguments, trains, kills, compares, prints."""
    arguments, options = parse()
    source = Path(arguments.corpus)
    corpus = str(source.resolve()) if source.exists() else arguments.corpus
    program = [sys.executable, "-m", "gen"]
    if arguments.save_seconds is not None:
        program = [sys.executable, "-c", QUICK_GEN.format(arguments.save_seconds)]
    with tempfile.TemporaryDirectory(prefix="gen-kill-") as folder:
        bench = Bench(Path(folder), [corpus, "--steps", str(arguments.steps), *options], program)
        started = time.monotonic()
        bench.train("undisturbed")
        seconds = time.monotonic() - started
        span = arguments.span or max(2 * seconds / max(1, arguments.kills), MIN_SPAN_SECONDS)
        runs = kill_and_resume(bench, arguments.kills, span, np.random.default_rng(arguments.seed))
        differences = {run: compare(bench.path("undisturbed"), bench.path(run)) for run in runs}
        num_tensors = sum(len(read_checkpoint(file, kind)[0]) for file, kind in files(bench.path("undisturbed")))
    print_table(bench.kills)
    for run, found in differences.items():
        verdict = f"differs from the undisturbed run in {', '.join(found)}" if found else "equal to the undisturbed run"
        print(f"{run}: {verdict} ({num_tensors} tensors; {seconds:.0f} s undisturbed)")
    data = {
        "benchmark": "kill_and_resume",
        "corpus": arguments.corpus,
        "steps": arguments.steps,
        "options": options,
        "undisturbed_seconds": round(seconds, 1),
        "span_seconds": round(span, 1),
        "kills": [asdict(kill) for kill in bench.kills],
        "num_tensors": num_tensors,
        "differences": differences,
        "versions": versions(),
    }
    print(json.dumps(data))
    sys.exit(any(differences.values()))


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Returns the arguments of this script, and those for gen train."""
    parser = argparse.ArgumentParser(description="Kill a run at random moments, resume it, and compare.")
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--kills", type=int, default=10, metavar="N")
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="length of the run [default 2000]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws the moments [default 0]")
    parser.add_argument("--span", type=float, metavar="S", help="kill within this many seconds of a start")
    parser.add_argument("--save-seconds", type=float, metavar="S", help="seconds between saves, for a quick test")
    return parser.parse_known_args()


def kill_and_resume(bench: Bench, num_kills: int, span: float, rng: np.random.Generator) -> list[str]:
    """Spends the kills on as many runs as it takes, and lets the last one end; returns their names."""
    runs: list[str] = []
    while not runs or len(bench.kills) < num_kills:
        runs.append(f"killed-{len(runs) + 1}")
        is_done = False
        while not is_done:
            is_last = len(bench.kills) == num_kills
            is_done = bench.train(runs[-1], kill_after=None if is_last else float(rng.uniform(0, span)))
    return runs


def saved(path: Path) -> str:
    """Says what a run that was killed has on disk."""
    if not path.is_dir():
        return "no folder yet"
    if not (path / TRAINING_FILE).exists():
        return "no checkpoint yet"
    return f"step {read_checkpoint(path / TRAINING_FILE, 'training')[1]['place']['step']}"


def files(path: Path) -> list[tuple[Path, Any]]:
    """Returns the two checkpoints of a run with their kinds."""
    return [(path / MODEL_FILE, "model"), (path / TRAINING_FILE, "training")]


def compare(one: Path, other: Path) -> list[str]:
    """Returns the names of everything that differs between two runs."""
    found = []
    for (file, kind), (other_file, _) in zip(files(one), files(other), strict=True):
        tensors, header = read_checkpoint(file, kind)
        other_tensors, other_header = read_checkpoint(other_file, kind)
        names = tensors.keys() | other_tensors.keys()
        found += [f"{kind}:{name}" for name in names if not same_bits(tensors.get(name), other_tensors.get(name))]
        for name in ("place", "history", "marks_passed"):
            if clockless(header.get(name)) != clockless(other_header.get(name)):
                found.append(f"{kind}:{name} ({header.get(name)}, {other_header.get(name)})")
    if lines(one) != lines(other):
        found.append("metrics.jsonl")
    return sorted(found)


def same_bits(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """Returns whether both are there and have the same type, shape and bytes."""
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.numpy().tobytes() == other.numpy().tobytes()


def clockless(data: Any) -> Any:
    """Returns JSON data without what a clock says."""
    return {name: value for name, value in data.items() if name not in CLOCKS} if isinstance(data, dict) else data


def lines(path: Path) -> list[Any]:
    """Returns the lines of a run's metrics without what a clock says."""
    text = (path / "metrics.jsonl").read_text(encoding="utf-8")
    return [clockless(json.loads(line)) for line in text.splitlines()]


def print_table(kills: Sequence[Kill]) -> None:
    """Prints a line a kill."""
    print(f"{'kill':>4}  {'run':<10} {'after s':>7}  saved by then")
    for number, kill in enumerate(kills, 1):
        print(f"{number:4}  {kill.run:<10} {kill.after_seconds:7.2f}  {kill.found}")


if __name__ == "__main__":
    main()
