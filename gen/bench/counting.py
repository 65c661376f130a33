"""Counts the arithmetic operations, and the bytes of weights, that one token needs.

Only products with weight matrices count, with two operations per multiply-add. Looking up an embedding counts as none;
gates, softmax and optimiser are left out. So the share of the machine's product speed that a program reaches is a
share of the whole program.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gen.config import ModelConfig
from gen.models.cells import CELLS
from gen.models.stepper import StepPrecision

BYTES_A_WEIGHT: Mapping[StepPrecision, int] = MappingProxyType({"fp32": 4, "int8": 1})


class Matrix(NamedTuple):
    """A weight matrix by which every token is multiplied."""

    num_rows: int
    num_columns: int

    @property
    def num_weights(self) -> int:
        return self.num_rows * self.num_columns


def training_flops(config: ModelConfig) -> int:
    """Returns the operations of training on one token: 3 * 2 * (sum over layers of G*H*(in + H), and out*V).

    Each matrix takes part in three products of the same size: the forward pass, the gradient of its input, and the
    gradient of its weights. A tied output has out = E inputs, after a projection of H*E weights.
    """
    return 3 * 2 * sum(matrix.num_weights for matrix in training_matrices(config))


def stepping_flops(config: ModelConfig) -> int:
    """Returns the operations of one token of the stepper."""
    return 2 * sum(matrix.num_weights for matrix in stepping_matrices(config))


def stepping_bytes(config: ModelConfig, precision: StepPrecision = "fp32") -> int:
    """Returns the bytes of weights that the stepper reads to advance any number of rows by one token."""
    return BYTES_A_WEIGHT[precision] * sum(matrix.num_weights for matrix in stepping_matrices(config))


def training_matrices(config: ModelConfig) -> list[Matrix]:
    """Returns the weight matrices of a model, without the embedding."""
    gates = CELLS[config.cell].num_gates * config.hidden_size
    sizes = [config.embedding_size] + [config.hidden_size] * config.num_layers
    matrices = [Matrix(gates, size + config.hidden_size) for size in sizes[:-1]]
    if not config.is_tied:
        return [*matrices, Matrix(config.vocab_size, config.hidden_size)]
    if config.hidden_size != config.embedding_size:
        matrices.append(Matrix(config.embedding_size, config.hidden_size))
    return [*matrices, Matrix(config.vocab_size, config.embedding_size)]


def stepping_matrices(config: ModelConfig) -> list[Matrix]:
    """Returns the weight matrices of the stepper, which folds the input product of layer 0 and a projection away."""
    gates = CELLS[config.cell].num_gates * config.hidden_size
    layers = [Matrix(gates, config.hidden_size * (1 if n == 0 else 2)) for n in range(config.num_layers)]
    return [*layers, Matrix(config.vocab_size, config.hidden_size)]
