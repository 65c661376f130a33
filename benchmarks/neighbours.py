"""Measures training and sampling while other programs use the processor.

    python benchmarks/neighbours.py [--parts training kill minutes sampling] [--repeats 5] [--steps 500] [--minutes 2]
                                    [--threads N]

A neighbour is a process that keeps a core busy with a loop; one of the situations has it busy for 3 s of every 10. All
situations are measured in turn, in every second round in the opposite order, and each is divided by the idle one of the
same round. The script prints medians, and the least and the greatest ratio.

    training  `gen train shakespeare --steps N`, on all threads and on one: tokens a second as the command tells them,
              nats, and a hash of everything in the training checkpoint, which must be the same in all situations
    kill      the same run beside a neighbour, ended by SIGKILL after half of its time and resumed: the same hash
    minutes   `gen train shakespeare --minutes M` beside a neighbour: the seconds that it took, and its nats beside
              those of as many steps of the same sizes on the idle machine. The learning rate falls by the clock in the
              one and by the steps in the other, so the nats are close but not equal; another seed shows how close.
    sampling  one stream and 64 samples from Python, on one thread and on all: tokens a second, and a hash of tokens

The exit code is 1 if a hash differs. The last line is JSON.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

import gen
from gen.bench.machine import machine
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint
from gen.runs.header import read_run_file

PARTS = ("training", "kill", "minutes", "sampling")
BUSY = "while True: pass"
BUSY_AT_TIMES = """
import time
while True:
    start = time.monotonic()
    while time.monotonic() < start + 3: pass
    time.sleep(7)
"""
SITUATIONS: Mapping[str, Sequence[str]] = {
    "idle": (),
    "one neighbour": (BUSY,),
    "two neighbours": (BUSY, BUSY),
    "3 s of every 10": (BUSY_AT_TIMES,),
}
SECONDS_TO_SETTLE = 0.3  # of a neighbour's start
ROWS = (1, 64)
TOKENS_HASHED = 256  # of every row
SECONDS_OF_SAMPLING = 2.0


class Trained(NamedTuple):
    """What `gen train` told of a run, and a hash of its training checkpoint."""

    tokens_per_second: float
    seconds: float  # of training, as the command counts them
    nats: float
    steps: int
    weights: str


class Row(NamedTuple):
    """One situation, over all rounds."""

    what: str
    situation: str
    tokens_per_second: float
    ratio: float  # to the idle machine
    least: float
    most: float
    nats: float | None
    hashes: tuple[str, ...]  # one, unless results differ


class Bench(NamedTuple):
    """Runs gen in a folder of its own."""

    folder: Path

    def command(self, run: str, *options: object, threads: int, seed: int = 0) -> tuple[list[str], dict[str, str]]:
        """Returns the command that trains a run, and its environment."""
        named = ["--run", run, "--out", str(self.folder), "--seed", str(seed), "--device", "cpu", "--json"]
        command = [sys.executable, "-m", "gen", "train", "shakespeare", *named, *map(str, options)]
        return command, os.environ | {"GEN_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": str(threads)}

    def train(self, run: str, *options: object, threads: int, seed: int = 0) -> Trained:
        """Trains a run, which stays."""
        command, environment = self.command(run, *options, threads=threads, seed=seed)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(done.stderr)
        told = json.loads(done.stdout)
        nats, steps = told["valid_nats"], told["steps"]
        return Trained(told["tokens_per_second"], told["seconds"], nats, steps, self.weights(run))

    def train_killed(self, run: str, *options: object, threads: int, seconds: float) -> str:
        """Starts a run and kills it after some seconds; returns what had been saved."""
        command, environment = self.command(run, *options, threads=threads)
        with subprocess.Popen(  # noqa: S603
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(seconds)
            process.kill()
        return f"step {read_checkpoint(self.folder / run / TRAINING_FILE, 'training')[1]['place']['step']}"

    def weights(self, run: str) -> str:
        """Returns a hash of every tensor of the training checkpoint: weights, optimisers, memory, random numbers."""
        tensors, _ = read_checkpoint(self.folder / run / TRAINING_FILE, "training")
        hashed = hashlib.sha256()
        for name in sorted(tensors):
            hashed.update(name.encode() + tensors[name].numpy().tobytes())
        return hashed.hexdigest()[:12]

    def remove(self, run: str) -> None:
        """Removes a run."""
        shutil.rmtree(self.folder / run)


def main() -> None:
    """Reads the arguments, measures, prints."""
    if sys.argv[1:2] == ["--sample"]:
        answer_with_rates(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="Measure gen while other programs use the processor.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--steps", type=int, default=500, metavar="N", help="of a run [default 500]")
    parser.add_argument("--minutes", type=float, default=2.0, metavar="M")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    arguments = parser.parse_args()
    data: dict[str, Any] = {"benchmark": "neighbours", "arguments": vars(arguments)}
    data["machine"] = machine(torch.device("cpu"))
    is_equal = True
    with tempfile.TemporaryDirectory(prefix="gen-neighbours-") as folder:
        bench = Bench(Path(folder))
        bench.train("first", "--steps", 20, threads=arguments.threads)  # prepares the corpus, compiles
        for part in arguments.parts:
            found, is_part_equal = PART_FUNCTIONS[part](bench, arguments)
            data[part] = found
            is_equal = is_equal and is_part_equal
    print(json.dumps(data))
    sys.exit(not is_equal)


def training(bench: Bench, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Trains in every situation, on all threads and on one."""
    found: list[Row] = []
    for threads in dict.fromkeys((arguments.threads, 1)):
        what = f"training on {threads} threads" if threads > 1 else "training on one thread"

        def train(threads: int = threads) -> tuple[float, float | None, str]:
            trained = bench.train("run", "--steps", arguments.steps, threads=threads)
            bench.remove("run")
            return trained.tokens_per_second, trained.nats, trained.weights

        rows = compare(what, {"": train}, list(SITUATIONS), arguments.repeats)
        print_rows(rows, has_head=not found)
        found += rows
    return [row._asdict() for row in found], len({one for row in found for one in row.hashes}) == 1


