"""How text files are read and written."""

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codecs.text.files import CHUNK_BYTES, read_text, text_parts, write_text
from gen.config import Reading
from gen.errors import CorpusError, GenError

TEXT = "Stra\u00dfe\n\u0434\u043e\u043c\n\u8a69\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_unicode_is_read_with_and_without_its_mark(mark: bytes, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(mark + TEXT.encode(encoding))
    assert read_text(path, Reading()) == TEXT
    assert ("byte order mark removed" in next(text_parts(path, Reading())).findings) == bool(mark)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "UTF8"])
def test_other_encodings_are_read_when_they_are_named(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Stra\u00dfe\n".encode(encoding))
    assert read_text(path, Reading(encoding=encoding)) == "Stra\u00dfe\n"


@given(st.text(alphabet="a\r\n\u00e9", max_size=40), st.integers(0, 3))
def test_line_ends_become_lf_wherever_the_parts_are_cut(text: str, shift: int) -> None:
    path = Path(os.environ["GEN_CACHE"]) / "lines.txt"
    text = "x" * (CHUNK_BYTES - 20 + shift) + text
    path.write_bytes(text.encode())
    assert read_text(path, Reading()) == text.replace("\r\n", "\n").replace("\r", "\n")


def test_line_ends_that_were_made_lf_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\rc\nd")
    (part,) = text_parts(path, Reading())
    assert part.text == "a\nb\nc\nd"
    assert part.findings == {"line ends made LF": 2}


@given(st.text(alphabet=st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"])))
def test_a_written_text_is_read_back(text: str) -> None:
    path = Path(os.environ["GEN_CACHE"]) / "written.txt"
    write_text(path, text)
    assert read_text(path, Reading()) == text


@pytest.mark.parametrize("num_before", [0, 3, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
def test_a_byte_that_is_not_in_the_encoding_is_shown_with_its_place(num_before: int, tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"\n" * num_before + b"\xe9t\xe9")
    with pytest.raises(CorpusError) as error:
        list(text_parts(path, Reading()))
    place = f"byte {num_before}, line {num_before + 1}, column 1"
    assert str(error.value) == f'{path}: not utf-8 (0xe9 at {place}, in "\\xe9t\\xe9"; looks like latin-1)'
    assert error.value.hint is not None
    assert "--encoding latin-1" in error.value.hint


def test_a_character_that_the_file_cuts_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.txt"
    path.write_bytes(b"caf\xc3")
    with pytest.raises(CorpusError, match=r"not utf-8 \(0xc3 at byte 3, line 1, column 4, in"):
        read_text(path, Reading())


@pytest.mark.parametrize("data", [b"a\0b", b"\x89PNG\r\n\0\0", b"\0" * 9])
def test_a_file_with_a_nul_is_binary(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=r"data\.bin: binary, not text \(NUL "):
        read_text(path, Reading())


def test_a_nul_is_shown_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"line\n" * 30000 + b"\0")
    with pytest.raises(CorpusError, match=r"NUL on line 30001"):
        read_text(path, Reading())


def test_a_disk_error_while_reading_is_a_corpus_error() -> None:
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs a file whose reading fails: /proc/self/mem of Linux")
    with pytest.raises(CorpusError, match="/proc/self/mem: cannot be read"):
        read_text(Path("/proc/self/mem"), Reading())


def test_a_write_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GenError, match=r"a\.txt: cannot be written"):
        write_text(tmp_path / "none" / "a.txt", "new")


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_text(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()
