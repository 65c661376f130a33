"""Proves of a trained run that every beginning is safe, and that its own free run stays sound.

    python benchmarks/beginnings.py RUN [--length 1000000] [--places 8] [--temperature 1]

windows   the validation part in fresh windows of 256 tokens, each of one document: nats a token of the worst window,
          and of their mean
rows      the same with carried state, in 20 rows if the part is one document, otherwise in one row for each document of
          256 tokens or more: the worst row, and the mean over rows
prompts   each symbol of the alphabet as the first of a stretch of the validation part, at some places: the mean over
          the places of the nats after the first 64 tokens, for the worst symbol, and for the real first symbol
free run  LENGTH tokens from an empty prompt; where a document ends, the next begins: their nats under a trigram model
          counted on the training part, for the first tenth and the last, and those of the validation part

RUN is a name below checkpoints/ here, or a path. The exit code is 1 if a window, row or symbol costs more than twice
the mean and more than under the trigram model too: a tune unlike all others is dear for every model, and no sign that
the model is stuck. It is also 1 if the last tenth of the free run is more than a tenth worse than the first. The last
line is JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import gen
from gen.analysis.yardsticks import yardsticks
from gen.config import SamplingConfig
from gen.data.stretches import Stretch, Stretches
from gen.runs.header import versions
from gen.runs.prepared import open_corpus
from gen.runs.run import Run

WINDOW, NUM_ROWS, SETTLED = 256, 20, 64
MAX_ROWS = 256  # that are run side by side
CHUNK = 512  # tokens that are run at once


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure the worst beginnings of a run, and its free run.")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--length", type=int, default=1_000_000, metavar="N", help="tokens of the free run")
    parser.add_argument("--places", type=int, default=8, metavar="N", help="of each first symbol")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of the free run [default 1]")
    arguments = parser.parse_args()
    run = gen.load(arguments.run, device="cpu")
    documents = _validation(run)
    windows = torch.cat([_rows(document, WINDOW) for document in documents])
    rows = [document[None] for document in documents]
    if len(documents) == 1:
        rows = [_rows(documents[0], len(documents[0]) // NUM_ROWS)]
    worst = {
        "windows": _worst(torch.split(windows, MAX_ROWS), run),
        "rows": _worst(rows, run),
        "prompts": _worst_symbol(run, windows, arguments.places),
    }
    free = _free_run(run, arguments.length, SamplingConfig(arguments.temperature))
    for name, (most, mean, trigram) in worst.items():
        note = f"; a trigram model {trigram:.4f}" if trigram else ""
        print(f"{name:10} worst {most:7.4f}  mean {mean:7.4f} nats a token  ({most / mean:.2f} times{note})")
    print("free run   " + "  ".join(f"{name} {nats:.4f}" for name, nats in free.items()) + " nats a token by trigrams")
    is_sound = free["last tenth"] <= 1.1 * free["first tenth"]
    is_safe = is_sound and all(most <= max(2 * mean, trigram) for most, mean, trigram in worst.values())
    print("every beginning is safe" if is_safe else "NOT SAFE")
    print(json.dumps({"benchmark": "beginnings", "worst": worst, "free run": free, "versions": versions()}))
    sys.exit(not is_safe)


def _validation(run: Run) -> list[Tensor]:
    """Returns the documents of the validation part that fill a window, each with its begin, (N,)."""
    excerpt = run.excerpt("valid")
    begin = [run.codec.vocab.begin]
    parts = [np.concatenate([begin, excerpt.ids[s.start : s.stop]]) for s in excerpt.stretches]
    return [torch.from_numpy(part.astype(np.int64)) for part in parts if len(part) > WINDOW]


def _rows(ids: Tensor, length: int) -> Tensor:
    """Cuts ids into (B, length + 1) rows, the last token of each the first of the next."""
    return torch.stack([ids[n : n + length + 1] for n in range(0, len(ids) - length, length)])


def _worst(rows: Sequence[Tensor], run: Run) -> tuple[float, float, float]:
    """Returns the most that a row pays a token from a fresh state, the mean, and what that row costs under trigrams.

    Of rows above twice the mean it is the one that is dearest beside the trigrams. Takes (B, T + 1) rows at a time.
    """
    means = torch.cat([_nats(run, some).mean(1) for some in rows])
    mean = means.mean().item()
    every = [row[1:].numpy() for some in rows for row in some]
    over = [
        (means[n].item(), mean, _trigram_nats(run, every[n])) for n in torch.nonzero(means > 2 * mean)[:, 0].tolist()
    ]
    return max(over, key=lambda found: found[0] / found[2]) if over else (means.max().item(), mean, 0.0)


def _trigram_nats(run: Run, tokens: NDArray[np.int64]) -> float:
    """Returns what tokens cost under the trigrams of the training part, each."""
    material = open_corpus(run.header.corpus.options)
    ids = np.concatenate([material.store.ids, tokens])
    measured = Stretches([Stretch(len(ids) - len(tokens), len(ids), 0, False)])
    train = replace(material.train, ids=ids)
    return yardsticks(train, replace(train, stretches=measured), vocab_size=len(run.codec.vocab))["trigram"]


def _worst_symbol(run: Run, windows: Tensor, num_places: int) -> tuple[float, float, float]:
    """Returns what the worst first symbol costs after the first tokens, what the real ones cost, and 0."""
    rows = windows[torch.linspace(0, len(windows) - 1, num_places).long()]
    real = _nats(run, rows)[:, SETTLED:].mean().item()
    return max(_nats(run, altered)[:, SETTLED:].mean().item() for altered in _altered(run, rows)), real, 0.0


def _altered(run: Run, rows: Tensor) -> Iterator[Tensor]:
    for symbol in range(run.codec.vocab.begin):
        yield torch.cat([torch.full((len(rows), 1), symbol), rows[:, 1:]], 1)


@torch.inference_mode()
def _nats(run: Run, rows: Tensor) -> Tensor:
    """Returns what each target of (B, T + 1) rows costs, (B, T), from a fresh state on."""
    state = run.model.initial_state(torch.zeros(len(rows), dtype=torch.long))
    costs = []
    for inputs, targets in zip(*(torch.split(part, CHUNK, 1) for part in (rows[:, :-1], rows[:, 1:])), strict=True):
        logits, state = run.model(inputs, state)
        costs.append(functional.cross_entropy(logits.permute(0, 2, 1), targets, reduction="none"))
    return torch.cat(costs, 1)


def _free_run(run: Run, length: int, sampling: SamplingConfig) -> dict[str, float]:
    """Returns nats a token of the samples' first and last tenth, and of the validation part, by trigrams."""
    material = open_corpus(run.header.corpus.options)
    endless = (item.token for seed in count() for item in run.generate(length=None, seed=seed, sampling=sampling))
    pieces = islice((token for token in endless if token != run.codec.vocab.end), length)
    written = np.fromiter(pieces, np.int64)
    stop, tenth = len(material.store.ids), len(written) // 10
    train = replace(material.train, ids=np.concatenate([material.store.ids, written]))

    def nats(stretches: Iterable[Stretch]) -> float:
        valid = replace(train, stretches=Stretches(stretches))
        return yardsticks(train, valid, vocab_size=len(run.codec.vocab))["trigram"]

    found: dict[str, Any] = {
        "first tenth": nats([Stretch(stop, stop + tenth, 0, False)]),
        "last tenth": nats([Stretch(stop + len(written) - tenth, stop + len(written), 0, False)]),
        "validation": nats(material.valid.stretches),
    }
    return found


if __name__ == "__main__":
    main()
