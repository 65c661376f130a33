"""From files to a store of token ids: the one place that binds sources, codecs and the store together.

The files are read up to three times, part by part, so that memory does not grow with them:

    hash      the contents; a store that was made of the same contents in the same way is used again
    survey    text only: which characters there are, and which files are no text
    encode    writes the ids

A file that was merely found and cannot be used is refused and the run goes on; a text that the user named is an error.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gen.codec import Codec, Part
from gen.codecs import codec_names
from gen.codecs import text as char
from gen.codecs.byte import VERSION as BYTE_VERSION
from gen.codecs.byte import ByteCodec
from gen.codecs.performance import REPAIRS, PerformanceCodec, choose_performance
from gen.codecs.text import CharCodec, UnknownCharacterError
from gen.codecs.textfile import check_encoding, text_parts
from gen.data.contents import HashedFile, check_unchanged, hash_files
from gen.data.report import FileReport, Report
from gen.data.sources import Skipped, SourceFile, find_sources
from gen.data.store import Store, StoreWriter, open_store, stores_folder
from gen.errors import CorpusError, MidiError, SettingError

AnyCodec = Codec[Any, Any]
OnProgress = Callable[[int, int], None]

MIDI_SUFFIXES = (".mid", ".midi", ".kar")
MOST_CHARACTERS = 8192  # more different ones than this, and `auto` takes bytes
_TELL_BYTES = 1 << 18  # between two calls of `on_progress`
_TEXT_CODECS = ("char", "byte")
_HASH, _SURVEY, _ENCODE = 1, 3, 3  # how long each pass takes a byte, against the others


class _RefusedError(Exception):
    """A file cannot be used; its argument says why. Never leaves this module."""


@dataclass(slots=True)
class _Progress:
    """Adds up the passes and tells the caller how many bytes of the corpus that comes to."""

    total: int
    weights: int
    on_progress: OnProgress | None
    done: int = 0
    told: int = 0

    def advance(self, num_bytes: int, weight: int) -> None:
        self.done += num_bytes * weight
        done = min(self.done // self.weights, self.total)
        if self.on_progress is not None and done >= self.told + _TELL_BYTES:
            self.told = done
            self.on_progress(done, self.total)

    def finish(self) -> None:
        if self.on_progress is not None:
            self.on_progress(self.total, self.total)


def prepare(
    sources: Sequence[str],
    *,
    codec: str | AnyCodec = "auto",
    encoding: str = "utf-8",
    labels: Literal["folders", "none"] = "folders",
    on_progress: OnProgress | None = None,
) -> Store:
    """Returns the store of a corpus: made now, or found in the cache when the contents are known.

    Args:
        sources: files, folders, globs, "-" or names of built-in corpora.
        codec: "auto" takes `performance` if any file is MIDI, else `char`, else, beyond 8192 different characters,
            `byte`. A codec as an object is used as it is: its vocabulary is not built anew.
        encoding: of texts without a byte order mark.
        labels: "folders" makes the first sub-folders' names labels, where two or more of them hold used files.
        on_progress: called with the bytes done and their total.

    Raises:
        CorpusError: a source is missing or unusable, nothing is usable, or the store cannot be written.
        SettingError: the codec, encoding or label rule is unknown.
    """
    _check_settings(codec, encoding, labels)
    if isinstance(codec, CharCodec | ByteCodec):
        codec = replace(codec, encoding=encoding)
    with closing(find_sources(sources)) as found:
        choice = _music_or_text(found.files, codec)
        files, left_out = _suited(found.files, choice, is_auto=codec == "auto")
        if labels == "none":
            files = [file._replace(label=None) for file in files]
        progress = _Progress(sum(map(_size, files)), _HASH + _ENCODE + _SURVEY * _is_surveyed(choice), on_progress)
        read, unreadable = hash_files(files, on_bytes=lambda num_bytes: progress.advance(num_bytes, _HASH))
        skipped = (*found.skipped, *left_out, *unreadable)
        if not read:
            raise _nothing_usable(sources, Report(_skips(skipped)))
        folder = stores_folder() / _key(read, choice, encoding)
        store = _cached(folder) or _build(folder, read, choice, encoding=encoding, sources=sources, progress=progress)
        progress.finish()
    return _as_found(store, [hashed.file for hashed in read], skipped)


def _check_settings(codec: str | AnyCodec, encoding: str, labels: str) -> None:
    choices = ("auto", *codec_names())
    if isinstance(codec, str) and codec not in choices:
        raise SettingError(f"--codec: unknown ({codec})", hint=f"choose one of {', '.join(choices)}")
    if labels not in ("folders", "none"):
        raise SettingError(f"--labels: unknown ({labels})", hint="choose one of folders, none")
    check_encoding(encoding)


def _music_or_text(files: Sequence[SourceFile], codec: str | AnyCodec) -> str | AnyCodec:
    """Returns the codec asked for, with "performance" for "auto" where any file is MIDI."""
    return "performance" if codec == "auto" and any(map(_is_midi, files)) else codec


def _suited(
    files: Sequence[SourceFile], codec: str | AnyCodec, *, is_auto: bool
) -> tuple[list[SourceFile], list[Skipped]]:
    """Parts the files into those to read and those that a music codec leaves out; what is given to it is tried."""
    if not _is_music(codec):
        return list(files), []
    is_read = [_is_midi(file) or (file.is_given and not is_auto) for file in files]
    suited = [file for file, reads in zip(files, is_read, strict=True) if reads]
    return suited, [Skipped(file.name, "not MIDI") for file, reads in zip(files, is_read, strict=True) if not reads]


def _is_midi(file: SourceFile) -> bool:
    return file.path.suffix.lower() in MIDI_SUFFIXES


def _is_music(codec: str | AnyCodec) -> bool:
    return (codec if isinstance(codec, str) else codec.name) not in ("auto", *_TEXT_CODECS)


def _is_surveyed(codec: str | AnyCodec) -> bool:
    return codec in ("auto", "char")


def _size(file: SourceFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return 0  # reading it says what is wrong


def _key(read: Sequence[HashedFile], codec: str | AnyCodec, encoding: str) -> str:
    """Returns the hash of everything that decides what the store holds."""
    made_by: Any
    if not isinstance(codec, str):
        made_by = codec.spec()
    elif _is_music(codec):
        made_by = PerformanceCodec().spec()
    else:
        made_by = [codec, char.VERSION, BYTE_VERSION]
    files = [(hashed.file.label, hashed.file.is_given, hashed.sha256) for hashed in read]
    return hashlib.sha256(json.dumps([made_by, encoding, files], sort_keys=True).encode()).hexdigest()


def _cached(folder: Path) -> Store | None:
    try:
        return open_store(folder)
    except CorpusError:
        return None  # not made yet, or damaged


def _build(
    folder: Path,
    read: Sequence[HashedFile],
    codec: str | AnyCodec,
    *,
    encoding: str,
    sources: Sequence[str],
    progress: _Progress,
) -> Store:
    chosen, refused = _choose(read, codec, encoding, progress)
    with StoreWriter(folder, num_symbols=len(chosen.vocab) - 2) as writer:
        files = []
        for place, hashed in enumerate(read):
            if place in refused:
                files.append(FileReport(hashed.file.name, "refused", refused[place]))
            else:
                files.append(_encode(hashed, chosen, writer, progress))
            check_unchanged(hashed)
        report = Report(tuple(files))
        if not writer.num_documents:
            raise _nothing_usable(sources, report)
        return writer.commit(codec_spec=chosen.spec(), report=report)


def _choose(
    read: Sequence[HashedFile], codec: str | AnyCodec, encoding: str, progress: _Progress
) -> tuple[AnyCodec, dict[int, str]]:
    """Returns the codec, and the files that are already known to be of no use, with the reason."""
    if not isinstance(codec, str):
        return codec, {}
    if _is_music(codec):
        return choose_performance([hashed.file.path for hashed in read]), {}
    if codec == "byte":
        return ByteCodec(encoding), {}
    alphabet, refused = _survey(read, encoding, progress)
    if codec == "auto" and len(alphabet) > MOST_CHARACTERS:
        return ByteCodec(encoding), refused
    return CharCodec(alphabet, encoding), refused


def _survey(read: Sequence[HashedFile], encoding: str, progress: _Progress) -> tuple[str, dict[int, str]]:
    """Returns the characters of all texts in order, and why some files are no text."""
    seen = np.zeros(char.NUM_CODE_POINTS, np.bool_)
    refused: dict[int, str] = {}
    for place, hashed in enumerate(read):
        in_file = np.zeros_like(seen)
        try:
            for part in _readable(hashed, _as_code_points(hashed.file.path, encoding), progress, _SURVEY):
                if not in_file.take(part.ids).all():  # twice as fast as marking all, which is seldom needed
                    in_file[part.ids] = True
            seen |= in_file
        except _RefusedError as refusal:
            refused[place] = str(refusal)
    return "".join(map(chr, np.flatnonzero(seen).tolist())), refused


def _as_code_points(path: Path, encoding: str) -> Iterator[Part]:
    for part in text_parts(path, encoding=encoding):
        yield Part(char.code_points(part.text), part.findings)


def _encode(hashed: HashedFile, codec: AnyCodec, writer: StoreWriter, progress: _Progress) -> FileReport:
    """Adds a file's ids to the store as a document."""
    name, units = hashed.file.name, codec.units()
    tokens = num_units = 0
    findings: Counter[str] = Counter()
    try:
        for part in _readable(hashed, codec.encode_file(hashed.file.path), progress, _ENCODE):
            writer.add(part.ids)
            tokens += len(part.ids)
            num_units += _count_units(part, units)
            findings.update(part.findings)
    except _RefusedError as refusal:
        writer.drop_document()
        return FileReport(name, "refused", str(refusal))
    writer.close_document(name, label=hashed.file.label)
    is_repaired = not _repairs(codec).isdisjoint(+findings)
    return FileReport(name, "repaired" if is_repaired else "kept", None, tokens, num_units, dict(+findings))


