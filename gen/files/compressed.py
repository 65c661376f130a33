"""Reads files that may be compressed with gzip, bzip2 or xz.

Compression is recognised by the first bytes of a file, whatever its name. Files are unpacked in memory, no more than is
read at once. A file that unpacks to very much more than its size is refused, because it was made to fill the memory.
"""

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path, PurePath
from typing import BinaryIO, Literal, NamedTuple

from gen.errors import CorpusError
from gen.files.disk import reason

Compression = Literal["gzip", "bzip2", "xz"]

ALWAYS_BYTES = 256 << 20  # any file may unpack to this size
MAX_RATIO = 200  # of unpacked to packed size beyond that; ordinary text has 3 to 10
HEAD_BYTES = 1 << 16  # the first bytes of a file, by which its kind is recognised
COMPRESSION_SUFFIXES = (".gz", ".bz2", ".xz", ".lzma")

_FIRST_BYTES: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "xz"),  # LZMA as it was before xz
)
_BZIP2_MARKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")  # of a first block, or of the end
_UNPACKING_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


class Head(NamedTuple):
    """The first bytes of a file, unpacked, and its compression."""

    data: bytes
    compression: Compression | None


def compression_of(head: bytes) -> Compression | None:
    """Returns the compression of a file with these first bytes, or None."""
    for first, compression in _FIRST_BYTES:
        if head.startswith(first) and (compression != "bzip2" or head[4:10] in _BZIP2_MARKS):
            return compression
    return None


def without_compression_suffix(path: PurePath) -> PurePath:
    """Returns the name of a file without its folder and without a suffix of compression: a.mid for x/a.mid.gz."""
    return PurePath(path.stem if path.suffix.lower() in COMPRESSION_SUFFIXES else path.name)


def read_head(path: Path) -> Head:
    """Returns the first bytes of a file, unpacked.

    Raises:
        CorpusError: the file is compressed and damaged at its beginning.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    compression = compression_of(data)
    if compression is not None:
        with open_unpacked(path) as unpacked:
            data = unpacked.read(HEAD_BYTES)
    return Head(data, compression)


def open_unpacked(path: Path) -> io.BufferedIOBase:
    """Opens a file for reading, unpacked if it is compressed.

    Raises:
        CorpusError: while reading: the file is damaged, truncated, or unpacks to too much.
        OSError: the file cannot be read.
    """
    file = path.open("rb")
    try:
        compression = compression_of(file.read(16))
        file.seek(0)
    except OSError:
        file.close()
        raise
    return file if compression is None else _Unpacked(path, file, compression)


class _Unpacked(io.BufferedIOBase):
    """The unpacked contents of a compressed file, with errors that name the file and the offset."""

    def __init__(self, path: Path, file: BinaryIO, compression: Compression) -> None:
        self._path = path
        self._file = file
        self._compression = compression
        self._unpacking = _opened(file, compression)
        self._num_bytes = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns up to `size` bytes, or all if it is -1. Raises CorpusError."""
        try:
            data = self._unpacking.read(-1 if size is None else size)
        except _UNPACKING_ERRORS as err:
            raise self._damaged(err) from err
        except OSError as err:
            if err.errno is None:  # bz2 raises such an OSError for bad data
                raise self._damaged(err) from err
            raise CorpusError(f"{self._path}: cannot be read ({reason(err)})") from err
        self._num_bytes += len(data)
        self._check_size()
        return data

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()

    def _damaged(self, err: Exception) -> CorpusError:
        what = "truncated" if isinstance(err, EOFError) else "damaged"
        place = f"after {self._num_bytes} bytes unpacked, at byte {self._file.tell()} of the file"
        return CorpusError(f"{self._path}: {what} {self._compression} file ({place})", hint="get the file again")

    def _check_size(self) -> None:
        if self._num_bytes <= ALWAYS_BYTES:
            return
        size = self._path.stat().st_size
        if self._num_bytes > MAX_RATIO * size:
            raise CorpusError(
                f"{self._path}: unpacks to more than {MAX_RATIO} times its size ({size} bytes packed)",
                hint="if it is meant so, unpack it and give what comes out",
            )


def _opened(file: BinaryIO, compression: Compression) -> io.BufferedIOBase:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb")
    return bz2.BZ2File(file) if compression == "bzip2" else lzma.LZMAFile(file)
