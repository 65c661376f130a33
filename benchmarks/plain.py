"""Measures `gen train` beside a plain nn.LSTM loop, tuned by hand, in the same time.

    python benchmarks/plain.py CORPUS... [--minutes 5] [--seeds 0] [--settings 0 1 2] [--one-thread CORPUS...]
                               [--results FILE] [options of gen train]

The plain loop is what one would write in an afternoon. It reads the same training part as gen, documents joined by
their begin and end tokens, in rows with carried state that is never reset. It has a fused AdamW, clipped gradients, and
a rate that warms up and then follows half a cosine to zero at the end of the time; torch's own kernels, under autocast
to bf16 where the CPU has it. With the first seed its settings are tried, each for the whole time; the best one counts,
and is taken for the other seeds. gen gets the time once, with its defaults. Both are measured on the same validation
part by `gen.analysis.evaluate`, carried and in windows of 256. The two sides take turns at being the first.

The machine must be idle. Results are lines of JSON in FILE, where a run that has its line is not repeated. The verdict
compares the differences of the two sides, seed by seed: one side is better if the median difference is larger than the
largest difference is from the smallest.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from result_lines import ResultLines
from torch import Tensor, nn
from torch.nn import functional

from gen.analysis.evaluate import evaluate
from gen.config import Reading
from gen.models.recurrent import State
from gen.runs.header import versions
from gen.runs.options import CorpusOptions
from gen.runs.prepared import PreparedCorpus, open_corpus

CONTEXTS = ("carry", "256")
WARM_UP = 100  # steps
EMBEDDING_SIZE = 128


class Setting(NamedTuple):
    """What is tuned."""

    hidden_size: int
    num_rows: int
    window: int  # tokens
    rate: float


SETTINGS = (Setting(512, 32, 64, 3e-3), Setting(512, 64, 128, 4e-3), Setting(256, 32, 64, 4e-3))


class PlainLM(nn.Module):
    """Embedding, nn.LSTM, linear; with the interface that `evaluate` wants."""

    def __init__(self, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, EMBEDDING_SIZE)
        self.lstm = nn.LSTM(EMBEDDING_SIZE, hidden_size)
        self.output = nn.Linear(hidden_size, vocab_size)

    def initial_state(self, labels: Tensor) -> State:
        """Returns zeros for (B,) labels, which are not used."""
        zeros = torch.zeros(1, len(labels), self.lstm.hidden_size)
        return State((zeros, zeros), zeros.new_zeros(len(labels), 0))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Returns (B, T, V) logits for (B, T) tokens, and the next state."""
        ys, memory = self.lstm(self.embedding(tokens.t()), state.memory)
        return self.output(ys).transpose(0, 1), State(memory, state.condition)


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure gen beside a plain loop, tuned by hand.")
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--settings", type=int, nargs="+", default=range(len(SETTINGS)), help="which of them, from 0")
    parser.add_argument("--one-thread", nargs="+", default=[], metavar="CORPUS", help="of these corpora, on one thread")
    parser.add_argument("--results", type=Path, metavar="FILE", help="lines of JSON, which a second call continues")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="gen-plain-") as folder:
        os.environ["GEN_CACHE"] = str(Path(folder) / "cache")
        table = ResultLines(arguments.results or Path(folder) / "results.jsonl")
        for corpus in arguments.corpora:
            num_threads = 1 if corpus in arguments.one_thread else torch.get_num_threads()
            contest = Contest(corpus, arguments.minutes, num_threads, options)
            measure(contest, arguments.seeds, [SETTINGS[n] for n in arguments.settings], table)
            print_contest(contest, table)
    print(json.dumps({"benchmark": "plain", "options": options, "results": table.rows, "versions": versions()}))


class Contest(NamedTuple):
    """The two sides on one corpus."""

    corpus: str
    minutes: float
    num_threads: int
    options: list[str]  # of gen train

    def key(self, seed: int, side: str) -> dict[str, Any]:
        """Returns what a run is known by in the results."""
        return {**self._asdict(), "seed": seed, "side": side}


def measure(contest: Contest, seeds: Sequence[int], settings: Sequence[Setting], table: ResultLines) -> None:
    """Runs both sides with every seed; of the settings, all with the first seed and then the best."""
    for n, seed in enumerate(seeds):
        tried = settings if n == 0 else [_best_setting(contest, seeds[0], settings, table)]
        sides: list[Setting | None] = [None, *tried]
        for setting in sides if n % 2 == 0 else reversed(sides):
            key = contest.key(seed, _name(setting))
            table.row(key, partial(_gen, contest, seed) if setting is None else partial(_plain, contest, setting, seed))


def print_contest(contest: Contest, table: ResultLines) -> None:
    """Prints all runs on a corpus, and the verdict."""
    rows = [row for row in table.rows if contest._asdict().items() <= row.items()]
    print(f"\n{contest.corpus}, {contest.minutes:g} minutes, {contest.num_threads} threads")
    print(f"{'':34} {'seed':>4} {'carry':>8} {'256':>8} {'steps':>8} {'tokens/s':>10}")
    for row in rows:
        print(
            f"{row['side']:34} {row['seed']:4} {row['carry']:8.4f} {row['256']:8.4f} {row['steps']:8} "
            f"{row['tokens_per_second']:10,.0f}"
        )
    seeds = sorted({row["seed"] for row in rows})
    for context in CONTEXTS:
        print(f"{context:>5}: {verdict([_difference(rows, seed, context) for seed in seeds])}")


