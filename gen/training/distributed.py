"""The processes that train one run together, and the data that they exchange.

torchrun starts them; environment variables number them. The first process opens the run as one process would, and
shares its decisions; the others follow. Each process then draws the same batches and runs some of their rows. The
gradients are summed, so that all take the same step. The first alone reads clocks and writes files.

Tensors and decisions travel over the CPU (gloo): there a process may wait for another for hours, and notices at once
when the other ends. On GPUs the gradients alone go over NCCL. Without WORLD_SIZE, or with 1, every method here returns
at once.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor

from gen.errors import GenError, SettingError, TrainingError
from gen.models.device import choose_device

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

MAX_WAIT = timedelta(days=1)  # for a process that prepares a corpus or validates
MAX_SUM = timedelta(minutes=10)  # NCCL does not notice when a process ends
Result = TypeVar("Result")


class ToldElsewhereError(GenError):
    """Another process has failed, and reports the reason."""


class LostProcessError(TrainingError):
    """Another process has ended, and this one cannot go on without it."""


class Peers:
    """The processes that train one run, seen from one of them; made by `join`.

    All processes call every method alike, but for `rows`.

    Args:
        rank: the number of this process; the first is 0.
        size: the number of processes.
        local_rank: the number of this process among those of its machine.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._sums: ProcessGroup | None = None  # None for the group of all

    @property
    def is_first(self) -> bool:
        """True for the process that decides, writes and prints."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Returns the rows of a batch that this process runs: all of them where it is alone."""
        return slice(self.rank * batch_size // self.size, (self.rank + 1) * batch_size // self.size)

    def device(self, name: str) -> torch.device:
        """Returns the device of this process, of the kind that the first chose for `auto`, `cpu`, `cuda` or `mps`.

        Raises:
            SettingError: this machine lacks the device, or it cannot be shared by the processes.
        """
        kind = self.first(lambda: choose_device(name).type)
        with self.together():
            device = choose_device(kind)
            if self.size > 1:
                device = self._own(device)
        if self.size > 1 and device.type == "cuda":
            import torch.distributed as dist

            self._sums = dist.new_group(backend="nccl", timeout=MAX_SUM)
        return device

    def open(
        self,
        lead: Callable[[], tuple[Result, Any, Mapping[str, Tensor]]],
        follow: Callable[[Any, Mapping[str, Tensor]], Result],
    ) -> Result:
        """Returns what the first process has opened by `lead`, and what the others have opened by `follow`.

        The first process of each machine follows before its others, so that these find in the cache what it prepares.

        Args:
            lead: returns what is opened, and the JSON data and tensors that the others need to open the same.
            follow: opens the same from these data and tensors.

        Raises:
            ToldElsewhereError: it failed on another process, which reports the reason.
        """
        if self.size == 1:
            return lead()[0]
        opened: Result | None = None
        decided: Any = None
        tensors: Mapping[str, Tensor] = {}
        with self.together():
            if self.is_first:
                opened, decided, tensors = lead()
        decided, tensors = self._shared(decided), self._shared_tensors(tensors)
        for leads_its_machine in (True, False):
            with self.together():
                if not self.is_first and (self.local_rank == 0) == leads_its_machine:
                    opened = follow(decided, tensors)
        return cast(Result, opened)

    def sum_(self, tensor: Tensor) -> None:
        """Adds up a tensor over all processes, in place; all get the same bits."""
        if self.size > 1:
            import torch.distributed as dist

            with self._noticing():
                dist.all_reduce(tensor, group=self._sums if tensor.is_cuda else None)

    def sum_step_(
        self, parameters: Sequence[Tensor], loss: Tensor, *, seconds: float, is_stopping: bool
    ) -> tuple[Tensor, float, bool]:
        """Sums the gradients of a step over all processes, in place.

        Args:
            loss: () this process's share of the loss.
            seconds: since the last step; those of the first process count.
            is_stopping: whether this process was asked to stop.

        Returns:
            () the loss, the seconds, and whether any process was asked to stop.
        """
        if self.size == 1:
            return loss, seconds, is_stopping
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        assert len(gradients) == len(parameters), "a weight without a gradient"
        others = torch.tensor([seconds if self.is_first else 0.0, is_stopping], dtype=torch.float32, device=loss.device)
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.float()[None], others])
        self.sum_(flat)
        pieces = torch.split(flat, [*(gradient.numel() for gradient in gradients), 3])
        for parameter, piece in zip(parameters, pieces, strict=False):  # the last piece is the figures
            parameter.grad = piece.view_as(parameter)
        _, first_seconds, num_stopping = pieces[-1].tolist()
        return pieces[-1][0], first_seconds, num_stopping > 0

    def gathered(self, tensor: Tensor, batch_size: int) -> Tensor:
        """Returns (L, B, H) all rows of a tensor of which each process has its own (L, rows, H)."""
        if self.size == 1:
            return tensor
        whole = tensor.new_zeros(tensor.shape[0], batch_size, *tensor.shape[2:])
        whole[:, self.rows(batch_size)] = tensor
        self.sum_(whole)
        return whole

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set on any process."""
        return flag if self.size == 1 else any(self._flags(flag))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Runs the block on every process; if it fails on one, it fails on all.

        Raises:
            ToldElsewhereError: it has failed on another process, which reports the reason.
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
        """Calls `work` on the first process while the others wait; returns its result, JSON data, on all.

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

    def told_once(self, error: GenError) -> GenError:
        """Returns the error that each process raises where all fail alike, so that the first alone reports it."""
        return error if self.is_first else ToldElsewhereError("another process has failed")

    def leave(self) -> None:
        """Ends the connection; does nothing where this process is alone. May be called again.

        The threads of gloo must end before the interpreter: one that releases a tensor later aborts the process. They
        end with the last reference to the group. torch.distributed.nn, which some parts of torch import late, keeps a
        reference for ever in its defaults if it is imported while there is a group; so `join` imports it first.
        """
        import torch.distributed as dist

        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _own(self, device: torch.device) -> torch.device:
        """Returns the device of this process among several: on GPUs one each. Raises SettingError."""
        if device.type not in ("cpu", "cuda"):
            raise SettingError(f"--device: cannot train with several processes ({device.type})", "--device cpu")
        if device.type == "cuda":
            if self.local_rank >= (count := torch.cuda.device_count()):
                raise SettingError(f"--device: fewer GPUs than processes on this machine ({count})")
            device = torch.device("cuda", self.local_rank)
            torch.cuda.set_device(device)
        return device

    def _shared(self, data: Any) -> Any:
        """Returns the first process's JSON data on all of them."""
        text = torch.frombuffer(bytearray(json.dumps(data).encode()), dtype=torch.uint8)
        length = torch.tensor([len(text)])
        self._broadcast(length)
        text = text if self.is_first else torch.empty(int(length), dtype=torch.uint8)
        self._broadcast(text)
        return data if self.is_first else json.loads(bytes(text.numpy()))

    def _shared_tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Returns the first process's tensors on all of them, on the CPU; those of the others are ignored."""
        names = self._shared({name: [str(t.dtype), list(t.shape)] for name, t in tensors.items()})
        shared = {}
        for name, (dtype, shape) in names.items():
            if self.is_first:
                shared[name] = tensors[name].detach().cpu().contiguous()
            else:
                shared[name] = torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
            self._broadcast(shared[name])
        return shared

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
        """Raises LostProcessError instead of torch's own error when another process has ended."""
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
    """Returns the processes that train one run with this one, once all are connected; `ALONE` without torchrun.

    Raises:
        SettingError: the environment says that there are several processes, but not where they are.
        TrainingError: they cannot be connected.
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
