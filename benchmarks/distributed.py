"""Measures the gain of a second process and of a second thread, and the differences in their losses.

    python benchmarks/distributed.py [--steps 200] [--hidden 512] [--precision bf16 fp32]

Each setting trains the same run, Trainer.run() with the recipe's optimisers on the built-in Shakespeare, 32 rows of 64
tokens: one process with one thread, one process with two threads, and two processes with one thread each, which
torchrun starts and gloo connects. Rates leave out the first fifth of the steps. A difference is the largest of any
step's loss from that of one process with one thread: over the first steps, where it is the rounding of sums, and over
all steps, in which training amplifies it. The script needs two idle cores. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gen.config import ModelConfig, Precision, TrainingConfig
from gen.corpus.builtin import builtin_path
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.recurrent import RecurrentLM
from gen.runs.header import versions
from gen.training.distributed import join
from gen.training.trainer import Trainer

BATCH_SIZE, BPTT, EMBEDDING_SIZE = 32, 64, 128
MATRIX_SHARE = 10.0  # the recipe's
SEED = 0
FIRST_STEPS = 20


class Setting(NamedTuple):
    """How a run is spread over the cores."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads}"


SETTINGS = (Setting(1, 1), Setting(1, 2), Setting(2, 1))


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure training with several processes.")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="of each run")
    parser.add_argument("--hidden", type=int, default=512, metavar="H", help="units of the one layer")
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"], choices=["bf16", "fp32"])
    parser.add_argument("--one-of-the-processes", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_of_the_processes:
        train(arguments.steps, arguments.hidden, arguments.precision[0])
        return
    print(f"LSTM 1x{arguments.hidden}, {BATCH_SIZE} rows of {BPTT} tokens, {arguments.steps} steps")
    print(
        f"{'precision':>9} {'processes x threads':>20} {'tokens/s':>9} {'scaling':>8} "
        f"{f'first {FIRST_STEPS} differ by':>19} {'all differ by':>14}"
    )
    results = []
    for precision in arguments.precision:
        measured = [launched(setting, arguments.steps, arguments.hidden, precision) for setting in SETTINGS]
        for setting, run in zip(SETTINGS, measured, strict=True):
            row = setting._asdict() | compared(run, measured[0])
            print(
                f"{precision:>9} {setting!s:>20} {row['tokens_per_second']:9,.0f} {row['scaling']:8.2f} "
                f"{row['first_difference']:19.1e} {row['difference']:14.1e}",
                flush=True,
            )
            results.append({"precision": precision} | row)
    print(json.dumps({"benchmark": "distributed", "hidden": arguments.hidden, "results": results} | versions()))


def compared(run: dict[str, Any], alone: dict[str, Any]) -> dict[str, float]:
    """Returns a run's rate, and how it stands beside the run of one thread."""
    differences = np.abs(np.subtract(run["losses"], alone["losses"]))
    return {
        "tokens_per_second": run["tokens_per_second"],
        "scaling": run["tokens_per_second"] / alone["tokens_per_second"],
        "first_difference": float(differences[:FIRST_STEPS].max()),
        "difference": float(differences.max()),
    }


def launched(setting: Setting, steps: int, hidden_size: int, precision: Precision) -> dict[str, Any]:
    """Runs one setting; returns what its first process measured."""
    command = [sys.executable]
    if setting.processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(setting.processes)]
    command += [str(Path(__file__)), "--one-of-the-processes", "--steps", str(steps), "--hidden", str(hidden_size)]
    environment = os.environ | {"OMP_NUM_THREADS": str(setting.threads)}
    done = subprocess.run(  # noqa: S603 - this very script
        [*command, "--precision", precision], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{setting} failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def train(steps: int, hidden_size: int, precision: Precision) -> None:
    """Trains as one of the processes; the first prints rate and losses."""
    path = builtin_path("shakespeare")
    assert path is not None
    symbols, ids = np.unique(np.frombuffer(path.read_bytes(), np.uint8), return_inverse=True)
    config = ModelConfig(len(symbols) + 2, hidden_size=hidden_size, embedding_size=EMBEDDING_SIZE)
    training = TrainingConfig(
        batch_size=BATCH_SIZE, bptt=BPTT, precision=precision, steps=steps, matrix_share=MATRIX_SHARE, seed=SEED
    )
    stretches = Stretches([Stretch(0, len(ids), 0, is_closed=False)])
    batches = Batches(
        Excerpt(ids.astype(np.uint8), stretches, len(symbols), len(symbols) + 1),
        batch_size=BATCH_SIZE,
        bptt=BPTT,
        reset_rate=training.reset_rate,
        seed=SEED,
    )
    peers = join()
    trainer = Trainer(RecurrentLM(config, torch.Generator().manual_seed(SEED)), batches, training, peers=peers)
    losses, marks = [], []
    for step in trainer.run():
        losses.append(step.loss_nats)
        marks.append(time.perf_counter())
    peers.leave()
    if peers.is_first:
        first = steps // 5
        rate = (steps - 1 - first) * BATCH_SIZE * BPTT / (marks[-1] - marks[first])
        print(json.dumps({"tokens_per_second": rate, "losses": losses}))


if __name__ == "__main__":
    main()
