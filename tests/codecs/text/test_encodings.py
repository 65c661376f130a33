"""Texts that are not in the encoding in which they are read: the place, the encoding that fits, and what reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codecs.text.encodings import guess_encoding
from gen.codecs.text.files import CHUNK_BYTES, read_text, text_parts
from gen.config import Reading
from gen.errors import CorpusError

FRENCH = (
    "Les \u00e9l\u00e8ves de l\u2019\u00e9cole \u00e0 c\u00f4t\u00e9 ont d\u00e9j\u00e0 re\u00e7u la "
    "le\u00e7on, o\u00f9 qu\u2019ils soient.\n"
)
GERMAN = "Die M\u00e4dchen gr\u00fc\u00dften h\u00f6flich; die Stra\u00dfe f\u00fchrte \u00fcber die Br\u00fccke.\n"
POLISH = (
    "Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144, m\u00f3wi\u0142 ch\u0142opiec id"
    "\u0105cy \u015bcie\u017ck\u0105.\n"
)
CZECH = (
    "P\u0159\u00edli\u0161 \u017elu\u0165ou\u010dk\u00fd k\u016f\u0148 \u00fap\u011bl \u010f\u00e1bel"
    "sk\u00e9 \u00f3dy.\n"
)
RUSSIAN = (
    "\u0412\u0441\u0435 \u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u044b\u0435 \u0441\u0435"
    "\u043c\u044c\u0438 \u043f\u043e\u0445\u043e\u0436\u0438 \u0434\u0440\u0443\u0433 \u043d\u0430 "
    "\u0434\u0440\u0443\u0433\u0430.\n"
)
JAPANESE = (
    "\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002"
    "\u3069\u3053\u3067\u751f\u308c\u305f\u304b\u3068\u3093\u3068\u898b\u5f53\u304c\u3064\u304b\u306c"
    "\u3002\n"
)
CHINESE = (
    "\u5b66\u800c\u65f6\u4e60\u4e4b\uff0c\u4e0d\u4ea6\u8bf4\u4e4e\uff1f\u6709\u670b\u81ea\u8fdc\u65b9"
    "\u6765\uff0c\u4e0d\u4ea6\u4e50\u4e4e\uff1f\n"
)
TAIWANESE = (
    "\u5b78\u800c\u6642\u7fd2\u4e4b\uff0c\u4e0d\u4ea6\u8aaa\u4e4e\uff1f\u6709\u670b\u81ea\u9060\u65b9"
    "\u4f86\uff0c\u4e0d\u4ea6\u6a02\u4e4e\uff1f\n"
)
KOREAN = (
    "\ubaa8\ub4e0 \uad6d\ubbfc\uc740 \ubc95 \uc55e\uc5d0 \ud3c9\ub4f1\ud558\ub2e4. \ub204\uad6c\ub4e0"
    "\uc9c0 \ucc28\ubcc4\uc744 \ubc1b\uc9c0 \uc544\ub2c8\ud55c\ub2e4.\n"
)
HEBREW = (
    "\u05d1\u05e8\u05d0\u05e9\u05d9\u05ea \u05d1\u05e8\u05d0 \u05d0\u05dc\u05d4\u05d9\u05dd "
    "\u05d0\u05ea \u05d4\u05e9\u05de\u05d9\u05dd \u05d5\u05d0\u05ea \u05d4\u05d0\u05e8\u05e5\n"
)
ARABIC = (
    "\u0643\u0627\u0646 \u0641\u064a \u0642\u062f\u064a\u0645 \u0627\u0644\u0632\u0645\u0627\u0646 "
    "\u0631\u062c\u0644 \u0639\u062c\u0648\u0632\n"
)
THAI = (
    "\u0e01\u0e32\u0e25\u0e04\u0e23\u0e31\u0e49\u0e07\u0e2b\u0e19\u0e36\u0e48\u0e07"
    "\u0e19\u0e32\u0e19\u0e21\u0e32\u0e41\u0e25\u0e49\u0e27\n"
)
GREEK = (
    "\u03a3\u03c4\u03bf \u03c3\u03c0\u03af\u03c4\u03b9 \u03bc\u03bf\u03c5 \u03b5\u03af\u03c7\u03b1 "
    "\u03bc\u03b9\u03b1 \u03b3\u03ac\u03c4\u03b1.\n"
)
MATRIX = [
    *((FRENCH, name) for name in ("cp1252", "mac-roman", "utf-16-le", "utf-16-be", "utf-32-le")),
    *((GERMAN, name) for name in ("latin-1", "cp1252", "mac-roman", "cp850", "utf-16-le")),
    *((POLISH, name) for name in ("cp1250", "iso8859-2")),
    *((CZECH, name) for name in ("cp1250", "iso8859-2")),
    *((RUSSIAN, name) for name in ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic", "utf-16-be")),
    (HEBREW, "cp1255"),
    *((ARABIC, name) for name in ("cp1256", "iso8859-6")),
    (THAI, "cp874"),
    (GREEK, "cp1253"),
    *((JAPANESE, name) for name in ("shift_jis", "euc_jp", "utf-16-le")),
    *((CHINESE, name) for name in ("gbk", "gb18030", "utf-16-le")),
    (TAIWANESE, "big5"),
    *((KOREAN, name) for name in ("euc_kr", "utf-16-le")),
]
every_encoding = pytest.mark.parametrize(("text", "encoding"), MATRIX)


@every_encoding
@pytest.mark.parametrize("times", [1, 3000])
def test_the_hint_names_an_option_that_reads_the_text_as_it_is(
    text: str, encoding: str, times: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((text * times).encode(encoding))
    with pytest.raises(CorpusError) as error:
        list(text_parts(path, Reading()))
    assert error.value.hint is not None
    named = error.value.hint.split()[1]
    assert error.value.hint.startswith(f"--encoding {named} fits")
    assert f"looks like {named})" in str(error.value)
    assert read_text(path, Reading(encoding=named)) == text * times


@every_encoding
def test_the_hint_for_a_prompt_is_a_command_that_makes_it_utf8(text: str, encoding: str, tmp_path: Path) -> None:
    if shutil.which("iconv") is None:
        pytest.skip("needs iconv")
    path, new = tmp_path / "a.txt", tmp_path / "NEW"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(CorpusError) as error:
        read_text(path, Reading())
    command = str(error.value.hint).removeprefix("make it UTF-8: ")
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True)
    assert new.read_text(encoding="utf-8") == text


def test_half_a_character_at_the_border_of_what_is_looked_at_is_no_fault() -> None:
    data = (JAPANESE * 3000).encode("shift_jis")
    assert {guess_encoding(data[start:]) for start in range(4)} == {"shift_jis"}


def test_ascii_with_letters_of_cp1252_is_cp1252() -> None:
    assert guess_encoding("It\u2019s \u201cfine\u201d.".encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("place", [0, 5, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
def test_one_bad_byte_in_utf8_is_shown_and_no_other_encoding_is_named(place: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\u201cYes\u201d \n".encode() * 9 + b"x" * place + b"\x92s\r\n" + "\u201cNo\u201d\n".encode())
    with pytest.raises(CorpusError) as error:
        list(text_parts(path, Reading()))
    shown = "x" * min(place, 16)
    where = f"byte {9 * 11 + place}, line 10, column {place + 1}"
    assert str(error.value) == f'{path}: not utf-8 (0x92 at {where}, in "{shown}\\x92s")'
    assert "--encoding" not in str(error.value.hint)
    assert "in cp1252 it is \u2019" in str(error.value.hint)
    assert "--errors replace or skip" in str(error.value.hint)


def test_the_place_counts_lines_as_they_end_in_any_way(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"1\r\n2\r3\n" + b"\r\n" * CHUNK_BYTES + b"abc\xff")
    with pytest.raises(CorpusError, match=rf"line {4 + CHUNK_BYTES}, column 4,"):
        list(text_parts(path, Reading()))


def test_a_text_that_is_utf8_though_another_encoding_was_named_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(CHINESE.encode())
    with pytest.raises(CorpusError) as error:
        list(text_parts(path, Reading(encoding="ascii")))
    assert error.value.hint == "--encoding utf-8 fits"


@pytest.mark.parametrize("data", [b"abc\0def\n", b"some words\0and more\n", b"text\0" * 99, bytes(range(256)) * 4])
def test_text_with_nuls_is_not_taken_for_utf16(data: bytes) -> None:
    assert guess_encoding(data) is None


def test_a_stray_nul_is_shown_with_a_command_that_takes_it_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"text\n" * 999 + b"\0" + b"text\n" * 999)
    with pytest.raises(CorpusError, match="binary, not text") as error:
        list(text_parts(path, Reading()))
    command = str(error.value.hint).partition(": ")[2]
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "NEW").read_bytes() == b"text\n" * 1998


@given(
    st.binary(max_size=30).map(lambda data: data.replace(b"\0", b"").replace(b"\r", b"")),
    st.integers(0, 6),
    st.sampled_from(["utf-8", "gbk", "shift_jis", "euc_kr", "big5", "utf-16-le", "ascii", "cp1252"]),
)
def test_bad_bytes_are_replaced_and_skipped_as_python_does(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, shift: int, encoding: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "bad.txt"
    whole = b"x " * (CHUNK_BYTES // 2 - shift) + data + b" x" * 9
    path.write_bytes(whole)
    for errors, handler in (("replace", "replace"), ("skip", "ignore")):
        expected = whole.decode(encoding, handler).replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
        if "\0" in expected:
            continue
        parts = list(text_parts(path, Reading(encoding=encoding, errors=errors)))  # type: ignore[arg-type]
        assert "".join(part.text for part in parts) == expected


def test_what_is_replaced_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff" + b"x" * CHUNK_BYTES + b"\xe2\x80 \x92 \xef\xbf\xbd")
    found = [part.findings for part in text_parts(path, Reading(errors="replace"))]
    assert [finding.get("bytes invalid in utf-8 replaced") for finding in found] == [1, 2]
    assert read_text(path, Reading(errors="skip")) == "x" * CHUNK_BYTES + "  \ufffd"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_byte_order_marks_inside_are_left_out_and_counted(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(f"\ufeffone\n\ufefftwo{'x' * CHUNK_BYTES}\ufeff".encode(encoding))
    parts = list(text_parts(path, Reading(encoding=encoding)))
    assert "".join(part.text for part in parts) == f"one\ntwo{'x' * CHUNK_BYTES}"
    assert sum(part.findings.get("byte order marks inside left out", 0) for part in parts) in (2, 3)


@pytest.mark.parametrize(
    "text", [b"plain words \xff\n", b"\xff", b"words\xff and words\n", b"a \xed\xa0\xbd\xed\xb8\x80 b\n"]
)
def test_a_stray_byte_is_no_other_script(text: bytes) -> None:
    assert guess_encoding(b"plain words\n" * 40 + text) is None
