"""Measures what the Trainer and a whole session cost beside a bare loop of the same kernels.

    python benchmarks/trainer.py [--seconds 4] [--cpu-time]

bare     the same RecurrentLM on one batch that never changes: forward, cross entropy, backward, clip, fused AdamW
trainer  Trainer.run(): batches made of a corpus, labels and fresh states, learning rate, losses read back, the guard
         against divergence, snapshots
session  Session.reports(), as the command line runs it: reports and metrics too, and a checkpoint every ten seconds;
         no validation and no sample falls into the time that is measured

The three take turns, a block of 25 steps each (a snapshot falls into every block), in an order that is turned about;
printed are the medians over three rounds of all blocks. --cpu-time counts the seconds that this process computed,
not those that went by: for a busy machine. The last line is JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from gen.config import ModelConfig, Precision, TrainingConfig
from gen.data.batches import Batches
from gen.data.corpus import Stretch
from gen.launch import train_session
from gen.models.recurrent import RecurrentLM, State, cross_entropy_sum, detached
from gen.training.trainer import DTYPES, SNAPSHOT_STEPS, Trainer
from gen.versions import versions

HIDDEN_SIZES = (512, 128)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
BATCH_SIZE, BPTT, EMBEDDING_SIZE = 32, 64, 128
NUM_CHARACTERS = 65
NUM_TOKENS = 1 << 20
ROUNDS = 3
NAMES = ("bare", "trainer", "session")


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure what the trainer costs beside its kernels.")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="of each loop, in each round")
    parser.add_argument("--cpu-time", action="store_true", help="count the time that was computed, not that went by")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    print(f"tokens/s, one layer, {BATCH_SIZE} rows of {BPTT} tokens, {torch.get_num_threads()} threads")
    print(f"{'hidden':>6} {'precision':>9} {'bare':>10} {'trainer':>10} {'session':>10} {'ratio':>7} {'ratio':>7}")
    results = []
    for hidden_size, precision in product(HIDDEN_SIZES, PRECISIONS):
        rates = measured(hidden_size, precision, arguments.seconds, clock)
        ratios = [rates[name] / rates["bare"] for name in NAMES[1:]]
        shown = " ".join(f"{rates[name]:10,.0f}" for name in NAMES)
        print(f"{hidden_size:6} {precision:>9} {shown} {ratios[0]:7.3f} {ratios[1]:7.3f}", flush=True)
        results.append({"hidden": hidden_size, "precision": precision, **rates})
    clock_name = "cpu" if arguments.cpu_time else "wall"
    threads = torch.get_num_threads()
    print(
        json.dumps({"benchmark": "trainer", "clock": clock_name, "threads": threads, "results": results} | versions())
    )


def measured(hidden_size: int, precision: Precision, seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Returns the tokens per second of each loop."""
    training = TrainingConfig(batch_size=BATCH_SIZE, bptt=BPTT, precision=precision, minutes=10_000)
    config = ModelConfig(NUM_CHARACTERS + 2, hidden_size=hidden_size, embedding_size=EMBEDDING_SIZE)
    with tempfile.TemporaryDirectory(prefix="gen-trainer-") as folder:
        loops = {
            "bare": bare_steps(config, training),
            "trainer": trainer_steps(config, training),
            "session": session_steps(config, training, Path(folder)),
        }
        blocks: dict[str, list[float]] = {name: [] for name in NAMES}
        for name in NAMES:
            block_seconds(loops[name], clock)
        estimate = block_seconds(loops["bare"], clock)
        for number in range(max(1, round(ROUNDS * seconds / estimate))):
            for name in NAMES if number % 2 else reversed(NAMES):
                blocks[name].append(block_seconds(loops[name], clock))
    tokens = SNAPSHOT_STEPS * BATCH_SIZE * BPTT
    return {name: tokens / median(taken) for name, taken in blocks.items()}


def block_seconds(steps: Iterator[Any], clock: Callable[[], float]) -> float:
    """Returns how long the next steps take."""
    started = clock()
    for _ in range(SNAPSHOT_STEPS):
        next(steps)
    return clock() - started


def bare_steps(config: ModelConfig, training: TrainingConfig) -> Iterator[None]:
    """Takes steps with nothing but what every step needs."""
    model = RecurrentLM(config, torch.Generator().manual_seed(0))
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, betas=(0.9, 0.99), fused=True)
    tokens = torch.randint(config.vocab_size, (BATCH_SIZE, BPTT + 1), generator=torch.Generator().manual_seed(0))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    state = model.initial_state(torch.zeros(BATCH_SIZE, dtype=torch.long))
    dtype = DTYPES.get(training.precision)
    while True:
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            logits, after = model(inputs, State(*state))
        loss = cross_entropy_sum(logits, targets) / targets.numel()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, training.clip_norm, foreach=True)
        optimizer.step()
        state = detached(after)
        yield


def trainer_steps(config: ModelConfig, training: TrainingConfig) -> Iterator[Any]:
    """Takes steps of gen's Trainer."""
    ids = np.random.default_rng(0).integers(0, NUM_CHARACTERS, NUM_TOKENS, dtype=np.uint8)
    batches = Batches(
        ids,
        [Stretch(0, NUM_TOKENS, 0, is_closed=False)],
        begin=NUM_CHARACTERS,
        end=NUM_CHARACTERS + 1,
        batch_size=training.batch_size,
        bptt=training.bptt,
        reset_rate=training.reset_rate,
        seed=0,
    )
    return Trainer(RecurrentLM(config, torch.Generator().manual_seed(0)), batches, training).run()


def session_steps(config: ModelConfig, training: TrainingConfig, folder: Path) -> Iterator[Any]:
    """Takes steps as `gen train` does; its limit is so far away that no validation comes near."""
    drawn = np.random.default_rng(0).integers(0, NUM_CHARACTERS, NUM_TOKENS)
    corpus = folder / "corpus.txt"
    corpus.write_text("".join(chr(0x4E + number) for number in drawn), encoding="utf-8")
    names = ("hidden_size", "num_layers", "embedding_size")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names} | {"device": "cpu", "dropout": 0.0}
    settings |= {name: getattr(training, name) for name in ("batch_size", "bptt", "precision", "minutes")}
    with train_session([str(corpus)], run="r", out=folder, overrides=settings) as session:
        yield from session.reports()


if __name__ == "__main__":
    main()
