"""The figures that are measured, and those that follow from them."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Tokens a second of the whole trainer, and the arithmetic in them."""

    batch_size: int
    bptt: int
    precision: str
    threads: int
    tokens_per_second: float
    peer_tokens_per_second: float  # of torch's own modules in a bare loop
    flops_per_token: int
    limit_gflops: float  # a second, of a big product in the same precision

    @property
    def ratio(self) -> float:
        """How many times the peer's rate."""
        return self.tokens_per_second / self.peer_tokens_per_second

    @property
    def gflops(self) -> float:
        """Operations a second, in thousands of millions."""
        return self.tokens_per_second * self.flops_per_token / 1e9

    @property
    def share(self) -> float:
        """Of the limit."""
        return self.gflops / self.limit_gflops

    def to_json(self) -> dict[str, Any]:
        """Returns every figure as JSON data."""
        return asdict(self) | {name: getattr(self, name) for name in ("ratio", "gflops", "share")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Tokens a second of all rows together, one token after another, and what of the machine that takes."""

    rows: int
    precision: str  # of the stepper's weights
    threads: int
    tokens_per_second: float  # of the stepper
    generate_tokens_per_second: float  # of the loop that draws
    peer_tokens_per_second: float  # of torch's own modules
    weight_bytes: int  # read for one token of every row
    limit_gigabytes_per_second: float  # of reading as much over and over; on a GPU of a copy
    flops_per_token: int
    limit_gflops: float | None  # a second, of a big product in float32; None for int8

    @property
    def ratio(self) -> float:
        """How many times the peer's rate the stepper reaches."""
        return self.tokens_per_second / self.peer_tokens_per_second

    @property
    def generate_ratio(self) -> float:
        """How many times the peer's rate is left with the draws."""
        return self.generate_tokens_per_second / self.peer_tokens_per_second

    @property
    def gigabytes_per_second(self) -> float:
        """Of weights that the stepper reads."""
        return self.tokens_per_second / self.rows * self.weight_bytes / 1e9

    @property
    def bytes_share(self) -> float:
        """Of the limit of reading."""
        return self.gigabytes_per_second / self.limit_gigabytes_per_second

    @property
    def gflops(self) -> float:
        """Operations a second of the stepper, in thousands of millions."""
        return self.tokens_per_second * self.flops_per_token / 1e9

    @property
    def flops_share(self) -> float | None:
        """Of the limit of arithmetic, where there is one."""
        return None if self.limit_gflops is None else self.gflops / self.limit_gflops

    def to_json(self) -> dict[str, Any]:
        """Returns every figure as JSON data."""
        derived = ("ratio", "generate_ratio", "gigabytes_per_second", "bytes_share", "gflops", "flops_share")
        return asdict(self) | {name: getattr(self, name) for name in derived}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The most memory that training had held before any peer was there; None where the system does not tell."""

    process_bytes: int | None
    device_bytes: int | None
    parameter_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was measured."""

    run: str | None  # whose sizes these are
    machine: dict[str, Any]
    model: dict[str, Any]
    rounds: int
    seconds: float  # of a measurement
    training: Training
    sampling: tuple[Sampling, ...]
    memory: Memory

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return {
            "run": self.run,
            "machine": self.machine,
            "model": self.model,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "training": self.training.to_json(),
            "sampling": [rows.to_json() for rows in self.sampling],
            "memory": asdict(self.memory),
        }
