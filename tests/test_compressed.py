"""Files that are compressed, and what they hold."""

import bz2
import gzip
import io
import lzma
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gen.codecs.text.files import read_text
from gen.config import Reading
from gen.corpus.prepare import prepare
from gen.errors import CorpusError
from gen.files.compressed import ALWAYS_BYTES, open_unpacked

TEXT = "".join(f"line {number * 2654435761 % 2**32:x}\n" for number in range(5000))

every_kind = pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
Compress = Callable[[bytes], bytes]


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, lzma_alone])
@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt", "a"])
def test_a_compressed_text_is_read_whatever_its_name(compress: Compress, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(compress(TEXT.encode()))
    assert read_text(path, Reading()) == TEXT


@every_kind
def test_a_file_of_several_compressed_parts_is_all_of_them(compress: Compress, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(compress(b"one ") + compress(b"two"))
    assert read_text(path, Reading()) == "one two"


@every_kind
def test_a_compressed_file_that_is_cut_off_is_an_error_with_the_place(compress: Compress, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    data = compress(TEXT.encode())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorpusError, match=r"a\.gz: truncated \w+ file \(after \d+ bytes unpacked, at byte \d+"):
        read_text(path, Reading())
    with pytest.raises(CorpusError, match="truncated"):
        prepare([str(path)])


@every_kind
def test_a_damaged_compressed_file_is_an_error(compress: Compress, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    data = bytearray(compress(TEXT.encode()))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=r"a\.gz: damaged \w+ file"):
        read_text(path, Reading())


def test_a_file_that_was_made_to_fill_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.bz2"
    piece = bz2.compress(b"x" * (32 << 20))
    path.write_bytes(piece * (ALWAYS_BYTES // (32 << 20) + 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_unpacked(path) as file, pytest.raises(CorpusError, match=r"unpacks to more than 200 times its size"):
        all(iter(lambda: file.read(1 << 16), b""))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_a_tar_is_named_compressed_or_not(compress: Compress, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(tmp_path / "a.txt", "a.txt")
    path = tmp_path / "a.tar"
    path.write_bytes(compress(packed.getvalue()))
    with pytest.raises(CorpusError, match=r"a tar archive, neither text nor MIDI") as error:
        prepare([str(path)])
    assert "unpack it" in str(error.value.hint)


def test_progress_over_a_compressed_text_rises_to_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress((TEXT * 20).encode()))
    calls: list[tuple[int, int]] = []
    prepare([str(path)], on_progress=lambda *call: calls.append(call))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)
