"""Compares samples of a music model with its corpus, by four histograms beside those of the validation part.

    python benchmarks/resemblance.py RUN [--samples 200] [--length 500] [--temperature 1]

pitch classes  12, of the notes
durations      of the notes, in steps of a quarter of an octave from 10 ms to 20 s
intervals      from one onset to the next, the same steps; notes struck together (within 10 ms) apart
polyphony      the number of notes that sound, weighted by time

Two histograms overlap by the sum of the smaller share of each bin, 0 to 1. The samples should overlap with the
validation part at least halfway from a unigram model, which draws each token by its share of the corpus under the same
grammar, to other pieces of the corpus itself: the same number of pieces of the training part. The exit code is 1 if one
histogram does not. Beside them stand notes a second, the mean number that sound at once, and the seconds of a piece at
the median.

Two more rows give the precision, from draws of the same number of pieces with replacement (Efron 1979): the standard
deviation of the samples' overlaps, and the share of draws in which pieces of the training part are halfway themselves.
The last line is JSON.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import gen
from gen.codec import decode
from gen.config import SamplingConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch
from gen.generation.generate import Sampled, generate
from gen.models.recurrent import State
from gen.models.stepper import Stepper
from gen.music.score import Score
from gen.runs.header import versions
from gen.runs.prepared import neutral_ids, open_corpus
from gen.runs.run import Run

MIN_SECONDS, MAX_SECONDS = 0.01, 20.0
TIMES = np.geomspace(MIN_SECONDS, MAX_SECONDS, 45)  # edges of bins, a quarter of an octave apart
MAX_VOICES = 24
RATES = ("notes/s", "at once", "seconds")
ROWS = 50  # sampled side by side
DRAWS = 200  # of the bootstrap

Features = dict[str, NDArray[np.float64]]  # (N, bins) histograms of pieces that have notes, not normalised
Draw = Callable[..., Iterator[Sampled]]  # takes seed and num_samples


class Unigram(Stepper):
    """A stepper that has forgotten everything but how often each token occurs."""

    vocab_size = 0
    device = torch.device("cpu")

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.vocab_size = len(counts)
        self._logits = torch.from_numpy(np.log(np.maximum(counts, 0.5))).float()

    def initial_state(self, labels: Tensor) -> State:
        """Returns a state that says nothing."""
        return State((torch.zeros(1, len(labels), 1),), torch.zeros(len(labels), 1))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Returns the same logits whatever the tokens."""
        return self._logits.expand(len(tokens), -1), state


def main() -> None:
    """Reads the arguments, samples, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure how like its corpus a music model's samples are.")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--samples", type=int, default=200, metavar="N")
    parser.add_argument("--length", type=int, default=500, metavar="N", help="tokens of a sample")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of the samples [default 1]")
    arguments = parser.parse_args()
    run = gen.load(arguments.run, device="cpu")
    pieces = pieces_of(run, arguments.samples, arguments.length, arguments.temperature)
    overlaps = compared({name: features(scores) for name, scores in pieces.items()})
    rates = {name: rates_of(scores) for name, scores in pieces.items()}
    print(f"{'overlap with validation':24}" + "".join(f"{what:>14}" for what in (*FEATURES, *RATES)))
    for name, row in overlaps.items():
        numbers = "".join(f"{value:14.3f}" for value in row.values())
        print(f"{name:24}{numbers}" + "".join(f"{rate:14.2f}" for rate in rates.get(name, ())))
    is_like = all(overlaps["samples"][what] >= least for what, least in overlaps["halfway"].items())
    print("the samples are like the corpus" if is_like else "NOT LIKE THE CORPUS")
    names = {"benchmark": "resemblance", **vars(arguments)}
    print(json.dumps(names | {"overlaps": overlaps, "rates": rates, "versions": versions()}))
    sys.exit(not is_like)


def compared(found: dict[str, Features]) -> dict[str, dict[str, float]]:
    """Returns the table: each overlap with the validation part, and what such overlaps are worth."""
    valid = found["validation"]
    table = {name: overlaps_of(each, valid) for name, each in found.items()}
    halfway = {what: (table["unigram model"][what] + table["other pieces"][what]) / 2 for what in FEATURES}
    count = len(found["samples"]["durations"])
    samples, others = (redrawn(found[name], valid, count) for name in ("samples", "training part"))
    table["halfway"] = halfway
    table["spread of samples"] = {what: float(np.std(samples[what])) for what in FEATURES}
    table["others are halfway"] = {what: float(np.mean(others[what] >= halfway[what])) for what in FEATURES}
    return table


def pieces_of(run: Run, count: int, length: int, temperature: float) -> dict[str, list[Score]]:
    """Returns the validation part, and what is compared with it."""
    material = open_corpus(run.header.corpus.options)
    train = replace(material.train, ids=neutral_ids(run.codec, material.store.ids))
    return {
        "unigram model": list(sampled(run, by_unigrams(run, train, length), count)),
        "samples": list(sampled(run, by_model(run, temperature, length), count)),
        "other pieces": list(excerpts(run, train, count, length)),
        "training part": list(excerpts(run, train, len(train.stretches), length)),
        "validation": list(excerpts(run, material.valid, count, length)),
    }


def excerpts(run: Run, excerpt: Excerpt, count: int, length: int) -> Iterable[Score]:
    """Yields pieces as long as samples: the beginnings of at most `count` documents, drawn at random."""
    order = np.random.default_rng(0).permutation(len(excerpt.stretches))[:count]
    for stretch in (excerpt.stretches[n] for n in order):
        yield decode(run.codec, excerpt.ids[stretch.start : min(stretch.stop, stretch.start + length)])


def unigram(run: Run, train: Excerpt) -> Unigram:
    """Returns the model that draws each token by its share of the training part."""
    counts = np.zeros(len(run.codec.vocab), np.int64)
    for stretch in train.stretches:
        counts += counted(stretch, train, len(counts))
    return Unigram(counts)


def counted(stretch: Stretch, excerpt: Excerpt, vocab_size: int) -> NDArray[np.int64]:
    """Returns (V,) how often each token stands in a document, its end among them."""
    counts = np.bincount(excerpt.ids[stretch.start : stretch.stop], minlength=vocab_size)
    counts[-1] += stretch.is_closed
    return counts


def by_unigrams(run: Run, train: Excerpt, length: int) -> Draw:
    """Returns what draws samples of the unigram model, under the grammar of the run."""
    return partial(
        generate,
        unigram(run, train),
        prompt=(),
        begin=run.codec.vocab.begin,
        end=run.codec.vocab.end if run.header.can_end else None,
        length=length,
        sampling=SamplingConfig(),
        new_grammar=run.codec.grammar,
    )


def by_model(run: Run, temperature: float, length: int) -> Draw:
    """Returns what draws samples of the run as `gen sample` does."""
    return partial(run.generate, length=length, sampling=SamplingConfig(temperature))


def sampled(run: Run, draw: Draw, count: int) -> Iterable[Score]:
    """Yields samples of a model."""
    for first in range(0, count, ROWS):
        rows: defaultdict[int, list[int]] = defaultdict(list)
        for item in draw(seed=first, num_samples=min(ROWS, count - first)):
            rows[item.row].append(item.token)
        yield from (decode(run.codec, row) for row in rows.values())


def features(scores: Iterable[Score]) -> Features:
    """Returns the histograms of the scores that have notes."""
    notes = [columns for columns in map(notes_of, scores) if len(columns[0])]
    return {name: np.stack([feature(*columns) for columns in notes]) for name, feature in FEATURES.items()}


def rates_of(scores: Iterable[Score]) -> tuple[float, float, float]:
    """Returns notes a second, how many sound at once on average over the time, and the median of the seconds."""
    num_notes, sounding, seconds = 0, 0.0, []
    for score in scores:
        onsets, ends, _ = notes_of(score)
        num_notes += len(onsets)
        sounding += float((ends - onsets).sum())
        seconds.append(score.duration_seconds)
    return num_notes / sum(seconds), sounding / sum(seconds), median(seconds)


def notes_of(score: Score) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Returns onsets and ends in seconds and pitches of all pitched notes, or of the drums if there is nothing else."""
    tracks = [track for track in score.tracks if not track.is_drum] or list(score.tracks)
    columns = np.concatenate([track.columns for track in tracks], axis=1)
    columns = columns[:, np.argsort(columns[0], kind="stable")]
    return score.seconds(columns[0]), score.seconds(columns[0] + columns[1]), columns[2]