def _readable(hashed: HashedFile, parts: Iterator[Part], progress: _Progress, weight: int) -> Iterator[Part]:
    """Passes a file's parts on.

    Raises:
        _RefusedError: the file cannot be used, and the run goes on without it.
        CorpusError: it cannot be used, and the user named it, or it changed while it was read.
    """
    left = hashed.size
    is_empty = True
    try:
        for part in parts:
            yield part
            is_empty = is_empty and not len(part.ids)
            progress.advance(min(len(part.ids), left), weight)  # a character is a byte at least
            left -= min(len(part.ids), left)
        if is_empty:
            raise CorpusError(f"{hashed.file.path}: empty")
    except (CorpusError, MidiError) as err:
        check_unchanged(hashed)
        reason = str(err).removeprefix(f"{hashed.file.path}: ")
        is_named = hashed.file.is_given or isinstance(err, UnknownCharacterError)
        if isinstance(err, MidiError) or not is_named:
            raise _RefusedError(reason) from err
        raise CorpusError(f"{hashed.file.name}: {reason}", hint=err.hint) from err
    finally:
        progress.advance(left, weight)


def _count_units(part: Part, units: NDArray[np.int64]) -> int:
    symbols = units[:-2]
    if symbols.min() == symbols.max():  # a character each, a byte each: nothing to look up
        return len(part.ids) * int(symbols[0])
    return int(units[part.ids].sum())


