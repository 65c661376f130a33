"""Whole runs on one device, as a user runs them: two parts of `gpu.py`.

quality   `gen train --minutes` and `gen eval` with carried state and windows of 256
resume    two undisturbed runs and one that is interrupted and resumed: the distance between their ends. All three have
          the same bits; if two undisturbed runs differ, the machine itself does not repeat its sums
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint


class RunPlan(NamedTuple):
    """What to train on which device, and for how long."""

    device: str
    corpus: str
    minutes: float = 2.0
    steps: int = 600  # of the runs that are compared
    options: tuple[str, ...] = ()  # of all runs


def quality(plan: RunPlan) -> dict[str, Any]:
    """Trains for some minutes and evaluates."""
    with tempfile.TemporaryDirectory(prefix="gen-gpu-") as name:
        folder = Path(name)
        trained = gen(folder, *train_arguments(plan, "q"), "--minutes", str(plan.minutes))
        contexts = {c: gen(folder, "eval", "q", "valid", "--context", c) for c in ("carry", "256")}
    nats = {context: result["nats_per_token"] for context, result in contexts.items()}
    print(f"{plan.minutes:g} minutes, {trained['steps']:,} steps, {trained['tokens_per_second']:,.0f} tokens/s")
    print(f"carry {nats['carry']:.4f} nats, 256 {nats['256']:.4f} nats", flush=True)
    return {"minutes": plan.minutes, "trained": trained, "nats": nats}


def resume(plan: RunPlan) -> dict[str, Any]:
    """Compares two undisturbed runs, and one that was interrupted with the first."""
    with tempfile.TemporaryDirectory(prefix="gen-gpu-") as name:
        folder = Path(name)
        for run in ("first", "second"):
            gen(folder, *train_arguments(plan, run), "--steps", str(plan.steps))
        interrupted_at = interrupt(folder, [*train_arguments(plan, "broken"), "--steps", str(plan.steps)], plan.steps)
        gen(folder, "train", "--run", "broken", "--resume", "--device", plan.device)
        runs = {run: tensors(folder / "checkpoints" / run) for run in ("first", "second", "broken")}
    furthest = {run: distance(runs["first"], runs[run]) for run in ("second", "broken")}
    for run, value in furthest.items():
        print(f"first and {run}: " + ("the same bits" if value is None else f"up to {value:.3g} apart"), flush=True)
    print(f"({plan.steps} steps; broken was interrupted after step {interrupted_at})")
    return {"steps": plan.steps, "interrupted_at": interrupted_at, "furthest": furthest}


def train_arguments(plan: RunPlan, run: str) -> list[str]:
    """Returns the command line that all runs share."""
    return ["train", plan.corpus, "--run", run, "--device", plan.device, *plan.options]


def interrupt(folder: Path, arguments: Sequence[str], num_steps: int) -> int:
    """Trains, presses Ctrl-C when a third of the steps is noted, and waits; returns the last step that was noted."""
    metrics = folder / "checkpoints" / "broken" / "metrics.jsonl"
    with subprocess.Popen(command(arguments), cwd=folder, env=environment(folder)) as process:  # noqa: S603
        while process.poll() is None and last_step(metrics) < num_steps / 3:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    if process.returncode != 130:
        sys.exit(f"gen train was to be interrupted, and ended with {process.returncode}")
    return last_step(metrics)


def last_step(metrics: Path) -> int:
    """Returns the last whole line's step, 0 if there is none."""
    lines = metrics.read_text(encoding="utf-8").split("\n")[:-1] if metrics.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def tensors(run: Path) -> dict[str, Tensor]:
    """Returns the tensors of both checkpoints of a run."""
    best, _ = read_checkpoint(run / MODEL_FILE, "model")
    last, _ = read_checkpoint(run / TRAINING_FILE, "training")
    return {f"best.{name}": tensor for name, tensor in best.items()} | last


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float | None:
    """Returns None if both have the same bits, else the furthest that two numbers are apart."""
    assert one.keys() == other.keys()
    if all(one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one):
        return None
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def gen(folder: Path, *arguments: str) -> Any:
    """Runs gen in a folder as a user would and returns its JSON; what it tells people goes to stderr."""
    done = subprocess.run(  # noqa: S603 - gen itself
        [*command(arguments), "--json"], cwd=folder, env=environment(folder), stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def command(arguments: Sequence[str]) -> list[str]:
    """Returns what starts gen."""
    return [sys.executable, "-m", "gen", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Returns an environment with a cache of its own."""
    return os.environ | {"GEN_CACHE": str(folder / "cache")}
