"""Measures `gen train` beside a plain nn.LSTM loop, tuned by hand, in the same time.

    python benchmarks/plain.py CORPUS [--minutes 5] [--seed 0] [--only-plain] [--settings 0 1 2]
                               [options of gen train]

The plain loop is what one would write in an afternoon. It reads the same training part as gen, documents joined by
their begin and end tokens, in rows with carried state that is never reset. It has a fused AdamW, clipped gradients, and
a rate that warms up and then follows half a cosine to zero at the end of the time; torch's own kernels, under autocast
to bf16 where the CPU has it. Three settings are tried, each for the whole time, and the best one counts. gen gets the
time once, with its defaults. Both are measured on the same validation part by `gen.analysis.evaluate`, carried and in
windows of 256. The last line is JSON.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
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
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-plain", action="store_true", help="leave gen out")
    parser.add_argument("--settings", type=int, nargs="*", default=range(len(SETTINGS)), help="which of them, from 0")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="gen-plain-") as folder:
        os.environ["GEN_CACHE"] = str(Path(folder) / "cache")
        reading = Reading(labels="none")
        material = open_corpus(CorpusOptions((arguments.corpus,), reading=reading, seed=arguments.seed))
        minutes, seed = arguments.minutes, arguments.seed
        ours = ["--minutes", str(minutes), "--labels", "none", "--seed", str(seed), *options]
        rows = [] if arguments.only_plain else [("gen", _gen(arguments.corpus, ours))]
        chosen = [SETTINGS[n] for n in arguments.settings]
        rows += [(_name(setting), train_plain(material, setting, minutes, seed)) for setting in chosen]
    print(f"{'':34} {'carry':>8} {'256':>8} {'steps':>8} {'tokens/s':>10}")
    for name, row in rows:
        print(f"{name:34} {row['carry']:8.4f} {row['256']:8.4f} {row['steps']:8} {row['tokens_per_second']:10,.0f}")
    names = {"benchmark": "plain", "corpus": arguments.corpus, "minutes": minutes, "seed": seed, "options": options}
    print(json.dumps(names | {"results": dict(rows), "versions": versions()}))


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


def _gen(corpus: str, options: list[str]) -> dict[str, Any]:
    """Returns what quality.py says of `gen train`."""
    script = str(Path(__file__).with_name("quality.py"))
    command = [sys.executable, script, corpus, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603 - our own script
    result = json.loads(done.stdout.splitlines()[-1])["results"][0]
    return {**result["nats"], "steps": result["steps"], "tokens_per_second": result["tokens_per_second"]}


def _name(setting: Setting) -> str:
    return f"plain 1x{setting.hidden_size}, {setting.num_rows}x{setting.window}, rate {setting.rate:g}"


if __name__ == "__main__":
    main()
