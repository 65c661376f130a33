"""The arithmetic per token, compared with numbers worked out by hand and with torch's count of a plain loop."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gen.bench.counting import stepping_bytes, stepping_flops, training_flops, training_matrices
from gen.config import CellName, ModelConfig
from gen.models.cells import CELLS, layer_weights, run_layer
from gen.models.recurrent import RecurrentLM

ROWS, TOKENS = 3, 4
CONFIGS = [
    ModelConfig(vocab_size=11, cell=cell, hidden_size=6, num_layers=layers, embedding_size=embedding, is_tied=is_tied)
    for cell in CELLS
    for layers, embedding, is_tied in ((1, 5, False), (3, 5, False), (2, 5, True), (2, 6, True))
]


def counted_in_a_loop(config: ModelConfig) -> int:
    """Returns torch's count of the products of training, per token, when the cells run as equations."""
    model = RecurrentLM(config, torch.Generator().manual_seed(0))
    tokens = torch.zeros(ROWS, TOKENS, dtype=torch.int64)
    zeros = torch.zeros(ROWS, config.hidden_size, requires_grad=True)  # so that the first token costs as much as others
    memory = (zeros,) * CELLS[config.cell].num_memories
    with FlopCounterMode(display=False) as counter:
        x = model.embedding(tokens.t())
        for layer in model.layers:
            x, _ = run_layer(config.cell, x, memory, layer_weights(layer))
        logits = model.output(x if model.projection is None else model.projection(x))
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens.t().flatten())
        torch.autograd.backward(loss)
    return int(counter.get_total_flops()) // (ROWS * TOKENS)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_training_takes_the_operations_that_torch_counts_in_a_plain_loop(config: ModelConfig) -> None:
    assert training_flops(config) == counted_in_a_loop(config)


def test_training_takes_six_operations_a_weight_worked_out_by_hand() -> None:
    config = ModelConfig(vocab_size=67, cell="lstm", hidden_size=512, num_layers=2, embedding_size=128)
    first, second, output = 4 * 512 * (128 + 512), 4 * 512 * (512 + 512), 512 * 67
    assert training_flops(config) == 3 * 2 * (first + second + output)


def test_a_token_of_the_stepper_reads_what_was_worked_out_by_hand() -> None:
    config = ModelConfig(vocab_size=67, cell="gru", hidden_size=512, num_layers=2, embedding_size=128)
    weights = 3 * 512 * 512 + 3 * 512 * 1024 + 512 * 67  # layer 0's input product is a table
    assert (stepping_bytes(config), stepping_flops(config)) == (4 * weights, 2 * weights)
    assert stepping_bytes(config, "int8") == weights


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_a_layer_has_a_row_a_gate_and_unit(cell: CellName, gates: int) -> None:
    config = ModelConfig(vocab_size=11, cell=cell, hidden_size=6, embedding_size=5)
    assert training_matrices(config) == [(gates * 6, 5 + 6), (11, 6)]
