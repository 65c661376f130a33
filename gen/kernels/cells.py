"""The cells that the kernels compute, with the equations of gen.models.cells; others run on torch's operations."""

from typing import NamedTuple


class CompiledCell(NamedTuple):
    """The sizes of a cell in the kernels."""

    num_gates: int  # G, by which the C files know the cell (cells.h)
    num_sums: int  # sums of a unit: a GRU's candidate keeps its two products apart, since r stands between them


COMPILED_CELLS = {"rnn": CompiledCell(1, 1), "lstm": CompiledCell(4, 4), "gru": CompiledCell(3, 4)}
