"""Names a file that is neither text nor MIDI, by its first bytes, and gives advice.

Some kinds are written in characters (RTF, MusicXML): those can be read as text by whoever asks for that.
"""

import re
import tarfile
from typing import NamedTuple

_UNPACK = "unpack it, and give the folder or its files"
_AS_TEXT = "save it as plain text, and give that"
_AS_CSV = "save it as CSV, and give that"
_AS_MIDI = "export it as MIDI, and give that"
_RECORDING = "gen reads notes, not sound: turn it into MIDI first"
_PICTURE = "gen reads no pictures: leave it out, or give the text that it shows"
_NO_USE = "leave it out"


class Foreign(NamedTuple):
    """A kind of file that is not read."""

    name: str  # with its article
    hint: str
    is_characters: bool = False  # it could be read as text


# The first bytes, their offset, and the kind of file. Each entry that could begin a text has a byte that no text has.
_SIGNATURES: tuple[tuple[bytes, Foreign], ...] = (
    (rb"%PDF-\d", Foreign("a PDF", "save it as text: pdftotext FILE.pdf")),
    (rb"\{\\rtf\d", Foreign("a rich text document (RTF)", _AS_TEXT, is_characters=True)),
    (rb"%!PS-Adobe", Foreign("a PostScript document", "save it as text: ps2ascii FILE.ps", is_characters=True)),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Foreign("an old Office document (such as .doc or .xls)", _AS_TEXT)),
    (rb"7z\xbc\xaf\x27\x1c", Foreign("a 7z archive", _UNPACK)),
    (rb"Rar!\x1a\x07", Foreign("a RAR archive", _UNPACK)),
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", Foreign("compressed by zstd", "unpack it: zstd -d FILE")),
    (rb"\x04\x22\x4d\x18", Foreign("compressed by lz4", "unpack it: lz4 -d FILE")),
    (rb"LZIP\x01", Foreign("compressed by lzip", "unpack it: lzip -d FILE")),
    (rb"\x1f[\x9d\xa0]", Foreign("compressed by compress (.Z)", "unpack it: gunzip FILE")),
    (rb"\x1f\x8b\x08", Foreign("compressed twice, by gzip", "unpack it once: gunzip FILE")),
    (rb"BZh\d\x31\x41\x59\x26", Foreign("compressed twice, by bzip2", "unpack it once: bunzip2 FILE")),
    (rb"\xfd7zXZ\x00", Foreign("compressed twice, by xz", "unpack it once: unxz FILE")),
    (rb"MSCF\x00", Foreign("a cabinet archive", _UNPACK)),
    (rb"ID3[\x02-\x04]|\xff[\xfa\xfb\xf2\xf3].{2}", Foreign("an MP3 recording", _RECORDING)),
    (rb"RIFF.{4}WAVE|RF64.{4}WAVE", Foreign("a WAV recording", _RECORDING)),
    (rb"FORM.{4}AIF[FC]", Foreign("an AIFF recording", _RECORDING)),
    (rb"OggS\x00", Foreign("an Ogg recording", _RECORDING)),
    (rb"fLaC\x00", Foreign("a FLAC recording", _RECORDING)),
    (rb"\x00{3}.ftypM4A", Foreign("an M4A recording", _RECORDING)),
    (rb"\.snd\x00", Foreign("an AU recording", _RECORDING)),
    (rb"\x00{3}.ftyp(?:avif|heic|heix|mif1)", Foreign("a picture", _PICTURE)),
    (rb"\x00{3}.ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI ", Foreign("a film", _NO_USE)),
    (rb"RIFF.{4}sfbk", Foreign("a SoundFont", "--soundfont takes it")),
    (rb"\x89PNG\r\n\x1a\n", Foreign("a PNG picture", _PICTURE)),
    (rb"\xff\xd8\xff", Foreign("a JPEG picture", _PICTURE)),
    (rb"GIF8[79]a.{6}\x00", Foreign("a GIF picture", _PICTURE)),
    (rb"RIFF.{4}WEBP", Foreign("a WebP picture", _PICTURE)),
    (rb"II\*\x00|MM\x00\*", Foreign("a TIFF picture", _PICTURE)),
    (rb"BM.{4}\x00{4}", Foreign("a BMP picture", _PICTURE)),
    (rb"\x00\x00[\x01\x02]\x00[\x01-\x40]\x00", Foreign("an icon", _PICTURE)),
    (rb"\x7fELF|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe|MZ.{2}\x00", Foreign("a program", _NO_USE)),
    (rb"SQLite format 3\x00", Foreign("an SQLite database", _AS_CSV)),
    (rb"PAR1\x15", Foreign("a Parquet table", _AS_CSV)),
    (rb"ARROW1\x00", Foreign("an Arrow table", _AS_CSV)),
    (rb"\x89HDF\r\n", Foreign("an HDF5 file", _NO_USE)),
    (rb"\x93NUMPY", Foreign("a NumPy array", _NO_USE)),
    (rb"\x80[\x02-\x05]", Foreign("a pickle of Python", _NO_USE)),
    (rb"\x18FICHIER GUITAR PRO|BCF[SZ].{2,3}\x00", Foreign("a Guitar Pro score", _AS_MIDI)),
    (rb"(?:\x00\x01\x00\x00|OTTO|true|wOF[F2])\x00", Foreign("a font", _NO_USE)),
    (rb"AT&TFORM", Foreign("a DjVu document", _AS_TEXT)),
    (rb".{60}(?:BOOKMOBI|TEXtREAd)", Foreign("a Kindle book", _AS_TEXT)),
)
_KINDS = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in _SIGNATURES)
_MUSICXML = Foreign("a MusicXML score", _AS_MIDI, is_characters=True)
_MUSESCORE = Foreign("a MuseScore score", _AS_MIDI, is_characters=True)
_XML_ROOT = re.compile(rb"<(score-partwise|score-timewise|museScore)[\s>]")
_XML_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE|!--|score-|museScore)")

