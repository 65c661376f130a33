"""One token at a time: the interface that sampling needs, and a trained model that has it.

`nn.LSTM` repacks its weights at every call on a CPU. `PackedStepper` prepares them once: the product of layer 0's input
matrix with each embedding becomes a table with one row per token, a tied model's projection is multiplied into the
output matrix, and all matrices are stored in the order in which they are read. The compiled kernel reads them where
there is one, else torch's own operations (gen.models.packed). Either way a row's result has the same bits whatever the
number of rows.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.errors import SettingError
from gen.kernels.cells import COMPILED_CELLS
from gen.kernels.drawing import DrawKernel, Drawn, FloatArray, Recent, TokenArray
from gen.kernels.library import serving
from gen.kernels.stepping import Layer, StepKernel, has_step_kernel
from gen.kernels.writing import KernelWriter
from gen.models.cells import layer_weights
from gen.models.packed import PackedModel
from gen.models.recurrent import RecurrentLM, State

StepPrecision = Literal["fp32", "fp16", "int8"]


class Writer(Protocol):
    """A loop that steps and draws several tokens of every row per call."""

    @property
    def logits(self) -> Tensor:
        """The (B, V) logits that could not be drawn from, once `write` has returned no tokens."""
        ...

    def most_tokens(self) -> int:
        """Returns the number of tokens of every row that a call should draw at most."""
        ...

    def write(self, tokens: TokenArray, count: int) -> Drawn:
        """Draws at most `count` tokens of every row, with the writer's own random numbers.

        What follows the end of a row is meaningless. No tokens at all mean that `logits` cannot be drawn from.

        Args:
            tokens: (B,) the last token of every row.
            count: at most `most_tokens()`.
        """
        ...

    def ban(self, tokens: tuple[int, ...]) -> None:
        """Makes these the only ids that are never drawn."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the rows that have ended: all but those at these indices."""
        ...


class Stepper(Protocol):
    """A network that takes one token a row; each row's result is independent of the others."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def initial_state(self, labels: Tensor) -> State:
        """Returns the state before the first token of rows with these labels: (B,) int64, 0 for none."""
        ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (B,) int64 tokens and a state of this stepper, which is not modified.

        Returns:
            The (B, V) float32 logits of the next token, and the next state.
        """
        ...

    def writer(  # a class that inherits this method can only be stepped
        self,
        drawer: DrawKernel,  # noqa: ARG002
        state: State,  # noqa: ARG002
        *,
        uniforms: Callable[[int], FloatArray],  # noqa: ARG002
        recent: Recent | None,  # noqa: ARG002
        end: int | None,  # noqa: ARG002
    ) -> Writer | None:
        """Returns a loop that continues the rows from a state, or None if the network can only be stepped.

        Args:
            drawer: the compiled draw, with its filters.
            state: of this stepper; not modified.
            uniforms: returns the next (N, B) random numbers in [0, 1), which the draws of a call then consume.
            recent: the tokens that the repetition penalty has seen; not modified. None without a penalty.
            end: the id that ends a row; None for none.
        """
        return None


