"""Measures on one GPU: training and sampling beside bare torch, quality, and resuming.

    python benchmarks/gpu.py [--device cuda] [--corpus shakespeare] [--minutes 2] [--parts training stepping ...]
    python benchmarks/gpu.py --device cpu --quick

training  tokens per second of gen's Trainer on random tokens, including its batches and the losses that it reads back,
          beside nn.LSTM with a fused AdamW on one batch that never leaves the device, and beside the layers and the
          output layer alone, forward and backward, captured as a graph: what torch leaves for all else. Three sizes,
          two batch sizes, three precisions, in turn, medians
stepping  tokens per second of the stepper called token by token, and of `generate_blocks`, which on CUDA replays steps
          and draws as a graph and hands arrays over (without filters, and with all of them), beside nn.LSTM called with
          one token, in each precision; and of `generate` with all filters, which makes a tuple of each token
quality, resume: whole runs (gpu_runs.py)

The parts take about six minutes. Each prints its table when it is done; the last line is JSON. --quick runs everything
with tiny sizes, to test the script: its numbers mean nothing.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from gpu_runs import RunPlan, quality, resume
from torch import Tensor, nn
from torch.nn import functional

from gen.config import ModelConfig, Precision, SamplingConfig, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.generation.cuda.graph import NUM_WARM_UP_RUNS, replayed
from gen.generation.generate import SampledBlock, generate_blocks, one_by_one
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper, StepPrecision
from gen.runs.header import versions
from gen.training.recipe import MATRIX_SHARE
from gen.training.step import DTYPES
from gen.training.trainer import Trainer

VOCAB_SIZE = 67  # 65 characters, begin and end
EMBEDDING_SIZE = 128
NUM_TOKENS = 1 << 21  # to train on
WARM_UP_CALLS = 5
FILTERS = SamplingConfig(0.8, top_k=40, top_p=0.95, min_p=0.01, repetition_penalty=1.1)

State = tuple[Tensor, Tensor]


class Plan(NamedTuple):
    """What to measure, and for how long."""

    device: torch.device
    shapes: tuple[tuple[int, int], ...] = ((1, 512), (2, 512), (1, 1024))  # layers and hidden units
    batch_sizes: tuple[int, ...] = (64, 128)
    bptt: int = 64
    precisions: tuple[Precision, ...] = get_args(Precision)
    rows: tuple[int, ...] = (1, 64, 1024, 8192)
    step_precisions: tuple[StepPrecision, ...] = ("fp32", "fp16")
    seconds: float = 1.0  # of each measurement of training
    step_seconds: float = 0.2
    repeats: int = 3
    runs: RunPlan = RunPlan("cuda", "shakespeare")


class Peer(nn.Module):
    """What one writes without gen."""

    def __init__(self, num_layers: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, EMBEDDING_SIZE)
        self.lstm = nn.LSTM(EMBEDDING_SIZE, hidden_size, num_layers)
        self.output = nn.Linear(hidden_size, VOCAB_SIZE)

    def initial_state(self, num_rows: int) -> State:
        """Returns zeros."""
        zeros = self.output.weight.new_zeros(self.lstm.num_layers, num_rows, self.lstm.hidden_size)
        return zeros, zeros

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (T, B) tokens; returns (T, B, V) logits and the next state."""
        x, state = self.lstm(self.embedding(tokens), state)
        return self.output(x), state


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure what a GPU does.")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--corpus", default="shakespeare")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 128], metavar="B")
    parser.add_argument("--precisions", nargs="+", default=list(get_args(Precision)), choices=get_args(Precision))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only to see that it runs")
    arguments = parser.parse_args()
    source = Path(arguments.corpus)
    corpus = str(source.resolve()) if source.exists() else arguments.corpus
    plan = Plan(
        torch.device(arguments.device),
        batch_sizes=tuple(arguments.batch_sizes),
        precisions=tuple(arguments.precisions),
        runs=RunPlan(arguments.device, corpus, arguments.minutes),
    )
    if arguments.quick:
        plan = plan._replace(shapes=((1, 32), (2, 32)), batch_sizes=(4, 8), bptt=16, rows=(1, 16))
        plan = plan._replace(seconds=0.1, step_seconds=0.05)
        options = ("--hidden", "32", "--batch-size", "8", "--bptt", "32")
        plan = plan._replace(repeats=1, runs=plan.runs._replace(minutes=0.05, steps=400, options=options))
    if arguments.device == "cpu":
        plan = plan._replace(step_precisions=("fp32",))
    data: dict[str, Any] = {"benchmark": "gpu", "is_quick": arguments.quick, "machine": machine(plan.device)}
    print(", ".join(f"{name} {value}" for name, value in data["machine"].items()), flush=True)
    for part in arguments.parts:
        print(f"\n{part}", flush=True)
        data[part] = PARTS[part](plan)
    print(json.dumps(data | {"versions": versions()}))


