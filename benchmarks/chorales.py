"""Measures the exact nats of the JSB chorales, a quarter note at a time, jointly for all notes.

    python benchmarks/chorales.py jsb-chorales-quarter.json [--minutes 30] [--only gen] [options of gen train]

The file holds the split of Boulanger-Lewandowski, Bengio and Vincent 2012 (229, 76 and 77 chorales) as lists of chords.
gen reads each chorale as a text: a character for each pitch of a chord, the highest first, then a line end. By the
chain rule the nats of these characters add up to those of the whole chorale, including the end of the text. So the
distribution over the notes of a chord is joint, and nothing is conditioned away. gen trains on the chorales in all
keys, and keeps the weights that are best on the validation part.

The usual baseline is an LSTM over the 88 keys with independent sigmoids, trained here on the same chorales in torch
alone. (Bai, Kolter and Koltun 2018 report 8.45 nats a frame for an LSTM and 8.10 for their TCN; Boulanger-Lewandowski
et al. report 5.56 for RNN-NADE.) The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.runs.header import versions

Chorale = list[list[int]]  # chords of MIDI pitches

FIRST_LETTER = 0x100  # of pitch 0
KEYS = range(-5, 7)  # semitones that the chorales are moved by
MIN_KEY, NUM_KEYS = 21, 88


def main() -> None:
    """Reads the arguments, trains, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure the joint nats of the JSB chorales.", allow_abbrev=False)
    parser.add_argument("chorales", metavar="JSON", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--only", choices=("gen", "sigmoids"))
    arguments, options = parser.parse_known_args()
    splits: dict[str, list[Chorale]] = json.loads(arguments.chorales.read_text(encoding="utf-8"))
    results: dict[str, Any] = {}
    if arguments.only != "sigmoids":
        results["gen"] = measure_gen(splits, arguments.minutes, options)
    if arguments.only != "gen":
        results["sigmoids"] = {"test": measure_sigmoids(splits)}
    for name, result in results.items():
        print(f"{name:>10}  " + "  ".join(f"{what} {value:.3f}" for what, value in result.items()))
    print(
        json.dumps({"benchmark": "chorales", "minutes": arguments.minutes, "results": results, "versions": versions()})
    )


def measure_gen(splits: dict[str, list[Chorale]], minutes: float, options: Sequence[str]) -> dict[str, float]:
    """Returns nats a frame of the validation and the test part, and nats a note of the test part."""
    with tempfile.TemporaryDirectory(prefix="gen-chorales-") as name:
        folder = Path(name)
        write_texts(folder / "train", (moved(chorale, key) for chorale in splits["train"] for key in KEYS))
        for part in ("valid", "test"):
            write_texts(folder / part, splits[part])
        files = ("train", "--valid-file", "valid", "--test-file", "test", "--labels", "none")
        gen(folder, "train", *files, "--run", "jsb", "--minutes", str(minutes), *options)
        found = {part: gen(folder, "eval", "jsb", part) for part in ("valid", "test")}
    nats = {part: result["nats_per_token"] * result["tokens"] for part, result in found.items()}
    num_notes = sum(len(chord) for chorale in splits["test"] for chord in chorale)
    return {part: nats[part] / num_frames(splits[part]) for part in nats} | {"test, a note": nats["test"] / num_notes}


def write_texts(folder: Path, chorales: Iterator[Chorale] | list[Chorale]) -> None:
    """Writes a text for each chorale."""
    folder.mkdir()
    for number, chorale in enumerate(chorales):
        lines = ("".join(chr(FIRST_LETTER + pitch) for pitch in sorted(chord, reverse=True)) for chord in chorale)
        (folder / f"{number:04}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def moved(chorale: Chorale, semitones: int) -> Chorale:
    """Returns a chorale in another key."""
    return [[pitch + semitones for pitch in chord] for chord in chorale]


def num_frames(chorales: list[Chorale]) -> int:
    """Returns how many quarter notes there are."""
    return sum(map(len, chorales))


def gen(folder: Path, *arguments: str) -> Any:
    """Runs gen in a folder as a user would and returns its JSON; what it tells people goes to stderr."""
    done = subprocess.run(  # noqa: S603 - gen itself
        [sys.executable, "-m", "gen", *arguments, "--json"],
        cwd=folder,
        env=os.environ | {"GEN_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


class Sigmoids(nn.Module):
    """Each key of the next frame by itself, from all frames before."""

    def __init__(self, hidden_size: int = 200) -> None:
        super().__init__()
        self.lstm = nn.LSTM(NUM_KEYS, hidden_size)
        self.output = nn.Linear(hidden_size, NUM_KEYS)

    def nats(self, roll: Tensor) -> Tensor:
        """Returns () the summed nats of all frames, (T, 88), of one chorale; the first is predicted from silence."""
        before = torch.cat([torch.zeros(1, NUM_KEYS), roll[:-1]])
        hidden, _ = self.lstm(before)
        kept = functional.dropout(hidden, 0.2, self.training)
        return functional.binary_cross_entropy_with_logits(self.output(kept), roll, reduction="sum")


def measure_sigmoids(splits: dict[str, list[Chorale]], *, num_epochs: int = 60) -> float:
    """Returns nats a frame of the test part, at the epoch that was best for the validation part."""
    torch.manual_seed(0)
    rolls = {part: [roll_of(chorale) for chorale in chorales] for part, chorales in splits.items()}
    model = Sigmoids()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    best, test = float("inf"), float("inf")
    for _ in range(num_epochs):
        model.train()
        for n in torch.randperm(len(rolls["train"])).tolist():
            loss = model.nats(rolls["train"][n]) / len(rolls["train"][n])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        if (valid := nats_a_frame(model, rolls["valid"])) < best:
            best, test = valid, nats_a_frame(model, rolls["test"])
    return test


@torch.inference_mode()
def nats_a_frame(model: Sigmoids, rolls: list[Tensor]) -> float:
    """Returns the mean over all frames of all chorales."""
    model.eval()
    return sum(model.nats(roll).item() for roll in rolls) / sum(map(len, rolls))


def roll_of(chorale: Chorale) -> Tensor:
    """Returns (T, 88), 1 where a key sounds."""
    roll = torch.zeros(len(chorale), NUM_KEYS)
    for frame, chord in enumerate(chorale):
        roll[frame, [pitch - MIN_KEY for pitch in chord]] = 1.0
    return roll


if __name__ == "__main__":
    main()
