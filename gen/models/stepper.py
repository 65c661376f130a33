"""The same weights, one token at a time.

`nn.LSTM` repacks its weights at every call on a CPU (benchmarks/sampling.py, two layers of 512 on two cores: 486
tokens/s, against 4,878 here). So everything that can be is done once: the embedding and layer 0's input product are
folded into one table row a token, biases are summed, the gate sums of each further layer are one product of (x, h), and
on a CPU the matrices are reordered into oneDNN's blocked layout.

That layout is packed for a batch: measured on a Zen 5 core at 512 units, one row costs what a matrix-vector product
costs (64 us), 64 rows 614 us against MKL's 1524, and a row's result has the same bits whatever the number of rows,
which MKL's products have not. Units are padded to whole vectors, and each kernel does one rounding: torch computes the
tail of an array, and arrays with gaps, in scalar code that fuses and rounds otherwise. So a sample is the same alone or
among others.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from gen.config import CellName
from gen.models.cells import Memory, Weights, layer_weights
from gen.models.recurrent import RecurrentLM, State

PACKED_BATCH = 64  # rows the packed layout is made for; with 1, one row takes another kernel and other bits
LANES = 32  # floats that torch's element-wise kernels take at once (two AVX-512 registers)

Product = Callable[[Tensor], Tensor]


class Stepper:
    """Advances a trained model by one token, for any number of rows.

    Args:
        model: its weights are copied as they are now; the stepper does not follow later training.
    """

    @torch.inference_mode()
    def __init__(self, model: RecurrentLM) -> None:
        self.vocab_size = model.config.vocab_size
        self.device = model.embedding.weight.device
        self._advance = _ADVANCES[model.config.cell]
        hidden_size = model.config.hidden_size
        weights = [layer_weights(layer) for layer in model.recurrent_layers()]
        padded = [_padded(w, hidden_size, is_first=n == 0) for n, w in enumerate(weights)]
        self._table = functional.linear(model.embedding.weight, padded[0].w_ih, padded[0].b_ih)  # (V, G*H)
        self._layers = [_Layer(w, is_first=n == 0, cell=model.config.cell) for n, w in enumerate(padded)]
        self._output = _output_product(model)
        start = model.initial_state(torch.arange(model.config.num_labels + 1, device=self.device))
        memory = tuple(functional.pad(m, (0, _padding(hidden_size))) for m in start.memory)
        self._starts = State(memory, functional.linear(start.condition, padded[0].w_ih))  # a row a label, 0 for none
        self._has_labels = model.config.num_labels > 0

    @torch.inference_mode()
    def initial_state(self, labels: Tensor) -> State:
        """Returns the state before the first token; labels (B,) as in `RecurrentLM.initial_state`.

        Units are padded to the lanes and the condition is already multiplied by layer 0's weights: (B, G*H).
        """
        return State(tuple(m[:, labels] for m in self._starts.memory), self._starts.condition[labels])

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes one token a row.

        Args:
            tokens: (B,) int64.
            state: of this stepper; not modified.

        Returns:
            (B, V) float32 logits of the next token, and the next state.
        """
        x = self._table[tokens]  # (B, G*H): layer 0's input product
        if self._has_labels:
            x = x + state.condition
        memories = []
        for n, layer in enumerate(self._layers):
            memory = self._advance(layer, x, tuple(m[n] for m in state.memory))
            memories.append(memory)
            x = memory[0]
        stacked = tuple(torch.stack(parts) for parts in zip(*memories, strict=True))
        return self._output(x), State(stacked, state.condition)


class _Layer:
    """One layer's products. `x` is the input product itself for the first layer, else the output below."""

    def __init__(self, weights: Weights, *, is_first: bool, cell: str) -> None:
        self.is_first = is_first
        self.recurrent = packed_product(weights.w_hh, weights.b_hh)
        if cell == "gru":  # r acts on the recurrent half of n alone: the two products stay apart
            self.input = None if is_first else packed_product(weights.w_ih, weights.b_ih)
        elif not is_first:
            joined = torch.cat([weights.w_ih, weights.w_hh], dim=1)
            self.joint = packed_product(joined, weights.b_ih + weights.b_hh)

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """Returns the (B, G*H) sums of input and recurrent product."""
        return x + self.recurrent(h) if self.is_first else self.joint(torch.cat([x, h], dim=1))

    def input_sums(self, x: Tensor) -> Tensor:
        """Returns the (B, G*H) input product alone."""
        return x if self.input is None else self.input(x)


def _advance_rnn(layer: _Layer, x: Tensor, memory: Memory) -> Memory:
    return (layer.sums(x, memory[0]).tanh_(),)


def _advance_lstm(layer: _Layer, x: Tensor, memory: Memory) -> Memory:
    h, c = memory
    i, f, g, o = layer.sums(x, h).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _advance_gru(layer: _Layer, x: Tensor, memory: Memory) -> Memory:
    (h,) = memory
    x_r, x_z, x_n = layer.input_sums(x).chunk(3, dim=-1)
    h_r, h_z, h_n = layer.recurrent(h).chunk(3, dim=-1)
    r, z = (x_r + h_r).sigmoid_(), (x_z + h_z).sigmoid_()
    n = (x_n + r * h_n).tanh_()
    return (n + z * (h - n),)


_ADVANCES: Mapping[CellName, Callable[[_Layer, Tensor, Memory], Memory]] = MappingProxyType(
    {"rnn": _advance_rnn, "lstm": _advance_lstm, "gru": _advance_gru}
)


def _padding(hidden_size: int) -> int:
    return -hidden_size % LANES


def _padded(weights: Weights, hidden_size: int, *, is_first: bool) -> Weights:
    """Adds units whose weights are zero, so that they stay zero, up to whole vectors."""
    extra = _padding(hidden_size)

    def rows(tensor: Tensor) -> Tensor:  # pads every gate of (G*H, ...)
        gates = tensor.detach().view(-1, hidden_size, *tensor.shape[1:])
        widths = (0, 0) * (tensor.dim() - 1) + (0, extra)
        return functional.pad(gates, widths).flatten(0, 1)

    w_ih = weights.w_ih if is_first else functional.pad(weights.w_ih, (0, extra))
    return Weights(rows(w_ih), rows(functional.pad(weights.w_hh, (0, extra))), rows(weights.b_ih), rows(weights.b_hh))


def _output_product(model: RecurrentLM) -> Product:
    """Returns the product from the top layer's h to the logits, a tied model's projection folded in."""
    weight: Tensor = model.output.weight
    bias: Tensor = model.output.bias
    if model.projection is not None:
        bias = bias + weight @ model.projection.bias
        weight = weight @ model.projection.weight
    return packed_product(functional.pad(weight, (0, _padding(model.config.hidden_size))), bias)


def packed_product(weight: Tensor, bias: Tensor | None = None) -> Product:
    """Returns x (B, K) -> x weight^T + bias (B, N), with the weight laid out once for this machine."""
    weight = weight.detach().float().contiguous()
    bias = None if bias is None else bias.detach().float().contiguous()
    if weight.device.type == "cpu" and torch._C._has_mkldnn:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_BATCH)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return lambda x: functional.linear(x, weight, bias)
