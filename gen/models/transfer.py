"""Weights of one model for a model of another vocabulary, symbol by symbol: the start of fine-tuning."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gen.codec import Vocab
from gen.errors import SettingError
from gen.models.recurrent import RecurrentLM

VOCAB_ROWS = ("embedding.weight", "output.weight", "output.bias")
LABEL_ROWS = ("label_embedding.weight",)


@torch.no_grad()
def transfer_(
    model: RecurrentLM,
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
        model: of the same cell, layers and sizes.
        tensors: the old model's parameters.

    Returns:
        The number of symbols that both vocabularies have.

    Raises SettingError if the models have different shapes.
    """
    symbols = [(new, old_vocab.index[s]) for new, s in enumerate(vocab.symbols) if s in old_vocab.index]
    label_rows = [(0, 0)] + [
        (n + 1, old_labels.index(label) + 1) for n, label in enumerate(labels) if label in old_labels
    ]
    for name, parameter in model.named_parameters():
        rows = symbols if name in VOCAB_ROWS else label_rows if name in LABEL_ROWS else None
        if name not in tensors and name.startswith(("label_", "variation_")):
            continue  # the old model had no labels or variations: they start afresh
        if name not in tensors or (rows is None and tensors[name].shape != parameter.shape):
            raise SettingError(
                f"--from: the model's shape differs ({name})", hint="leave out --cell, --layers, --hidden, --embedding"
            )
        if rows is None:
            parameter.copy_(tensors[name])
        else:
            new, old = (torch.tensor(column, dtype=torch.long) for column in zip(*rows, strict=True))
            parameter[new.to(parameter.device)] = tensors[name][old].to(parameter.device)
    return len(symbols)
