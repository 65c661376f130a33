"""Weights of one model for a model of another vocabulary or task, symbol by symbol: the start of fine-tuning.

A model that reads both ways takes the weights of one that writes for its forward direction; a tagger does so for the
layer that reads characters.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gen.codec import Vocab
from gen.errors import SettingError
from gen.models.sequence_model import SequenceModel
from gen.models.tagger import RecurrentTagger

VOCAB_ROWS = ("embedding.weight", "output.weight", "output.bias")
LABEL_ROWS = ("label_embedding.weight",)  # row 0: no label
ANSWER_ROWS = ("answer.weight", "answer.bias")
# Parameters that the old model may lack, which then start afresh: another task, no labels, variations or attention.
FRESH = ("label_", "variation_", "reverse_layers.", "pooling.", "answer.", "ngrams.", "mix", "attention.", "joint.")


@torch.no_grad()
def transfer_(
    model: SequenceModel,
    tensors: Mapping[str, Tensor],
    *,
    vocab: Vocab,
    old_vocab: Vocab,
    labels: tuple[str, ...],
    old_labels: tuple[str, ...],
) -> int:
    """Copies weights into `model`: rows of symbols and labels by their names, all others unchanged.

    Rows of symbols that the old model did not have keep their fresh initial weights.

    Args:
        model: of the same cell, layers and sizes; perhaps of another task.
        tensors: the old model's parameters.

    Returns:
        The number of symbols that both vocabularies have.

    Raises SettingError if the models have different shapes.
    """
    symbols = [(new, old_vocab.index[s]) for new, s in enumerate(vocab.symbols) if s in old_vocab.index]
    answers = [(new, old_labels.index(label)) for new, label in enumerate(labels) if label in old_labels]
    of_labels = [(0, 0), *((new + 1, old + 1) for new, old in answers)]
    rows = {
        **dict.fromkeys(VOCAB_ROWS, symbols),
        **dict.fromkeys(LABEL_ROWS, of_labels),
        **dict.fromkeys(ANSWER_ROWS, answers),
    }
    of_words = () if "answer.weight" in tensors else _layers_of_words(model)
    for name, parameter in model.named_parameters():
        if name.startswith(of_words) or (name not in tensors and name.startswith(FRESH)):
            continue
        if name not in tensors or not _fits(tensors[name], parameter, is_by_row=name in rows):
            raise SettingError(
                f"--from: the model's shape differs ({name})",
                hint="leave out --cell, --layers, --hidden, --embedding and --one-direction",
            )
        if name in rows:
            new, old = (torch.tensor(column, dtype=torch.long) for column in zip(*rows[name], strict=True))
            parameter[new.to(parameter.device)] = tensors[name][old].to(parameter.device)
        elif parameter.dim() > 1:  # a layer that also reads the backward direction keeps its own weights for it
            parameter[:, : tensors[name].shape[1]] = tensors[name].to(parameter.device)
        else:
            parameter.copy_(tensors[name])
    return len(symbols)


def _layers_of_words(model: SequenceModel) -> tuple[str, ...]:
    """Returns the beginnings of the names of layers that read words, which a model that writes does not have."""
    num_layers = model.config.num_layers if isinstance(model, RecurrentTagger) else 1
    return tuple(f"layers.{n}." for n in range(1, num_layers))


def _fits(old: Tensor, new: Tensor, *, is_by_row: bool) -> bool:
    """Tells whether weights can be copied: rows of equal width, or all, or all beside those for another direction."""
    if is_by_row:
        return old.shape[1:] == new.shape[1:]
    return old.shape == new.shape or (old.dim() > 1 and (old.shape[0], 2 * old.shape[1]) == tuple(new.shape))
