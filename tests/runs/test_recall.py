"""The recall task: the gradient of a plain RNN vanishes, and gates keep it."""

import math

import pytest

from gen.errors import SettingError
from gen.runs.recall import Recall, train_on_recall


def lstm(*, clip_norm: float = 1.0, forget_bias: float = 1.0) -> Recall:
    return train_on_recall("lstm", delay=100, steps=3, clip_norm=clip_norm, forget_bias=forget_bias)


def test_at_a_lag_of_100_the_gradient_of_a_plain_rnn_is_a_hundredth_of_that_of_an_lstm_or_less() -> None:
    rnn, gated = (train_on_recall(cell, delay=100, steps=100) for cell in ("rnn", "lstm"))

    assert 100 * rnn.before.mean[100] < gated.before.mean[100]
    assert 100 * rnn.after.mean[100] < gated.after.mean[100]
    assert gated.after.mean[100] > 0


def test_an_lstm_learns_to_recall_over_a_short_delay() -> None:
    found = train_on_recall("lstm", delay=5, steps=200)
    assert found.share_recalled == 1.0
    assert found.after.nats < 0.1 < math.log(4) < found.before.nats


def test_an_open_forget_gate_keeps_the_gradient_before_any_training() -> None:
    # The gradient through the cell is the product of its forget gates: of about sigmoid(bias), 100 times.
    closed, opened = (lstm(forget_bias=bias).before.mean[100] for bias in (0.0, 3.0))
    expected = ((1 + math.exp(0)) / (1 + math.exp(-3))) ** 100
    assert math.log(opened / closed) == pytest.approx(math.log(expected), rel=0.5)


def test_training_is_the_same_again_and_clipping_changes_it() -> None:
    first, again, unclipped = lstm(clip_norm=0.01), lstm(clip_norm=0.01), lstm(clip_norm=math.inf)
    assert first.after.nats == again.after.nats
    assert first.after.nats != unclipped.after.nats
    assert first.max_grad_norm > 0.01  # before clipping


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"forget_bias": math.nan}, "--forget-bias: must be from -100 to 100"),
        ({"forget_bias": 101.0}, "--forget-bias: must be from -100 to 100"),
        ({"clip_norm": 0.0}, "--clip: must be above 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        lstm(**settings)
