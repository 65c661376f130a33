"""Measures output layer and loss, forward and backward, beside torch's own operations under the same autocast to bf16.

    python benchmarks/output_loss.py [--hidden 384] [--vocabularies 390 976 2048 7146] [--repeats 9]

The input is 2,048 tokens: 32 rows of 64. Both are measured in turn. The script prints the medians, and the difference
of the gradients of the weights. The last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from gen.models.output_loss import output_cross_entropy_sum
from gen.runs.header import versions

NUM_TOKENS = 2048

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure output layer and loss beside torch's own.")
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[390, 976, 2048, 7146])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    results = []
    print(f"{'symbols':>8} {'torch, ms':>10} {'gen, ms':>10} {'ratio':>6} {'gradients apart':>16}")
    for vocab_size in arguments.vocabularies:
        results.append(measure(arguments.hidden, vocab_size, arguments.repeats))
        row = results[-1]
        print(
            f"{vocab_size:8} {row['torch_ms']:10.1f} {row['gen_ms']:10.1f} {row['torch_ms'] / row['gen_ms']:6.2f} "
            f"{row['apart']:16.1e}",
            flush=True,
        )
    data = {"benchmark": "output_loss", "hidden": arguments.hidden, "threads": torch.get_num_threads()}
    print(json.dumps(data | {"results": results, "versions": versions()}))


def measure(hidden_size: int, vocab_size: int, repeats: int) -> dict[str, float]:
    """Returns the median milliseconds of each, and the distance of their gradients by the gradient's length."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(NUM_TOKENS, hidden_size, generator=generator, requires_grad=True)
    weight = (0.05 * torch.randn(vocab_size, hidden_size, generator=generator)).requires_grad_()
    bias = torch.zeros(vocab_size, requires_grad=True)
    targets = torch.randint(vocab_size, (NUM_TOKENS,), generator=generator)
    losses = {"torch": by_torch, "gen": output_cross_entropy_sum}
    gradients = {name: gradient(loss, features, weight, bias, targets) for name, loss in losses.items()}
    times: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(repeats):
        for name, loss in losses.items():
            started = time.perf_counter()
            gradient(loss, features, weight, bias, targets)
            times[name].append(time.perf_counter() - started)
    apart = (gradients["gen"] - gradients["torch"]).norm() / gradients["torch"].norm()
    found = {f"{name}_ms": 1000 * median(taken) for name, taken in times.items()}
    return {"vocab_size": vocab_size, **found, "apart": apart.item()}


def gradient(loss: Loss, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Returns the gradient of the weights of the mean; that of features and bias is found as well."""
    with torch.autocast("cpu", torch.bfloat16):
        nats = loss(features, weight, bias, targets)
    _, found, _ = torch.autograd.grad(nats / NUM_TOKENS, (features, weight, bias))
    return found


def by_torch(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Returns the summed nats, by the operations that one would write."""
    return functional.cross_entropy(functional.linear(features, weight, bias).float(), targets, reduction="sum")


if __name__ == "__main__":
    main()