def verdict(differences: Sequence[float]) -> str:
    """Returns the verdict in words; the differences are the nats of the plain loop less those of gen, by seed."""
    middle, spread = median(differences), max(differences) - min(differences)
    shown = f"{', '.join(f'{difference:+.4f}' for difference in differences)} (plain less gen, by seed)"
    if len(differences) < 2 or abs(middle) <= spread:
        return f"no difference beyond that of seeds: {shown}"
    return f"{'gen' if middle > 0 else 'the plain loop'} is better by more than seeds differ: {shown}"


def _difference(rows: Sequence[Mapping[str, Any]], seed: int, context: str) -> float:
    ours, theirs = (
        [row[context] for row in rows if row["seed"] == seed and (row["side"] == "gen") == is_gen]
        for is_gen in (True, False)
    )
    return float(min(theirs) - ours[0])


def _best_setting(contest: Contest, seed: int, settings: Sequence[Setting], table: ResultLines) -> Setting:
    def nats(setting: Setting) -> float:
        row = table.find(contest.key(seed, _name(setting)))
        assert row is not None
        return float(sum(row[context] for context in CONTEXTS))

    return min(settings, key=nats)


def _plain(contest: Contest, setting: Setting, seed: int) -> dict[str, Any]:
    """Returns what the plain loop reaches."""
    torch.set_num_threads(contest.num_threads)
    material = open_corpus(CorpusOptions((contest.corpus,), reading=Reading(labels="none"), seed=seed))
    return train_plain(material, setting, contest.minutes, seed)


def train_plain(material: PreparedCorpus, setting: Setting, minutes: float, seed: int) -> dict[str, Any]:
    """Trains and evaluates the plain model; nats a token by context, steps and tokens a second."""
    torch.manual_seed(seed)
    vocab_size = len(material.codec.vocab)
    model = PlainLM(vocab_size, setting.hidden_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting.rate, betas=(0.9, 0.99), fused=True)
    memory = model.initial_state(torch.zeros(setting.num_rows)).memory
    is_bf16 = torch.cpu._is_avx512_bf16_supported()
    step, start, seconds = 0, time.monotonic(), 60 * minutes
    for inputs, targets in windows(_stream(material), setting):
        gone = (time.monotonic() - start) / seconds
        if gone >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = setting.rate * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * gone))
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            held = tuple(m.bfloat16() if is_bf16 else m for m in memory)
            logits, state = model(inputs, State(held, inputs))
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        memory = tuple(m.detach().float() for m in state.memory)
        step += 1
    rate = step * setting.num_rows * setting.window / (time.monotonic() - start)
    return _evaluated(model, material) | {"steps": step, "tokens_per_second": rate}


def windows(stream: Tensor, setting: Setting) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields inputs and targets, (B, T) each, for ever; the rows start anew at another place each time round."""
    for epoch in range(1 << 30):
        turned = stream.roll(-epoch * setting.window // 2)
        length = (len(turned) - 1) // setting.num_rows
        inputs, targets = (turned[n : n + length * setting.num_rows].view(-1, length) for n in (0, 1))
        for n in range(0, length - setting.window + 1, setting.window):
            yield inputs[:, n : n + setting.window], targets[:, n : n + setting.window]


def _stream(material: PreparedCorpus) -> Tensor:
    """Returns all ids to train on in one row, each stretch between its begin and its end."""
    train = material.train
    parts = [
        np.concatenate([[train.begin], train.ids[s.start : s.stop], [train.end][: s.is_closed]])
        for s in train.stretches
    ]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def _evaluated(model: PlainLM, material: PreparedCorpus) -> dict[str, float]:
    return {
        context: evaluate(
            model,
            replace(material.valid, ids=material.valid_store.ids),
            units=material.codec.units(),
            unit=material.codec.unit,
            context=None if context == "carry" else int(context),
        ).nats_per_token
        for context in CONTEXTS
    }


def _gen(contest: Contest, seed: int) -> dict[str, Any]:
    """Returns what quality.py says of `gen train`."""
    script = str(Path(__file__).with_name("quality.py"))
    given = ["--minutes", str(contest.minutes), "--labels", "none", "--seed", str(seed), *contest.options]
    environment = os.environ | {"OMP_NUM_THREADS": str(contest.num_threads)}
    command = [sys.executable, script, contest.corpus, *given]
    done = subprocess.run(  # noqa: S603 - our own script
        command, stdout=subprocess.PIPE, check=True, text=True, env=environment
    )
    result = json.loads(done.stdout.splitlines()[-1])["results"][0]
    return {**result["nats"], "steps": result["steps"], "tokens_per_second": result["tokens_per_second"]}


def _name(setting: Setting | None) -> str:
    if setting is None:
        return "gen"
    return f"plain 1x{setting.hidden_size}, {setting.num_rows}x{setting.window}, rate {setting.rate:g}"


if __name__ == "__main__":
    main()
