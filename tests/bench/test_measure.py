from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gen.bench.limits import product_limit, reading_limit
from gen.bench.measure import measure, num_measurements
from gen.bench.ours import draw_ours, new_model, step_ours, train_ours
from gen.bench.peer import Peer, step_peer, train_peer
from gen.bench.plan import Plan, plan_of_sizes
from gen.config import CellName, Precision
from gen.errors import SettingError
from gen.models.cells import CELLS
from gen.models.stepper import PackedStepper

CPU = torch.device("cpu")
SIZES = {"hidden_size": 8, "embedding_size": 4, "vocab_size": 11, "batch_size": 3, "bptt": 8, "precision": "fp32"}


def tiny(given: dict[str, Any] | None = None, **options: Any) -> Plan:
    return plan_of_sizes(SIZES | (given or {}), device="cpu", **{"seconds": 0.001, "rows": (1, 2)} | options)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("is_tied", "embedding"), [(False, 4), (True, 4), (True, 8)])
def test_the_peer_has_as_many_weights(cell: CellName, layers: int, is_tied: bool, embedding: int) -> None:
    plan = tiny({"cell": cell, "num_layers": layers, "embedding_size": embedding})
    config = replace(plan.model, is_tied=is_tied)
    peer = Peer(config, CPU)
    assert sum(p.numel() for p in peer.parameters()) == new_model(replace(plan, model=config)).num_parameters()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_trainers_train_every_token_of_a_batch(cell: CellName, precision: Precision) -> None:
    plan = tiny({"cell": cell, "num_layers": 2, "precision": precision, "dropout": 0.1})
    for step in (train_ours(plan), train_peer(plan)):
        assert step() == step() == 3 * 8


@pytest.mark.parametrize("cell", CELLS)
def test_every_way_to_sample_counts_a_token_a_row(cell: CellName) -> None:
    plan = tiny({"cell": cell})
    stepper = PackedStepper(new_model(plan))
    for step in (step_ours(stepper, 5), draw_ours(plan, stepper, 5), step_peer(plan, 5)):
        assert step() == step() == 5


def test_models_and_peers_have_the_same_weights_every_time() -> None:
    plan = tiny()
    for one, other in ((new_model(plan), new_model(plan)), (Peer(plan.model, CPU), Peer(plan.model, CPU))):
        assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("num_bytes", [1, 4096, 3_000_004])
def test_every_reading_counts_all_its_bytes_and_at_least_a_mebibyte(num_bytes: int) -> None:
    counts = [work() for work in reading_limit(CPU, num_bytes).works]
    assert min(counts) >= max(num_bytes, 1 << 20)
    assert all(count % 8 == 0 for count in counts)


@pytest.mark.parametrize(("precision", "ways"), [("fp32", 2), ("bf16", 1)])
def test_a_product_counts_two_operations_a_multiply_add(precision: Precision, ways: int) -> None:
    assert [work() for work in product_limit(CPU, precision).works] == [2.0 * 1024**3] * ways


def test_every_measurement_is_announced_in_order() -> None:
    turns: list[tuple[str, int, int]] = []
    plan = tiny()
    measure(plan, lambda what, done, total: turns.append((what, done, total)))
    assert [done for _, done, _ in turns] == list(range(num_measurements(plan)))
    assert {total for _, _, total in turns} == {num_measurements(plan)}
    assert turns[0][0] == "training: gen"


def test_shares_and_ratios_follow_from_what_was_measured() -> None:
    report = measure(tiny(), lambda *_: None)
    training = report.training
    one, two = (sampling for sampling in report.sampling if sampling.precision == "fp32")
    assert training.ratio == training.tokens_per_second / training.peer_tokens_per_second
    assert training.share == pytest.approx(
        training.tokens_per_second * training.flops_per_token / training.limit_gflops / 1e9
    )
    assert one.gigabytes_per_second == pytest.approx(one.tokens_per_second * one.weight_bytes / 1e9)
    assert two.gigabytes_per_second == pytest.approx(two.tokens_per_second / 2 * two.weight_bytes / 1e9)


def test_without_kernels_few_rows_are_sampled_on_one_thread_unless_threads_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gen.bench.measure.has_step_kernel", lambda: False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        few = measure(tiny(few_rows=2), lambda *_: None)
        given = measure(tiny(few_rows=2, threads=2), lambda *_: None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {(sampling.rows, sampling.threads) for sampling in few.sampling} == {(1, 1), (2, 2)}
    assert {(sampling.rows, sampling.threads) for sampling in given.sampling} == {(1, 2), (2, 2)}


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    measure(tiny(rows=(1,)), lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_without_options_the_sizes_are_those_of_gen_train_and_nothing_is_dropped() -> None:
    plan = plan_of_sizes({}, device="cpu")
    assert (plan.model.hidden_size, plan.model.vocab_size, plan.model.dropout) == (768, 67, 0.0)


@pytest.mark.parametrize(
    "options", [{"seconds": 0.0}, {"seconds": float("nan")}, {"threads": 0}, {"rows": (1, 0)}, {"rows": (65537,)}]
)
def test_a_number_out_of_range_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        tiny(**options)
