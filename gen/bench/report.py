"""The measured figures, and figures derived from them."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The speed of the whole trainer, in tokens and in arithmetic."""

    batch_size: int
    bptt: int
    precision: str
    threads: int
    tokens_per_second: float
    peer_tokens_per_second: float  # of torch's own modules in a bare loop
    flops_per_token: int
    limit_gflops: float  # of a big product in the same precision

    @property
    def ratio(self) -> float:
        """The speed as a multiple of the peer's."""
        return self.tokens_per_second / self.peer_tokens_per_second

    @property
    def gflops(self) -> float:
        """The arithmetic, in 10^9 operations per second."""
        return self.tokens_per_second * self.flops_per_token / 1e9

    @property
    def share(self) -> float:
        """The arithmetic as a share of the limit."""
        return self.gflops / self.limit_gflops

    def to_json(self) -> dict[str, Any]:
        """Returns every figure as JSON data."""
        return asdict(self) | {name: getattr(self, name) for name in ("ratio", "gflops", "share")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The speed of sampling, one token at a time, and its share of the machine's limits; tokens are those of all rows.

    The bytes are those of the weights, which the stepper reads once for a token of every row.
    """

    rows: int
    precision: str  # of the stepper's weights
    threads: int
    tokens_per_second: float  # of the stepper
    generate_tokens_per_second: float  # of the loop that draws tokens
    peer_tokens_per_second: float  # of torch's own modules
    weight_bytes: int
    limit_gigabytes_per_second: float  # of reading the same number of bytes; on a GPU, of a copy
    flops_per_token: int
    limit_gflops: float | None  # of a big product in float32; None for int8

    @property
    def ratio(self) -> float:
        """The speed of the stepper as a multiple of the peer's."""
        return self.tokens_per_second / self.peer_tokens_per_second

    @property
    def generate_ratio(self) -> float:
        """The speed of the loop that draws tokens as a multiple of the peer's."""
        return self.generate_tokens_per_second / self.peer_tokens_per_second

    @property
    def gigabytes_per_second(self) -> float:
        """The bytes read by the stepper."""
        return self.tokens_per_second / self.rows * self.weight_bytes / 1e9

    @property
    def bytes_share(self) -> float:
        """The bytes read as a share of the limit."""
        return self.gigabytes_per_second / self.limit_gigabytes_per_second

    @property
    def gflops(self) -> float:
        """The arithmetic of the stepper, in 10^9 operations per second."""
        return self.tokens_per_second * self.flops_per_token / 1e9

    @property
    def flops_share(self) -> float | None:
        """The arithmetic as a share of the limit; None without a limit."""
        return None if self.limit_gflops is None else self.gflops / self.limit_gflops

    def to_json(self) -> dict[str, Any]:
        """Returns every figure as JSON data."""
        derived = ("ratio", "generate_ratio", "gigabytes_per_second", "bytes_share", "gflops", "flops_share")
        return asdict(self) | {name: getattr(self, name) for name in derived}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The peak of memory of training, measured before other contenders used any; None if the system has no figure."""

    process_bytes: int | None
    device_bytes: int | None
    parameter_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of a measurement."""

    run: str | None  # the run that has these sizes
    machine: dict[str, Any]
    model: dict[str, Any]
    rounds: int
    seconds: float  # of a measurement
    training: Training
    sampling: tuple[Sampling, ...]
    memory: Memory

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        nested = {"training": self.training.to_json(), "sampling": [rows.to_json() for rows in self.sampling]}
        return asdict(self) | nested
