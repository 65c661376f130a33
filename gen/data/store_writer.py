"""Writes a store of token ids, file by file; a file is written in parts, with any number of documents in each."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import NO_ENDS, IdArray
from gen.data.indices import CHUNK
from gen.data.report import Report
from gen.data.store import (
    BODY,
    CHECKSUM,
    FORMAT,
    IDS,
    INDEX,
    LABEL_TYPE,
    LABELS,
    START_TYPE,
    STARTS,
    TAIL,
    TWINS,
    Store,
    file_digest,
    open_store,
)
from gen.data.twins import DocumentHashes, first_equals
from gen.errors import CorpusError
from gen.files.disk import reason

_HASH_TYPE: Final = np.dtype(np.uint64)
_UNFINISHED: Final = ".unfinished-"
_ABANDONED_SECONDS: Final = 24 * 3600.0


class Written(NamedTuple):
    """The number of documents that were written for a file."""

    num_documents: int
    num_empty: int  # left out


class _Mark(NamedTuple):
    """The state of the writer after the last complete file."""

    num_ids: int
    num_documents: int
    digest: "hashlib._Hash"


class StoreWriter:
    """Writes a store file by file; a context manager that removes everything on exit unless `commit` has succeeded.

    Args:
        folder: the final folder of the store; its name is the key.
        num_symbols: the number of different ids.

    Raises:
        CorpusError: at any call, if the disk is full or cannot be written.
    """

    def __init__(self, folder: Path, *, num_symbols: int) -> None:
        self._folder = folder
        self._dtype = np.dtype(np.min_scalar_type(max(num_symbols - 1, 0)))
        self._files: list[str] = []
        self._documents: list[int] = []  # the number in each file
        self._label_numbers: dict[str | None, int] = {None: 0}
        self._labels = bytearray()  # a label number per document; shorter if the last documents have no label
        self._hashes = DocumentHashes()
        self._hashed = bytearray()  # a hash per document
        self._mark = _Mark(0, 0, hashlib.sha256())
        with _disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder.parent)
            self._beside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
            self._out: dict[str, BinaryIO] = {name: (self._beside / name).open("wb") for name in (IDS, STARTS)}
            self._out[STARTS].write(np.zeros(1, START_TYPE).data)
        self._begin_file(None)

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *_exception: object) -> None:
        for file in self._out.values():
            with suppress(OSError):  # on a full disk, closing fails too; the file is removed below
                file.close()
        shutil.rmtree(self._beside, ignore_errors=True)

    @property
    def num_documents(self) -> int:
        """The number of documents of all closed files."""
        return self._mark.num_documents

    def open_file(self, *, label: str | None) -> None:
        """Begins a file; its label applies to all its documents without a label of their own."""
        self._begin_file(label)

    def add(self, ids: IdArray, ends: NDArray[np.int64] = NO_ENDS, labels: Sequence[str | None] | None = None) -> None:
        """Appends (N,) ids, with (E,) ends of documents among them, and with (E,) labels if they have their own."""
        data = np.ascontiguousarray(ids, self._dtype)
        with _disk_errors(self._folder):
            self._out[IDS].write(data.data)
        self._digest.update(data.data)
        hashes = self._hashes.push(data, ends)
        if len(ends):
            self._end_documents(self._num_ids + ends, hashes, self._label_column(len(ends), labels))
        self._num_ids += len(data)

    def close_file(self, name: str) -> Written:
        """Ends the file and its last document."""
        self.add(np.empty(0, self._dtype), np.zeros(int(self._num_ids > self._start), np.int64))
        num_documents = self._num_documents - self._mark.num_documents
        self._files.append(name)
        self._documents.append(num_documents)
        self._mark = _Mark(self._num_ids, self._num_documents, self._digest)
        return Written(num_documents, self._num_empty)

    def drop_file(self) -> None:
        """Removes what was added since the file began."""
        num_documents = self._mark.num_documents
        del self._labels[num_documents * LABEL_TYPE.itemsize :], self._hashed[num_documents * _HASH_TYPE.itemsize :]
        sizes = {
            IDS: self._mark.num_ids * self._dtype.itemsize,
            STARTS: (num_documents + 1) * START_TYPE.itemsize,
        }
        with _disk_errors(self._folder):
            for name, size in sizes.items():
                self._out[name].flush()
                self._out[name].seek(size)
                self._out[name].truncate()

    def commit(self, *, codec_spec: Mapping[str, Any], report: Report) -> Store:
        """Finishes the store, renames it to its final folder and opens it.

        Labels are stored only if at least two are in use.
        """
        with _disk_errors(self._folder):
            for file in self._out.values():
                file.flush()
                os.fsync(file.fileno())
                file.close()
            self._write_twins()
            label_names = self._write_labels()
            digests = {IDS: self._mark.digest.hexdigest()}
            names = (STARTS, TWINS, *([LABELS] if label_names else []))
            digests |= {name: file_digest(self._beside / name) for name in names}
            _write_index(self._beside / INDEX, self._index(label_names, digests, codec_spec, report))
            _put_in_place(self._beside, self._folder)
        return open_store(self._folder, is_checked=False)

    def _begin_file(self, label: str | None) -> None:
        self._label = self._number(label)
        self._num_ids, self._num_documents, digest = self._mark
        self._start = self._num_ids  # that of the current document
        self._digest = digest.copy()
        self._num_empty = 0
        self._hashes.begin_anew()

    def _number(self, label: str | None) -> int:
        return self._label_numbers.setdefault(label, len(self._label_numbers))

    def _label_column(self, num_documents: int, labels: Sequence[str | None] | None) -> NDArray[np.int32] | None:
        """Returns (E,) the label numbers of documents, or None if neither they nor their file have labels."""
        if labels is not None:
            return np.array([self._number(label) for label in labels], LABEL_TYPE)
        return np.full(num_documents, self._label, LABEL_TYPE) if self._label else None

    def _end_documents(
        self, stops: NDArray[np.int64], hashes: NDArray[np.uint64], labels: NDArray[np.int32] | None
    ) -> None:
        lengths = stops.copy()
        lengths[0] -= self._start
        lengths[1:] -= stops[:-1]
        self._start = int(stops[-1])
        if not lengths.all():
            is_kept = lengths > 0
            self._num_empty += len(stops) - int(np.count_nonzero(is_kept))
            stops, hashes = stops[is_kept], hashes[is_kept]
            labels = None if labels is None else labels[is_kept]
        if labels is not None:
            self._labels.extend(bytes(self._num_documents * LABEL_TYPE.itemsize - len(self._labels)))
            self._labels.extend(labels.data)
        self._hashed.extend(hashes.data)
        with _disk_errors(self._folder):
            self._out[STARTS].write(np.ascontiguousarray(stops, START_TYPE).data)
        self._num_documents += len(stops)

    def _write_twins(self) -> None:
        twins = first_equals(np.frombuffer(self._hashed, _HASH_TYPE))
        self._hashed = bytearray()
        _write(self._beside / TWINS, [twins.astype(twins.dtype.newbyteorder("<"), copy=False)])

    def _write_labels(self) -> list[str]:
        """Writes the labels, numbered in the order of their names, if there are any; returns the names."""
        counts = np.zeros(len(self._label_numbers), np.int64)
        for part in self._numbers():
            counts += np.bincount(part, minlength=len(counts))
        used = {label: number for label, number in self._label_numbers.items() if label is not None and counts[number]}
        names = sorted(used)
        if len(names) < 2:
            return []
        table = np.zeros(len(self._label_numbers), LABEL_TYPE)
        table[[used[name] for name in names]] = np.arange(1, len(names) + 1)
        _write(self._beside / LABELS, (table[part] for part in self._numbers()))
        return names

    def _numbers(self) -> Iterator[NDArray[np.int32]]:
        numbers = np.frombuffer(self._labels, LABEL_TYPE)
        for start in range(0, self.num_documents, CHUNK):
            part = np.zeros(min(CHUNK, self.num_documents - start), LABEL_TYPE)
            known = numbers[start : start + CHUNK]
            part[: len(known)] = known
            yield part

    def _index(
        self, label_names: Sequence[str], digests: Mapping[str, str], codec_spec: Mapping[str, Any], report: Report
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "key": self._folder.name,
            "dtype": self._dtype.str,
            "digests": digests,
            "label_names": label_names,
            "files": self._files,
            "documents": self._documents,
            "units": report.units,
            "codec": dict(codec_spec),
            "report": report.rows(),
        }


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        what = reason(err)
        hint = "make room there, or set GEN_CACHE to a folder on another disk"
        raise CorpusError(f"{folder.parent}: cannot write the prepared corpus ({what})", hint=hint) from err


def _write(path: Path, columns: Iterable[NDArray[np.generic]]) -> None:
    with path.open("wb") as file:
        for column in columns:
            file.write(column.data)
        file.flush()
        os.fsync(file.fileno())


def _write_index(path: Path, index: Mapping[str, Any]) -> None:
    body = json.dumps(index)  # as one string: json.dump, which writes piece by piece, takes ten times as long
    with path.open("w", encoding="ascii") as file:
        for text in (CHECKSUM, hashlib.sha256(body.encode()).hexdigest(), BODY, body, TAIL):
            file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(beside: Path, folder: Path) -> None:
    """Renames a finished store to its final folder, unless another process has made a valid one there meanwhile."""
    try:
        beside.rename(folder)
        return
    except OSError:
        if not folder.exists():
            raise
    try:
        open_store(folder)
    except CorpusError:
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)


def _remove_abandoned(stores: Path) -> None:
    """Removes temporary folders that killed processes left, once they are a day old."""
    for folder in stores.glob(f"{_UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
