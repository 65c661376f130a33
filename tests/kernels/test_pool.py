"""The pool of threads: pieces on any number of threads, from several callers, after a fork, with errors."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import torch

from gen.kernels.library import library
from gen.kernels.pool import num_threads, one_torch_thread, run_pieces, share

pytestmark = pytest.mark.skipif(library() is None, reason="NEEDS A C COMPILER: the kernels are not built")

NUM_PIECES = 40


@pytest.fixture(params=[1, 2, 3, 7])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def counted(seconds: float = 0.0) -> list[int]:
    """Runs NUM_PIECES pieces and returns how often each ran."""
    counts = [0] * NUM_PIECES

    def work(index: int) -> None:
        counts[index] += 1
        time.sleep(seconds)

    run_pieces(work, NUM_PIECES)
    return counts


@pytest.mark.usefixtures("threads")
def test_each_piece_runs_once() -> None:
    for _ in range(50):
        assert counted() == [1] * NUM_PIECES


@pytest.mark.usefixtures("three_threads")
def test_pieces_run_on_several_threads_and_no_more_than_asked() -> None:
    ids = set()

    def work(_: int) -> None:
        ids.add(threading.get_native_id())
        time.sleep(0.002)

    run_pieces(work, NUM_PIECES)
    assert 1 < len(ids) <= 3


@pytest.mark.usefixtures("three_threads")
def test_two_callers_at_once_both_get_their_pieces_done() -> None:
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda _: counted(0.0005), range(12)))
    assert found == [[1] * NUM_PIECES] * 12


@pytest.mark.usefixtures("three_threads")
def test_pieces_may_have_pieces_of_their_own() -> None:
    found: list[list[int]] = [[]] * 6

    def work(index: int) -> None:
        found[index] = counted()

    run_pieces(work, 6)
    assert found == [[1] * NUM_PIECES] * 6


@pytest.mark.usefixtures("three_threads")
def test_the_pool_works_in_a_child_after_a_fork() -> None:
    assert counted() == [1] * NUM_PIECES
    child = os.fork()
    if child == 0:
        os._exit(0 if counted(0.001) == [1] * NUM_PIECES else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counted() == [1] * NUM_PIECES


@pytest.mark.usefixtures("threads")
def test_what_a_piece_raises_reaches_the_caller() -> None:
    def work(index: int) -> None:
        if index == 3:
            raise ValueError(f"piece {index}")

    with pytest.raises(ValueError, match="piece 3"):
        run_pieces(work, NUM_PIECES)
    assert counted() == [1] * NUM_PIECES


@pytest.mark.usefixtures("three_threads")
def test_torch_is_held_to_one_thread_and_the_number_is_remembered() -> None:
    seen = set()
    with one_torch_thread():
        assert (torch.get_num_threads(), num_threads()) == (1, 3)
        run_pieces(lambda _: seen.add(torch.get_num_threads()), NUM_PIECES)
    assert seen == {1}
    assert (torch.get_num_threads(), num_threads()) == (3, 3)


@pytest.mark.usefixtures("threads")
def test_pieces_have_neither_gradients_nor_autocast() -> None:
    matrix, found = torch.ones(4, 4, requires_grad=True), [torch.empty(0)] * NUM_PIECES

    def work(index: int) -> None:
        found[index] = matrix @ matrix

    with torch.autocast("cpu", torch.bfloat16):
        run_pieces(work, NUM_PIECES)
    assert {(each.dtype, each.requires_grad) for each in found} == {(torch.float32, False)}


@pytest.mark.usefixtures("three_threads")
def test_the_share_is_low_where_pieces_do_not_get_the_processor() -> None:
    share()
    assert share() is None
    counted(0.005)  # asleep, as a thread is without a core
    shared = share()
    assert shared is not None
    assert shared < 0.5
    run_pieces(lambda _: sum(range(1_000_000)), 1)
    assert (share() or 0.0) > shared


@contextmanager
def another_holds_torch() -> Iterator[None]:
    """Lets another thread hold torch to one thread until the block ends."""
    inside, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with one_torch_thread():
            inside.set()
            may_end.wait(10)

    with ThreadPoolExecutor(1) as other:
        held = other.submit(hold)
        assert inside.wait(10)
        yield
        may_end.set()
        held.result()


@pytest.mark.usefixtures("three_threads")
def test_each_thread_gets_its_number_back_while_another_holds_torch() -> None:
    with ExitStack() as other:
        with one_torch_thread():
            other.enter_context(another_holds_torch())
        numbers = torch.get_num_threads(), num_threads()
    assert numbers == (3, 3)


@pytest.mark.usefixtures("three_threads")
def test_a_child_holds_torch_anew_when_its_parent_forked_beside_a_thread_that_held_it() -> None:
    with another_holds_torch():
        child = os.fork()
        if child == 0:
            with one_torch_thread():
                os._exit(0 if torch.get_num_threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
