"""The translator against torch's own modules in float64, and its steps against whole targets."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from gen.config import CellName, ModelConfig
from gen.models.translator import RecurrentTranslator

B, S, T, V, E, H = 4, 6, 5, 11, 8, 16
LENGTHS = torch.tensor([6, 1, 3, 5])
BEGIN = 9


def new_model(
    cell: CellName = "lstm", num_layers: int = 1, *, has_attention: bool = True, is_bidirectional: bool = True
) -> RecurrentTranslator:
    config = ModelConfig(
        V, cell, H, num_layers, E, task="pairs", is_bidirectional=is_bidirectional, has_attention=has_attention
    )
    return RecurrentTranslator(config, torch.Generator().manual_seed(0))


def tokens() -> tuple[Tensor, Tensor]:
    """Returns sources and inputs."""
    generator = torch.Generator().manual_seed(1)
    sources = torch.randint(V, (B, S), generator=generator)
    inputs = torch.randint(V, (B, T), generator=generator)
    inputs[:, 0] = BEGIN
    return sources, inputs


def by_torch(model: RecurrentTranslator, sources: Tensor, inputs: Tensor) -> Tensor:
    """Returns the logits of an LSTM translator of one layer from packed nn.LSTM modules, in float64."""
    model = model.double()
    encoder = nn.LSTM(E, H, bidirectional=True, dtype=torch.float64)
    assert model.reverse_layers is not None
    own = dict(model.layers[0].named_parameters())
    own |= {f"{name}_reverse": value for name, value in model.reverse_layers[0].named_parameters()}
    encoder.load_state_dict(own)
    packed = pack_padded_sequence(model.embedding(sources), LENGTHS, batch_first=True, enforce_sorted=False)
    ys, (ends, _) = encoder(packed)
    values, _ = nn.utils.rnn.pad_packed_sequence(ys)  # (S, B, 2H)
    h, c = torch.tanh(model.bridge(torch.cat((ends[0], ends[1]), 1))).chunk(2, 1)
    hs, _ = model.target_layers[0](model.embedding(inputs.t()), (h[None], c[None]))
    if model.attention is not None:
        attention = model.attention
        scores = attention.score(torch.tanh(attention.query(hs)[:, None] + attention.key(values)))[..., 0]
        padding = torch.arange(S)[:, None] >= LENGTHS
        weights = scores.masked_fill(padding, -torch.inf).softmax(1)
        context = torch.einsum("tsb,sbf->tbf", weights, values)
        assert model.joint is not None
        hs = torch.tanh(model.joint(torch.cat((context, hs), 2)))
    logits: Tensor = model.output(hs)
    return logits.transpose(0, 1)


@pytest.mark.parametrize("has_attention", [True, False])
def test_logits_equal_those_of_torchs_modules(has_attention: bool) -> None:
    model, (sources, inputs) = new_model(has_attention=has_attention), tokens()

    found = model(inputs, model.encode(sources, LENGTHS)).double()

    # float32 against float64: rounding of 1e-7 a sum
    torch.testing.assert_close(found, by_torch(model, sources, inputs), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("cell", "layers"), [*product(("rnn", "lstm", "gru"), (1, 2, 3))])
def test_steps_equal_the_whole_target(cell: CellName, layers: int) -> None:
    model, (sources, inputs) = new_model(cell, layers), tokens()

    encoded = model.encode(sources, LENGTHS)
    whole = model(inputs, encoded)
    stepped = []
    for token in inputs.t():
        logits, encoded = model.step(token, encoded)
        stepped.append(logits)

    torch.testing.assert_close(torch.stack(stepped, 1), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("is_bidirectional", [True, False])
def test_a_target_does_not_depend_on_the_pairs_beside_it(is_bidirectional: bool) -> None:
    model, (sources, inputs) = new_model(num_layers=2, is_bidirectional=is_bidirectional), tokens()

    together = model(inputs, model.encode(sources, LENGTHS))

    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(inputs[row : row + 1], model.encode(sources[row : row + 1, :length], LENGTHS[row : row + 1]))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


def test_without_attention_only_the_first_memory_tells_of_the_source() -> None:
    model, (sources, inputs) = new_model(has_attention=False), tokens()

    encoded = model.encode(sources, LENGTHS)
    swapped = model.encode(sources.flip(0), LENGTHS.flip(0))._replace(memory=encoded.memory)

    assert torch.equal(model(inputs, swapped), model(inputs, encoded))


def test_loss_sums_the_nats_of_the_targets_without_padding() -> None:
    model, (sources, inputs) = new_model(), tokens()
    targets = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(2))
    targets[0, 2:] = targets[1] = -1

    nats, memory = model.loss((sources, LENGTHS, inputs, targets), ())

    log_probs = model(inputs, model.encode(sources, LENGTHS)).log_softmax(2)
    wanted = -sum(
        log_probs[b, t, target].item() for b in range(B) for t, target in enumerate(targets[b].tolist()) if target >= 0
    )
    assert nats.item() == pytest.approx(wanted, rel=1e-5)
    assert memory == ()


def test_chance_is_that_of_a_fresh_output_layer() -> None:
    model, (sources, inputs) = new_model(), tokens()
    with torch.no_grad():
        model.output.weight.zero_()

    nats, _ = model.loss((sources, LENGTHS, inputs, inputs), ())

    assert nats.item() / (B * T) == pytest.approx(model.chance_nats()) == pytest.approx(math.log(V))
