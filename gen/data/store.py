"""The token ids of a corpus on disk: memory-mapped, kept by the contents that they were made of.

    STORES/KEY/ids.bin       the ids of all documents, one after another, in the narrowest unsigned type
    STORES/KEY/index.json    {"checksum", "index"}: each document's start, label, name and hash; the codec, the report;
                             the checksum is of the bytes of the index

A store is written to a folder beside its place and renamed, so that one under its own name is whole. It is checked
against its hashes when it is opened: a damaged one is an error, which `gen.prepare` answers by making it again.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.report import Report, report_of
from gen.errors import CorpusError
from gen.files import cache_root, reason

FORMAT = 2
_IDS, _INDEX = "ids.bin", "index.json"
_CHECKSUM, _BODY, _TAIL = '{"checksum": "', '", "index": ', "}"  # what stands around the two in the file
_UNFINISHED = ".unfinished-"
_ABANDONED_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """A prepared corpus of D documents.

    Args:
        ids: all documents' ids, one after another, without begin and end; read from disk as they are used.
        starts: (D + 1,) where each document starts; the last is where the last one stops.
        labels: (D,) 0 for none, k for label_names[k - 1].
        twins: (D,) the first document of equal contents, itself in most cases.
        names: (D,) the files that the documents come from.
        units: how many characters, bytes or notes there are in all.
        key: the hash of the contents and options that it was made of.
        paths: (D,) where `gen.prepare` found the files just now; empty in a store opened by its folder.
        older_keys: those of the same files, read as before: by earlier versions of the rules for MIDI.
    """

    folder: Path
    key: str
    ids: IdArray
    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    twins: NDArray[np.int64]
    label_names: tuple[str, ...]
    names: tuple[str, ...]
    units: int
    codec_spec: dict[str, Any]
    report: Report
    paths: tuple[Path, ...] = ()
    older_keys: tuple[str, ...] = ()


def stores_folder() -> Path:
    """Returns the folder that holds the stores."""
    return cache_root() / "stores"


def open_store(folder: Path, *, is_checked: bool = True) -> Store:
    """Opens a store.

    Args:
        folder: stores_folder() / key.
        is_checked: whether the ids are read through and compared with their hashes (about 1 GB/s).

    Raises:
        CorpusError: it is missing, damaged or of another format.
    """
    try:
        index = _read_index(folder / _INDEX)
        dtype = np.dtype(index["dtype"])
        starts = np.array(index["starts"], np.int64)
        if is_checked and _digests(folder / _IDS, starts * dtype.itemsize) != index["digests"]:
            raise ValueError(f"{_IDS} is not what was written")
        return Store(
            folder=folder,
            key=index["key"],
            ids=np.memmap(folder / _IDS, dtype=dtype, mode="r"),
            starts=starts,
            labels=np.array(index["labels"], np.int32),
            twins=np.array(index["twins"], np.int64),
            label_names=tuple(index["label_names"]),
            names=tuple(index["names"]),
            units=index["units"],
            codec_spec=index["codec"],
            report=report_of(index["report"]),
        )
    except (OSError, ValueError, LookupError, TypeError) as err:
        raise CorpusError(f"{folder}: no usable prepared corpus ({err})", hint="prepare the corpus again") from err


class StoreWriter:
    """Writes a store document by document; used in a `with`, it leaves nothing behind unless `commit` was reached.

    Args:
        folder: where the store shall be; its name is the key.
        num_symbols: how many different ids there can be.

    Raises:
        CorpusError: at any call, when the disk is full or cannot be written.
    """

    def __init__(self, folder: Path, *, num_symbols: int) -> None:
        self._folder = folder
        self._dtype = np.dtype(np.min_scalar_type(max(num_symbols - 1, 0)))
        self._starts = [0]
        self._labels: list[str | None] = []
        self._names: list[str] = []
        self._digests: list[str] = []
        self._open_document()
        with _disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder.parent)
            self._beside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
            self._file: BinaryIO = (self._beside / _IDS).open("wb")

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):  # a full disk again; what it could not write is removed now
            self._file.close()
        shutil.rmtree(self._beside, ignore_errors=True)

    @property
    def num_documents(self) -> int:
        """How many documents have been closed."""
        return len(self._names)

    def add(self, ids: IdArray) -> None:
        """Appends (N,) ids to the document that is being written."""
        data = np.ascontiguousarray(ids, self._dtype)
        with _disk_errors(self._folder):
            self._file.write(data.data)
        self._hash.update(data.data)
        self._num_pending += len(data)

    def close_document(self, name: str, *, label: str | None) -> None:
        """Ends the document."""
        self._names.append(name)
        self._labels.append(label)
        self._digests.append(self._hash.hexdigest())
        self._starts.append(self._starts[-1] + self._num_pending)
        self._open_document()

    def drop_document(self) -> None:
        """Takes back what was added to the document."""
        with _disk_errors(self._folder):
            self._file.flush()
            self._file.seek(self._starts[-1] * self._dtype.itemsize)
            self._file.truncate()
        self._open_document()

    def commit(self, *, codec_spec: Mapping[str, Any], report: Report) -> Store:
        """Finishes the store, puts it in its place and opens it.

        Labels count only when at least two are in use.
        """
        names = sorted({label for label in self._labels if label is not None})
        label_names = names if len(names) > 1 else []
        with _disk_errors(self._folder):
            self._file.flush()
            os.fsync(self._file.fileno())
            _write_index(self._beside / _INDEX, self._index(label_names, codec_spec, report))
            self._file.close()
            _put_in_place(self._beside, self._folder)
        return open_store(self._folder, is_checked=False)

    def _index(self, label_names: Sequence[str], codec_spec: Mapping[str, Any], report: Report) -> dict[str, Any]:
        numbers = {name: number for number, name in enumerate(label_names, 1)}
        return {
            "format": FORMAT,
            "key": self._folder.name,
            "dtype": self._dtype.str,
            "digests": self._digests,
            "starts": self._starts,
            "labels": [0 if label is None else numbers.get(label, 0) for label in self._labels],
            "twins": _firsts(self._digests),
            "label_names": label_names,
            "names": self._names,
            "units": report.units,
            "codec": dict(codec_spec),
            "report": report.rows(),
        }

    def _open_document(self) -> None:
        self._num_pending = 0
        self._hash = hashlib.sha256()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        what = reason(err)
        hint = "make room there, or set GEN_CACHE to a folder on another disk"
        raise CorpusError(f"{folder.parent}: cannot write the prepared corpus ({what})", hint=hint) from err


def _write_index(path: Path, index: Mapping[str, Any]) -> None:
    body = json.dumps(index)  # at once: written piece by piece it takes ten times as long
    with path.open("w", encoding="ascii") as file:
        for text in (_CHECKSUM, hashlib.sha256(body.encode()).hexdigest(), _BODY, body, _TAIL):
            file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_index(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="ascii")
    start = text.index(_BODY) + len(_BODY)
    checksum = hashlib.sha256(text[start : -len(_TAIL)].encode()).hexdigest()
    if text[: start - len(_BODY)] != _CHECKSUM + checksum:
        raise ValueError(f"{_INDEX} is not what was written")
    index: dict[str, Any] = json.JSONDecoder().raw_decode(text, start)[0]
    if index["format"] != FORMAT:
        raise ValueError(f"format {index['format']}, not {FORMAT}")
    return index


def _firsts(digests: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    return [first.setdefault(digest, place) for place, digest in enumerate(digests)]


def _digests(path: Path, offsets: NDArray[np.int64]) -> list[str]:
    """Returns the hash of each stretch of a file; read, not mapped, so that it does not count as our memory."""
    digests = []
    with path.open("rb") as file:
        for size in np.diff(offsets).tolist():
            digest, missing = hashlib.sha256(), size
            while missing and (data := file.read(min(missing, 1 << 16))):
                digest.update(data)
                missing -= len(data)
            digests.append(digest.hexdigest())
        if file.read(1):
            raise ValueError(f"{_IDS} is too long")
    return digests


def _put_in_place(beside: Path, folder: Path) -> None:
    """Renames a finished store to its place; gives way to a sound one that another process made meanwhile."""
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
    """Removes what killed processes left, once it is a day old."""
    for folder in stores.glob(f"{_UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
