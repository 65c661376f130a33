"""Encodes the files of a corpus in worker processes, and yields the results in the order of the files.

Each file has a limit of processor time and memory (`gen.corpus.resource_limits`). A file that exceeds it, because it is
hostile or because of a bug of ours, is refused like any other bad file. The preparation continues: another worker
replaces the one that died, and takes over its remaining files. If a worker dies within its limits, the file may not be
the cause, so the file is tried once more.

A worker is a new Python interpreter. It reads its job as JSON from its standard input up to the end, then writes one
reply per file, in order, to its standard output. Parent and worker talk through plain pipes, for four reasons:

- A fork would copy locks that other threads may hold, such as those of torch and BLAS. A process that
  `multiprocessing` spawns runs the caller's main script again, which breaks scripts without `if __name__ ==
  "__main__"`.
- A process that dies closes its pipes. So the parent sees at once that a worker was killed, and a worker whose parent
  was killed ends at its next reply.
- The worker of each file is chosen beforehand, by file sizes. So the parent reads the replies in the order of the
  files, without queues or threads, and memory is bounded: a worker that is ahead blocks on its full pipe.
- Nothing is pickled.

A worker imports the codecs and so numpy, but never torch. It starts in 0.1 s, so even a single file gets a worker.
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

from gen.codec import AnyCodec, Part
from gen.codecs import load_codec
from gen.corpus.hashing import HashedFile
from gen.corpus.resource_limits import ResourceLimits, is_time_up, limit_memory, limited_time
from gen.errors import GenError, MidiError
from gen.files.disk import reason

try:
    from fcntl import F_SETPIPE_SZ, fcntl
except ImportError:  # not Linux
    HAS_PIPE_SIZES = False
else:
    HAS_PIPE_SIZES = True

EncodeFile = Callable[[Path], Iterator[Part]]

_MIN_BYTES_PER_WORKER = 2 << 20  # of MIDI: about 0.3 s of work, against 0.1 s to start the worker
_BYTES_PER_FILE = 3000  # the fixed cost of a file, as the number of bytes that take as long to encode
_LIMITS = ResourceLimits()
_MAX_TRIES = 2  # of a file whose worker was killed
_PIPE_BYTES = 1 << 20  # how far a worker can be ahead of the parent; the most that Linux grants without privileges
_PROGRAM = """
import json, sys
job = json.load(sys.stdin)
sys.path[:] = job["path"]
from gen.corpus.workers import work
work(job, sys.stdout.buffer)
"""


class Workers:
    """Processes that encode the given files; a context manager that ends them on exit.

    Args:
        codec: a codec that `load_codec` can rebuild from its spec.
        files: in the order in which `encode_file` will be called for them.
        limits: those of each file.
    """

    def __init__(
        self, codec: AnyCodec, files: Sequence[HashedFile], *, num_workers: int, limits: ResourceLimits = _LIMITS
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
            for worker in self._workers:  # only when all are starting: sending a long job blocks until it is read
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
            MidiError: the file cannot be used, or exceeds its limits.
            GenError: its worker was killed, and no other could be started.
        """
        yield from self._workers[next(self._owners)].encode_next(path)

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process that encodes a share of the files; a new process replaces one that dies."""

    def __init__(self, codec: AnyCodec, share: Sequence[Path], limits: ResourceLimits) -> None:
        self._codec = codec
        self._share = share
        self._limits = limits
        self._num_done = 0
        self.process = _start()

    def send_job(self) -> None:
        """Sends the codec, the limits and the remaining files to the process."""
        files = [str(path) for path in self._share[self._num_done :]]
        job = {"path": [*map(str, sys.path)], "codec": self._codec.spec(), "limits": self._limits, "files": files}
        assert self.process.stdin is not None
        with suppress(OSError), self.process.stdin as pipe:  # a dead process is noticed when its reply is read
            pipe.write(json.dumps(job).encode())

    def encode_next(self, path: Path) -> Iterator[Part]:
        """Returns the parts of the next file of the share. Raises MidiError or GenError, as `Workers.encode_file`."""
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
            if returncode >= 0:  # a Python error: repeated in this process, it shows its traceback
                return self._codec.encode_file(path)
            deaths += 1
            is_given_up = is_time_up(returncode) or deaths == _MAX_TRIES
            self._num_done += is_given_up
            self._restart(path, -returncode)
            if is_given_up:
                raise MidiError(f"{path}: {self._cause(returncode)}")

    def end(self) -> None:
        """Waits for the process, which was killed or has ended, and closes its pipes."""
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _cause(self, returncode: int) -> str:
        if is_time_up(returncode):
            return f"takes more than {self._limits.seconds:g} s of processor time"
        return f"the process that read it was killed {_MAX_TRIES} times (signal {-returncode})"

    def _restart(self, path: Path, signal_number: int) -> None:
        """Starts another process for the rest of the share."""
        if self._num_done == len(self._share):
            return
        try:
            process = _start()
        except OSError as err:
            raise GenError(
                f"{path}: the process that read it was killed (signal {signal_number}), and no other starts"
                f" ({reason(err)})",
                hint="perhaps there was not enough memory",
            ) from err
        self.end()
        self.process = process
        self.send_job()


@contextmanager
def file_encoder(codec: AnyCodec, files: Sequence[HashedFile], *, num_workers: int | None) -> Iterator[EncodeFile]:
    """Yields a function that encodes a file; it must be called for each of the files, in their order.

    Args:
        num_workers: the number of worker processes. 0 encodes in this process, without limits; None chooses the number
            that is fastest, at least 1.
    """
    with ExitStack() as stack:
        encode_file: EncodeFile = codec.encode_file
        if num := _num_workers(codec, files, wanted=num_workers):
            with suppress(OSError):  # if no worker can be started, this process encodes
                encode_file = stack.enter_context(Workers(codec, files, num_workers=num)).encode_file
        yield encode_file


def work(job: Mapping[str, Any], out: IO[bytes]) -> None:
    """Encodes the files of a job and writes their replies: the main function of a worker."""
    codec = load_codec(job["codec"])
    limits = ResourceLimits(*job["limits"])
    limit_memory(limits)
    with suppress(OSError):  # the parent has closed the pipe; Windows raises no BrokenPipeError
        for path in job["files"]:
            _write_reply(codec, Path(path), out, limits)


def _write_reply(codec: AnyCodec, path: Path, out: IO[bytes], limits: ResourceLimits) -> None:
    """Writes `{"parts": [[BYTES, DTYPE, FINDINGS], ...]}` or `{"refused": WHY}` as a line of JSON, then the ids."""
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
    """Returns the parts of one file. Raises MidiError if it was refused, EOFError if the reply is incomplete."""
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
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # workers need no idle threads
        process_group=0,  # Ctrl-C in a terminal then reaches only the parent, which ends its workers
    )
    if HAS_PIPE_SIZES and process.stdout is not None:
        with suppress(OSError):  # a smaller pipe only costs speed
            fcntl(process.stdout, F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _num_workers(codec: AnyCodec, files: Sequence[HashedFile], *, wanted: int | None) -> int:
    """Returns the number of workers; 0 without an interpreter to start, or if a spec cannot rebuild the codec."""
    if wanted is None:
        wanted = max(1, min(num_cpus(), sum(map(_load, files)) // _MIN_BYTES_PER_WORKER))
    if not wanted or getattr(sys, "frozen", False) or not sys.executable:
        return 0
    return wanted if type(load_codec(codec.spec())) is type(codec) else 0


def _owners(files: Sequence[HashedFile], *, num_workers: int) -> list[int]:
    """Returns the number of the worker of each file: the one with the least load so far, so that all keep pace."""
    loads = [0] * num_workers
    owners = []
    for hashed in files:
        owner = loads.index(min(loads))
        loads[owner] += _load(hashed)
        owners.append(owner)
    return owners


def _load(hashed: HashedFile) -> int:
    return hashed.size + _BYTES_PER_FILE


def num_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
