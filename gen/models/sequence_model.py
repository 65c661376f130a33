"""The base of all models: an embedding, recurrent layers, and a loss that is all the trainer knows of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gen.config import ModelConfig
from gen.kernels.pool import one_torch_thread
from gen.models.cells import CELLS, Memory, layer_weights
from gen.models.dropout import Draws
from gen.models.embedding import Embedding
from gen.models.stack import Stack


class SequenceModel(nn.Module, ABC):
    """A network that reads sequences of token ids.

    Args:
        config: the sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.embedding_size)

    @abstractmethod
    def stacks(self) -> tuple[Stack, ...]:
        """Returns the recurrent layers: a stack for each direction and each sequence that is read."""

    @abstractmethod
    def initial_memory(self, num_rows: int) -> Memory:
        """Returns what rows carry from one batch to the next, before the first: (L, B, H) each; () for nothing."""

    @abstractmethod
    def loss(self, batch: Sequence[Tensor], memory: Memory, draws: Draws | None = None) -> tuple[Tensor, Memory]:
        """Runs a batch.

        Args:
            batch: its arrays as tensors, on the model's device.
            memory: what the rows carry, from the batch before.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            () the summed nats of the targets in float32, and what the rows carry to the next batch, detached.
        """

    @abstractmethod
    def chance_nats(self) -> float:
        """Returns the nats of a target for a model that guesses evenly."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.embedding.weight.device

    def has_kernels(self, dtype: torch.dtype) -> bool:
        """Tells whether all layers run in the compiled kernels where products are of `dtype`."""
        return all(stack.has_kernels(dtype) for stack in self.stacks())

    def num_parameters(self) -> int:
        """Returns the number of weights; shared ones count once."""
        return sum(parameter.numel() for parameter in self.parameters())


def initialise_(model: SequenceModel, generator: torch.Generator) -> None:
    """Draws all weights anew.

    Input and output matrices are uniform in +-1/sqrt(fan-in), as in torch. Recurrent matrices are orthogonal, gate by
    gate (Saxe, McClelland & Ganguli 2014). Biases are 0, except 1 for the LSTM's forget gate (Gers et al. 2000;
    Jozefowicz, Zaremba & Sutskever 2015). Embeddings have variance 1, so that rare symbols differ from the start: with
    7,144 Chinese characters, a variance of 1/E made learning much slower. A tied embedding has variance 1/E, because
    it also produces the logits.
    """
    for name, parameter in model.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        elif "weight_hh" in name:
            for gate in parameter.data.view(-1, parameter.shape[1], parameter.shape[1]):
                with one_torch_thread():  # on more it has other last bits
                    nn.init.orthogonal_(gate, generator=generator)
        elif "embedding" in name:
            std = model.config.embedding_size**-0.5 if model.config.is_tied else 1.0
            nn.init.normal_(parameter, std=std, generator=generator)
        else:
            bound = parameter.shape[1] ** -0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
    open_gates_(model, bias=1.0)


def open_gates_(model: SequenceModel, *, bias: float) -> None:
    """Sets the bias of the gate that keeps the memory, if the cell has one: the forget gate of an LSTM."""
    for stack in model.stacks():
        open_gate = CELLS[stack.cell].open_gate
        if open_gate is not None:
            for layer in stack:
                layer_weights(layer).b_ih.data.view(-1, stack.hidden_size)[open_gate].fill_(bias)