def kill(bench: Bench, arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Kills a run beside a neighbour and resumes it there."""
    options = ("--steps", arguments.steps)
    undisturbed = bench.train("undisturbed", *options, threads=arguments.threads)
    with neighbours(SITUATIONS["one neighbour"]):
        saved = bench.train_killed("killed", *options, threads=arguments.threads, seconds=undisturbed.seconds)
        resumed = bench.train("killed", *options, "--resume", threads=arguments.threads)
    verdict = "equal" if resumed.weights == undisturbed.weights else "different"
    print(f"\nkilled after {undisturbed.seconds:.1f} s beside a neighbour, with {saved} saved, and resumed: {verdict}")
    found = {"undisturbed": undisturbed._asdict(), "saved": saved, "resumed": resumed._asdict()}
    return found, verdict == "equal"


def minutes(bench: Bench, arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Trains for some minutes beside a neighbour, and as many steps on the idle machine."""
    threads = arguments.threads
    with neighbours(SITUATIONS["one neighbour"]):
        started = time.monotonic()
        timed = bench.train("timed", "--minutes", arguments.minutes, threads=threads)
        wall_seconds = time.monotonic() - started
    sizes = options_of(bench.folder / "timed")
    idle = bench.train("idle", "--steps", timed.steps, *sizes, threads=threads)
    other = bench.train("other", "--steps", timed.steps, *sizes, threads=threads, seed=1)
    print(
        f"\n{arguments.minutes:g} minutes beside a neighbour: {timed.seconds:.2f} s, the command {wall_seconds:.1f} s"
    )
    print(f"{timed.steps} steps: {timed.nats:.4f} nats; idle {idle.nats:.4f}, with another seed {other.nats:.4f}")
    named = {"timed": timed, "idle": idle, "other_seed": other}
    found = {name: trained._asdict() for name, trained in named.items()}
    return found | {"wall_seconds": round(wall_seconds, 2), "options": sizes}, True


def sampling(bench: Bench, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Samples idle and beside a neighbour, on one thread and on all."""
    found: list[Row] = []
    is_equal = True
    for rows in ROWS:
        with ExitStack() as stack:
            samplers = {
                f"on {threads}": stack.enter_context(sampler(bench.folder / "first", rows, threads))
                for threads in dict.fromkeys((1, arguments.threads))
            }
            what = "one stream" if rows == 1 else f"{rows} samples"
            compared = compare(what, samplers, ["idle", "one neighbour"], arguments.repeats)
        print_rows(compared, has_head=not found)
        is_equal = is_equal and len({one for row in compared for one in row.hashes}) == 1
        found += compared
    return [row._asdict() for row in found], is_equal


PART_FUNCTIONS: Mapping[str, Callable[[Bench, argparse.Namespace], tuple[Any, bool]]] = {
    "training": training,
    "kill": kill,
    "minutes": minutes,
    "sampling": sampling,
}


def compare(
    what: str,
    measures: Mapping[str, Callable[[], tuple[float, float | None, str]]],
    situations: Sequence[str],
    repeats: int,
) -> list[Row]:
    """Measures contenders in all situations, in turn; returns a row for each of both.

    Args:
        what: is measured.
        measures: by a name, what returns tokens per second, nats and a hash.
        situations: names in SITUATIONS, "idle" among them.
        repeats: the number of rounds.
    """
    found: dict[tuple[str, str], list[tuple[float, float | None, str]]] = defaultdict(list)
    for number in range(repeats):
        for situation in situations if number % 2 == 0 else reversed(situations):
            with neighbours(SITUATIONS[situation]):
                for name, measure in measures.items():
                    found[name, situation].append(measure())
            print(f"{what}, {situation}, round {number + 1} of {repeats}", file=sys.stderr)
    rows = []
    for (name, situation), turns in found.items():
        rates, nats, hashes = zip(*turns, strict=True)
        ratios = [rate / idle for rate, (idle, *_) in zip(rates, found[name, "idle"], strict=True)]
        rows.append(
            Row(
                f"{what} {name}".strip(),
                situation,
                median(rates),
                median(ratios),
                min(ratios),
                max(ratios),
                nats[0],
                tuple(sorted(set(hashes))),
            )
        )
    return rows


@contextmanager
def neighbours(programs: Sequence[str]) -> Iterator[None]:
    """Runs Python programs beside the body of the `with`."""
    processes = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]  # noqa: S603
    try:
        time.sleep(SECONDS_TO_SETTLE)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def sampler(run: Path, rows: int, threads: int) -> Iterator[Callable[[], tuple[float, None, str]]]:
    """Gives what samples a run in another process for some seconds; it returns tokens per second and a hash."""
    command = [sys.executable, __file__, "--sample", str(run), str(rows), str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "GEN_CACHE": str(run.parent / "cache")}
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def measure() -> tuple[float, None, str]:
            questions.write("measure\n")
            questions.flush()
            rate, tokens = answers.readline().split()
            return float(rate), None, tokens

        yield measure
        questions.close()


def answer_with_rates(run: str, rows: str, threads: str) -> None:
    """Samples for some seconds whenever a line comes in; answers with tokens per second and a hash of tokens."""
    torch.set_num_threads(int(threads))
    loaded, num_rows = gen.load(run), int(rows)
    for _ in sys.stdin:
        drawn = loaded.generate(length=None, seed=1, num_samples=num_rows)
        first = [sampled.token for sampled in islice(drawn, TOKENS_HASHED * num_rows)]
        started, count = time.perf_counter(), 0
        while (seconds := time.perf_counter() - started) < SECONDS_OF_SAMPLING:
            count += sum(1 for _ in islice(drawn, 64 * num_rows))
        print(count / seconds, hashlib.sha256(repr(first).encode()).hexdigest()[:12], flush=True)


def options_of(run: Path) -> list[str]:
    """Returns the options of gen train that give a run's sizes."""
    _, header = read_run_file(run / MODEL_FILE, "model")
    model, trained = header.model, header.training
    named = {
        "cell": model.cell,
        "layers": model.num_layers,
        "hidden": model.hidden_size,
        "embedding": model.embedding_size,
        "dropout": model.dropout,
        "bptt": trained.bptt,
        "batch-size": trained.batch_size,
        "lr": trained.learning_rate,
        "precision": trained.precision,
    }
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]


def print_rows(rows: Sequence[Row], *, has_head: bool) -> None:
    """Prints a line for each situation."""
    if has_head:
        names = ("", "", "tokens/s", "ratio", "least", "most", "nats", "hash")
        print("{:<24} {:<16} {:>10} {:>6} {:>6} {:>6} {:>8}  {}".format(*names))
    for row in rows:
        nats = "" if row.nats is None else f"{row.nats:.5f}"
        figures = f"{row.tokens_per_second:10,.0f} {row.ratio:6.3f} {row.least:6.3f} {row.most:6.3f} {nats:>8}"
        print(f"{row.what:<24} {row.situation:<16} {figures}  {' and '.join(row.hashes)}", flush=True)


if __name__ == "__main__":
    main()
