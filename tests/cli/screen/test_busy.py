"""Words on other programs: with made-up shares, and beside programs that really keep a core busy."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from gen.cli.screen.busy import BusyWatch, busy_words
from gen.kernels.library import library

NUM_NEIGHBOURS = 3
ON_ONE_CORE = "import os; os.sched_setaffinity(0, {{{}}}); {}"


def believed(shares: Sequence[float | None]) -> list[bool]:
    """Returns what a watch believes after each look, a second apart."""
    seconds = count(1)
    left = iter([1.0, *shares])
    watch = BusyWatch(lambda: next(left), lambda: 1.5 * next(seconds))
    found = []
    for _ in shares:
        watch.look()
        found.append(watch.is_busy)
    return found


def test_a_low_share_is_believed_after_five_looks_and_a_high_one_too() -> None:
    shares = [1.0, *[0.6] * 6, *[1.0] * 6]
    assert believed(shares) == [*[False] * 5, *[True] * 6, False, False]


def test_a_moment_of_another_program_is_not_told() -> None:
    assert not any(believed([0.1, 1.0, *[0.5] * 4, 1.0, 0.6, 0.72, 0.6, 0.6]))


def test_a_share_between_both_bounds_changes_nothing() -> None:
    assert believed([*[0.72] * 9, *[0.5] * 5, *[0.72] * 9]) == [*[False] * 13, *[True] * 10]


def test_work_without_the_kernels_says_nothing() -> None:
    assert not any(believed([None] * 9))


@pytest.mark.parametrize(
    ("share", "threads", "words"), [(0.66, 2, "1.3 of 2 threads"), (0.5, 1, "50 % of a thread"), (0.77, 16, "12.3 of")]
)
def test_the_words_count_threads(share: float, threads: int, words: str) -> None:
    assert words in busy_words(share, threads)


@contextmanager
def neighbours(core: int) -> Iterator[None]:
    busy = ON_ONE_CORE.format(core, "\nwhile True: pass")
    processes = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(NUM_NEIGHBOURS)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
@pytest.mark.skipif(library() is None, reason="no C compiler, or no kernels for this processor")
def test_training_says_once_that_other_programs_use_the_processor(tmp_path: Path) -> None:
    corpus = tmp_path / "fox.txt"
    corpus.write_text("The quick brown fox jumps over the lazy dog.\n" * 2000, encoding="utf-8")
    core = min(os.sched_getaffinity(0))
    code = ON_ONE_CORE.format(core, "from gen.cli.main import main; main()")
    options = ["--run", "a", "--out", str(tmp_path), "--minutes", "0.25", "--hidden", "64"]
    with neighbours(core):
        done = subprocess.run(
            [sys.executable, "-c", code, "train", str(corpus), *options], capture_output=True, text=True, check=True
        )
    lines = [line for line in done.stderr.splitlines() if "another program" in line]
    assert len(lines) == 1
    assert re.fullmatch(r"another program is using the processor: \d+ % of a thread", lines[0])