def machine(device: torch.device) -> dict[str, Any]:
    """Returns what the figures belong to."""
    if device.type == "cpu":
        return {"device": "cpu", "threads": torch.get_num_threads()}
    cudnn: Any = torch.backends.cudnn
    return {"device": torch.cuda.get_device_name(device), "cuda": torch.version.cuda, "cudnn": cudnn.version()}


def training(plan: Plan) -> list[dict[str, Any]]:
    """Measures all three at every size; a precision that the device cannot train in has no figure."""
    heads = f"{'gen':>12} {'plain loop':>12} {'layers only':>12} {'of loop':>8} {'of layers':>9}"
    print(f"{'model':>8} {'B':>5} {'T':>4} {'precision':>9} {heads}  tokens/s")
    results = []
    for shape, batch_size, precision in product(plan.shapes, plan.batch_sizes, plan.precisions):
        row: dict[str, Any] = {"layers": shape[0], "hidden": shape[1], "batch_size": batch_size, "bptt": plan.bptt}
        row["precision"] = precision
        size = f"{shape[0]}x{shape[1]:<6} {batch_size:5} {plan.bptt:4} {precision:>9}".rjust(29)
        try:
            sides = [side(plan, shape, batch_size, precision) for side in (train_gen, train_bare, train_layers)]
            rates = median_rates(plan, sides, plan.seconds)
        except RuntimeError as err:
            row["error"] = str(err).splitlines()[0]
            print(f"{size}  {row['error'][:60]}", flush=True)
        else:
            row["gen"], row["bare"], row["layers_only"] = rates
            shares = f"{row['gen'] / row['bare']:8.2f} {row['gen'] / row['layers_only']:9.2f}"
            print(f"{size} " + " ".join(f"{rate:12,.0f}" for rate in rates) + f" {shares}", flush=True)
        results.append(row)
    return results


def train_gen(plan: Plan, shape: tuple[int, int], batch_size: int, precision: Precision) -> Callable[[], int]:
    """Returns what takes steps of gen's Trainer, up to one whose loss is read; it returns the tokens."""
    layers, hidden_size = shape
    config = ModelConfig(VOCAB_SIZE, num_layers=layers, hidden_size=hidden_size, embedding_size=EMBEDDING_SIZE)
    training_config = TrainingConfig(
        batch_size=batch_size, bptt=plan.bptt, precision=precision, matrix_share=MATRIX_SHARE
    )
    ids = np.random.default_rng(0).integers(0, VOCAB_SIZE - 2, NUM_TOKENS, dtype=np.uint8)
    stretches = Stretches([Stretch(0, NUM_TOKENS, 0, is_closed=False)])
    batches = Batches(
        Excerpt(ids, stretches, VOCAB_SIZE - 2, VOCAB_SIZE - 1),
        batch_size=batch_size,
        bptt=plan.bptt,
        reset_rate=training_config.reset_rate,
        seed=0,
    )
    model = RecurrentLM(config, torch.Generator().manual_seed(0)).to(plan.device)
    steps = Trainer(model, batches, training_config).run()
    return lambda: next(steps).num_tokens


def train_layers(plan: Plan, shape: tuple[int, int], batch_size: int, precision: Precision) -> Callable[[], int]:
    """Returns what runs the recurrent layers and the output layer forward and backward, and nothing else.

    cuDNN has no LSTM in bf16 that is as fast as that in fp16, which autocast takes too.
    """
    dtype = torch.float32 if precision == "fp32" or plan.device.type == "cpu" else torch.float16
    peer = Peer(*shape).to(plan.device, dtype)
    x = torch.randn(plan.bptt, batch_size, EMBEDDING_SIZE, device=plan.device, dtype=dtype, requires_grad=True)
    of_logits = torch.randn(plan.bptt, batch_size, VOCAB_SIZE, device=plan.device, dtype=dtype)

    def run() -> Tensor:
        peer.zero_grad(set_to_none=True)
        outputs, _ = peer.lstm(x)
        logits: Tensor = peer.output(outputs)
        torch.autograd.backward(logits, of_logits)
        return logits

    replay = replayed(run, plan.device)

    def advance() -> int:
        replay()
        return batch_size * plan.bptt

    for _ in range(NUM_WARM_UP_RUNS + 1):
        advance()
    return advance


