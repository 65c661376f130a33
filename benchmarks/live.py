"""Measures the lateness of notes in `gen play`, by a port that records the time of each call.

    python benchmarks/live.py RUN [--seconds 30] [--temperature 1.0] [--look-ahead 1.0]

A trained run draws the music while it plays on the machine's own clock, as in `gen play`. The lateness of a note-on is
the time of its call minus the onset that the model wrote, minus the same difference of the most punctual call. So it is
the lateness of notes relative to each other, and includes a drift of the clock. A pause, where the machine gave the
model less time than its music takes, is counted apart, and lateness is measured anew after it.

RUN is a name below checkpoints/ here, or a path. The exit code is 1 if the median is over 5 ms or a note hangs. The
last line is JSON.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import mido
import numpy as np
from numpy.typing import NDArray

from gen.cli.playing import loaded_music
from gen.config import SamplingConfig
from gen.live.ahead import Ahead
from gen.live.pieces import Stop, endless_pieces
from gen.live.player import Moment, Piece, Player, RealClock, punctual
from gen.music.score import NoteEvent
from gen.runs.header import versions

MAX_MEDIAN_MS = 5.0


class NotingPort:
    """A port that notes when it was called, and with what."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, mido.Message]] = []

    def send(self, message: mido.Message) -> None:
        """Takes a message."""
        self.calls.append((time.monotonic(), message))


def main() -> None:
    """Reads the arguments, plays, prints."""
    parser = argparse.ArgumentParser(description="Measure how punctual live playing is.")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="how long it plays")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T")
    parser.add_argument("--look-ahead", type=float, default=1.0, metavar="S")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    result = summary(play(arguments))
    print(
        f"{result['notes']} notes in {result['seconds']:.0f} s, {result['pauses']} pauses; lateness "
        f"median {result['median_ms']:.2f} ms, 95 % {result['p95_ms']:.2f} ms, worst {result['worst_ms']:.2f} ms; "
        f"{result['hanging']} hanging"
    )
    print(json.dumps({"benchmark": "live", **result, "versions": versions()}))
    sys.exit(result["median_ms"] > MAX_MEDIAN_MS or result["hanging"] > 0)


class Played(NamedTuple):
    """What was played."""

    calls: list[tuple[float, mido.Message]]  # of the port, with their seconds
    onsets: list[float]  # that the model wrote, in order
    pauses: list[int]  # before each note-on
    last: Moment


def play(arguments: argparse.Namespace) -> Played:
    """Plays for so many seconds."""
    stop, port, onsets, pauses = Stop(), NotingPort(), list[float](), list[int]()
    run = loaded_music(arguments.run)
    steering = partial(SamplingConfig, arguments.temperature)  # as under the knobs of `gen play`
    pieces = endless_pieces(run, run.request(length=None, seed=arguments.seed, sampling=steering), stop=stop)

    def noted(taken: Iterator[Piece | None]) -> Iterator[Piece | None]:
        for piece in taken:
            if isinstance(piece, NoteEvent):
                onsets.append(piece.onset_seconds)
            yield piece

    last = Moment(0.0, 0, 0)
    with punctual(), Ahead(pieces, arguments.look_ahead) as ahead, Player(port, RealClock()) as player:
        for last in player.play(noted(ahead)):
            pauses += [last.num_stalls] * (last.num_notes - len(pauses))
            if last.seconds > arguments.seconds:
                break
        stop.is_asked = True
    return Played(port.calls, onsets, pauses, last)


def summary(played: Played) -> dict[str, Any]:
    """Returns the figures."""
    called = np.array([seconds for seconds, message in played.calls if message.type == "note_on"])
    late_ms = lateness_ms(called - np.array(played.onsets[: len(called)]), np.array(played.pauses))
    balance = Counter[tuple[int, int]]()
    for _, message in played.calls:
        if message.type in ("note_on", "note_off"):
            balance[message.channel, message.note] += 1 if message.type == "note_on" else -1
    return {
        "notes": len(called),
        "seconds": round(played.last.seconds, 1),
        "pauses": played.last.num_stalls,
        "median_ms": round(float(np.median(late_ms)), 3),
        "p95_ms": round(float(np.percentile(late_ms, 95)), 3),
        "worst_ms": round(float(late_ms.max()), 3),
        "hanging": sum(abs(number) for number in balance.values()),
    }


def lateness_ms(differences: NDArray[np.float64], pauses: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns (N,) how late each note is against the most punctual one between the same two pauses.

    Args:
        differences: (N,) from the onset to the call, in seconds of two clocks.
        pauses: (N,) how many there were before each.
    """
    late = differences.copy()
    for number in np.unique(pauses):
        late[pauses == number] -= late[pauses == number].min()
    return late * 1e3


if __name__ == "__main__":
    main()
