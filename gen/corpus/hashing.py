"""Hashes the contents of files, and checks that files do not change while a corpus is read."""

import codecs
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gen.corpus.sources import Skipped, SourceFile
from gen.errors import CorpusError
from gen.files.disk import reason

_CHUNK_BYTES = 1 << 16
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class HashedFile(NamedTuple):
    """A file, the hash of its contents, and a stamp that changes when the file does."""

    file: SourceFile
    sha256: str
    size: int  # in bytes
    stamp: tuple[int, int, int]  # inode, size and time of modification
    has_inner_mark: bool = False  # whether bytes of a byte order mark occur after the beginning of the file


def hash_files(
    files: Sequence[SourceFile], *, on_bytes: Callable[[int], None]
) -> tuple[list[HashedFile], list[Skipped]]:
    """Returns the files with their hashes, and the found files that cannot be read.

    Raises:
        CorpusError: a file that the user named cannot be read, or a file has vanished.
    """
    hashed, unreadable = [], []
    for file in files:
        try:
            hashed.append(_hash(file, on_bytes))
        except FileNotFoundError as err:
            raise _vanished(file) from err
        except OSError as err:
            what = f"cannot be read ({reason(err)})"
            if file.is_given:
                raise CorpusError(f"{file.name}: {what}") from err
            unreadable.append(Skipped(file.name, what))
    return hashed, unreadable


def check_unchanged(hashed: HashedFile) -> None:
    """Raises CorpusError if the file has changed since it was hashed."""
    try:
        stamp = _stamp(hashed.file.path.stat())
    except OSError as err:
        raise _vanished(hashed.file) from err
    if stamp != hashed.stamp:
        raise CorpusError(f"{hashed.file.name}: changed while the corpus was read", hint="try again when it rests")


def _hash(file: SourceFile, on_bytes: Callable[[int], None]) -> HashedFile:
    digest, size = hashlib.sha256(), 0
    mark, has_inner_mark, last = b"", False, b""
    with file.path.open("rb", buffering=0) as opened:  # chunks are large, so a buffer would only cost time
        stamp = _stamp(os.fstat(opened.fileno()))
        while data := opened.read(_CHUNK_BYTES):
            digest.update(data)
            mark = mark or _mark_of(data)
            first = 0 if size else _after_mark(data)
            # Most texts lack even the first byte of a mark, and rfind is twice as fast as find.
            is_inside = mark[:1] in data and data.rfind(mark, first) >= 0
            is_cut = size > 0 and mark in last + data[: len(mark) - 1]
            has_inner_mark = has_inner_mark or is_inside or is_cut
            last = data[1 - len(mark) :]
            size += len(data)
            on_bytes(len(data))
    return HashedFile(file, digest.hexdigest(), size, stamp, has_inner_mark)


def _mark_of(data: bytes) -> bytes:
    """Returns the byte order mark in the encoding of a file with these first bytes; UTF-8 is assumed without a mark."""
    beginning = data[:4].lstrip(b"\0")
    return next((mark for mark in _WIDE_MARKS if beginning.startswith(mark)), codecs.BOM_UTF8)


def _after_mark(data: bytes) -> int:
    """Returns the first offset of a mark that does not begin the file; in UTF-32 the first mark may follow two NULs."""
    return 3 if data.startswith(b"\0\0") else 1


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _vanished(file: SourceFile) -> CorpusError:
    return CorpusError(f"{file.name}: vanished while the corpus was read")
