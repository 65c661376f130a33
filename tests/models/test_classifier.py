"""Labels out of sequences: poolings against naive ones, and the classifier's loss."""

import math

import pytest
import torch
from torch import Tensor

from gen.config import ModelConfig, PoolingName
from gen.models.classifier import RecurrentClassifier
from gen.models.pooling import Pooled, Pooling

T, B, F, V, K = 6, 4, 8, 11, 3
LENGTHS = torch.tensor([6, 1, 3, 5])


def naive(name: PoolingName, pooling: Pooling, ys: Tensor) -> Tensor:
    """Pools (T, F) outputs of one row without padding."""
    if name == "last":
        return torch.cat((ys[-1, : F // 2], ys[0, F // 2 :]))
    if name == "mean":
        return ys.mean(0)
    if name == "max":
        return ys.max(0).values
    assert pooling.score is not None
    weights: Tensor = pooling.score(ys)[:, 0].softmax(0)
    return weights @ ys


def new_model(pooling: PoolingName = "max") -> RecurrentClassifier:
    config = ModelConfig(V, "lstm", 16, 1, 8, num_labels=K, task="classify", is_bidirectional=True, pooling=pooling)
    return RecurrentClassifier(config, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["last", "mean", "max", "attention"])
def test_pooling_of_padded_rows_equals_that_of_each_row_alone(name: PoolingName) -> None:
    torch.manual_seed(0)
    pooling, ys = Pooling(name, F), torch.randn(T, B, F)

    pooled = pooling(Pooled(ys, LENGTHS, 2))

    wanted = torch.stack([naive(name, pooling, ys[:length, row]) for row, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(pooled, wanted)


@pytest.mark.parametrize("name", ["last", "mean", "max", "attention"])
def test_answer_of_a_passage_does_not_depend_on_the_passages_beside_it(name: PoolingName) -> None:
    model = new_model(pooling=name)
    tokens = torch.randint(V, (B, T))

    together = model(tokens, LENGTHS)

    alone = [model(tokens[row : row + 1, :length], LENGTHS[row : row + 1]) for row, length in enumerate(LENGTHS)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


def test_loss_sums_the_nats_of_labels_by_the_weights_of_rows() -> None:
    model, tokens = new_model(), torch.randint(V, (B, T))
    labels, weights = torch.tensor([0, 2, 1, 1]), torch.tensor([1.0, 2.0, 0.0, 0.5])

    nats, memory = model.loss((tokens, LENGTHS, labels, weights), ())

    chances = model(tokens, LENGTHS).softmax(1)[torch.arange(B), labels]
    assert nats.item() == pytest.approx(-(weights * chances.log()).sum().item(), abs=1e-5)
    assert memory == ()


def test_chance_is_that_of_a_fresh_answer_layer() -> None:
    model = new_model()
    with torch.no_grad():
        model.answer.weight.zero_()

    nats, _ = model.loss((torch.randint(V, (B, T)), LENGTHS, torch.zeros(B, dtype=torch.long), torch.ones(B)), ())

    assert nats.item() / B == pytest.approx(model.chance_nats()) == pytest.approx(math.log(K))
