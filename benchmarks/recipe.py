"""Measures which dropout is best after so many readings of a corpus: the runs that the tables of the recipe stand on.

    python benchmarks/recipe.py RESULTS [--texts DIR] [--midi DIR] [--work DIR] [--only NAME...] [--minutes 90]
    python benchmarks/recipe.py RESULTS --table | --fit

A cell is a corpus cut to a number of tokens, a hidden size and a number of readings. Each cell is trained at two rates
of dropout near the one that is expected, and then at the next rate on the better side until the best has a worse one on
both sides. Runs end after so many readings and not after a time, so that it does not matter how busy the machine is.
The validation part of a corpus is the same for all its cuts. Every run is a line of JSON in RESULTS; the runs that it
has already are not repeated, so the script may be stopped at any time. --table prints the cells for recipe.md. --fit
prints what rules cost beyond the best rate of each cell, nats between two rates interpolated.
"""

import argparse
import itertools
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch

from gen.config import Reading, TrainingSettings
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions
from gen.runs.run import load
from gen.training import dropout

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
VALID_CHARACTERS = 80_000
VALID_BYTES = 150_000  # of the files of music


class Corpus(NamedTuple):
    """A corpus for choosing: a text, or a folder of music."""

    name: str
    path: str  # under --texts, or under --midi
    is_music: bool = False


class Cell(NamedTuple):
    """What is trained at several rates of dropout."""

    corpus: str
    size: int  # characters of a text, bytes of MIDI files; 0 for all there is
    hidden_size: int
    readings: float


CORPORA = (
    Corpus("shakespeare", "tinyshakespeare.txt"),
    Corpus("lua", "lua_source.c.txt"),
    Corpus("wikitext2", "wikitext2_valid.txt"),
    Corpus("emma", "emma.txt"),
    Corpus("speeches", "speeches.txt"),
    Corpus("jsb_chorales", "jsb_chorales/train", is_music=True),
    Corpus("mutopia_keyboard", "mutopia_keyboard", is_music=True),
    Corpus("pop909", "pop909", is_music=True),
    Corpus("groove", "groove", is_music=True),
)
TEXTS = ("shakespeare", "lua", "wikitext2", "emma", "speeches")
MUSIC = ("jsb_chorales", "mutopia_keyboard", "pop909", "groove")
EACH = ("shakespeare", "jsb_chorales", "lua", "mutopia_keyboard", "emma", "groove", "wikitext2", "pop909", "speeches")


def cells() -> Iterator[Cell]:
    """Yields the cells, the most telling ones first."""
    yield from _plan(EACH, 200_000, 256, (8,))
    yield from _plan(("emma", "shakespeare"), 60_000, 256, (30,))
    yield from _plan(("emma",), 200_000, 512, (8,))
    yield from _plan(("jsb_chorales", "emma", "lua", "groove"), 200_000, 256, (24,))
    yield from _plan(("emma",), 0, 256, (6,))
    yield from _plan(("shakespeare",), 60_000, 256, (100,))
    yield from _plan(("mutopia_keyboard",), 200_000, 256, (24,))
    yield from _plan(("shakespeare", "wikitext2"), 200_000, 256, (24,))
    yield from _plan(("pop909", "groove"), 0, 256, (4,))
    yield from _plan(("lua", "shakespeare"), 0, 512, (8,))


# Widths that take about the same time: the readings are in inverse proportion to the cost of a token.
WIDTHS = (Cell("emma", 0, 512, 2.5), Cell("emma", 0, 384, 4.1), Cell("emma", 0, 256, 8.2))


def _plan(names: tuple[str, ...], size: int, hidden_size: int, readings: tuple[float, ...]) -> Iterator[Cell]:
    for times in readings:
        for name in names:
            yield Cell(name, size * (2 if size and name in MUSIC else 1), hidden_size, times)


