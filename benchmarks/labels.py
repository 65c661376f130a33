"""Measures obedience to labels: a classifier that knows no model tells samples of a two-label model apart.

    python benchmarks/labels.py TEXT_A TEXT_B [--minutes 2] [--samples 40] [options of gen train]

The two texts are lower-cased, runs of white space become one space, characters that only one of them has are dropped,
and both are cut to the same length. So only spelling, wording and punctuation tell them apart. Each text becomes a
sub-folder, and so a label. A bigram model with add-one smoothing for each text, counted on the part that `gen train`
trains on, then classifies by likelihood: pieces of the real validation parts (the best that this classifier can do),
and samples of each label. Everything runs in a temporary folder with its own cache. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.runs.header import versions

TRAINED_SHARE = 0.9  # gen keeps the last tenth of a text for validation


class Bigrams(NamedTuple):
    """A bigram model of a text."""

    alphabet: str
    log_chances: NDArray[np.float64]  # (V, V), of the column after the row

    def nats(self, text: str) -> float:
        """Returns the log likelihood of a text, its first character given."""
        ids = indices(text, self.alphabet)
        return float(self.log_chances[ids[:-1], ids[1:]].sum())


class Measured(NamedTuple):
    """How one label's pieces were classified."""

    label: str
    real_right: int
    real: int
    samples_right: int
    samples: int


def main() -> None:
    """Reads the arguments, trains, samples, classifies, prints."""
    parser = argparse.ArgumentParser(description="Measure whether labels are obeyed.")
    parser.add_argument("texts", nargs=2, type=Path, metavar="TEXT")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--samples", type=int, default=40, metavar="N", help="samples a label [default 40]")
    parser.add_argument("--length", type=int, default=500, metavar="N", help="characters a sample [default 500]")
    parser.add_argument("--characters", type=int, metavar="N", help="use no more of each text")
    arguments, options = parser.parse_known_args()
    texts = alike([path.read_text(encoding="utf-8") for path in arguments.texts], arguments.characters)
    corpus = dict(zip(label_names(arguments.texts), texts, strict=True))
    with tempfile.TemporaryDirectory(prefix="gen-labels-") as folder:
        write_corpus(Path(folder) / "corpus", corpus)
        gen(Path(folder), "train", "corpus", "--run", "labels", "--minutes", str(arguments.minutes), *options)
        samples = {
            label: sample(Path(folder), label, num_samples=arguments.samples, length=arguments.length)
            for label in corpus
        }
    results = classify(corpus, samples, arguments.length)
    print(f"{len(texts[0]):,} characters a text, {len(set(texts[0]) | set(texts[1]))} different")
    print_table(results)
    data = {
        "benchmark": "labels",
        "texts": [str(path) for path in arguments.texts],
        "characters": len(texts[0]),
        "minutes": arguments.minutes,
        "options": options,
        "accuracy": sum(r.samples_right for r in results) / sum(r.samples for r in results),
        "results": [result._asdict() for result in results],
        "versions": versions(),
    }
    print(json.dumps(data))


def alike(texts: Sequence[str], most: int | None) -> list[str]:
    """Returns the texts in lower case, on one line, in the characters that all of them have, equally long."""
    plain = [" ".join(text.lower().split()) for text in texts]
    common = set.intersection(*(set(text) for text in plain))
    kept = ["".join(c for c in text if c in common) for text in plain]
    length = min(*(len(text) for text in kept), most or sys.maxsize)
    return [text[:length] for text in kept]


def label_names(paths: Sequence[Path]) -> list[str]:
    """Returns a different name for each text."""
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [f"{stem}-{n}" for n, stem in enumerate(stems, 1)]


def write_corpus(folder: Path, corpus: Mapping[str, str]) -> None:
    """Writes each text into a sub-folder of its label."""
    for label, text in corpus.items():
        (folder / label).mkdir(parents=True)
        (folder / label / "text.txt").write_text(text, encoding="utf-8")


def sample(folder: Path, label: str, *, num_samples: int, length: int) -> list[str]:
    """Returns samples with a label."""
    (folder / label).mkdir()
    numbers = ("--num-samples", str(num_samples), "--length", str(length), "--seed", "0")
    gen(folder, "sample", "labels", "--label", label, *numbers, "--out", f"{label}/sample.txt")
    return [path.read_text(encoding="utf-8") for path in sorted((folder / label).glob("*.txt"))]


def gen(folder: Path, *arguments: str) -> None:
    """Runs gen in a folder as a user would; what it tells people goes to stderr."""
    environment = os.environ | {"GEN_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "gen", *arguments], cwd=folder, env=environment, check=True)  # noqa: S603


def classify(corpus: Mapping[str, str], samples: Mapping[str, Sequence[str]], length: int) -> list[Measured]:
    """Returns how many real pieces and how many samples of each label are taken for that label."""
    alphabet = "".join(sorted(set("".join(corpus.values()))))
    bounds = {label: int(TRAINED_SHARE * len(text)) for label, text in corpus.items()}
    models = {label: learn(text[: bounds[label]], alphabet) for label, text in corpus.items()}

    def num_right(pieces: Sequence[str], label: str) -> int:
        return sum(max(models, key=lambda name: models[name].nats(piece)) == label for piece in pieces)

    results = []
    for label, text in corpus.items():
        rest = text[bounds[label] :]
        real = [rest[start : start + length] for start in range(0, len(rest) - length + 1, length)]
        drawn = samples[label]
        results.append(Measured(label, num_right(real, label), len(real), num_right(drawn, label), len(drawn)))
    return results


def learn(text: str, alphabet: str) -> Bigrams:
    """Returns the bigram model of a text, every count one too high."""
    counts = np.ones((len(alphabet), len(alphabet)))
    ids = indices(text, alphabet)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return Bigrams(alphabet, np.log(counts / counts.sum(axis=1, keepdims=True)))


def indices(text: str, alphabet: str) -> NDArray[np.intp]:
    """Returns the place of each character in a sorted alphabet that holds them all."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    known = np.frombuffer(alphabet.encode("utf-32-le"), dtype=np.uint32)
    return np.searchsorted(known, codes)


def print_table(results: Sequence[Measured]) -> None:
    """Prints a line a label."""
    print(f"{'label':<24} {'real text':>16} {'samples':>16}")
    for r in results:
        real = f"{r.real_right}/{r.real} {100 * r.real_right / max(1, r.real):6.1f} %"
        drawn = f"{r.samples_right}/{r.samples} {100 * r.samples_right / max(1, r.samples):6.1f} %"
        print(f"{r.label:<24} {real:>16} {drawn:>16}")


if __name__ == "__main__":
    main()
