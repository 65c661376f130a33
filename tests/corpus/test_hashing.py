"""Hashes of files, and byte order marks inside them."""

import codecs
from pathlib import Path

import pytest

from gen.corpus.hashing import hash_files
from gen.corpus.sources import StandardInput, find_sources

BLOCK = 1 << 16  # bytes that are read at once
MARK = codecs.BOM_UTF8


def has_inner_mark(path: Path) -> bool:
    (hashed,), _ = hash_files(find_sources([str(path)], StandardInput()).files, on_bytes=lambda _num: None)
    return hashed.has_inner_mark


@pytest.mark.parametrize("place", [3, 4, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK - 1])
@pytest.mark.parametrize("beginning", [b"", MARK])
def test_a_byte_order_mark_inside_is_seen_wherever_it_stands(place: int, beginning: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(beginning + b"x" * (place - len(beginning)) + MARK + b"y")
    assert has_inner_mark(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8"])
def test_a_byte_order_mark_at_the_beginning_is_none_inside(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\ntwo".encode(encoding))
    assert not has_inner_mark(path)
    for text in ("\ufeffone\n\ufefftwo", "\ufeff\ufeff", "\ufeff1\ufeff"):
        path.write_bytes(text.encode(encoding))
        assert has_inner_mark(path)


def test_a_byte_order_mark_after_one_letter_is_inside(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a" + MARK)
    assert has_inner_mark(tmp_path / "a.txt")


def test_an_empty_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert not has_inner_mark(tmp_path / "a.txt")
