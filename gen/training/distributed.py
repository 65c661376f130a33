"""The processes that train one run together, and what they tell each other.

torchrun starts them and says by environment variables who is who. Each draws the same batches and runs some of their
rows; gradients are added up, so that all take the same step. The first process alone decides what a clock decides, and
writes. What is said between steps goes over the CPU (gloo), where one may wait for another as long as it takes and
still notices at once when it is gone; on GPUs only the sums go over NCCL. Where WORLD_SIZE is not set, or 1, nothing
of this costs anything.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from gen.errors import GenError, SettingError, TrainingError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

MAX_WAIT = timedelta(days=1)  # for a process that prepares a corpus or validates
MAX_SUM = timedelta(minutes=10)  # NCCL does not see that a process is gone
Result = TypeVar("Result")


class ToldElsewhereError(GenError):
    """Another process has failed, and tells why."""


class LostProcessError(TrainingError):
    """Another process is gone, and this one cannot go on without it."""


class Peers:
    """The processes that train one run, seen from one of them; made by `join`.

    Args:
        rank: which of them this is; the first is 0.
        size: how many there are.
        local_rank: which of those on this machine this is.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._sums: ProcessGroup | None = None  # None for the group of all

    @property
    def is_first(self) -> bool:
        """Whether this is the process that decides, writes and prints."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Returns the rows of a batch that this process runs."""
        return slice(self.rank * batch_size // self.size, (self.rank + 1) * batch_size // self.size)

    def use(self, device: torch.device) -> torch.device:
        """Returns the device of this process: on GPUs one each. All call it.

        Raises:
            SettingError: there are fewer GPUs than processes on this machine, or the device knows no sums.
        """
        if self.size == 1:
            return device
        with self.together():
            if device.type not in ("cpu", "cuda"):
                raise SettingError(f"--device: cannot train with several processes ({device.type})", "--device cpu")
            if device.type == "cuda" and self.local_rank >= (count := torch.cuda.device_count()):
                raise SettingError(f"--device: fewer GPUs than processes on this machine ({count})")
        if device.type == "cuda":
            import torch.distributed as dist

            device = torch.device("cuda", self.local_rank)
            torch.cuda.set_device(device)
            self._sums = dist.new_group(backend="nccl", timeout=MAX_SUM)
        return device

    def sum_(self, tensor: Tensor) -> None:
        """Adds up a tensor over all processes, in place; all get the same bits."""
        if self.size > 1:
            import torch.distributed as dist

            with self._noticing():
                dist.all_reduce(tensor, group=self._sums if tensor.is_cuda else None)

    def sum_gradients_(self, parameters: Sequence[Tensor], *figures: float | Tensor) -> list[float]:
        """Adds up the gradients over all processes; returns the sums of some figures, which travel with them."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        assert len(gradients) == len(parameters), "a weight without a gradient"
        riders = torch.stack([torch.as_tensor(figure, dtype=torch.float32) for figure in figures])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), riders.to(gradients[0].device)])
        self.sum_(flat)
        pieces = torch.split(flat, [*(gradient.numel() for gradient in gradients), len(figures)])
        for parameter, piece in zip(parameters, pieces, strict=False):  # the last piece is the figures
            parameter.grad = piece.view_as(parameter)
        sums: list[float] = pieces[-1].tolist()
        return sums

    def gathered(self, tensor: Tensor, batch_size: int) -> Tensor:
        """Returns (L, B, H) all rows of a tensor of which each process has its own (L, rows, H). All call it."""
        if self.size == 1:
            return tensor
        whole = tensor.new_zeros(tensor.shape[0], batch_size, *tensor.shape[2:])
        whole[:, self.rows(batch_size)] = tensor
        self.sum_(whole)
        return whole

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set on any process. All call it."""
        return flag if self.size == 1 else any(self._flags(flag))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Runs the block on every process; where it fails on one, it fails on all.

        Raises:
            ToldElsewhereError: it has failed on another process, which tells why.
        """
        if self.size == 1:
            yield
            return
        try:
            yield
        except Exception:
            has_failed = self._flags(True)
            if self.is_first or not has_failed[0]:
                raise
        else:
            has_failed = self._flags(False)
        if any(has_failed):
            raise ToldElsewhereError("another process has failed")

    def first(self, work: Callable[[], Result]) -> Result:
        """Calls `work` on the first process while the others wait; returns what it gave, JSON data, on all.

        Raises:
            ToldElsewhereError: it failed on the first process, and this is another.
        """
        if self.size == 1:
            return work()
        result: Any = None
        with self.together():
            if self.is_first:
                result = work()
        return self._shared(result)  # type: ignore[no-any-return]

    def share_tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Returns the first process's tensors on all of them, on the CPU; what others hand in is not looked at."""
        if self.size == 1:
            return tensors
        names = self._shared({name: [str(t.dtype), list(t.shape)] for name, t in tensors.items()})
        shared = {}
        for name, (dtype, shape) in names.items():
            if self.is_first:
                shared[name] = tensors[name].detach().cpu().contiguous()
            else:
                shared[name] = torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
            self._broadcast(shared[name])
        return shared

    def leave(self) -> None:
        """Ends the connection; alone, nothing. May be called again.

        The threads of gloo must be gone before the interpreter ends: one that still lets go of a tensor then aborts the
        process. They go with the last reference to the group, and torch.distributed.nn, which parts of torch import
        when they please, keeps one for ever in its defaults if it is imported while there is a group. So `join` imports
        it first.
        """
        import torch.distributed as dist

        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _shared(self, data: Any) -> Any:
        """Returns the first process's JSON data on all of them."""
        text = torch.frombuffer(bytearray(json.dumps(data).encode()), dtype=torch.uint8)
        length = torch.tensor([len(text)])
        self._broadcast(length)
        text = text if self.is_first else torch.empty(int(length), dtype=torch.uint8)
        self._broadcast(text)
        return data if self.is_first else json.loads(bytes(text.numpy()))

    def _broadcast(self, tensor: Tensor) -> None:
        import torch.distributed as dist

        with self._noticing():
            dist.broadcast(tensor, src=0)

    def _flags(self, flag: bool) -> list[bool]:
        """Returns the flag of every process."""
        flags = torch.zeros(self.size, dtype=torch.int32)
        flags[self.rank] = flag
        self.sum_(flags)
        return [bool(value) for value in flags.tolist()]

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Words what torch says when another process is gone."""
        try:
            yield
        except RuntimeError as err:
            raise LostProcessError(
                f"training: another of its {self.size} processes has ended, or cannot be reached",
                hint="--resume goes on from the last checkpoint, with any number of processes",
            ) from err


ALONE = Peers()


def is_first_process() -> bool:
    """Returns whether this process is the only one, or the first of those that torchrun started."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def join() -> Peers:
    """Returns the processes that train with this one, when all have come; `ALONE` unless torchrun started several.

    Raises:
        SettingError: the environment names several processes, but not all that is needed to find them.
        TrainingError: they do not find each other.
    """
    size = _from_environment("WORLD_SIZE") if "WORLD_SIZE" in os.environ else 1
    if size == 1:
        return ALONE
    rank, local_rank = _from_environment("RANK"), _from_environment("LOCAL_RANK")
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise _not_set(name)
    import torch.distributed as dist
    import torch.distributed.nn  # noqa: F401 - see `leave`

    try:
        dist.init_process_group("gloo", timeout=MAX_WAIT)
    except (RuntimeError, ValueError) as err:
        raise TrainingError(f"torchrun: the {size} processes do not find each other ({_line(err)})") from err
    return Peers(rank, size, local_rank)


def _from_environment(name: str) -> int:
    if name not in os.environ:
        raise _not_set(name)
    try:
        return int(os.environ[name])
    except ValueError as err:
        raise SettingError(f"{name}: not a whole number ({os.environ[name]})") from err


def _not_set(name: str) -> SettingError:
    return SettingError(
        f"{name}: not set, though WORLD_SIZE is ({os.environ['WORLD_SIZE']})",
        hint="torchrun sets them all; unset WORLD_SIZE to train alone",
    )


def _line(err: Exception) -> str:
    return str(err).splitlines()[0] if str(err) else type(err).__name__
