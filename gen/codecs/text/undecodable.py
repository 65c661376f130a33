"""Errors for a text that is not in its encoding: the place, the likely encoding, and the options that read it."""

import codecs
import threading
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Literal, NamedTuple

from gen.codecs.text.encodings import guess_encoding
from gen.errors import CorpusError
from gen.files.compressed import open_unpacked

Errors = Literal["strict", "replace", "skip"]

SAMPLE_BYTES = 1 << 18  # around the place, by which the encoding is guessed
MAX_BYTES_TRIED = 1 << 30  # of a file, before an encoding is said to fit
MAX_SHOWN = 16  # characters on both sides of the place
_CHUNK_BYTES = 1 << 16
# What holds all characters of an encoding and more.
_SUPERSETS = {"cp1252": "latin-1", "shift_jis": "cp932", "gbk": "gb18030", "big5": "cp950", "euc_kr": "cp949"}
# What iconv calls an encoding, where that is not what Python calls it.
_OF_ICONV = {"latin-1": "iso-8859-1", "mac-roman": "macintosh", "euc_jp": "euc-jp", "euc_kr": "euc-kr"}
_NAMES = "latin-1, cp1252, koi8-r, gbk or shift_jis"


class Place:
    """The end of a text that is pushed in parts: line and column, from 1, and the characters before it on the line."""

    def __init__(self) -> None:
        self.line = self.column = 1
        self.before = ""  # no more than its last characters
        self._held = ""

    def push(self, text: str) -> "Place":
        """Moves past a part of the text; returns itself."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""  # perhaps half a CRLF
        *whole, last = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if whole:
            self.line += len(whole)
            self.column, self.before = 1, ""
        self.column += len(last)
        self.before = (self.before + last)[-MAX_SHOWN:]
        return self


class UndecodableError(CorpusError):
    """A text is not in the encoding in which it is read; `encoding` is the likely one."""

    def __init__(self, message: str, hint: str, encoding: str | None) -> None:
        super().__init__(message, hint)
        self.encoding = encoding


def conversion(path: Path, encoding: str | None) -> str:
    """Returns the command that makes a text UTF-8."""
    known = (encoding or "ENCODING").replace("16-", "16").replace("32-", "32")
    return f"iconv -f {_OF_ICONV.get(known, known)} -t utf-8 {quote(str(path))} > NEW"


class Fault(NamedTuple):
    """The place at which a text cannot be decoded."""

    path: Path
    encoding: str  # in which it is read
    offset: int  # in bytes, after decompression
    what: bytes
    place: Place
    after: bytes
    sample: bytes  # the bytes around it


class _Counted(threading.local):
    """The number of runs of invalid bytes that the error handlers below have met in this thread."""

    number = 0


_counted = _Counted()


def num_faults() -> int:
    """Returns how many runs of invalid bytes were replaced or skipped in this thread so far."""
    return _counted.number


def handler_name(errors: Errors) -> str:
    """Returns the `errors` argument of a decoder of `codecs`; replaced and skipped bytes are counted."""
    return "strict" if errors == "strict" else f"gen-{errors}"


def _replace(error: UnicodeError) -> tuple[str, int]:
    return _count(error, "\ufffd")


def _skip(error: UnicodeError) -> tuple[str, int]:
    return _count(error, "")


def _count(error: UnicodeError, text: str) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _counted.number += 1
    return text, error.end


codecs.register_error("gen-replace", _replace)
codecs.register_error("gen-skip", _skip)


def undecodable(fault: Fault) -> UndecodableError:
    """Returns the error for bytes that are not in the encoding."""
    place = f"byte {fault.offset}, line {fault.place.line}, column {fault.place.column}"
    shown = f"0x{fault.what[:1].hex()} at {place}, in {_excerpt(fault)}"
    guessed, hint = _advice(fault)
    perhaps = f"; looks like {guessed}" if guessed else ""
    return UndecodableError(f"{fault.path}: not {fault.encoding} ({shown}{perhaps})", hint, guessed)


def without_mark(path: Path, encoding: str, sample: bytes) -> UndecodableError:
    """Returns the error for a text that lacks the byte order mark that its encoding begins with."""
    guessed = guess_encoding(sample)
    hint = f"--encoding {guessed} fits" if guessed else f"--encoding {encoding}-le or {encoding}-be needs none"
    return UndecodableError(f"{path}: not {encoding} (no byte order mark)", hint, guessed)


def binary(path: Path, where: str, sample: bytes, encoding: str) -> CorpusError:
    """Returns the error for a text with a NUL: UTF-16 or UTF-32 without a mark, a stray NUL, or no text at all."""
    guessed = guess_encoding(sample)
    if guessed is not None and guessed.startswith("utf") and _fits(path, guessed):
        message = f"{path}: not {encoding} (NUL {where}; looks like {guessed})"
        return UndecodableError(message, f"--encoding {guessed} fits", guessed)
    hint = "a text holds no NUL; UTF-16 without a byte order mark needs --encoding utf-16-le or utf-16-be"
    if sample.count(0) < len(sample) / 1000:
        hint = f"a text holds no NUL; to take it out: tr -d '\\000' < {quote(str(path))} > NEW"
    return CorpusError(f"{path}: binary, not text (NUL {where})", hint=hint)


def _excerpt(fault: Fault) -> str:
    after = (fault.what[1:] + fault.after).decode(fault.encoding, "backslashreplace").splitlines()
    shown = f"{fault.place.before}\\x{fault.what[:1].hex()}{''.join(after[:1])[:MAX_SHOWN]}"
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown) + '"'


def _advice(fault: Fault) -> tuple[str | None, str]:
    """Returns the encoding that the text seems to be in, and the hint."""
    if fault.encoding == "utf-8":
        num_bad, num_good = _utf8_evidence(fault.path)
        if num_good > num_bad:
            return None, f"the rest is utf-8: mend {_what_it_may_be(fault)}, or --errors replace or skip"
    elif _fits(fault.path, "utf-8"):
        return "utf-8", "--encoding utf-8 fits"
    guessed = guess_encoding(fault.sample)
    if guessed is None:
        return None, f"say which encoding it is in, such as --encoding {_NAMES}; or --errors replace or skip"
    for encoding in (guessed, _SUPERSETS.get(guessed)):
        if encoding is not None and encoding != fault.encoding and _fits(fault.path, encoding):
            return encoding, f"--encoding {encoding} fits; or --errors replace or skip"
    if guessed == fault.encoding:
        return None, "--errors replace or skip"
    return guessed, f"--encoding {guessed} --errors replace fits best"


def _what_it_may_be(fault: Fault) -> str:
    """Returns words for the byte, with the character that it is in the encoding of old Windows programs."""
    meant = fault.what[:1].decode("cp1252", "replace")
    return f"this byte (in cp1252 it is {meant})" if meant.isprintable() and meant != "\ufffd" else "this byte"


def _utf8_evidence(path: Path) -> tuple[int, int]:
    """Returns how many runs of bytes of a file are not UTF-8, and how many characters beyond ASCII are."""
    decoder = codecs.getincrementaldecoder("utf-8")(handler_name("skip"))
    before, num_good = num_faults(), 0
    for raw in _raw(path):
        text = decoder.decode(raw)
        num_good += len(text) - len(text.encode("ascii", "ignore"))
    return num_faults() - before, num_good


def _fits(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for raw in _raw(path):
            if "\0" in decoder.decode(raw):
                return False
        decoder.decode(b"", final=path.stat().st_size <= MAX_BYTES_TRIED)
    except UnicodeError:
        return False
    return True


def _raw(path: Path) -> Iterator[bytes]:
    with open_unpacked(path) as file:
        for _ in range(MAX_BYTES_TRIED // _CHUNK_BYTES):
            raw = file.read(_CHUNK_BYTES)
            if not raw:
                return
            yield raw
