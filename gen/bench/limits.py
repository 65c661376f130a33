"""The limits of the machine: the speeds of big matrix products and of reading memory, without any other work.

A limit is the best speed reached: that of the fastest of several programs, in the best of several rounds. On one core
of a Zen 5, programs read 4 MB, which fit its third cache, at these speeds: a sum of float32 84 GB/s, of int64 85, a
maximum of float32 81, a matrix-vector product 72, a dot product 56. For 16 MB they are 96, 97, 73, 64 and 52. So the
first three are measured here and, with compiled kernels, a program that reads as the stepper does. The fastest of them
depends on size and machine.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gen.bench.stopwatch import Contender, Work, synchronize
from gen.config import Precision
from gen.kernels.stepping import has_step_kernel, read_weights, weights_to_read
from gen.models.packed import packed_product
from gen.training.step import DTYPES

PRODUCT_SIZE_CPU, PRODUCT_SIZE_GPU = 1024, 8192  # n of (n, n) matrices, large enough to hide the cost of a call
COPIED_BYTES = 1 << 28  # on a GPU: more than its caches
MIN_BYTES_PER_CALL = 1 << 20  # on a CPU: with fewer, the cost of the call would dominate


def product_limit(device: torch.device, precision: Precision, *, may_use_tf32: bool = False) -> Contender:
    """Returns a contender that multiplies big matrices and counts operations.

    Args:
        precision: for fp32 on a CPU, packed weights as in the stepper are tried too.
        may_use_tf32: whether fp32 on CUDA may be TF32, as in cuDNN's recurrent layers.
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
    """Returns a contender that reads the same bytes again and again; on a GPU it copies, and counts both directions."""
    if device.type != "cpu":
        source = torch.zeros(COPIED_BYTES // 4, device=device)
        return Contender("copy", (_copy(source, torch.empty_like(source)),))
    return Contender("read", tuple(_readings(num_bytes)))


def _multiply(x: Tensor, product: Callable[[Tensor], Tensor]) -> Work:
    operations = 2.0 * x.shape[0] ** 3

    def multiply() -> float:
        product(x)
        synchronize(x.device)  # otherwise a thousand products would wait in the queue of a GPU
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
    """Returns programs that read every byte and write almost nothing; few bytes are read several times per call."""
    floats = torch.ones(max(1, -(-num_bytes // 8)) * 2)  # an even number, for the view as int64
    integers = floats.view(torch.int64)
    times = -(-MIN_BYTES_PER_CALL // floats.nbytes)
    views = floats.expand(times, -1), integers.expand(times, -1)  # the same memory, however many times
    programs = (views[0].sum, views[1].sum, views[0].amax)
    works: list[Work] = [partial(_read, program, float(times * floats.nbytes)) for program in programs]
    if has_step_kernel():
        weights = weights_to_read(num_bytes)
        works.append(lambda: float(read_weights(weights, -(-MIN_BYTES_PER_CALL // weights.nbytes))))
    return works


def _read(program: Callable[[], Tensor], num_bytes: float) -> float:
    program()
    return num_bytes