def pitch_classes(_onsets: NDArray[np.float64], _ends: NDArray[np.float64], pitches: NDArray[np.int64]) -> Any:
    """Returns (12,) counts."""
    return np.bincount(pitches % 12, minlength=12)


def durations(onsets: NDArray[np.float64], ends: NDArray[np.float64], _pitches: NDArray[np.int64]) -> Any:
    """Returns counts by duration."""
    return counts_by_time(ends - onsets)


def intervals(onsets: NDArray[np.float64], _ends: NDArray[np.float64], _pitches: NDArray[np.int64]) -> Any:
    """Returns how many notes are struck together with the one before, then counts by the time since it."""
    gaps = np.diff(onsets)
    return np.append((gaps < MIN_SECONDS).sum(), counts_by_time(gaps[gaps >= MIN_SECONDS]))


def polyphony(onsets: NDArray[np.float64], ends: NDArray[np.float64], _pitches: NDArray[np.int64]) -> Any:
    """Returns the seconds during which so many notes sound, from the first onset to the last end."""
    times = np.concatenate((onsets, ends))
    order = np.argsort(times, kind="stable")
    voices = np.cumsum(np.repeat((1, -1), len(onsets))[order])[:-1]
    return np.bincount(np.clip(voices, 0, MAX_VOICES), weights=np.diff(times[order]), minlength=MAX_VOICES + 1)


def counts_by_time(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns (44,) counts; what is shorter or longer than the bins falls into the first or the last."""
    return np.histogram(np.clip(seconds, TIMES[0], TIMES[-1]), TIMES)[0]


FEATURES: dict[str, Callable[..., Any]] = {
    "pitch classes": pitch_classes,
    "durations": durations,
    "intervals": intervals,
    "polyphony": polyphony,
}


def overlaps_of(found: Features, wanted: Features) -> dict[str, float]:
    """Returns the sum over the bins of the smaller share, for each histogram of all pieces together."""
    return {name: float(np.minimum(shares(found[name]), shares(wanted[name])).sum()) for name in FEATURES}


def shares(histograms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (bins,) the share of each bin in (N, bins) counts."""
    found: NDArray[np.float64] = histograms.sum(0) / histograms.sum()
    return found


def redrawn(found: Features, wanted: Features, count: int) -> Features:
    """Returns (DRAWS,) what each overlap is in draws of `count` pieces with replacement."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(found["durations"]), count) for _ in range(DRAWS)]
    overlaps = [overlaps_of({name: h[draw] for name, h in found.items()}, wanted) for draw in draws]
    return {name: np.array([each[name] for each in overlaps]) for name in FEATURES}


if __name__ == "__main__":
    main()
