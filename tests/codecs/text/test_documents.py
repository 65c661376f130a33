"""Where documents end in a text file, whatever parts it is read in."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codec import decode
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.text.documents import document_parts
from gen.config import Reading
from gen.errors import CorpusError, SettingError


def documents_of(path: Path, documents: str) -> list[str]:
    """Returns what stands between the ends, the last document too if there is any of it."""
    text, ends = "", [0]
    for part in document_parts(path, Reading(documents=documents)):
        ends += (len(text) + part.ends).tolist()
        text += part.text
    found = [text[start:stop] for start, stop in zip(ends, [*ends[1:], len(text)], strict=True)]
    return found if found[-1] else found[:-1]


def lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def paragraphs(text: str) -> list[str]:
    groups: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip(" \t"):
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return ["\n".join(group) for group in groups if group]


def between(text: str, separator: str) -> list[str]:
    found = re.split(re.escape(separator) + ("" if separator.endswith("\n") else "\n?"), text)
    return found if found[-1] else found[:-1]


texts = st.text("ab \t\n\n\n", max_size=40)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 5, 1 << 15])
@given(text=texts)
def test_lines_and_paragraphs_are_those_of_the_whole_text(
    chunk_bytes: int, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "text.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gen.codecs.text.files.CHUNK_BYTES", chunk_bytes)
        assert documents_of(path, "lines") == lines(text)
        assert documents_of(path, "blank") == paragraphs(text)


@pytest.mark.parametrize("separator", ["|", "<e>", "aa", "aba", "\n\n", "\n--\n", "e\n"])
@given(
    pieces=st.lists(st.sampled_from(["a", "b", "\n", "|", "<", "<e>", "<e>\n", "aa", "-", "--", "\n--\n"]), max_size=20)
)
def test_separators_are_those_of_the_whole_text_wherever_the_parts_end(
    separator: str, pieces: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "text.txt"
    text = "".join(pieces)
    path.write_bytes(text.encode())
    for chunk_bytes in (1, 3, 1 << 15):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gen.codecs.text.files.CHUNK_BYTES", chunk_bytes)
            assert documents_of(path, separator) == between(text, separator)


@pytest.mark.parametrize("codec", [CharCodec.build("aÄß€😀\n"), ByteCodec()])
@given(text=st.text("aÄß€😀\n", max_size=40))
def test_codecs_end_documents_where_their_last_character_ends(
    codec: CharCodec | ByteCodec, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "text.txt"
    path.write_bytes(text.encode())
    parts = list(replace(codec, reading=Reading(documents="lines")).encode_file(path))
    sizes = np.cumsum([0, *(len(part.ids) for part in parts)])
    ends = [int(size + end) for size, part in zip(sizes[:-1], parts, strict=True) for end in part.ends]
    ids = np.concatenate([np.empty(0, np.uint8), *(part.ids for part in parts)])
    closed = [decode(codec, ids[start:stop]) for start, stop in zip([0, *ends], [*ends, len(ids)], strict=True)]
    assert closed == text.split("\n")


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_every_kind_of_line_end_ends_a_line_and_is_meant_by_a_separator(end: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(f"one{end}{end}two{end}".encode())
    assert documents_of(path, "lines") == ["one", "", "two"]
    assert documents_of(path, "blank") == ["one", "two"]
    assert documents_of(path, end + end) == ["one", "two\n"]


def test_an_unknown_character_is_named_with_its_line_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n\na\n\n \nb\n<e>\na?\n")
    for documents in ("lines", "blank", "<e>"):
        codec = CharCodec("\n <>abe", Reading(documents=documents))
        with pytest.raises(CorpusError, match=r"'\?', U\+003F, line 8"):
            list(codec.encode_file(path))


@pytest.mark.parametrize(("documents", "hint"), [("", "files, lines, blank"), ("line", "lines"), ("FILES", "files")])
def test_a_misspelt_word_is_no_separator(documents: str, hint: str) -> None:
    with pytest.raises(SettingError, match="--documents") as caught:
        Reading(documents=documents)
    assert hint in str(caught.value.hint)