_ZIP = Foreign("a zip archive", _UNPACK)
_TAR = Foreign("a tar archive", "unpack it (tar -xf FILE), and give the folder")
# Names among the first entries of a zip that tell its kind.
_ZIPPED: tuple[tuple[tuple[bytes, ...], Foreign], ...] = (
    ((b"mimetypeapplication/epub+zip",), Foreign("an EPUB book", _AS_TEXT)),
    ((b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",), Foreign("an OpenDocument table", _AS_CSV)),
    ((b"mimetypeapplication/vnd.oasis.opendocument",), Foreign("an OpenDocument text", _AS_TEXT)),
    ((b"mimetypeapplication/vnd.recordare.musicxml",), Foreign("a compressed MusicXML score", _AS_MIDI)),
    ((b"META-INF/container.xml", b".musicxml"), Foreign("a compressed MusicXML score", _AS_MIDI)),
    ((b".mscx", b"META-INF/"), Foreign("a MuseScore score", _AS_MIDI)),
    ((b"[Content_Types].xml", b"word/"), Foreign("a Word document", _AS_TEXT)),
    ((b"[Content_Types].xml", b"xl/"), Foreign("an Excel table", _AS_CSV)),
    ((b"[Content_Types].xml", b"ppt/"), Foreign("a PowerPoint presentation", _AS_TEXT)),
    ((b"/data.pkl",), Foreign("weights of PyTorch", _NO_USE)),
)
_ZIPPED_BY_SUFFIX = {
    ".docx": "a Word document",
    ".xlsx": "an Excel table",
    ".pptx": "a PowerPoint presentation",
    ".epub": "an EPUB book",
    ".odt": "an OpenDocument text",
    ".mxl": "a compressed MusicXML score",
    ".mscz": "a MuseScore score",
}


def foreign_kind(head: bytes, *, suffix: str = "") -> Foreign | None:
    """Returns the kind of a file that is neither text nor MIDI; None if it may be one of these.

    Args:
        head: how it begins, 64 KiB at best.
        suffix: of its name, such as ".docx": tells kinds of zip apart where the head does not.
    """
    if re.match(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", head):
        return _zipped(head, suffix.lower())
    for pattern, kind in _KINDS:
        if pattern.match(head):
            return kind
    if _is_tar(head):
        return _TAR
    if _XML_BEGINNING.match(head) and (root := _XML_ROOT.search(head)):
        return _MUSESCORE if root[1] == b"museScore" else _MUSICXML
    return None


def _zipped(head: bytes, suffix: str) -> Foreign:
    by_suffix = _ZIPPED_BY_SUFFIX.get(suffix)
    for entries, kind in _ZIPPED:
        if kind.name == by_suffix or (by_suffix is None and all(entry in head for entry in entries)):
            return kind
    return _ZIP


def _is_tar(head: bytes) -> bool:
    """Returns whether the first block has the checksum of a tar, which no text has by chance."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
