import threading
import time
from collections.abc import Iterator

import pytest

from gen.errors import CheckpointError
from gen.live.ahead import Ahead
from gen.live.player import Piece
from gen.music.score import NoteEvent, Tempo

PATIENCE = 10.0  # seconds that a test waits for another thread


def note(seconds: float) -> NoteEvent:
    return NoteEvent(seconds, 0.1, 60, 80)


def waited_for(ahead: Ahead) -> Piece:
    """Returns the next piece, however long it takes."""
    end = time.monotonic() + PATIENCE
    while (piece := next(ahead)) is None:
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.001)
    return piece


def test_all_pieces_come_in_order_and_then_the_end() -> None:
    tune: list[Piece] = [Tempo(0, 500_000), *(note(0.1 * n) for n in range(200))]
    with Ahead(iter(tune), 1.0) as ahead:
        assert [waited_for(ahead) for _ in tune] == tune
        with pytest.raises(StopIteration):
            waited_for(ahead)


def test_it_pulls_as_far_ahead_as_it_should_and_no_farther() -> None:
    pulled: list[float] = []
    is_far = threading.Event()

    def endless() -> Iterator[Piece]:
        for number in range(1_000_000):
            pulled.append(number / 10)
            if number == 22:
                is_far.set()
            yield note(number / 10)

    with Ahead(endless(), 2.0) as ahead:
        assert waited_for(ahead) == note(0.0)
        assert waited_for(ahead) == note(0.1)
        assert waited_for(ahead) == note(0.2)
        assert is_far.wait(PATIENCE)
        time.sleep(0.05)  # it could go on, if it would
    assert pulled[-1] == pytest.approx(2.2)


def test_until_it_is_far_enough_ahead_nothing_comes() -> None:
    may_go_on = threading.Event()

    def pieces() -> Iterator[Piece]:
        yield note(0.0)
        yield note(0.5)
        may_go_on.wait(PATIENCE)
        yield note(1.0)
        yield note(3.0)

    with Ahead(pieces(), 1.0) as ahead:
        time.sleep(0.05)
        assert next(ahead) is None
        may_go_on.set()
        assert [waited_for(ahead) for _ in range(4)] == [note(0.0), note(0.5), note(1.0), note(3.0)]


def test_what_the_pieces_raise_comes_after_those_before_it() -> None:
    def broken() -> Iterator[Piece]:
        yield note(0.0)
        raise CheckpointError("model: its logits are not finite (nan)")

    with Ahead(broken(), 1.0) as ahead:
        assert waited_for(ahead) == note(0.0)
        with pytest.raises(CheckpointError):
            waited_for(ahead)


def test_leaving_ends_the_thread() -> None:
    def endless() -> Iterator[Piece]:
        while True:
            yield note(0.0)

    before = threading.active_count()
    with Ahead(endless(), 1.0) as ahead:
        waited_for(ahead)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
