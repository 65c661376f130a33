"""Guidance beside two steppers that are run by hand."""

import numpy as np
import pytest
import torch

from gen.config import CellName, ModelConfig, SamplingConfig
from gen.generation.generate import generate
from gen.generation.guidance import GUIDANCE, GuidedStepper
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper

ANYTHING, HIGH, LOW = 7, 8, 9  # a control and its values, of twelve ids
NEUTRAL = np.array([*range(7), ANYTHING, ANYTHING, ANYTHING, 10, 11])
BEGIN, END = 10, 11
CELLS = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])


def stepper(cell: CellName = "lstm", *, num_labels: int = 0) -> PackedStepper:
    config = ModelConfig(
        vocab_size=12, cell=cell, hidden_size=24, num_layers=2, embedding_size=8, num_labels=num_labels
    )
    model = RecurrentLM(config, torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.output.weight.mul_(8)
    return PackedStepper(model)


@CELLS
@pytest.mark.parametrize("num_labels", [0, 2])
def test_logits_go_beyond_those_of_the_asked_row_seen_from_one_that_is_asked_nothing(
    cell: CellName, num_labels: int
) -> None:
    plain = stepper(cell, num_labels=num_labels)
    guided = GuidedStepper(plain, NEUTRAL)
    labels = torch.tensor([0, num_labels, 0])
    state, asked_state, any_state = guided.initial_state(labels), *(plain.initial_state(labels) for _ in range(2))
    logits = asked = torch.zeros(3, 12)
    for tokens in ([BEGIN] * 3, [HIGH, LOW, ANYTHING], [1, 2, 3], [4, 4, 4]):
        logits, state = guided.step(torch.tensor(tokens), state)
        asked, asked_state = plain.step(torch.tensor(tokens), asked_state)
        anything, any_state = plain.step(torch.from_numpy(NEUTRAL[tokens]), any_state)
        torch.testing.assert_close(logits, (1 - GUIDANCE) * anything + GUIDANCE * asked, rtol=1e-5, atol=1e-5)
    assert not torch.equal(logits[:2], asked[:2])


def test_where_nothing_is_asked_the_bits_are_those_of_the_model() -> None:
    plain = stepper()
    guided = GuidedStepper(plain, NEUTRAL)
    labels = torch.zeros(4, dtype=torch.int64)
    state, plain_state = guided.initial_state(labels), plain.initial_state(labels)
    for token in (BEGIN, ANYTHING, 3, 1, ANYTHING, 6):
        tokens = torch.full((4,), token)
        logits, state = guided.step(tokens, state)
        expected, plain_state = plain.step(tokens, plain_state)
        assert torch.equal(logits, expected)


@CELLS
def test_a_guided_sample_is_the_same_alone_and_among_others_that_end(cell: CellName) -> None:
    guided = GuidedStepper(stepper(cell), NEUTRAL)

    def rows(count: int) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in range(count)]
        for item in generate(
            guided,
            prompt=[HIGH, 2],
            begin=BEGIN,
            end=END,
            length=80,
            sampling=SamplingConfig(0.9),
            seed=4,
            num_samples=count,
        ):
            found[item.row].append(item.token)
        return found

    many = rows(24)
    assert len({len(row) for row in many}) > 3
    assert rows(5) == many[:5]
