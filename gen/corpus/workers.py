"""Encodes the files of a corpus in processes of their own, and hands the results over in the order of the files.

Each file is held to a limit of time and memory (`gen.corpus.limits`), so that one that was made to be hostile, or that
meets a fault of ours, is refused like any other bad file, and the run goes on: a worker that died is replaced by
another, which goes on with the rest. A death that no limit explains may not be the fault of the file, so that file is
tried once more.

A worker is a fresh interpreter that reads its job as JSON from its standard input, to the end, and then writes a reply
for each of its files, in order, to its standard output. The two are plain pipes, for four reasons:

- A fork would copy the locks of threads that may exist: torch and BLAS start some. What `multiprocessing` spawns runs
  the caller's main script again, which goes wrong in every script without an `if __name__ == "__main__"`.
- Whoever dies closes the pipe: a killed worker is seen at once and never waited for, and a worker whose parent was
  killed ends when it writes its next reply.
- Each file's worker is settled beforehand, by size alone. So the replies are read file after file, which needs no
  queue and no thread, and a worker that is ahead waits in its pipe: memory is bounded.
- Nothing is pickled.

A worker imports codecs, hence numpy, but never torch: it starts in a tenth of a second. So even a single file has one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from gen.codec import Codec, Part
from gen.codecs import load_codec
from gen.corpus.hashing import HashedFile
from gen.corpus.limits import Limits, is_time_up, limit_memory, limited_time
from gen.errors import GenError, MidiError
from gen.files import reason

try:
    from fcntl import F_SETPIPE_SZ, fcntl
except ImportError:  # not Linux
    HAS_PIPE_SIZES = False
else:
    HAS_PIPE_SIZES = True

EncodeFile = Callable[[Path], Iterator[Part]]

_WORTHWHILE_BYTES = 2 << 20  # of MIDI for one worker: some 0.3 s of work against 0.1 s to start
_FILE_BYTES = 3000  # that take as long to encode as a file of no length
_LIMITS = Limits()
_TRIES = 2  # of a file whose worker was killed
_PIPE_BYTES = 1 << 20  # how far a worker may be ahead; as much as Linux grants without asking
_PROGRAM = """
import json, sys
job = json.load(sys.stdin)
sys.path[:] = job["path"]
from gen.corpus.workers import work
work(job, sys.stdout.buffer)
"""


class Workers:
    """Processes that encode the given files; used in a `with`, at whose end they are gone.

    Args:
        codec: one that `load_codec` makes again from its spec.
        files: in the order in which `encode_file` will be called for them.
        limits: what each file may take.
    """

    def __init__(
        self, codec: Codec[Any, Any], files: Sequence[HashedFile], *, num_workers: int, limits: Limits = _LIMITS
    ) -> None:
        owners = _owners(files, num_workers=num_workers)
        shares: list[list[Path]] = [[] for _ in range(num_workers)]
        for hashed, owner in zip(files, owners, strict=True):
            shares[owner].append(hashed.file.path)
        self._owners = iter(owners)
        self._workers: list[_Worker] = []
        try:
            for share in shares:
                self._workers.append(_Worker(codec, share, limits))
            for worker in self._workers:  # when all are starting: a long job waits until it is read
                worker.send_job()
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end()

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Yields the parts of the next file.

        Raises:
            MidiError: the file cannot be used, or takes more than it may.
            GenError: its worker was killed, and no other could be started.
        """
        yield from self._workers[next(self._owners)].encode_next(path)

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()


class _Worker:
    """What encodes a share of the files: a process, after whose death another."""

    def __init__(self, codec: Codec[Any, Any], share: Sequence[Path], limits: Limits) -> None:
        self._codec = codec
        self._share = share
        self._limits = limits
        self._num_done = 0
        self.process = _start()

    def send_job(self) -> None:
        """Tells the process which files are left to do."""
        files = [str(path) for path in self._share[self._num_done :]]
        job = {"path": [*map(str, sys.path)], "codec": self._codec.spec(), "limits": self._limits, "files": files}
        assert self.process.stdin is not None
        with suppress(OSError), self.process.stdin as pipe:  # it is gone: its reply, or none, says what is wrong
            pipe.write(json.dumps(job).encode())

    def encode_next(self, path: Path) -> Iterator[Part]:
        """Returns the parts of the next file of the share. Raises MidiError or GenError as `Workers.encode_file`."""
        deaths = 0
        while True:
            assert self.process.stdout is not None
            try:
                parts = _read_reply(self.process.stdout)
            except MidiError:
                self._num_done += 1
                raise
            except EOFError:
                returncode = self.process.wait()
            else:
                self._num_done += 1
                return parts
            if returncode >= 0:  # what made an error there makes it here, where it can be seen
                return self._codec.encode_file(path)
            deaths += 1
            is_over = is_time_up(returncode) or deaths == _TRIES
            self._num_done += is_over
            self._begin_anew(path, -returncode)
            if is_over:
                raise MidiError(f"{path}: {self._cause(returncode)}")

    def end(self) -> None:
        """Waits for the process, which is killed or dead."""
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _cause(self, returncode: int) -> str:
        if is_time_up(returncode):
            return f"takes more than {self._limits.seconds:g} s of processor time"
        return f"the process that read it was killed {_TRIES} times (signal {-returncode})"

    def _begin_anew(self, path: Path, number: int) -> None:
        """Starts another process for the rest of the share."""
        if self._num_done == len(self._share):
            return
        try:
            process = _start()
        except OSError as err:
            raise GenError(
                f"{path}: the process that read it was killed (signal {number}), and no other starts ({reason(err)})",
                hint="perhaps there was not enough memory",
            ) from err
        self.end()
        self.process = process
        self.send_job()