class PackedStepper:
    """The weights of a trained model, packed for one token at a time.

    Args:
        model: its weights are copied; later training does not change the stepper.
        precision: of the weights in the products. fp16 multiplies in half precision and keeps memories and gates in
            float32; int8 is a quarter of the bytes, for a little accuracy.

    Raises:
        SettingError: the precision is unknown, fp16 on a CPU, or int8 without compiled kernels of the cell or not on a
            CPU.
    """

    @torch.inference_mode()
    def __init__(self, model: RecurrentLM, precision: StepPrecision = "fp32") -> None:
        if precision not in get_args(StepPrecision):
            raise SettingError(f"--precision: unknown ({precision})", hint="choose one of fp32, fp16, int8")
        self.vocab_size = model.config.vocab_size
        self.device = model.embedding.weight.device
        if precision == "fp16" and self.device.type == "cpu":
            raise SettingError("--precision: only on a GPU (fp16)", hint="on a CPU int8 is the faster one")
        self.precision = precision
        cell = model.config.cell
        weights = [layer_weights(layer) for layer in model.layers]
        table = functional.linear(model.embedding.weight, weights[0].w_ih)  # (V, G*H)
        self._kernel: StepKernel | None = None
        self._model: StepKernel | PackedModel
        if self.device.type == "cpu" and cell in COMPILED_CELLS and has_step_kernel():
            layers = [Layer(*layer) for layer in weights]
            self._kernel = StepKernel(cell, table, layers, *_output(model), is_int8=precision == "int8")
            self._model = self._kernel
        elif precision == "int8":
            raise SettingError("--precision: needs the compiled kernels (int8)", hint=_why_no_kernel(cell, self.device))
        else:
            dtype = torch.float16 if precision == "fp16" else torch.float32
            self._model = PackedModel(cell, table, weights, *_output(model), dtype=dtype)
        start = model.initial_state(torch.arange(model.config.num_labels + 1, device=self.device))
        padding = (0, self._model.hidden_size - model.config.hidden_size)
        condition = self._model.arranged(functional.linear(start.condition, weights[0].w_ih))
        self._starts = State(tuple(functional.pad(m, padding) for m in start.memory), condition)  # one row per label
        self._has_labels = model.config.num_labels > 0

    @torch.inference_mode()
    def initial_state(self, labels: Tensor) -> State:
        """Returns the state before the first token; labels (B,) as in `RecurrentLM.initial_state`.

        The units are padded to the kernel's width; the condition has already been multiplied by layer 0's input matrix.
        """
        return State(tuple(m[:, labels] for m in self._starts.memory), self._starts.condition[labels])

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Advances every row by one token, as `Stepper.step` says."""
        logits, memory = self._model.run(tokens, state.memory, self._condition(state))
        return logits, State(memory, state.condition)

    @torch.inference_mode()
    def writer(
        self,
        drawer: DrawKernel,
        state: State,
        *,
        uniforms: Callable[[int], FloatArray],
        recent: Recent | None,
        end: int | None,
    ) -> Writer | None:
        """Returns rows that continue in the compiled kernel; None without it."""
        if self._kernel is None:
            return None
        return KernelWriter(
            self._kernel, drawer, state.memory, self._condition(state), uniforms=uniforms, recent=recent, end=end
        )

    def _condition(self, state: State) -> Tensor | None:
        return state.condition if self._has_labels else None


def default_precision(device: torch.device) -> StepPrecision:
    """Returns the precision of samples if none is asked for: fp16 where the device has units for it, as CUDA has."""
    return "fp16" if device.type == "cuda" else "fp32"


class SteppedModel(nn.Module):
    """A stepper that is called as `RecurrentLM` is, with whole windows: to evaluate what sampling computes.

    Args:
        model: the stepper's.
        stepper: runs the windows, token by token.
    """

    def __init__(self, model: RecurrentLM, stepper: Stepper) -> None:
        super().__init__()
        self.model = model
        self.stepper = stepper

    def initial_state(self, labels: Tensor) -> State:
        """Returns the stepper's state before the first token; labels (B,) as in `RecurrentLM.initial_state`."""
        return self.stepper.initial_state(labels)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (B, T) tokens; returns (B, T, V) logits and the next state."""
        logits = []
        for column in tokens.t():
            step, state = self.stepper.step(column, state)
            logits.append(step)
        return torch.stack(logits).transpose(0, 1), state


def _why_no_kernel(cell: str, device: torch.device) -> str:
    if device.type != "cpu":
        return "--device cpu has them"
    return f"here they are {serving()}" if cell in COMPILED_CELLS else f"there are none of the cell {cell}"


def _output(model: RecurrentLM) -> tuple[Tensor, Tensor]:
    """Returns weight and bias from the top layer's h to the logits, with a tied model's projection folded in."""
    weight: Tensor = model.output.weight
    bias: Tensor = model.output.bias
    if model.projection is not None:
        bias = bias + weight @ model.projection.bias
        weight = weight @ model.projection.weight
    return weight, bias
