"""How much arithmetic, and how many weights, one token takes.

Counted are the products with the weight matrices alone, two operations a multiply-add: looking up an embedding costs
none, and gates, softmax and optimiser are left out, so what is reached of a machine's products is the whole program's
share.
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

    Three products of the same size a matrix: forward, the gradient of its input, the gradient of its weights. A tied
    output is out = E wide and has the projection H*E before it.
    """
    return 3 * 2 * sum(matrix.num_weights for matrix in training_matrices(config))


def stepping_flops(config: ModelConfig) -> int:
    """Returns the operations of one token of the stepper."""
    return 2 * sum(matrix.num_weights for matrix in stepping_matrices(config))


def stepping_bytes(config: ModelConfig, precision: StepPrecision = "fp32") -> int:
    """Returns the bytes of weights that the stepper reads for one token, or for one token of each of several rows."""
    return BYTES_A_WEIGHT[precision] * sum(matrix.num_weights for matrix in stepping_matrices(config))


def training_matrices(config: ModelConfig) -> list[Matrix]:
    """Returns the matrices of a model, the embedding apart."""
    gates = CELLS[config.cell].num_gates * config.hidden_size
    sizes = [config.embedding_size] + [config.hidden_size] * config.num_layers
    matrices = [Matrix(gates, size + config.hidden_size) for size in sizes[:-1]]
    if not config.is_tied:
        return [*matrices, Matrix(config.vocab_size, config.hidden_size)]
    if config.hidden_size != config.embedding_size:
        matrices.append(Matrix(config.embedding_size, config.hidden_size))
    return [*matrices, Matrix(config.vocab_size, config.embedding_size)]


def stepping_matrices(config: ModelConfig) -> list[Matrix]:
    """Returns what is left of them for one token: layer 0's input product and a projection are folded away."""
    gates = CELLS[config.cell].num_gates * config.hidden_size
    layers = [Matrix(gates, config.hidden_size * (1 if n == 0 else 2)) for n in range(config.num_layers)]
    return [*layers, Matrix(config.vocab_size, config.hidden_size)]
