"""Weights that move to a model of another vocabulary."""

import pytest
import torch

from gen.codec import BEGIN, END, Vocab
from gen.config import ModelConfig
from gen.errors import SettingError
from gen.models.recurrent import RecurrentLM
from gen.models.transfer import transfer_

OLD, NEW = Vocab(("a", "b", "c", BEGIN, END)), Vocab(("b", "x", "a", "y", BEGIN, END))


def new_model(
    vocab: Vocab, seed: int, num_labels: int = 0, hidden_size: int = 8, *, has_variations: bool = False
) -> RecurrentLM:
    config = ModelConfig(len(vocab), "lstm", hidden_size, 2, 4, num_labels=num_labels, has_variations=has_variations)
    return RecurrentLM(config, torch.Generator().manual_seed(seed))


def moved(old: RecurrentLM, new: RecurrentLM, labels: tuple[str, ...] = (), old_labels: tuple[str, ...] = ()) -> int:
    tensors = dict(old.named_parameters())
    return transfer_(new, tensors, vocab=NEW, old_vocab=OLD, labels=labels, old_labels=old_labels)


def test_rows_move_by_symbol_and_new_symbols_keep_their_start() -> None:
    old, new, untouched = new_model(OLD, 0), new_model(NEW, 1), new_model(NEW, 1)

    assert moved(old, new) == 4  # a, b, Begin, End

    for symbol in ("a", "b", BEGIN, END):
        assert torch.equal(new.embedding.weight[NEW.index[symbol]], old.embedding.weight[OLD.index[symbol]])
        assert torch.equal(new.output.weight[NEW.index[symbol]], old.output.weight[OLD.index[symbol]])
    for symbol in ("x", "y"):
        assert torch.equal(new.embedding.weight[NEW.index[symbol]], untouched.embedding.weight[NEW.index[symbol]])
    upper = "layers.1.weight_hh_l0"
    assert torch.equal(new.get_parameter(upper), old.get_parameter(upper))


def test_a_text_of_known_symbols_costs_the_same_before_and_after_but_for_the_new_symbols() -> None:
    old, new = new_model(OLD, 0), new_model(NEW, 1)
    moved(old, new)
    text, label = "abbabaab", torch.zeros(1, dtype=torch.long)

    def logits(model: RecurrentLM, vocab: Vocab) -> torch.Tensor:
        tokens = torch.tensor([[vocab.index[c] for c in text]])
        whole: torch.Tensor = model(tokens, model.initial_state(label))[0]
        return whole[0, :, [vocab.index[c] for c in "ab"]]

    torch.testing.assert_close(logits(new, NEW), logits(old, OLD))


def test_labels_move_by_name_and_appear_where_there_were_none() -> None:
    old, new = new_model(OLD, 0, num_labels=2), new_model(NEW, 1, num_labels=1)
    moved(old, new, ("b",), ("a", "b"))
    assert torch.equal(new.label_embedding.weight[1], old.label_embedding.weight[2])

    assert moved(new_model(OLD, 0), new_model(NEW, 1, num_labels=1), ("b",)) == 4


def test_what_is_said_of_variations_moves_and_appears_where_nothing_was_said() -> None:
    old, new = new_model(OLD, 0, has_variations=True), new_model(NEW, 1, has_variations=True)
    moved(old, new)
    assert torch.equal(new.variation_embedding, old.variation_embedding)

    assert moved(new_model(OLD, 0), new_model(NEW, 1, has_variations=True)) == 4
    assert moved(old, new_model(NEW, 1)) == 4


def test_another_shape_is_an_error() -> None:
    with pytest.raises(SettingError, match="shape differs"):
        moved(new_model(OLD, 0), new_model(NEW, 1, hidden_size=16))
