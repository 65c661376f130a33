"""The store on disk."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gen.data.report import FileReport, Report
from gen.data.store import Store, open_store
from gen.data.store_writer import StoreWriter
from gen.errors import CorpusError
from gen.files.disk import cache_root

DOCUMENTS = {"a.txt": [1, 2, 3], "b.txt": [4], "c.txt": [1, 2, 3], "d.txt": [250] * 7}
LABELS = {"a.txt": "y", "b.txt": None, "c.txt": "x", "d.txt": "y"}


def write_store(folder: Path, *, num_symbols: int = 251) -> Store:
    files = tuple(FileReport(name, "kept", None, len(ids), len(ids)) for name, ids in DOCUMENTS.items())
    with StoreWriter(folder, num_symbols=num_symbols) as writer:
        for name, ids in DOCUMENTS.items():
            writer.open_file(label=LABELS[name])
            for start in range(0, len(ids), 2):
                writer.add(np.array(ids[start : start + 2], np.uint8))
            writer.close_file(name)
        return writer.commit(codec_spec={"name": "char"}, report=Report(files))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write_store(tmp_path / "KEY")
    for store in (written, open_store(tmp_path / "KEY")):
        assert store.key == "KEY"
        assert store.ids.tolist() == [token for ids in DOCUMENTS.values() for token in ids]
        assert store.starts.tolist() == [0, 3, 4, 7, 14]
        assert store.files == tuple(DOCUMENTS)
        assert [store.name(place) for place in range(4)] == list(DOCUMENTS)
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


def test_a_dropped_file_leaves_no_trace(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "KEY", num_symbols=9) as writer:
        writer.open_file(label=None)
        writer.add(np.array([1, 2], np.uint8))
        writer.close_file("a")
        writer.open_file(label="x")
        writer.add(np.array([3] * 100000, np.uint8), np.array([1, 99999]))
        writer.drop_file()
        writer.open_file(label="y")
        writer.add(np.array([4], np.uint8))
        writer.close_file("b")
        writer.commit(codec_spec={}, report=Report(()))
    store = open_store(tmp_path / "KEY")
    assert store.ids.tolist() == [1, 2, 4]
    assert store.starts.tolist() == [0, 2, 3]
    assert store.files == ("a", "b")
    assert store.label_names == ()


def write_two_files(folder: Path) -> Store:
    """The documents 1 2, 3, 1 2 and 4 in one file, 3 and 5 in another; the first, the third and the last labelled."""
    with StoreWriter(folder, num_symbols=9) as writer:
        writer.open_file(label="file")
        writer.add(np.array([1], np.uint8))
        writer.add(np.array([2, 3], np.uint8), np.array([1, 2, 2]), ["y", None, None])
        writer.add(np.array([1, 2, 4], np.uint8), np.array([2]), ["x"])
        assert writer.close_file("a") == (4, 1)
        writer.open_file(label=None)
        writer.add(np.array([3], np.uint8), np.array([0, 1, 1]))
        writer.add(np.array([5], np.uint8))
        assert writer.close_file("b") == (2, 2)
        return writer.commit(codec_spec={}, report=Report(()))


def test_a_file_gives_several_documents_with_labels_and_names_of_their_own(tmp_path: Path) -> None:
    for store in (write_two_files(tmp_path / "KEY"), open_store(tmp_path / "KEY")):
        assert store.starts.tolist() == [0, 2, 3, 5, 6, 7, 8]
        assert store.twins.tolist() == [0, 1, 0, 3, 1, 5]
        assert store.label_names == ("file", "x", "y")
        assert store.labels.tolist() == [3, 0, 2, 1, 0, 0]
        assert [store.name(place) for place in range(6)] == ["a:1", "a:2", "a:3", "a:4", "b:1", "b:2"]
        assert store.firsts.tolist() == [0, 4, 6]


def test_documents_before_and_after_those_with_labels_have_none(tmp_path: Path) -> None:
    labels = [None, "b", None, "a", None, None]
    with StoreWriter(tmp_path / "KEY", num_symbols=9) as writer:
        for place, label in enumerate(labels):
            writer.open_file(label="dropped")
            writer.add(np.array([7], np.uint8), np.array([1]))
            writer.drop_file()
            writer.open_file(label=label)
            writer.add(np.array([place], np.uint8))
            writer.close_file(str(place))
        store = writer.commit(codec_spec={}, report=Report(()))
    assert store.label_names == ("a", "b")
    assert store.labels.tolist() == [0, 2, 0, 1, 0, 0]
    assert store.twins.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_single_label_is_none(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "KEY", num_symbols=9) as writer:
        writer.open_file(label="only")
        writer.add(np.array([1, 2], np.uint8))
        writer.close_file("a")
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
    lambda folder: flip_a_bit(folder / "starts.bin"),
    lambda folder: flip_a_bit(folder / "labels.bin"),
    lambda folder: flip_a_bit(folder / "twins.bin"),
    lambda folder: flip_a_bit(folder / "index.json"),
    lambda folder: os.truncate(folder / "ids.bin", 5),
    lambda folder: os.truncate(folder / "index.json", 50),
    lambda folder: (folder / "ids.bin").write_bytes((folder / "ids.bin").read_bytes() + b"x"),
    lambda folder: (folder / "index.json").write_text("[]"),
    lambda folder: (folder / "index.json").write_bytes(b"\xff"),
    lambda folder: (folder / "ids.bin").unlink(),
    lambda folder: (folder / "starts.bin").unlink(),
    lambda folder: (folder / "index.json").unlink(),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_refused_and_replaced(damage: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tmp_path / "KEY"
    write_store(folder)
    damage(folder)
    with pytest.raises(CorpusError, match="no usable prepared corpus"):
        open_store(folder)
    assert write_store(folder).files == open_store(folder).files
    assert list(tmp_path.iterdir()) == [folder]


def test_a_store_of_format_2_is_read_and_its_damage_seen(tmp_path: Path) -> None:
    """The index of such a store holds everything but the ids."""
    folder = tmp_path / "KEY"
    written = write_store(folder)
    for name in ("starts.bin", "labels.bin", "twins.bin"):
        (folder / name).unlink()
    body = json.dumps(
        {
            "format": 2,
            "key": "KEY",
            "dtype": "|u1",
            "digests": [hashlib.sha256(bytes(ids)).hexdigest() for ids in DOCUMENTS.values()],
            "starts": written.starts.tolist(),
            "labels": [2, 0, 1, 2],
            "twins": [0, 1, 0, 3],
            "label_names": ["x", "y"],
            "names": list(DOCUMENTS),
            "units": 14,
            "codec": {"name": "char"},
            "report": [["a.txt", "kept", None, 14, 14, {}]],
        }
    )
    checksum = hashlib.sha256(body.encode()).hexdigest()
    (folder / "index.json").write_text(f'{{"checksum": "{checksum}", "index": {body}}}')
    store = open_store(folder)
    for name in ("ids", "starts", "labels", "twins", "firsts"):
        assert getattr(store, name).tolist() == getattr(written, name).tolist()
    assert (store.files, store.label_names) == (written.files, written.label_names)

    flip_a_bit(folder / "ids.bin")
    with pytest.raises(CorpusError, match="no usable prepared corpus"):
        open_store(folder)


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
from gen.data.store_writer import StoreWriter
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
