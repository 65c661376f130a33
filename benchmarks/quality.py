"""Measures the quality that `gen train` reaches in a given time, on the validation part that it holds out.

    python benchmarks/quality.py CORPUS [--minutes 3] [--repeat 1] [--seed 0] [options of gen train]

Each repetition trains with the next seed, in a temporary folder with its own cache, and then runs `gen eval` twice:
one pass with carried state, and fresh windows of 256 tokens. Options that this script does not know are handed to
`gen train`; without any it measures the defaults. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from gen.runs.header import versions

CONTEXTS = ("carry", "256")


class Measured(NamedTuple):
    """One repetition."""

    seed: int
    steps: int
    seconds: float
    tokens_per_second: float
    unit: str
    nats: dict[str, float]  # per token, by context
    bits_per_unit: dict[str, float]  # likewise


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure quality after a given time of training.")
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="train N times")
    parser.add_argument("--seed", type=int, default=0, help="of the first time; then the next")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="gen-quality-") as folder:
        results = [
            measure(Path(folder), arguments.corpus, seed, ["--minutes", str(arguments.minutes), *options])
            for seed in range(arguments.seed, arguments.seed + arguments.repeat)
        ]
    print_table(results)
    names = {"benchmark": "quality", "corpus": arguments.corpus, "minutes": arguments.minutes, "options": options}
    print(json.dumps(names | {"results": [result._asdict() for result in results], "versions": versions()}))


def measure(folder: Path, corpus: str, seed: int, options: Sequence[str]) -> Measured:
    """Trains once and evaluates twice."""
    source = Path(corpus)
    place = str(source.resolve()) if source.exists() else corpus
    run = f"seed-{seed}"
    trained = gen(folder, "train", place, "--run", run, "--seed", str(seed), *options)
    evaluated = {context: gen(folder, "eval", run, "valid", "--context", context) for context in CONTEXTS}
    return Measured(
        seed,
        trained["steps"],
        trained["seconds"],
        trained["tokens_per_second"],
        trained["unit"],
        {context: result["nats_per_token"] for context, result in evaluated.items()},
        {context: result["bits_per_unit"] for context, result in evaluated.items()},
    )


def gen(folder: Path, *arguments: str) -> Any:
    """Runs gen in a folder as a user would and returns its JSON; what it tells people goes to stderr."""
    command = [sys.executable, "-m", "gen", *arguments, "--json"]
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return json.loads(done.stdout)


def print_table(results: Sequence[Measured]) -> None:
    """Prints a line a repetition, and their median if there are several."""
    print(f"{'seed':>6} {'carry nats':>10} {'256 nats':>10} {'carry bits':>10} {'steps':>8} {'tokens/s':>10}  unit")
    for result in results:
        print(
            f"{result.seed:6} {result.nats['carry']:10.4f} {result.nats['256']:10.4f} "
            f"{result.bits_per_unit['carry']:10.4f} {result.steps:8} {result.tokens_per_second:10,.0f}  {result.unit}"
        )
    if len(results) > 1:
        nats = {context: median(result.nats[context] for result in results) for context in CONTEXTS}
        print(f"median {nats['carry']:10.4f} {nats['256']:10.4f}")


if __name__ == "__main__":
    main()