def main() -> None:
    """Reads the arguments, measures or prints the table."""
    parser = argparse.ArgumentParser(description="Measure the best dropout by readings.")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], metavar="DIR", help="folders with the texts")
    parser.add_argument("--midi", type=Path, metavar="DIR", help="the folder with the folders of music")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where cuts, runs and cache are kept")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="corpora to measure [default all]")
    parser.add_argument("--minutes", type=float, default=90.0, help="start no run after this time")
    parser.add_argument("--table", action="store_true", help="print the table and measure nothing")
    parser.add_argument("--fit", action="store_true", help="print what rules cost and measure nothing")
    arguments = parser.parse_args()
    if arguments.table or arguments.fit:
        (print_table if arguments.table else print_costs)(read_results(arguments.results))
        return
    work = arguments.work or Path(tempfile.mkdtemp(prefix="gen-recipe-"))
    os.environ["GEN_CACHE"] = str(work / "cache")
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * arguments.minutes
    folders = [*arguments.texts, arguments.midi]
    for cell in (*WIDTHS, *cells()):
        if arguments.only is None or cell.corpus in arguments.only:
            source = next(corpus for corpus in CORPORA if corpus.name == cell.corpus)
            cut = cut_corpus(source, cell.size, folders, work)
            search(cell, cut, work, arguments.results, until)


def search(cell: Cell, cut: tuple[Path, Path], work: Path, file: Path, until: float) -> None:
    """Trains a cell at the rates that bracket the best one; leaves out what is in the file."""
    done = {row["dropout"]: row for row in read_results(file) if row["cell"] == list(cell)}
    todo = [expected(cell)] if cell in WIDTHS else [expected(cell), expected(cell) + 1]
    while todo:
        rate = RATES[todo.pop(0)]
        if rate not in done:
            if time.monotonic() > until:
                sys.exit("out of time")
            done[rate] = measure(cell, cut, rate, work)
            with file.open("a") as lines:
                lines.write(json.dumps(done[rate]) + "\n")
            print(cell, rate, done[rate]["carry"], done[rate]["256"], round(done[rate]["wall"], 1), flush=True)
        if not todo and len(done) > 1:
            best = RATES.index(min(done, key=lambda rate: score(done[rate])))
            todo = [n for n in (best - 1, best + 1) if 0 <= n < len(RATES) and RATES[n] not in done]


def expected(cell: Cell) -> int:
    """Returns the index of the lower of the two rates to begin with."""
    return 0 if cell.readings < 10 else 1 if cell.readings < 50 else 3


def score(row: Mapping[str, Any]) -> float:
    """Returns the mean of the nats a token, carried and in windows."""
    return float(row["carry"] + row["256"]) / 2


def measure(cell: Cell, cut: tuple[Path, Path], rate: float, work: Path) -> dict[str, Any]:
    """Trains once, all else by the recipe's choice, and returns the line of the results."""
    corpus, valid = cut
    began = time.monotonic()
    shutil.rmtree(work / "runs", ignore_errors=True)
    options = CorpusOptions((str(corpus),), reading=Reading(labels="none"), valid_file=str(valid))
    settings = TrainingSettings(epochs=float(cell.readings), dropout=rate, hidden_size=cell.hidden_size)
    with train_session(options, settings, run="run", out=work / "runs") as session:
        num_tokens = 0
        for report in session.reports():
            num_tokens = report.tokens
        result = session.result()
    run = load(work / "runs" / "run")
    carried, fresh = (run.evaluate("valid", context=context).nats_per_token for context in (None, 256))
    return {
        "cell": list(cell),
        "dropout": rate,
        "carry": round(carried, 5),
        "256": round(fresh, 5),
        "tokens": round(num_tokens / report.epoch),
        "readings": round(report.epoch, 2),
        "parameters": result["parameters"],
        "vocab_size": run.config.vocab_size,
        "is_augmented": run.config.has_variations,
        "train_nats": round(report.train_nats, 4),
        "seconds": round(result["seconds"], 1),
        "wall": round(time.monotonic() - began, 1),
    }


def cut_corpus(corpus: Corpus, size: int, folders: Sequence[Path], work: Path) -> tuple[Path, Path]:
    """Returns the training and the validation part of a corpus, written once: the training part at most so large."""
    source = next(folder / corpus.path for folder in folders if (folder / corpus.path).exists())
    part, valid = (work / "cuts" / f"{corpus.name}-{name}" for name in (size or "all", "valid"))
    if corpus.is_music:
        _cut_folder(source, size, part, valid)
        return part, valid
    part, valid = part.with_suffix(".txt"), valid.with_suffix(".txt")
    part.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8")
    part.write_text(text[:-VALID_CHARACTERS][: size or None], encoding="utf-8")
    valid.write_text(text[-VALID_CHARACTERS:], encoding="utf-8")
    return part, valid


