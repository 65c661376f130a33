"""What is neither text nor MIDI is named."""

import io
import zipfile
from pathlib import Path

import pytest

from gen.codecs.text.foreign import foreign_kind
from gen.corpus.prepare import prepare
from gen.errors import CorpusError


def zipped(*names: str, first: bytes = b"text") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, first)
    return packed.getvalue()


KINDS = {
    "a zip archive": zipped("a.txt", "b.txt"),
    "a Word document": zipped("[Content_Types].xml", "word/document.xml"),
    "an Excel table": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "an EPUB book": zipped("mimetype", first=b"application/epub+zip"),
    "an OpenDocument text": zipped("mimetype", first=b"application/vnd.oasis.opendocument.text"),
    "a compressed MusicXML score": zipped("META-INF/container.xml", "score.musicxml"),
    "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "a rich text document (RTF)": b"{\\rtf1\\ansi text}",
    "an old Office document (such as .doc or .xls)": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "a RAR archive": b"Rar!\x1a\x07\x01\0",
    "compressed by zstd": b"\x28\xb5\x2f\xfd\x24\5",
    "an MP3 recording": b"ID3\4\0\0\0\0\0\0",
    "a WAV recording": b"RIFF\x24\0\0\0WAVEfmt ",
    "a FLAC recording": b"fLaC\0\0\0\x22",
    "a PNG picture": b"\x89PNG\r\n\x1a\n\0\0",
    "a JPEG picture": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a GIF picture": b"GIF89a\1\0\1\0\x80\0\0\xff",
    "a MusicXML score": b'<?xml version="1.0"?>\n<!DOCTYPE score-partwise PUBLIC "x">\n<score-partwise version="4.0">',
    "a program": b"\x7fELF\2\1\1\0",
    "an SQLite database": b"SQLite format 3\0\x10",
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_neither_text_nor_midi_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    path = tmp_path / "given.txt"
    path.write_bytes(KINDS[name])
    with pytest.raises(CorpusError) as error:
        prepare([str(path)])
    assert str(error.value) == f"{path}: {name}, neither text nor MIDI"
    assert error.value.hint


@pytest.mark.parametrize("name", KINDS)
def test_it_is_refused_in_a_folder_and_the_run_goes_on(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(KINDS[name])
    (tmp_path / "b.txt").write_text("text")
    store = prepare([str(tmp_path)])
    assert [file.status for file in store.report.files] == ["refused", "kept"]
    assert str(store.report.files[0].reason).startswith(f"neither text nor MIDI, but {name} (")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"ID3 tags are written in front",
        b"GIF89a is a format",
        b"BMW is a car",
        b"PK is short for primary key",
        b"RIFFs and WAVEs",
        b"Rar! it says",
        b"BZh is how it begins",
        b"<html><body>text</body></html>",
        b'<?xml version="1.0"?><text/>',
        b"MZ is a signature",
        "PAR1 \u00e9".encode(),
        b"\xff\xfea\0b\0",
    ],
)
def test_a_text_is_not_taken_for_something_else(text: bytes) -> None:
    assert foreign_kind(text) is None


@pytest.mark.parametrize("name", ["a rich text document (RTF)", "a MusicXML score"])
def test_what_is_written_in_characters_is_read_as_text_when_that_is_asked_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(KINDS[name])
    assert len(prepare([str(path)], codec="char").ids) == len(KINDS[name])
