"""What the machine can give at best, by the simplest programs that ask for nothing else.

Of several programs for the same thing the fastest counts, and of several rounds the best: a limit is what was reached
once. Measured on one core of a Zen 5 for 4 MB, which its third cache holds: a sum of float32 84 GB/s, of int64 85, the
greatest of float32 81, a matrix-vector product 72, a dot product 56; for 16 MB 96, 97, 73, 64, 52. So the first three
stand here, and where kernels are compiled one that reads as the stepper does: which of them is the fastest changes with
size and machine.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gen.bench.stopwatch import Contender, Work, synchronize
from gen.config import Precision
from gen.kernels.stepping import has_step_kernel, read_weights, weights_to_read
from gen.models.packed import packed_product
from gen.training.trainer import DTYPES

PRODUCT_SIZE_CPU, PRODUCT_SIZE_GPU = 1024, 8192  # n of the (n, n) matrices: enough to hide what a call costs
COPIED_BYTES = 1 << 28  # on a GPU: more than its caches hold
MIN_BYTES_A_CALL = 1 << 20  # on a CPU: below it the call itself would be measured


def product_limit(device: torch.device, precision: Precision, *, may_use_tf32: bool = False) -> Contender:
    """Returns a big matrix product, counted in operations.

    Args:
        precision: fp32 on a CPU is also tried with the weights packed once, as the stepper has them.
        may_use_tf32: on CUDA, let fp32 be what cuDNN's recurrent layers take it for.
    """
    size = PRODUCT_SIZE_CPU if device.type == "cpu" else PRODUCT_SIZE_GPU
    generator = torch.Generator().manual_seed(0)
    dtype = DTYPES.get(precision, torch.float32)
    x, weight = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
    if device.type == "cuda" and may_use_tf32 and torch.backends.cudnn.allow_tf32:
        return Contender("product", (_multiply(x, partial(_matmul_tf32, weight)),))
    works = [_multiply(x, partial(torch.matmul, weight))]
    if device.type == "cpu" and precision == "fp32":
        works.append(_multiply(x, packed_product(weight)))
    return Contender("product", tuple(works))


def reading_limit(device: torch.device, num_bytes: int) -> Contender:
    """Returns what reads so many bytes over and over, counted in bytes; on a GPU a copy, both ways counted."""
    if device.type != "cpu":
        source = torch.zeros(COPIED_BYTES // 4, device=device)
        return Contender("copy", (_copy(source, torch.empty_like(source)),))
    return Contender("read", tuple(_readings(num_bytes)))


def _multiply(x: Tensor, product: Callable[[Tensor], Tensor]) -> Work:
    operations = 2.0 * x.shape[0] ** 3

    def multiply() -> float:
        product(x)
        synchronize(x.device)  # else a thousand products would wait in its queue
        return operations

    return multiply


def _matmul_tf32(weight: Tensor, x: Tensor) -> Tensor:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return torch.matmul(weight, x)
    finally:
        torch.set_float32_matmul_precision(before)


def _copy(source: Tensor, target: Tensor) -> Work:
    def copy() -> float:
        target.copy_(source)
        return 2.0 * source.nbytes

    return copy


def _readings(num_bytes: int) -> list[Work]:
    """Returns programs that read every byte and write next to nothing; little is read several times in a call."""
    floats = torch.ones(max(1, -(-num_bytes // 8)) * 2)  # an even number, for the view as int64
    integers = floats.view(torch.int64)
    times = -(-MIN_BYTES_A_CALL // floats.nbytes)
    views = floats.expand(times, -1), integers.expand(times, -1)  # the same memory, however many times
    programs = (views[0].sum, views[1].sum, views[0].amax)
    works: list[Work] = [partial(_read, program, float(times * floats.nbytes)) for program in programs]
    if has_step_kernel():
        weights = weights_to_read(num_bytes)
        works.append(lambda: float(read_weights(weights, -(-MIN_BYTES_A_CALL // weights.nbytes))))
    return works


def _read(program: Callable[[], Tensor], num_bytes: float) -> float:
    program()
    return num_bytes
