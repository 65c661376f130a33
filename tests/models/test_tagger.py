"""Tags of words: the tagger against torch's own LSTM on each sentence alone, and its loss."""

import math

import pytest
import torch
from torch import Tensor, nn

from gen.config import ModelConfig
from gen.models.stack import Stack
from gen.models.tagger import RecurrentTagger

V, E, H, K, BOUNDARY = 11, 5, 7, 3, 10
# Three sentences by the lengths of their words.
SENTENCES = ((1, 4, 2), (3,), (2, 2, 1, 5))


def new_model(*, num_layers: int = 2, is_bidirectional: bool = True, cell: str = "lstm") -> RecurrentTagger:
    config = ModelConfig(V, cell, H, num_layers, E, num_labels=K, task="tag", is_bidirectional=is_bidirectional)
    return RecurrentTagger(config, torch.Generator().manual_seed(0)).double()


def batch() -> tuple[Tensor, ...]:
    """Returns tokens, lengths, boundaries, num_words and tags of the sentences."""
    draw = torch.Generator().manual_seed(1)
    lengths = [1 + sum(size + 1 for size in words) for words in SENTENCES]
    tokens = torch.randint(BOUNDARY, (len(SENTENCES), max(lengths)), generator=draw)
    boundaries = torch.zeros(len(SENTENCES), 1 + max(map(len, SENTENCES)), dtype=torch.long)
    tags = torch.full((len(SENTENCES), max(map(len, SENTENCES))), -1)
    for row, words in enumerate(SENTENCES):
        at = 0
        for n, size in enumerate((-1, *words)):
            at += size + 1
            boundaries[row, n] = at
            tokens[row, at] = BOUNDARY
        tags[row, : len(words)] = torch.randint(K, (len(words),), generator=draw)
    return tokens, torch.tensor(lengths), boundaries, torch.tensor([len(words) for words in SENTENCES]), tags


def plain_lstm(stack: Stack, back: Stack, n: int) -> nn.LSTM:
    """Returns torch's bidirectional layer with the weights of layer n of both stacks."""
    layer = nn.LSTM(stack.input_sizes[n], H, bidirectional=True, dtype=torch.float64)
    for suffix, ours in (("", stack[n]), ("_reverse", back[n])):
        for name, parameter in ours.named_parameters():
            getattr(layer, f"{name}{suffix}").data.copy_(parameter.data)
    return layer


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_logits_are_those_of_torchs_layers_on_each_sentence_alone(num_layers: int) -> None:
    model = new_model(num_layers=num_layers)
    assert model.reverse_layers is not None
    tokens, lengths, boundaries, num_words, _ = batch()

    logits = model(tokens, lengths, boundaries, num_words)

    for row, words in enumerate(SENTENCES):
        outputs, _ = plain_lstm(model.layers, model.reverse_layers, 0)(model.embedding(tokens[row, : lengths[row]]))
        at = boundaries[row, : len(words) + 1]
        x = torch.cat((outputs[at[1:], :H], outputs[at[:-1], H:]), 1)
        for n in range(1, num_layers):
            x, _ = plain_lstm(model.layers, model.reverse_layers, n)(x)
        torch.testing.assert_close(logits[row, : len(words)], model.answer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_in_one_direction_a_tag_depends_on_nothing_that_follows_its_word(cell: str) -> None:
    model = new_model(is_bidirectional=False, cell=cell)
    tokens, lengths, boundaries, num_words, _ = batch()
    changed = tokens.clone()
    end = int(boundaries[2, 2])
    changed[2, end + 1 : end + 2] = (changed[2, end + 1 : end + 2] + 1) % BOUNDARY

    before, after = (model(each, lengths, boundaries, num_words)[2] for each in (tokens, changed))

    assert torch.equal(before[:2], after[:2])
    assert not torch.equal(before[2], after[2])


def test_loss_sums_the_nats_of_all_words_and_of_no_padding() -> None:
    model = new_model()
    *inputs, tags = batch()

    nats, memory = model.loss((*inputs, tags), ())

    probabilities = model(*inputs).softmax(2).detach()
    wanted = sum(
        -math.log(probabilities[row, n, tags[row, n]]) for row, words in enumerate(SENTENCES) for n in range(len(words))
    )
    assert nats.item() == pytest.approx(wanted, rel=1e-6)  # the loss is in float32
    assert memory == ()


def test_chance_is_that_of_a_fresh_answer_layer() -> None:
    model = new_model()
    with torch.no_grad():
        model.answer.weight.zero_()

    nats, _ = model.loss(batch(), ())

    assert nats.item() / sum(map(len, SENTENCES)) == pytest.approx(model.chance_nats()) == pytest.approx(math.log(K))


def test_every_weight_but_those_of_unread_symbols_gets_a_gradient() -> None:
    model = new_model(num_layers=3)

    torch.autograd.backward(model.loss(batch(), ())[0])

    assert [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []
