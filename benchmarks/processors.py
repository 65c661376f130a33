"""Measures the compiled kernels beside torch's operations on less than this processor, and on more threads.

    python benchmarks/processors.py [--parts processors threads] [--repeats 5] [--seconds 2] [--hidden 512]
                                    [--threads 1 2 4 8 16]

    processors  on one thread: an LSTM trained, and one stream of tokens drawn, as `gen bench` does. Processes that are
                held to AVX2, gen by GEN_KERNELS and torch by its own variables, and processes with all that this
                processor has; in each pair one with the kernels, the other with torch's operations (GEN_KERNELS=off)
    threads     the kernels on 1, 2, 4... threads, as many as there are cores: training, one stream and 64 samples

The contenders wait in processes of their own and work in turn; every second round has the opposite order. The script
prints medians, and the median, the least and the greatest of the ratios within a round: to torch in float32 of the same
processor, or to one thread. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from gen.bench.machine import machine
from gen.bench.ours import draw_ours, new_model, train_ours
from gen.bench.plan import plan_of_sizes
from gen.bench.stopwatch import Contender, Stopwatch, num_threads
from gen.corpus.workers import num_cpus
from gen.kernels.library import serving
from gen.kernels.variants import usable_variants
from gen.models.stepper import PackedStepper

PARTS = ("processors", "threads")
AVX2 = MappingProxyType(
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
)
OFF = MappingProxyType({"GEN_KERNELS": "off"})
Measure = Callable[[str, int], float]  # tokens per second, of a kind of work on a number of threads


class Task(NamedTuple):
    """One figure: of a process, the kind of its work, and its threads."""

    process: str
    work: str  # "train fp32", "draw int8 1": precision, rows
    threads: int = 1


class Pair(NamedTuple):
    """A figure, and the one that it is divided by."""

    what: str
    ours: Task
    base: Task


def main() -> None:
    """Reads the arguments, measures, prints."""
    if sys.argv[1:2] == ["--work"]:
        answer_with_rates(int(sys.argv[2]), float(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description="Measure the compiled kernels beside torch's operations.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of a measurement")
    parser.add_argument("--hidden", type=int, default=512, metavar="N")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8, 16], metavar="N")
    arguments = parser.parse_args()
    data: dict[str, Any] = {"benchmark": "processors", "arguments": vars(arguments)}
    data["machine"] = machine(torch.device("cpu"))
    print(f"{'':<34} {'tokens/s':>10} {'base':>10} {'ratio':>7} {'least':>7} {'most':>7}")
    for part in arguments.parts:
        pairs = processor_pairs() if part == "processors" else thread_pairs(arguments.threads)
        environments = {task.process: environment_of(task.process) for pair in pairs for task in pair[1:]}
        with ExitStack() as stack:
            workers = {
                name: stack.enter_context(worker(variables, arguments.hidden, arguments.seconds))
                for name, variables in environments.items()
            }
            rates = measured(pairs, workers, arguments.repeats)
        data[part] = [row(pair, rates) for pair in pairs]
    print(json.dumps(data))


def processor_pairs() -> list[Pair]:
    """Returns the comparisons with torch; those of AVX2 only where this processor has it."""
    pairs = []
    usable = [variant.name for variant in usable_variants()]
    for name in dict.fromkeys([*usable[:1], *(name for name in usable if name == "avx2")]):
        torch_train, torch_draw = Task(f"{name} torch", "train fp32"), Task(f"{name} torch", "draw fp32 1")
        pairs.append(Pair(f"{name}: training, fp32", Task(name, "train fp32"), torch_train))
        if usable_variants()[0].has_bf16 and name == usable[0]:
            bf16 = Task(f"{name} torch", "train bf16")
            pairs.append(Pair(f"{name}: training, bf16", Task(name, "train bf16"), bf16))
        pairs.append(Pair(f"{name}: one stream, fp32", Task(name, "draw fp32 1"), torch_draw))
        pairs.append(Pair(f"{name}: one stream, int8", Task(name, "draw int8 1"), torch_draw))
    return pairs


def thread_pairs(counts: Sequence[int]) -> list[Pair]:
    """Returns the comparisons with one thread."""
    best = usable_variants()[0]
    precision = "bf16" if best.has_bf16 else "fp32"
    works = {f"training, {precision}": f"train {precision}", "one stream": "draw fp32 1", "64 samples": "draw fp32 64"}
    return [
        Pair(f"{name}, threads: {count}", Task(best.name, work, count), Task(best.name, work, 1))
        for name, work in works.items()
        for count in counts
        if count <= num_cpus()
    ]


def environment_of(process: str) -> dict[str, str]:
    """Returns the variables that hold a process to a processor, and to torch if its name says so."""
    variant, _, program = process.partition(" ")
    held = dict(AVX2) if variant == "avx2" else {}
    return held | (dict(OFF) if program else {"GEN_KERNELS": variant})


def measured(pairs: Sequence[Pair], workers: Mapping[str, Measure], repeats: int) -> dict[Task, list[float]]:
    """Returns the rates of every task, one a round."""
    tasks = list(dict.fromkeys(task for pair in pairs for task in pair[1:]))
    rates: dict[Task, list[float]] = defaultdict(list)
    for number in range(repeats):
        for task in tasks if number % 2 == 0 else reversed(tasks):
            rates[task].append(workers[task.process](task.work, task.threads))
        print(f"round {number + 1} of {repeats}", file=sys.stderr)
    return rates


def row(pair: Pair, rates: Mapping[Task, Sequence[float]]) -> dict[str, Any]:
    """Prints and returns the figures of a comparison."""
    ours, base = rates[pair.ours], rates[pair.base]
    ratios = sorted(one / other for one, other in zip(ours, base, strict=True))
    found = {"ours": median(ours), "base": median(base), "ratio": median(ratios), "least": ratios[0]}
    found["most"] = ratios[-1]
    figures = f"{found['ours']:10,.0f} {found['base']:10,.0f} {found['ratio']:7.2f} {ratios[0]:7.2f} {ratios[-1]:7.2f}"
    print(f"{pair.what:<34} {figures}", flush=True)
    return {"what": pair.what} | found


@contextmanager
def worker(variables: Mapping[str, str], hidden_size: int, seconds: float) -> Iterator[Measure]:
    """Gives what measures a kind of work in a process with these variables."""
    command = [sys.executable, __file__, "--work", str(hidden_size), str(seconds)]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | variables, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout
        print(f"{' '.join(f'{n}={v}' for n, v in variables.items())}: {answers.readline().strip()}", file=sys.stderr)

        def measure(work: str, threads: int) -> float:
            questions.write(f"{threads} {work}\n")
            questions.flush()
            return float(answers.readline())

        yield measure
        questions.close()


def answer_with_rates(hidden_size: int, seconds: float) -> None:
    """Says what serves in this process; then answers every line, threads and a kind of work, with tokens per second."""
    print(serving(), flush=True)
    torch.set_num_threads(num_cpus())  # room for as many; each line says how many it wants
    stopwatch = Stopwatch(torch.device("cpu"), seconds, lambda _: None)
    contenders: dict[str, Contender] = {}
    for line in sys.stdin:
        threads, _, work = line.strip().partition(" ")
        with num_threads(int(threads)):
            key = line.strip()  # what a contender lays out may depend on the number of threads
            if key not in contenders:
                contenders[key] = contender(work, hidden_size)
            print(stopwatch.turn(contenders[key]), flush=True)


def contender(work: str, hidden_size: int) -> Contender:
    """Returns a kind of work with a layer of this size."""
    verb, precision, *rows = work.split()
    sizes = {"cell": "lstm", "hidden_size": hidden_size, "num_layers": 1}
    if verb == "train":
        return Contender(work, (train_ours(plan_of_sizes(sizes | {"precision": precision}, device="cpu")),))
    plan = plan_of_sizes(sizes, device="cpu")
    stepper = PackedStepper(new_model(plan), "int8" if precision == "int8" else "fp32")
    return Contender(work, (draw_ours(plan, stepper, int(rows[0])),))


if __name__ == "__main__":
    main()
