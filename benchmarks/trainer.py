"""Measures the cost of the Trainer and of a whole session beside a bare loop, and their speed beside plain torch.

    python benchmarks/trainer.py [--seconds 4] [--cell lstm gru] [--hidden 512 128] [--cpu-time]

torch fp32, torch bf16   nn.LSTM or nn.GRU between nn.Embedding and nn.Linear on one batch that never changes: forward,
                         cross entropy, backward, clip, fused AdamW; bf16 under autocast
bare                     the same with gen's RecurrentLM, kernels and optimisers, in bf16
trainer                  Trainer.run() in bf16: batches made from a corpus, labels and fresh states, learning rate,
                         losses read back, the guard against divergence, snapshots
session                  Session.reports(), as the command line runs it: also reports and metrics, and a checkpoint
                         every ten seconds; no validation and no sample falls into the measured time

All of them profit from the Trainer's settings of the C library for freed memory (gen/training/allocation.py). They run
in turn, in blocks of 25 steps (so a snapshot falls into every block), in an order that is reversed each time. The
script prints the medians over three rounds of all blocks, and then the parts of a bare step. --cpu-time counts the
seconds that this process computed instead of those that passed, for a busy machine. The last line is JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.config import CellName, ModelConfig, TrainingConfig, TrainingSettings
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.recurrent import RecurrentLM, State, detached
from gen.runs.header import versions
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions
from gen.training.optimizer import BETAS, optimizers
from gen.training.trainer import SNAPSHOT_STEPS, Trainer

BATCH_SIZE, BPTT, EMBEDDING_SIZE = 32, 64, 128
NUM_CHARACTERS = 65
NUM_TOKENS = 1 << 20
MATRIX_SHARE = 10.0  # the recipe's
ROUNDS = 3
TORCH = ("torch fp32", "torch bf16")
NAMES = (*TORCH, "bare", "trainer", "session")
PARTS = ("forward", "backward", "clip", "optimiser")
LAYERS: Mapping[str, Callable[[int, int], nn.RNNBase]] = MappingProxyType(
    {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
)


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure what the trainer costs beside its kernels.")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="of each loop, in each round")
    parser.add_argument("--cell", nargs="+", default=["lstm", "gru"], choices=list(LAYERS))
    parser.add_argument("--hidden", nargs="+", type=int, default=[512, 128], metavar="H", help="units of the one layer")
    parser.add_argument("--cpu-time", action="store_true", help="count the time that was computed, not that went by")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    print(f"tokens/s, one layer, {BATCH_SIZE} rows of {BPTT} tokens, {torch.get_num_threads()} threads")
    print(
        f"{'cell':>4} {'hidden':>6} " + " ".join(f"{name:>10}" for name in NAMES) + "  trainer by bare, by torch's best"
    )
    results = []
    for cell, hidden_size in product(arguments.cell, arguments.hidden):
        rates, parts = measured(cell, hidden_size, arguments.seconds, clock)
        of_bare, of_torch = rates["trainer"] / rates["bare"], rates["trainer"] / max(rates[name] for name in TORCH)
        shown = " ".join(f"{rates[name]:10,.0f}" for name in NAMES)
        print(f"{cell:>4} {hidden_size:6} {shown} {of_bare:16.3f} {of_torch:16.2f}")
        print(f"{'':11} of a bare step, ms: " + ", ".join(f"{name} {ms:.2f}" for name, ms in parts.items()), flush=True)
        results.append({"cell": cell, "hidden": hidden_size, "milliseconds": parts, **rates})
    clock_name = "cpu" if arguments.cpu_time else "wall"
    threads = torch.get_num_threads()
    print(
        json.dumps({"benchmark": "trainer", "clock": clock_name, "threads": threads, "results": results} | versions())
    )


def measured(
    cell: CellName, hidden_size: int, seconds: float, clock: Callable[[], float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the tokens per second of each loop, and the milliseconds of each part of a bare step."""
    training = TrainingConfig(
        batch_size=BATCH_SIZE, bptt=BPTT, precision="bf16", minutes=10_000, matrix_share=MATRIX_SHARE
    )
    config = ModelConfig(NUM_CHARACTERS + 2, cell, hidden_size=hidden_size, embedding_size=EMBEDDING_SIZE)
    with tempfile.TemporaryDirectory(prefix="gen-trainer-") as folder:
        parts = dict.fromkeys(PARTS, 0.0)
        loops: dict[str, Iterator[Any]] = {
            "torch fp32": torch_steps(config, training, is_bf16=False),
            "torch bf16": torch_steps(config, training, is_bf16=True),
            "bare": bare_steps(config, training, clock, parts),
            "trainer": trainer_steps(config, training),
            "session": session_steps(config, training, Path(folder)),
        }
        blocks: dict[str, list[float]] = {name: [] for name in NAMES}
        for name in NAMES:
            block_seconds(loops[name], clock)
        parts.update(dict.fromkeys(PARTS, 0.0))
        estimate = block_seconds(loops["bare"], clock)
        num_blocks = max(1, round(ROUNDS * seconds / estimate))
        for number in range(num_blocks):
            for name in NAMES if number % 2 else reversed(NAMES):
                blocks[name].append(block_seconds(loops[name], clock))
    tokens = SNAPSHOT_STEPS * BATCH_SIZE * BPTT
    num_steps = SNAPSHOT_STEPS * (num_blocks + 1)
    return (
        {name: tokens / median(taken) for name, taken in blocks.items()},
        {name: round(1000 * taken / num_steps, 3) for name, taken in parts.items()},
    )


