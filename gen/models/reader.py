"""The base of the models that read whole sequences: layers in one direction or both, and nothing to carry on."""

from gen.config import ModelConfig
from gen.models.cells import Memory
from gen.models.sequence_model import SequenceModel
from gen.models.stack import Stack


class SequenceReader(SequenceModel):
    """An embedding and the stacks of both directions (Schuster & Paliwal 1997).

    Args:
        config: the sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        sizes = [config.embedding_size] + [self.width] * (config.num_layers - 1)
        self.layers = Stack(config.cell, sizes, config.hidden_size)
        self.reverse_layers = Stack(config.cell, sizes, config.hidden_size) if config.is_bidirectional else None

    @property
    def width(self) -> int:
        """The units of a layer, of all directions together."""
        return self.config.hidden_size * self.config.num_directions

    def stacks(self) -> tuple[Stack, ...]:
        """Returns the layers of each direction."""
        return (self.layers,) if self.reverse_layers is None else (self.layers, self.reverse_layers)

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002 - rows carry nothing
        """Returns nothing: every sequence is read from its first token."""
        return ()
