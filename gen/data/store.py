"""The token ids of a corpus on disk, memory-mapped, in a folder that is named by a hash of files and options.

    STORES/KEY/ids.bin       the ids of all documents, one after another, in the narrowest unsigned type
    STORES/KEY/starts.bin    int64: the start of each document, and the stop of the last one
    STORES/KEY/labels.bin    int32: the label of each document; missing without labels
    STORES/KEY/twins.bin     int32, or int64 from 2^31 documents on: the first document equal to each document
    STORES/KEY/index.json    {"checksum", "index"}: the files, the number of documents in each, the names of labels, the
                             hashes of the other files, the codec, the report; the checksum is that of the index

A store is written to a temporary folder and renamed (`gen.data.store_writer`), so a store under its own name is
complete. It is compared with its hashes when it is opened. A damaged store is an error, and `gen.corpus.prepare` then
makes it again. There may be very many documents, so there is no object per document.

Stores of format 2, whose index holds everything but the ids, can be read; each of their documents is a file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.indices import IndexArray, index_type
from gen.data.report import Report, report_of
from gen.errors import CorpusError
from gen.files.disk import cache_root

FORMAT = 3
IDS, STARTS, LABELS, TWINS, INDEX = "ids.bin", "starts.bin", "labels.bin", "twins.bin", "index.json"
START_TYPE, LABEL_TYPE = np.dtype("<i8"), np.dtype("<i4")
CHECKSUM, BODY, TAIL = '{"checksum": "', '", "index": ', "}"  # the text around checksum and index
_EVERY_DOCUMENT_IN_INDEX: Final = 2  # the previous format
_CHUNK_BYTES: Final = 1 << 18


class _Columns(NamedTuple):
    """The fields of `Store` that describe its documents and files."""

    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    twins: IndexArray
    files: tuple[str, ...]
    firsts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """A prepared corpus of D documents in F files.

    Args:
        ids: the ids of all documents, one after another, without begin and end; mapped from disk, not loaded.
        starts: (D + 1,) the start of each document, and the stop of the last one.
        labels: (D,) 0 for none, k for label_names[k - 1].
        twins: (D,) the index of the first document with equal contents: usually that of the document itself.
        files: (F,) the names of the files that the documents come from.
        firsts: (F + 1,) the first document of each file, and D.
        units: the number of characters, bytes or notes of the corpus.
        key: the hash of the files and options that the store was made from.
        paths: (F,) the paths at which `gen.corpus.prepare` found the files; empty in a store opened by its folder.
        older_keys: the keys that earlier versions of the rules for MIDI gave to a store of the same files.
    """

    folder: Path
    key: str
    ids: IdArray
    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    twins: IndexArray
    label_names: tuple[str, ...]
    files: tuple[str, ...]
    firsts: NDArray[np.int64]
    units: int
    codec_spec: dict[str, Any]
    report: Report
    paths: tuple[Path, ...] = ()
    older_keys: tuple[str, ...] = ()

    @property
    def num_copies(self) -> int:
        """The number of documents that are equal to an earlier one."""
        return int(np.count_nonzero(self.twins != np.arange(len(self.twins))))

    @property
    def num_documents(self) -> int:
        """The number of documents, D."""
        return len(self.starts) - 1

    def name(self, document: int) -> str:
        """Returns the name of a document: that of its file, with a number if the file has several: `names.txt:17`."""
        file = int(np.searchsorted(self.firsts, document, side="right")) - 1
        is_alone = self.firsts[file + 1] - self.firsts[file] == 1
        return self.files[file] if is_alone else f"{self.files[file]}:{document - self.firsts[file] + 1}"


def stores_folder() -> Path:
    """Returns the folder that holds the stores."""
    return cache_root() / "stores"


def open_store(folder: Path, *, is_checked: bool = True) -> Store:
    """Opens a store.

    Args:
        folder: stores_folder() / key.
        is_checked: whether all files are read and compared with their hashes (about 1 GB/s).

    Raises:
        CorpusError: the store is missing, damaged or of another format.
    """
    try:
        index = _read_index(folder / INDEX)
        if index["format"] == _EVERY_DOCUMENT_IN_INDEX:
            columns = _columns_of_index(folder, index, is_checked=is_checked)
        else:
            columns = _mapped_columns(folder, index, is_checked=is_checked)
        return Store(
            folder=folder,
            key=index["key"],
            ids=np.memmap(folder / IDS, dtype=np.dtype(index["dtype"]), mode="r"),
            **columns._asdict(),
            label_names=tuple(index["label_names"]),
            units=index["units"],
            codec_spec=index["codec"],
            report=report_of(index["report"]),
        )
    except (OSError, ValueError, LookupError, TypeError) as err:
        raise CorpusError(f"{folder}: no usable prepared corpus ({err})", hint="prepare the corpus again") from err


def file_digest(path: Path) -> str:
    """Returns the hash of a file. The file is not mapped, so that it does not count as memory of this process."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mapped_columns(folder: Path, index: Mapping[str, Any], *, is_checked: bool) -> _Columns:
    for name, digest in index["digests"].items() if is_checked else ():
        if file_digest(folder / name) != digest:
            raise ValueError(f"{name} is not what was written")
    starts = np.asarray(np.memmap(folder / STARTS, dtype=START_TYPE, mode="r"))
    num_documents = len(starts) - 1
    return _Columns(
        starts,
        labels=_labels(folder / LABELS, num_documents) if index["label_names"] else _no_labels(num_documents),
        twins=np.asarray(np.memmap(folder / TWINS, dtype=index_type(num_documents).newbyteorder("<"), mode="r")),
        files=tuple(index["files"]),
        firsts=np.concatenate(([0], np.cumsum(index["documents"], dtype=np.int64))),
    )