def _repairs(codec: AnyCodec) -> frozenset[str]:
    """Returns the findings that mean that something in a file was mended."""
    return REPAIRS if _is_music(codec) else frozenset()


def _skips(skipped: Sequence[Skipped]) -> tuple[FileReport, ...]:
    return tuple(FileReport(name, "skipped", reason) for name, reason in skipped)


def _as_found(store: Store, read: Sequence[SourceFile], skipped: Sequence[Skipped]) -> Store:
    """Returns the store under the names that the files have now, with what was skipped now."""
    reports = [replace(report, name=file.name) for report, file in zip(store.report.files, read, strict=True)]
    used = [file for report, file in zip(reports, read, strict=True) if report.is_used]
    return replace(
        store,
        names=tuple(file.name for file in used),
        paths=tuple(file.path for file in used),
        report=Report((*reports, *_skips(skipped))),
    )


def _nothing_usable(sources: Sequence[str], report: Report) -> CorpusError:
    """Returns the error for a corpus without a single usable file; it gives the reasons."""
    if len(report.files) == 1:
        return CorpusError(f"{report.files[0].name}: {report.files[0].reason}")
    reasons = [f"{count} {reason}" for reason, count in report.reasons().most_common(3)]
    more = ["..."] * (len(report.reasons()) > 3)
    return CorpusError(f"{' '.join(sources)}: nothing usable ({', '.join(reasons + more)})")
