"""Measures the speed of drawing one token after another, beside nn.LSTM called one token at a time.

    python benchmarks/sampling.py [--hidden 512] [--rows 1 8 64] [--layers 1 2] [--repeats 5] [--threads N] [--run RUN]
    python benchmarks/sampling.py --rates RUN [--length 100000]

The first form takes random weights and measures, in turn so that other load affects all alike: nn.Embedding, nn.LSTM
and nn.Linear called with one token; gen's stepper of the same sizes, a token a call; the whole loop of `generate`, with
its draws; the same loop with filters; reading the bytes of the stepper's weights and nothing else; and a big product.
The script prints the medians of the repeats as tokens of all rows per second, their ratios to nn.LSTM, and the shares
of the reading and of the product that `generate` reaches. With --run it also prints the cost of int8 on the run's
validation part, in nats.

The second form runs `gen sample RUN` as a user would: the rate and the resident memory of its process for every 10,000
characters, and the time from the start of the process to the first byte. The last line of either is JSON.
"""

import argparse
import codecs
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gen.bench.counting import stepping_bytes
from gen.bench.limits import product_limit, reading_limit
from gen.bench.stopwatch import Stopwatch
from gen.config import ModelConfig, SamplingConfig
from gen.generation.generate import generate
from gen.kernels.stepping import has_step_kernel
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper, StepPrecision
from gen.runs.header import versions
from gen.runs.run import load

VOCAB_SIZE = 67  # 65 characters, begin and end
FILTERED = SamplingConfig(temperature=0.8, top_k=40, top_p=0.95, min_p=0.02, repetition_penalty=1.1)
CHARACTERS_A_CHUNK = 10_000
MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Rates(NamedTuple):
    """Tokens per second of one size, all rows together, and what of the machine they take."""

    layers: int
    rows: int
    precision: str
    nn_lstm: float
    stepper: float
    generate: float
    filtered: float  # generate with all filters
    weight_bytes: int
    read: float  # bytes a second at best
    product: float  # operations a second of a big product in float32

    @property
    def bytes_share(self) -> float:
        """What `generate` reads of the weights a second, of what can be read."""
        return self.generate / self.rows * self.weight_bytes / self.read


class Chunk(NamedTuple):
    """A stretch of streamed characters."""

    characters: int  # so far
    characters_per_second: float  # of this stretch
    rss_mib: float | None  # at its end; None if the process was gone


