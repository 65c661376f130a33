"""The contenders of plain torch: a model of its own modules, a short training loop, and one token at a time."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.bench.plan import Plan
from gen.bench.stopwatch import Work
from gen.config import ModelConfig
from gen.errors import SettingError
from gen.models.cells import CELLS, Memory
from gen.training.step import DTYPES

LEARNING_RATE = 1e-4  # low, so that training on random ids stays stable
SEED = 0


class Peer(nn.Module):
    """A model of torch's own modules with the sizes of a `RecurrentLM`, with torch's dropout and without labels."""

    def __init__(self, config: ModelConfig, device: torch.device) -> None:
        super().__init__()
        self.config = config
        fused = CELLS[config.cell].fused
        if fused is None:
            raise SettingError(f"--cell: torch has no module of this cell to compare with ({config.cell})")
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layers = fused(config.embedding_size, config.hidden_size, config.num_layers, dropout=between_layers)
        self.dropout = nn.Dropout(config.dropout)
        self.projection: nn.Module = nn.Identity()
        out = config.hidden_size
        if config.is_tied and out != config.embedding_size:
            out = config.embedding_size
            self.projection = nn.Linear(config.hidden_size, out)
        self.output = nn.Linear(out, config.vocab_size)
        if config.is_tied:
            self.output.weight = self.embedding.weight
        randomise_(self, config)
        self.to(device)

    def initial_memory(self, num_rows: int) -> Memory:
        """Returns zeros, each (L, B, H)."""
        shape = (self.config.num_layers, num_rows, self.config.hidden_size)
        zeros = torch.zeros(shape, device=self.output.weight.device)
        return (zeros,) * CELLS[self.config.cell].num_memories

    def forward(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Takes (T, B) tokens; returns (T, B, V) logits and the next memory."""
        x = self.dropout(self.embedding(tokens))
        x, after = self.layers(x, memory if len(memory) > 1 else memory[0])
        logits = self.output(self.projection(self.dropout(x)))
        return logits, after if isinstance(after, tuple) else (after,)


def randomise_(module: nn.Module, config: ModelConfig) -> None:
    """Draws all weights from a range that is small enough for every precision; fast even for large models."""
    generator, bound = torch.Generator().manual_seed(SEED), config.hidden_size**-0.5
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


def train_peer(plan: Plan) -> Work:
    """Returns a function that trains for one step, always on the same batch; it counts tokens."""
    config, device = plan.training, plan.device
    peer = Peer(plan.model, device).train()
    is_fused = device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(peer.parameters(), lr=LEARNING_RATE, fused=is_fused)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    dtype = DTYPES.get(config.precision)
    generator = torch.Generator().manual_seed(SEED)
    text = torch.randint(plan.model.vocab_size - 2, (config.bptt + 1, config.batch_size), generator=generator)
    text = text.to(device)
    memory = peer.initial_memory(config.batch_size)

    def step() -> float:
        nonlocal memory
        with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            logits, after = peer(text[:-1], memory)
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), text[1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(scaler.scale(loss))
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(peer.parameters(), config.clip_norm, foreach=True)
        scaler.step(optimizer)
        scaler.update()
        memory = tuple(m.detach().float() for m in after)
        return float(config.batch_size * config.bptt)

    return step


def step_peer(plan: Plan, num_rows: int) -> Work:
    """Returns a function that advances all rows by one token; it counts the tokens of all rows."""
    peer = Peer(plan.model, plan.device).eval()
    tokens = torch.zeros(1, num_rows, dtype=torch.int64, device=plan.device)
    memory = peer.initial_memory(num_rows)

    def step() -> float:
        nonlocal memory
        with torch.inference_mode():
            _, memory = peer(tokens, memory)
        return float(num_rows)

    return step
