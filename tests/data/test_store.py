"""The store on disk."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gen.data.report import FileReport, Report
from gen.data.store import Store, StoreWriter, open_store
from gen.errors import CorpusError
from gen.files import cache_root

DOCUMENTS = {"a.txt": [1, 2, 3], "b.txt": [4], "c.txt": [1, 2, 3], "d.txt": [250] * 7}
LABELS = {"a.txt": "y", "b.txt": None, "c.txt": "x", "d.txt": "y"}


def write_store(folder: Path, *, num_symbols: int = 251) -> Store:
    files = tuple(FileReport(name, "kept", None, len(ids), len(ids)) for name, ids in DOCUMENTS.items())
    with StoreWriter(folder, num_symbols=num_symbols) as writer:
        for name, ids in DOCUMENTS.items():
            for start in range(0, len(ids), 2):
                writer.add(np.array(ids[start : start + 2], np.uint8))
            writer.close_document(name, label=LABELS[name])
        return writer.commit(codec_spec={"name": "char"}, report=Report(files))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write_store(tmp_path / "KEY")
    for store in (written, open_store(tmp_path / "KEY")):
        assert store.key == "KEY"
        assert store.ids.tolist() == [token for ids in DOCUMENTS.values() for token in ids]
        assert store.starts.tolist() == [0, 3, 4, 7, 14]
        assert store.names == tuple(DOCUMENTS)
        assert store.label_names == ("x", "y")
        assert store.labels.tolist() == [2, 0, 1, 2]
        assert store.twins.tolist() == [0, 1, 0, 3]
        assert store.units == 14
        assert store.codec_spec == {"name": "char"}
        assert store.report.tokens == 14


@pytest.mark.parametrize(
    ("num_symbols", "dtype"),
    [(251, "u1"), (256, "u1"), (257, "<u2"), (65536, "<u2"), (65537, "<u4")],
)
def test_ids_are_as_narrow_as_the_vocabulary_allows(num_symbols: int, dtype: str, tmp_path: Path) -> None:
    store = write_store(tmp_path / "KEY", num_symbols=num_symbols)
    assert store.ids.dtype == np.dtype(dtype)
    assert store.ids.max() == 250


def test_ids_are_mapped_read_only(tmp_path: Path) -> None:
    store = write_store(tmp_path / "KEY")
    assert isinstance(store.ids, np.memmap)
    assert not store.ids.flags.writeable


def test_a_dropped_document_leaves_no_trace(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "KEY", num_symbols=9) as writer:
        writer.add(np.array([1, 2], np.uint8))
        writer.close_document("a", label=None)
        writer.add(np.array([3] * 100000, np.uint8))
        writer.drop_document()
        writer.add(np.array([4], np.uint8))
        writer.close_document("b", label=None)
        writer.commit(codec_spec={}, report=Report(()))
    store = open_store(tmp_path / "KEY")
    assert store.ids.tolist() == [1, 2, 4]
    assert store.names == ("a", "b")


def test_a_single_label_is_none(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "KEY", num_symbols=9) as writer:
        writer.add(np.array([1, 2], np.uint8))
        writer.close_document("a", label="only")
        store = writer.commit(codec_spec={}, report=Report(()))
    assert store.label_names == ()
    assert store.labels.tolist() == [0]


def test_nothing_is_left_when_writing_ends_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError), StoreWriter(tmp_path / "KEY", num_symbols=9) as writer:
        writer.commit(codec_spec={"name": object()}, report=Report(()))  # cannot be written as JSON
    assert not list(tmp_path.iterdir())


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: list[Callable[[Path], object]] = [
    lambda folder: flip_a_bit(folder / "ids.bin"),
    lambda folder: flip_a_bit(folder / "index.json"),
    lambda folder: os.truncate(folder / "ids.bin", 5),
    lambda folder: os.truncate(folder / "index.json", 50),
    lambda folder: (folder / "ids.bin").write_bytes((folder / "ids.bin").read_bytes() + b"x"),
    lambda folder: (folder / "index.json").write_text("[]"),
    lambda folder: (folder / "index.json").write_bytes(b"\xff"),
    lambda folder: (folder / "ids.bin").unlink(),
    lambda folder: (folder / "index.json").unlink(),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_refused_and_replaced(damage: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tmp_path / "KEY"
    write_store(folder)
    damage(folder)
    with pytest.raises(CorpusError, match="no usable prepared corpus"):
        open_store(folder)
    assert write_store(folder).names == open_store(folder).names
    assert list(tmp_path.iterdir()) == [folder]


def test_a_store_that_another_process_finished_first_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "KEY"
    write_store(folder)
    inode = (folder / "ids.bin").stat().st_ino
    write_store(folder)
    assert (folder / "ids.bin").stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(("age_hours", "remains"), [(25, False), (1, True)])
def test_what_a_killed_process_left_is_removed_after_a_day(age_hours: int, remains: bool, tmp_path: Path) -> None:
    left = tmp_path / ".unfinished-killed"
    left.mkdir()
    (left / "ids.bin").write_bytes(b"half")
    then = time.time() - age_hours * 3600
    os.utime(left, (then, then))
    write_store(tmp_path / "KEY")
    assert left.exists() == remains


def test_a_full_disk_is_an_error_that_names_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
import numpy as np
from gen.data.store import StoreWriter
from gen.errors import CorpusError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as if the disk had room for so many bytes
try:
    with StoreWriter(Path(sys.argv[1]) / "KEY", num_symbols=9) as writer:
        for _ in range(100):
            writer.add(np.zeros(5000, np.uint8))
except CorpusError as err:
    print(err, err.hint, sep="|")
"""
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    message, hint = result.stdout.strip().split("|")
    assert message == f"{tmp_path}: cannot write the prepared corpus (file too large)"
    assert "GEN_CACHE" in hint
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="cannot write the prepared corpus"):
        StoreWriter(tmp_path / "file" / "stores" / "KEY", num_symbols=9)


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"GEN_CACHE": "/g", "XDG_CACHE_HOME": "/x"}, "/g"),
        ({"GEN_CACHE": "", "XDG_CACHE_HOME": "/x"}, "/x/gen"),
        ({"GEN_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/gen"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(folder)