def _cut_folder(source: Path, size: int, part: Path, valid: Path) -> None:
    """Copies files in an order drawn at random: the first into the validation part, then so many bytes to train on."""
    files = sorted(path for path in source.rglob("*.mid*") if path.is_file())
    files = [files[n] for n in np.random.default_rng(0).permutation(len(files))]
    for folder, most, found in ((valid, VALID_BYTES, files), (part, size or 1 << 40, files)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        num_bytes = 0
        while found and num_bytes < most:
            path = found.pop(0)
            num_bytes += path.stat().st_size
            shutil.copy(path, folder / f"{len(found)}-{path.name}")


def read_results(file: Path) -> list[dict[str, Any]]:
    """Returns the lines of the results; none if there is no file yet."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _by_cell(rows: list[dict[str, Any]]) -> dict[Cell, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        found[Cell(*row["cell"])].append(row)
    return found


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints a line a cell: what each rate of dropout reached, carried and in windows of 256."""
    print("| corpus | tokens | hidden | readings | " + " | ".join(f"{rate:g}" for rate in RATES) + " |")
    print("| --- " * (4 + len(RATES)) + "|")
    for cell, runs in sorted(_by_cell(rows).items()):
        best = min(runs, key=score)
        by_rate = {row["dropout"]: f"{row['carry']:.4f}, {row['256']:.4f}" for row in runs}
        by_rate[best["dropout"]] = f"**{by_rate[best['dropout']]}**"
        shown = " | ".join(by_rate.get(rate, "") for rate in RATES)
        print(f"| {cell.corpus} | {best['tokens']:,} | {cell.hidden_size} | {cell.readings:g} | {shown} |")


class Rule(NamedTuple):
    """The constants of `gen.training.dropout`."""

    by_readings: float
    by_weights: float
    free_readings: float
    varied: float

    def rate(self, row: Mapping[str, Any]) -> float:
        """Returns the rate of dropout for the cell of a row."""
        readings = max(1.0, float(row["cell"][3]) / (self.varied if row["is_augmented"] else 1.0))
        rate = self.by_readings * math.log2(readings / self.free_readings)
        rate += self.by_weights * math.log2(float(row["parameters"]) / dropout.FEW_WEIGHTS)
        return min(dropout.MAX_DROPOUT, max(0.0, rate))


PRESENT = Rule(dropout.BY_READINGS, dropout.BY_WEIGHTS, dropout.FREE_READINGS, dropout.VARIED)
TRIED = (
    (0.1, 0.15, 0.2, 0.25, 0.3),
    (0.0, 0.03, 0.06, 0.09, 0.12),
    (5.0, 6.0, 7.0, 8.0, 9.0, 10.0),
    (1.0, 2.0, 4.0, 8.0),
)


def print_costs(rows: list[dict[str, Any]]) -> None:
    """Prints the mean nats beyond the best rate that rules cost, the fitted one also on corpora left out of the fit."""
    found = [runs for runs in _by_cell(rows).values() if len(runs) > 1]
    rules = [Rule(*constants) for constants in itertools.product(*TRIED)]

    def fitted(cells: Sequence[list[dict[str, Any]]]) -> Rule:
        return min(rules, key=lambda rule: mean(cost(runs, rule.rate(runs[0])) for runs in cells))

    left_out = []
    for name in sorted({runs[0]["cell"][0] for runs in found}):
        rule = fitted([runs for runs in found if runs[0]["cell"][0] != name])
        left_out += [cost(runs, rule.rate(runs[0])) for runs in found if runs[0]["cell"][0] == name]
    print(f"present rule {mean(cost(runs, PRESENT.rate(runs[0])) for runs in found):.4f}")
    print(f"fitted rule, its corpus left out {mean(left_out):.4f}; fitted to all: {fitted(found)}")
    print(f"no dropout {mean(cost(runs, 0.0) for runs in found):.4f}")
    print(f"steps of before {mean(cost(runs, _steps(runs[0])) for runs in found):.4f}")


def cost(runs: Sequence[Mapping[str, Any]], rate: float) -> float:
    """Returns the nats that a rate costs beyond the best one; outside the rates that were tried, as at the nearest."""
    rates, nats = zip(*sorted((run["dropout"], score(run)) for run in runs), strict=True)
    return float(np.interp(rate, rates, nats) - min(nats))


def _steps(row: Mapping[str, Any]) -> float:
    """Returns the rate of dropout that the recipe took until 2026-11-27."""
    readings = float(row["cell"][3])
    rate = 0.5 if readings >= 10 else 0.3 if readings >= 7 else 0.1 if readings >= 3 else 0.0
    return min(rate, 0.3) if row["is_augmented"] else rate


if __name__ == "__main__":
    main()