def train_bare(plan: Plan, shape: tuple[int, int], batch_size: int, precision: Precision) -> Callable[[], int]:
    """Returns what takes a step of the loop that one writes without gen; it returns the tokens."""
    peer = Peer(*shape).to(plan.device)
    optimizer = torch.optim.AdamW(peer.parameters(), lr=3e-3, fused=True)
    scaler = torch.amp.GradScaler(plan.device.type, enabled=precision == "fp16")
    dtype = DTYPES.get(precision)
    text = torch.randint(VOCAB_SIZE - 2, (plan.bptt + 1, batch_size), device=plan.device)
    state = peer.initial_state(batch_size)

    def advance() -> int:
        nonlocal state
        with torch.autocast(plan.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            logits, after = peer(text[:-1], state)
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), text[1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(scaler.scale(loss))
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(peer.parameters(), 1.0, foreach=True)
        scaler.step(optimizer)
        scaler.update()
        h, c = after
        state = h.detach().float(), c.detach().float()
        return batch_size * plan.bptt

    return advance


@torch.inference_mode()
def stepping(plan: Plan) -> list[dict[str, Any]]:
    """Measures one token at a time, and what is drawn, at every size."""
    names = ("nn_lstm", "stepper", "blocks", "blocks_filtered", "tuples_filtered")
    heads = "nn.LSTM", "stepper", "arrays", "filtered", "as tuples"
    print(f"{'model':>8} {'precision':>9} {'rows':>5} " + " ".join(f"{head:>12}" for head in heads) + "  tokens/s")
    results = []
    for shape, precision, num_rows in product(plan.shapes, plan.step_precisions, plan.rows):
        layers, hidden_size = shape
        config = ModelConfig(VOCAB_SIZE, num_layers=layers, hidden_size=hidden_size, embedding_size=EMBEDDING_SIZE)
        model = RecurrentLM(config, torch.Generator().manual_seed(0)).to(plan.device)
        stepper = PackedStepper(model, precision)
        advances = (
            step_peer(Peer(*shape).to(plan.device, DTYPES.get(precision) or torch.float32), num_rows),
            step_stepper(stepper, num_rows),
            draw_blocks(stepper, num_rows, SamplingConfig()),
            draw_blocks(stepper, num_rows, FILTERS),
            draw_tuples(stepper, num_rows, FILTERS),
        )
        rates = median_rates(plan, advances, plan.step_seconds)
        size = f"{layers}x{hidden_size:<6} {precision:>9} {num_rows:5} ".rjust(25)
        print(size + " ".join(f"{rate:12,.0f}" for rate in rates), flush=True)
        row: dict[str, Any] = {"layers": layers, "hidden": hidden_size, "precision": precision, "rows": num_rows}
        results.append(row | dict(zip(names, rates, strict=True)))
    return results


def step_peer(peer: Peer, num_rows: int) -> Callable[[], int]:
    """Returns what advances all rows of nn.LSTM by a token."""
    tokens = torch.zeros(1, num_rows, dtype=torch.int64, device=peer.output.weight.device)
    state = peer.initial_state(num_rows)

    def advance() -> int:
        nonlocal state
        _, state = peer(tokens, state)
        return num_rows

    return advance


def step_stepper(stepper: PackedStepper, num_rows: int) -> Callable[[], int]:
    """Returns what advances all rows of a stepper by a token."""
    tokens = torch.zeros(num_rows, dtype=torch.int64, device=stepper.device)
    state = stepper.initial_state(tokens)

    def advance() -> int:
        nonlocal state
        _, state = stepper.step(tokens, state)
        return num_rows

    return advance


def drawn_blocks(stepper: PackedStepper, num_rows: int, sampling: SamplingConfig) -> Iterator[SampledBlock]:
    """Returns endless samples; a graph has been captured if there is to be one."""
    blocks = generate_blocks(
        stepper,
        prompt=(),
        begin=VOCAB_SIZE - 2,
        end=None,
        length=None,
        sampling=sampling,
        seed=0,
        num_samples=num_rows,
    )
    for _ in range(NUM_WARM_UP_RUNS + 3):  # the first has one token, and is not drawn by the graph
        next(blocks)
    return blocks


def draw_blocks(stepper: PackedStepper, num_rows: int, sampling: SamplingConfig) -> Callable[[], int]:
    """Returns what draws a block of tokens; it returns their number."""
    blocks = drawn_blocks(stepper, num_rows, sampling)
    return lambda: next(blocks).tokens.size


def draw_tuples(stepper: PackedStepper, num_rows: int, sampling: SamplingConfig) -> Callable[[], int]:
    """Returns what draws a token of all rows, each a tuple; it returns their number."""
    drawn = one_by_one(drawn_blocks(stepper, num_rows, sampling))
    return lambda: sum(1 for _ in islice(drawn, num_rows))


def median_rates(plan: Plan, advances: Sequence[Callable[[], int]], seconds: float) -> list[float]:
    """Returns the median tokens per second of each, measured turn about for so long."""
    rounds = [[measured_rate(plan, advance, seconds) for advance in advances] for _ in range(plan.repeats)]
    return [median(rates) for rates in zip(*rounds, strict=True)]


def measured_rate(plan: Plan, advance: Callable[[], int], seconds: float) -> float:
    """Returns tokens per second, until the device has done what it was given."""
    for _ in range(WARM_UP_CALLS):
        advance()
    synchronize(plan.device)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += advance()
    synchronize(plan.device)
    return count / (time.perf_counter() - started)


def synchronize(device: torch.device) -> None:
    """Waits until the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


PARTS: dict[str, Callable[[Plan], Any]] = {
    "training": training,
    "stepping": stepping,
    "quality": lambda plan: quality(plan.runs),
    "resume": lambda plan: resume(plan.runs),
}

if __name__ == "__main__":
    main()
