"""Measures the growth of the cost of training and sampling with width, depth, alphabet and corpus.

    python benchmarks/cost.py [--seconds 0.5] [--mebibytes 1 64 1024]

model    a `gen bench` for each of several widths, depths and alphabets: tokens a second in training, and in samples of
         one row and of 64 rows
corpus   the built-in Shakespeare, repeated to a number of mebibytes and prepared, then `gen train` of some steps:
         tokens a second of the second half of its steps, seconds until the first step, and its peak memory

`distributed.py` measures several processes. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from gen.corpus.builtin import builtin_path
from gen.runs.header import versions

MODELS: tuple[dict[str, int], ...] = (
    *({"hidden": width} for width in (128, 256, 512, 768, 1024)),
    {"hidden": 512, "layers": 2},
    {"hidden": 512, "layers": 4},
    {"hidden": 512, "vocab": 1000},
    {"hidden": 512, "vocab": 7146},
)
STEPS = 300  # of the runs on corpora
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure how cost grows.")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement of gen bench")
    parser.add_argument("--mebibytes", type=int, nargs="*", default=[1, 64, 1024], help="sizes of the corpora")
    arguments = parser.parse_args()
    print(f"{'model':24} {'weights':>12} {'training/s':>11} {'one row/s':>11} {'64 rows/s':>11}")
    models = [model_cost(sizes, arguments.seconds) for sizes in MODELS]
    print(f"{'corpus':24} {'tokens':>14} {'training/s':>11} {'prepared, s':>11} {'peak MiB':>9}")
    corpora = [corpus_cost(mebibytes) for mebibytes in arguments.mebibytes]
    print(json.dumps({"benchmark": "cost", "models": models, "corpora": corpora, "versions": versions()}))


def model_cost(sizes: dict[str, int], seconds: float) -> dict[str, Any]:
    """Measures a model of some sizes, and prints a line."""
    options = [part for name, size in sizes.items() for part in (f"--{name}", str(size))]
    options += ["--num-samples", "1", "--num-samples", "64", "--seconds", str(seconds), "--json"]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "gen", "bench", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found = json.loads(done.stdout)
    rates = {"training": found["training"]["tokens_per_second"]}
    in_fp32 = [row for row in found["sampling"] if row["precision"] == "fp32"]
    rates |= {f"rows {row['rows']}": row["generate_tokens_per_second"] for row in in_fp32}
    name = ", ".join(f"{name} {size}" for name, size in sizes.items())
    num_weights = found["model"]["parameters"]
    print(f"{name:24} {num_weights:12,} " + " ".join(f"{rate:11,.0f}" for rate in rates.values()), flush=True)
    return {"sizes": sizes, "weights": num_weights, "tokens_per_second": rates}


def corpus_cost(mebibytes: int) -> dict[str, Any]:
    """Trains for some steps on a text of some size, and prints a line."""
    with tempfile.TemporaryDirectory(prefix="gen-cost-") as name:
        folder = Path(name)
        source = builtin_path("shakespeare")
        assert source is not None
        data = source.read_bytes()
        text = folder / "text.txt"
        with text.open("wb") as file:
            for _ in range(-(-(mebibytes << 20) // len(data))):
                file.write(data)
        command = [sys.executable, "-m", "gen", "train", str(text), "--run", "cost", "--steps", str(STEPS), "--json"]
        environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
        prepared, _ = _run([sys.executable, "-m", "gen", "corpus", str(text), "--json"], folder, environment)
        _, peak = _run(command, folder, environment)
        lines = [json.loads(line) for line in (folder / "checkpoints/cost/metrics.jsonl").read_text().splitlines()]
    later = [(b["tokens"] - a["tokens"], b["seconds"] - a["seconds"]) for a, b in pairwise(lines[len(lines) // 2 :])]
    rate = sum(tokens for tokens, _ in later) / sum(seconds for _, seconds in later)
    size = f"{mebibytes} MiB"
    print(f"{size:24} {mebibytes << 20:14,} {rate:11,.0f} {prepared:11.1f} {peak:9.0f}", flush=True)
    return {"mebibytes": mebibytes, "tokens_per_second": rate, "prepared_seconds": prepared, "peak_mebibytes": peak}


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Runs gen; returns the seconds it took and the most MiB that it held, mapped pages of the corpus among them."""
    before = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own program
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return time.perf_counter() - before, usage.ru_maxrss * RSS_UNIT / (1 << 20)


if __name__ == "__main__":
    main()