class Peer(nn.Module):
    """What one writes without gen: nn.LSTM, fed one token at a time."""

    def __init__(self, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        config = ModelConfig(VOCAB_SIZE)
        self.embedding = nn.Embedding(VOCAB_SIZE, config.embedding_size)
        self.lstm = nn.LSTM(config.embedding_size, hidden_size, num_layers)
        self.output = nn.Linear(hidden_size, VOCAB_SIZE)

    def forward(self, tokens: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Takes (B,) tokens; returns (B, V) logits and the next state."""
        x, state = self.lstm(self.embedding(tokens)[None], state)
        return self.output(x[0]), state


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure the rate of sampling.")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--threads", type=int, help="of torch [default its own choice]")
    parser.add_argument("--run", metavar="RUN", help="say what int8 costs this run, in nats")
    parser.add_argument("--rates", metavar="RUN", help="measure the stream of this run instead")
    parser.add_argument("--length", type=int, default=100_000, help="tokens of that stream")
    arguments = parser.parse_args()
    if arguments.rates is not None:
        measure_stream(arguments.rates, arguments.length, arguments.repeats)
        return
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    precisions: list[StepPrecision] = ["fp32", "int8"] if has_step_kernel() else ["fp32"]
    sizes = [(layers, rows, p) for layers in arguments.layers for rows in arguments.rows for p in precisions]
    results = [measure(arguments.hidden, *size, repeats=arguments.repeats, seconds=arguments.seconds) for size in sizes]
    print_rates(results)
    nats = (
        {}
        if arguments.run is None
        else {p: load(arguments.run).evaluate(precision=p).nats_per_token for p in precisions}
    )
    for precision, paid in nats.items():
        print(f"{precision}: {paid:.5f} nats per token of the validation part of {arguments.run}")
    names = {"benchmark": "sampling", "hidden": arguments.hidden, "threads": torch.get_num_threads(), "nats": nats}
    figures = [result._asdict() | {"bytes_share": result.bytes_share} for result in results]
    print(json.dumps(names | {"results": figures, "versions": versions()}))


@torch.inference_mode()
def measure(
    hidden_size: int, num_layers: int, num_rows: int, precision: StepPrecision, *, repeats: int, seconds: float
) -> Rates:
    """Returns the median rates of one size."""
    config = ModelConfig(VOCAB_SIZE, hidden_size=hidden_size, num_layers=num_layers)
    stepper = PackedStepper(RecurrentLM(config, torch.Generator().manual_seed(0)), precision)
    advances = (
        advance_peer(Peer(hidden_size, num_layers), num_layers, num_rows),
        advance_stepper(stepper, num_rows),
        advance_generate(stepper, num_rows, SamplingConfig()),
        advance_generate(stepper, num_rows, FILTERED),
    )
    weight_bytes = stepping_bytes(config, precision)
    stopwatch = Stopwatch(stepper.device, seconds, lambda _: None)
    limits = reading_limit(stepper.device, weight_bytes), product_limit(stepper.device, "fp32")
    rounds = [
        [*(rate(advance, seconds) * num_rows for advance in advances), *(stopwatch.turn(limit) for limit in limits)]
        for _ in range(repeats)
    ]
    peer, stepped, generated, filtered, read, product = (median(turns) for turns in zip(*rounds, strict=True))
    return Rates(
        num_layers, num_rows, precision, peer, stepped, generated, filtered, weight_bytes, read=read, product=product
    )


def advance_peer(peer: Peer, num_layers: int, num_rows: int) -> Callable[[], None]:
    """Returns what advances all rows of nn.LSTM by a token."""
    tokens = torch.zeros(num_rows, dtype=torch.int64)
    zeros = torch.zeros(num_layers, num_rows, peer.lstm.hidden_size)
    state = (zeros, zeros)

    def advance() -> None:
        nonlocal state
        _, state = peer(tokens, state)

    return advance


def advance_stepper(stepper: PackedStepper, num_rows: int) -> Callable[[], None]:
    """Returns what advances all rows of a stepper by a token."""
    tokens = torch.zeros(num_rows, dtype=torch.int64)
    state = stepper.initial_state(tokens)

    def advance() -> None:
        nonlocal state
        _, state = stepper.step(tokens, state)

    return advance


def advance_generate(stepper: PackedStepper, num_rows: int, sampling: SamplingConfig) -> Callable[[], None]:
    """Returns what draws a token of all rows."""
    drawn = generate(
        stepper,
        prompt=(),
        begin=VOCAB_SIZE - 2,
        end=None,
        length=None,
        sampling=sampling,
        seed=0,
        num_samples=num_rows,
    )

    def advance() -> None:
        for _ in islice(drawn, num_rows):
            pass

    return advance


def rate(advance: Callable[[], None], seconds: float) -> float:
    """Returns calls per second, measured for so long after a few calls to warm up."""
    for _ in range(3):
        advance()
    count = 0
    started = time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        advance()
        count += 1
    return count / (now - started)


def print_rates(results: Sequence[Rates]) -> None:
    """Prints a line a size."""
    print("tokens per second, of all rows together; GB/s and GFLOP/s of generate, and the best there is")
    print(
        f"{'layers':>6} {'rows':>4} {'':4} {'nn.LSTM':>9} {'stepper':>9} {'ratio':>6} {'generate':>9} {'ratio':>6} "
        f"{'filtered':>9} {'GB/s':>12} {'share':>6} {'GFLOP/s':>13}"
    )
    for r in results:
        operations = 2 * r.weight_bytes / (4 if r.precision == "fp32" else 1) * r.generate
        print(
            f"{r.layers:6} {r.rows:4} {r.precision} {r.nn_lstm:9,.0f} {r.stepper:9,.0f} {r.stepper / r.nn_lstm:6.1f} "
            f"{r.generate:9,.0f} {r.generate / r.nn_lstm:6.1f} {r.filtered:9,.0f} "
            f"{r.bytes_share * r.read / 1e9:6.1f}/{r.read / 1e9:5.1f} {100 * r.bytes_share:4.0f} % "
            f"{operations / 1e9:7.1f}/{r.product / 1e9:5.0f}"
        )


def measure_stream(run: str, length: int, repeats: int) -> None:
    """Measures and prints the second form."""
    waits = [seconds_to_first_byte(run) for _ in range(repeats)]
    chunks = list(stream(run, length))
    print(f"first byte after {median(waits):.2f} s (median of {repeats}; {min(waits):.2f} to {max(waits):.2f})")
    print(f"{'characters':>10} {'per second':>10} {'RSS MiB':>8}")
    for chunk in chunks:
        rss = "" if chunk.rss_mib is None else f"{chunk.rss_mib:.1f}"
        print(f"{chunk.characters:10,} {chunk.characters_per_second:10,.0f} {rss:>8}")
    data = {"run": run, "first_byte_seconds": waits, "chunks": [chunk._asdict() for chunk in chunks]}
    print(json.dumps({"benchmark": "sampling --rates"} | data | {"versions": versions()}))


def seconds_to_first_byte(run: str) -> float:
    """Returns the time from the start of `gen sample` to its first byte."""
    started = time.perf_counter()
    with sample(run, 100) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        return time.perf_counter() - started


def stream(run: str, length: int) -> Iterator[Chunk]:
    """Yields what each stretch of the stream took; the last may be shorter."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    due = CHARACTERS_A_CHUNK
    with sample(run, length) as process:
        assert process.stdout is not None
        total = since = len(decoder.decode(os.read(process.stdout.fileno(), 1 << 12)))
        before = time.perf_counter()
        while data := os.read(process.stdout.fileno(), 1 << 12):
            total += len(decoder.decode(data))
            if total >= due or total >= length:
                now = time.perf_counter()
                yield Chunk(total, round((total - since) / (now - before), 1), rss_mib(process.pid))
                before, since, due = now, total, due + CHARACTERS_A_CHUNK
    if process.returncode:
        sys.exit(f"gen sample ended with {process.returncode}")


def sample(run: str, length: int) -> "subprocess.Popen[bytes]":
    """Starts `gen sample`; its stdout is a pipe."""
    command = [sys.executable, "-m", "gen", "sample", run, "--length", str(length), "--seed", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - gen itself


def rss_mib(pid: int) -> float | None:
    """Returns the resident memory of a process, or None if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * PAGE_BYTES / MIB, 1) if pages else None


if __name__ == "__main__":
    main()