def _columns_of_index(folder: Path, index: Mapping[str, Any], *, is_checked: bool) -> _Columns:
    starts = np.array(index["starts"], np.int64)
    if is_checked and _digests(folder / IDS, starts * np.dtype(index["dtype"]).itemsize) != index["digests"]:
        raise ValueError(f"{IDS} is not what was written")
    return _Columns(
        starts,
        labels=np.array(index["labels"], np.int32),
        twins=np.array(index["twins"], np.int64),
        files=tuple(index["names"]),
        firsts=np.arange(len(starts)),
    )


def _digests(path: Path, offsets: NDArray[np.int64]) -> list[str]:
    """Returns the hashes of the parts of a file between offsets."""
    digests = []
    with path.open("rb") as file:
        for size in np.diff(offsets).tolist():
            digest, missing = hashlib.sha256(), size
            while missing and (data := file.read(min(missing, _CHUNK_BYTES))):
                digest.update(data)
                missing -= len(data)
            digests.append(digest.hexdigest())
        if file.read(1):
            raise ValueError(f"{IDS} is too long")
    return digests


def _labels(path: Path, num_documents: int) -> NDArray[np.int32]:
    return np.asarray(np.memmap(path, dtype=LABEL_TYPE, mode="r", shape=(num_documents,)))


def _no_labels(num_documents: int) -> NDArray[np.int32]:
    """Returns a zero per document, in the memory of a single one."""
    return np.broadcast_to(np.zeros(1, np.int32), (num_documents,))


def _read_index(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="ascii")
    start = text.index(BODY) + len(BODY)
    checksum = hashlib.sha256(text[start : -len(TAIL)].encode()).hexdigest()
    if text[: start - len(BODY)] != CHECKSUM + checksum:
        raise ValueError(f"{INDEX} is not what was written")
    index: dict[str, Any] = json.JSONDecoder().raw_decode(text, start)[0]
    if index["format"] not in (FORMAT, _EVERY_DOCUMENT_IN_INDEX):
        raise ValueError(f"format {index['format']}, not {FORMAT}")
    return index
