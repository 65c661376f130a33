"""The best so far, patience, and the metrics file."""

import json
from pathlib import Path

from gen.config import from_json, to_json
from gen.runs.history import History, Metrics


def test_best_is_the_lowest_validation_and_patience_counts_since_then() -> None:
    history = History()

    flags = [history.add(nats, nats * 2, step) for step, nats in enumerate([3.0, 2.0, 2.5, 2.0, float("nan")])]

    assert flags == [True, True, False, False, False]
    assert (history.best_nats, history.best_bits_per_unit, history.best_step) == (2.0, 4.0, 1)
    assert history.num_since_best == 3
    assert from_json(History, to_json(history)) == history


def test_metrics_drop_lines_past_the_step_and_half_lines_of_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 25}\n{"step": 50}\n{"step": 75}\n{"st', encoding="utf-8")

    metrics = Metrics(path, step=50)
    metrics.write({"step": 75, "train_nats": 1.5})
    metrics.close()

    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [25, 50, 75]