@contextmanager
def file_encoder(
    codec: Codec[Any, Any], files: Sequence[HashedFile], *, num_workers: int | None
) -> Iterator[EncodeFile]:
    """Gives what encodes the files, one after another in their order.

    Args:
        num_workers: how many processes shall do it; 0 for this one alone, which then holds no file to a limit; None for
            as many as make it faster, but one at least.
    """
    with ExitStack() as stack:
        encode_file: EncodeFile = codec.encode_file
        if num := _num_workers(codec, files, wanted=num_workers):
            with suppress(OSError):  # where no more processes are allowed, this one does it
                encode_file = stack.enter_context(Workers(codec, files, num_workers=num)).encode_file
        yield encode_file


def work(job: Mapping[str, Any], out: IO[bytes]) -> None:
    """Encodes the files of a job one after another: what a worker does."""
    codec = load_codec(job["codec"])
    limits = Limits(*job["limits"])
    limit_memory(limits)
    with suppress(OSError):  # nobody waits any more: a closed pipe, which Windows has other words for
        for path in job["files"]:
            _write_reply(codec, Path(path), out, limits)


def _write_reply(codec: Codec[Any, Any], path: Path, out: IO[bytes], limits: Limits) -> None:
    """Writes a line of JSON, `{"parts": [[BYTES, DTYPE, FINDINGS], ...]}` or `{"refused": WHY}`, then the bytes."""
    parts: list[Part] = []
    try:
        with limited_time(limits):
            parts = list(codec.encode_file(path))
        header: dict[str, Any] = {
            "parts": [(part.ids.nbytes, part.ids.dtype.str, dict(part.findings)) for part in parts]
        }
    except MidiError as err:
        header = {"refused": str(err)}
    except MemoryError:
        header = {"refused": f"{path}: takes more than {limits.memory_bytes / (1 << 30):g} GiB of memory"}
    out.write(json.dumps(header).encode() + b"\n")
    for part in parts:
        out.write(np.ascontiguousarray(part.ids).data)
    out.flush()


def _read_reply(pipe: IO[bytes]) -> Iterator[Part]:
    """Returns the parts of one file. Raises MidiError if it is refused, EOFError if the reply is not whole."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    header = json.loads(line)
    if "refused" in header:
        raise MidiError(header["refused"])
    parts = []
    for size, dtype, findings in header["parts"]:
        data = pipe.read(size)
        if len(data) < size:
            raise EOFError
        parts.append(Part(np.frombuffer(data, dtype), findings))
    return iter(parts)


def _start() -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # no threads that idle in each worker
        process_group=0,  # Ctrl-C in a terminal reaches the parent alone, which ends its workers
    )
    if HAS_PIPE_SIZES and process.stdout is not None:
        with suppress(OSError):  # it is but slower with less
            fcntl(process.stdout, F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _num_workers(codec: Codec[Any, Any], files: Sequence[HashedFile], *, wanted: int | None) -> int:
    """Returns how many workers there shall be; 0 without an interpreter to start, or for a codec not made by a spec."""
    if wanted is None:
        wanted = max(1, min(_num_cpus(), sum(map(_load, files)) // _WORTHWHILE_BYTES))
    if not wanted or getattr(sys, "frozen", False) or not sys.executable:
        return 0
    return wanted if type(load_codec(codec.spec())) is type(codec) else 0


def _owners(files: Sequence[HashedFile], *, num_workers: int) -> list[int]:
    """Returns the worker of each file: the one with the least to do so far, so that all stay about as far."""
    loads = [0] * num_workers
    owners = []
    for hashed in files:
        owner = loads.index(min(loads))
        loads[owner] += _load(hashed)
        owners.append(owner)
    return owners


def _load(hashed: HashedFile) -> int:
    return hashed.size + _FILE_BYTES


def _num_cpus() -> int:
    """Returns how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