def block_seconds(steps: Iterator[Any], clock: Callable[[], float]) -> float:
    """Returns how long the next steps take."""
    started = clock()
    for _ in range(SNAPSHOT_STEPS):
        next(steps)
    return clock() - started


class PlainLM(nn.Module):
    """What anybody would write in torch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layer = LAYERS[config.cell](config.embedding_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, tokens: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """Returns the (T, B, V) logits of (T, B) tokens, and the memory after them."""
        ys, memory = self.layer(self.embedding(tokens), memory)
        return self.output(ys), memory


def torch_steps(config: ModelConfig, training: TrainingConfig, *, is_bf16: bool) -> Iterator[None]:
    """Takes steps of the plain model with what torch brings."""
    model = PlainLM(config)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, betas=BETAS, fused=True)
    inputs, targets = one_batch(config)
    inputs, targets = inputs.t().contiguous(), targets.t().contiguous()  # (T, B), as torch's layers like it
    zeros = torch.zeros(1, BATCH_SIZE, config.hidden_size)
    memory: Any = (zeros, zeros) if config.cell == "lstm" else zeros
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            start = tuple(m.bfloat16() for m in memory) if isinstance(memory, tuple) else memory.bfloat16()
            logits, memory = model(inputs, start if is_bf16 else memory)
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, training.clip_norm, foreach=True)
        optimizer.step()
        memory = tuple(m.detach() for m in memory) if isinstance(memory, tuple) else memory.detach()
        yield


def bare_steps(
    config: ModelConfig, training: TrainingConfig, clock: Callable[[], float], parts: dict[str, float]
) -> Iterator[None]:
    """Takes steps with nothing but what every step needs; adds each part's seconds to `parts`."""
    model = RecurrentLM(config, torch.Generator().manual_seed(0))
    parameters = list(model.parameters())
    both = optimizers(model, training)
    for group in (group for optimizer in both for group in optimizer.param_groups):
        group["lr"] = training.learning_rate * group["share"]
    inputs, targets = one_batch(config)
    state = model.initial_state(torch.zeros(BATCH_SIZE, dtype=torch.long))
    while True:
        marks = [clock()]
        with torch.autocast("cpu", torch.bfloat16):
            nats, after = model.summed_nats(inputs, targets, State(*state))
        loss = nats / targets.numel()
        marks.append(clock())
        for parameter in parameters:
            parameter.grad = None
        torch.autograd.backward(loss)
        marks.append(clock())
        nn.utils.clip_grad_norm_(parameters, training.clip_norm, foreach=True)
        marks.append(clock())
        for optimizer in both:
            optimizer.step()
        state = detached(after)
        marks.append(clock())
        for name, (before, then) in zip(PARTS, pairwise(marks), strict=True):
            parts[name] += then - before
        yield


def one_batch(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Returns (B, T) inputs and targets."""
    tokens = torch.randint(config.vocab_size, (BATCH_SIZE, BPTT + 1), generator=torch.Generator().manual_seed(0))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def trainer_steps(config: ModelConfig, training: TrainingConfig) -> Iterator[Any]:
    """Takes steps of gen's Trainer."""
    ids = np.random.default_rng(0).integers(0, NUM_CHARACTERS, NUM_TOKENS, dtype=np.uint8)
    stretches = Stretches([Stretch(0, NUM_TOKENS, 0, is_closed=False)])
    batches = Batches(
        Excerpt(ids, stretches, NUM_CHARACTERS, NUM_CHARACTERS + 1),
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
    names = ("cell", "hidden_size", "num_layers", "embedding_size")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names} | {"device": "cpu", "dropout": 0.0}
    settings |= {name: getattr(training, name) for name in ("batch_size", "bptt", "precision", "minutes")}
    with train_session(CorpusOptions((str(corpus),)), TrainingSettings(**settings), run="r", out=folder) as session:
        yield from session.reports()


if __name__ == "__main__":
    main()
