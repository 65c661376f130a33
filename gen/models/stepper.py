"""The same weights, one token at a time.

`nn.LSTM` repacks its weights at every call on a CPU. So everything that can be is done once: the embedding and layer
0's input product are folded into one table row a token, a tied model's projection into the output, and the matrices are
laid out in the order in which they are read: by the compiled kernel where there is one, else by torch's own
(gen.models.packed). Either way a row's result has the same bits whatever the number of rows.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.errors import SettingError
from gen.kernels.drawing import DrawKernel, Recent, Writer
from gen.kernels.stepping import Layer, StepKernel, has_step_kernel
from gen.models.cells import layer_weights
from gen.models.packed import PackedModel
from gen.models.recurrent import RecurrentLM, State

StepPrecision = Literal["fp32", "int8"]


class Stepper:
    """Advances a trained model by one token, for any number of rows.

    Args:
        model: its weights are copied as they are now; the stepper does not follow later training.
        precision: of the weights in the products; int8 is a quarter of the bytes, for a little accuracy.

    Raises:
        SettingError: the precision is unknown, or int8 without compiled kernels or not on a CPU.
    """

    @torch.inference_mode()
    def __init__(self, model: RecurrentLM, precision: StepPrecision = "fp32") -> None:
        if precision not in get_args(StepPrecision):
            raise SettingError(f"--precision: unknown ({precision})", hint="choose one of fp32, int8")
        self.vocab_size = model.config.vocab_size
        self.device = model.embedding.weight.device
        self.precision = precision
        weights = [layer_weights(layer) for layer in model.recurrent_layers()]
        table = functional.linear(model.embedding.weight, weights[0].w_ih)  # (V, G*H)
        self._kernel: StepKernel | None = None
        self._model: StepKernel | PackedModel
        if self.device.type == "cpu" and has_step_kernel():
            layers = [Layer(*layer) for layer in weights]
            is_int8 = precision == "int8"
            self._kernel = StepKernel(model.config.cell, table, layers, *_output(model), is_int8=is_int8)
            self._model = self._kernel
        elif precision == "int8":
            raise SettingError(
                "--precision: needs the compiled kernels (int8)",
                hint="they need a C compiler, and a CPU with AVX-512 of bf16 and int8 (VNNI)",
            )
        else:
            self._model = PackedModel(model.config.cell, table, weights, *_output(model))
        start = model.initial_state(torch.arange(model.config.num_labels + 1, device=self.device))
        padding = (0, self._model.hidden_size - model.config.hidden_size)
        condition = self._model.arranged(functional.linear(start.condition, weights[0].w_ih))
        self._starts = State(tuple(functional.pad(m, padding) for m in start.memory), condition)  # a row a label
        self._has_labels = model.config.num_labels > 0

    @torch.inference_mode()
    def initial_state(self, labels: Tensor) -> State:
        """Returns the state before the first token; labels (B,) as in `RecurrentLM.initial_state`.

        Units are padded and the condition is already multiplied by layer 0's weights: (B, G*H padded).
        """
        return State(tuple(m[:, labels] for m in self._starts.memory), self._starts.condition[labels])

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes one token a row.

        Args:
            tokens: (B,) int64.
            state: of this stepper; not modified.

        Returns:
            (B, V) float32 logits of the next token, and the next state.
        """
        condition = state.condition if self._has_labels else None
        logits, memory = self._model.run(tokens, state.memory, condition)
        return logits, State(memory, state.condition)

    @torch.inference_mode()
    def writer(self, drawer: DrawKernel, state: State, *, recent: Recent | None, end: int | None) -> Writer | None:
        """Returns rows that go on by themselves from a state, many tokens a call; None without compiled kernels.

        Args:
            drawer: how tokens are drawn.
            state: of this stepper; not modified.
            recent: what the repetition penalty has seen; not modified. None without a penalty.
            end: the id that ends a row; None for none.
        """
        if self._kernel is None:
            return None
        condition = state.condition if self._has_labels else None
        return Writer(self._kernel, drawer, state.memory, condition, recent=recent, end=end)


class SteppedModel(nn.Module):
    """A model in the precision of a stepper, as `RecurrentLM` is called: whole windows, token by token.

    Args:
        model: whose weights are copied.
        precision: as for `Stepper`, which says what is raised.
    """

    def __init__(self, model: RecurrentLM, precision: StepPrecision) -> None:
        super().__init__()
        self.model = model
        self.stepper = Stepper(model, precision)

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


def _output(model: RecurrentLM) -> tuple[Tensor, Tensor]:
    """Returns weight and bias from the top layer's h to the logits, a tied model's projection folded in."""
    weight: Tensor = model.output.weight
    bias: Tensor = model.output.bias
    if model.projection is not None:
        bias = bias + weight @ model.projection.bias
        weight = weight @ model.projection.weight
    return weight, bias
