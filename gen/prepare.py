"""From files to a store of token ids: the one place that binds sources, codecs and the store together.

The files are read up to three times, part by part, so that memory does not grow with them:

    hash      the contents; a store that was made of the same contents in the same way is used again
    survey    text only: which characters there are, and which files are no text
    encode    writes the ids; of MIDI, in processes of their own

What becomes of a file that cannot be used stands in `gen.prepare_parts`.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen.codec import Codec
from gen.codecs import codec_names
from gen.codecs import text as char
from gen.codecs.beat import BeatCodec
from gen.codecs.byte import VERSION as BYTE_VERSION
from gen.codecs.byte import ByteCodec
from gen.codecs.music import choose_music
from gen.codecs.performance import PerformanceCodec, choose_performance
from gen.codecs.tables.parts import VERSION as TABLES_VERSION
from gen.codecs.tables.parts import is_table
from gen.codecs.text import CharCodec
from gen.config import Reading
from gen.data.contents import HashedFile, check_unchanged, hash_files
from gen.data.report import FileReport, Report
from gen.data.sources import Skipped, SourceFile, find_sources
from gen.data.store import Store, open_store, stores_folder
from gen.data.store_writer import StoreWriter
from gen.errors import CorpusError, SettingError
from gen.music import rules
from gen.prepare_parts import Encoder, OnProgress, Progress, Weights, survey
from gen.prepare_workers import file_encoder

AnyCodec = Codec[Any, Any]

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
MOST_LOOKED_AT = 1 << 20  # bytes of a MIDI file by which a codec is chosen: less than a second, whatever it holds
MOST_CHARACTERS = 8192  # more different ones than this, and `auto` takes bytes
_TEXT_CODECS = ("char", "byte")
_AUTO_MUSIC = "music"  # what "auto" comes to where any file is MIDI
_REASON = "reason"  # beside the codec's own keys in what a store keeps of it


def prepare(
    sources: Sequence[str],
    *,
    codec: str | AnyCodec = "auto",
    reading: Reading = Reading(),
    on_progress: OnProgress | None = None,
    num_workers: int | None = None,
    known_key: str | None = None,
    alphabet: str = "",
) -> Store:
    """Returns the store of a corpus: made now, or found in the cache when the contents are known.

    Args:
        sources: files, folders, globs, "-" or names of built-in corpora.
        codec: "auto" takes `beat` or `performance` if any file is MIDI (`gen.codecs.music`; `codec_reason` says why),
            else `char`, else, beyond 8192 different characters, `byte`. A codec as an object is used as it is: its
            vocabulary is not built anew.
        reading: how files become documents; a codec given as an object reads its files that way too.
        on_progress: called with the bytes done and their total.
        num_workers: processes that encode MIDI beside this one, each file under a limit of time and memory; None for as
            many as make it faster, 0 for none and so no limits. The store does not depend on it.
        alphabet: characters that the codec `char` shall have besides those of the corpus.
        known_key: of a store to use again if it is of the same files, though they would be read otherwise today.

    Raises:
        CorpusError: a source is missing or unusable, nothing is usable, or the store cannot be written.
        GenError: a process that encoded was killed, and no other could be started.
        SettingError: the codec is unknown, or the number of workers negative.
    """
    if num_workers is not None and num_workers < 0:
        raise SettingError(f"num_workers: must not be negative ({num_workers})")
    _check_codec(codec)
    if isinstance(codec, CharCodec | ByteCodec):
        codec = replace(codec, reading=reading)
    with closing(find_sources(sources)) as found:
        choice = _music_or_text(found.files, codec)
        if _is_music(choice):
            _check_is_text(reading)
        files, left_out = _suited(found.files, choice, is_auto=codec == "auto")
        if reading.labels == "none":
            files = [file._replace(label=None) for file in files]
        progress = Progress(sum(file.size for file in files), _weights(choice), on_progress)
        read, unreadable = hash_files(files, on_bytes=lambda num: progress.advance(num, progress.weights.hash))
        skipped = (*found.skipped, *left_out, *unreadable)
        if not read:
            raise _nothing_usable(sources, Report(_skips(skipped)))
        key, *older_keys = _keys(read, choice, reading, alphabet)
        if known_key in older_keys and not _is_music(choice):  # before tables were read by their rows
            key, reading = str(known_key), replace(reading, documents="files")
            choice = replace(choice, reading=reading) if isinstance(choice, CharCodec | ByteCodec) else choice
        known = _cached(stores_folder() / known_key) if known_key in older_keys else None
        store = (
            known
            or _cached(stores_folder() / key)
            or _build(
                stores_folder() / key,
                read,
                choice,
                reading=reading,
                sources=sources,
                alphabet=alphabet,
                num_workers=num_workers,
                progress=progress,
            )
        )
        progress.finish()
    return replace(_as_found(store, [hashed.file for hashed in read], skipped), older_keys=tuple(older_keys))


def codec_reason(store: Store) -> str | None:
    """Returns why "auto" chose the codec of a store; None where it did not, or where a text leaves no choice."""
    reason: str | None = store.codec_spec.get(_REASON)
    return reason


def _check_codec(codec: str | AnyCodec) -> None:
    choices = ("auto", *codec_names())
    if isinstance(codec, str) and codec not in choices:
        raise SettingError(f"--codec: unknown ({codec})", hint=f"choose one of {', '.join(choices)}")


def _music_or_text(files: Sequence[SourceFile], codec: str | AnyCodec) -> str | AnyCodec:
    """Returns the codec asked for, with "music" for "auto" where any file is MIDI."""
    return _AUTO_MUSIC if codec == "auto" and any(map(_is_midi, files)) else codec


def _suited(
    files: Sequence[SourceFile], codec: str | AnyCodec, *, is_auto: bool
) -> tuple[list[SourceFile], list[Skipped]]:
    """Parts the files into those to read and those that a music codec leaves out; what is given to it is tried."""
    if not _is_music(codec):
        return list(files), []
    is_read = [_is_midi(file) or (file.is_given and not is_auto) for file in files]
    suited = [file for file, reads in zip(files, is_read, strict=True) if reads]
    return suited, [Skipped(file.name, "not MIDI") for file, reads in zip(files, is_read, strict=True) if not reads]


def _check_is_text(reading: Reading) -> None:
    """Raises SettingError if what only texts have is asked for."""
    asked = {
        "documents": None if reading.documents in ("auto", "files") else reading.documents,
        "text-column": reading.text_column,
        "label-column": reading.label_column,
    }
    for option, value in asked.items():
        if value is not None:
            raise SettingError(f"--{option}: only for text ({value})", hint="leave it out")


def _is_midi(file: SourceFile) -> bool:
    return file.path.suffix.lower() in MIDI_SUFFIXES


def _is_music(codec: str | AnyCodec) -> bool:
    return (codec if isinstance(codec, str) else codec.name) not in ("auto", *_TEXT_CODECS)


def _weights(codec: str | AnyCodec) -> Weights:
    if _is_music(codec):
        return Weights(hash=1, survey=0, encode=30)
    return Weights(hash=1, survey=3 if codec in ("auto", "char") else 0, encode=3)


def _keys(read: Sequence[HashedFile], codec: str | AnyCodec, reading: Reading, alphabet: str) -> list[str]:
    """Returns the hash of everything that decides what the store holds, then those of the same files as once read.

    So music was read by other rules, and tables as plain text. What came later than the first stores is named only
    where it makes a difference, so that these are still found.
    """
    made_by: Any
    if not isinstance(codec, str):
        made_by = codec.spec()
    elif codec == _AUTO_MUSIC:
        made_by = [codec, PerformanceCodec().spec(), BeatCodec().spec()]
    elif _is_music(codec):
        made_by = (BeatCodec if codec == BeatCodec.name else PerformanceCodec)().spec()
    else:
        made_by = [codec, char.VERSION, BYTE_VERSION]
    files = [(hashed.file.label, hashed.file.is_given, hashed.sha256) for hashed in read]
    more: dict[str, Any] = {} if reading.documents in ("auto", "files") else {"documents": reading.documents}
    more |= {"alphabet": alphabet} if alphabet else {}
    as_text = [made_by, reading.encoding, files]
    if _is_music(codec):
        versions = (rules.VERSION, *range(rules.VERSION - 1, 0, -1))
        return [_hash_of([*as_text, more, version]) for version in versions]
    if not (tables := [place for place, hashed in enumerate(read) if is_table(hashed.file.path, reading)]):
        return [_hash_of([*as_text, more])]
    columns = [TABLES_VERSION, reading.text_column, None if reading.labels == "none" else reading.label_column]
    return [_hash_of([*as_text, more | {"tables": tables, "columns": columns}]), _hash_of([*as_text, more])]


def _hash_of(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([part for part in parts if part != {}], sort_keys=True).encode()).hexdigest()


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
    reading: Reading,
    sources: Sequence[str],
    alphabet: str,
    num_workers: int | None,
    progress: Progress,
) -> Store:
    chosen, reason, refused = _choose(read, codec, reading, progress, alphabet)
    num_workers = num_workers if _is_music(chosen) else 0
    with StoreWriter(folder, num_symbols=len(chosen.vocab) - 2) as writer:
        with file_encoder(chosen, read, num_workers=num_workers) as encode_file:
            encoder = Encoder(chosen, writer, progress, encode_file=encode_file)
            files = []
            for place, hashed in enumerate(read):
                if place in refused:
                    files.append(FileReport(hashed.file.name, "refused", refused[place]))
                else:
                    files.append(encoder.add(hashed))
                check_unchanged(hashed)
        report = Report(tuple(files))
        if not writer.num_documents:
            raise _nothing_usable(sources, report)
        return writer.commit(codec_spec=chosen.spec() | ({_REASON: reason} if reason else {}), report=report)


def _choose(
    read: Sequence[HashedFile], codec: str | AnyCodec, reading: Reading, progress: Progress, known: str
) -> tuple[AnyCodec, str | None, dict[int, str]]:
    """Returns the codec, why if there was a choice, and which files are known to be of no use, with the reasons."""
    if not isinstance(codec, str):
        return codec, None, {}
    if _is_music(codec):
        small = [hashed.file.path for hashed in read if hashed.size <= MOST_LOOKED_AT]  # it is done without a limit
        return *_choose_music(small or [hashed.file.path for hashed in read], codec), {}
    if codec == "byte":
        return ByteCodec(reading), None, {}
    found, refused = survey(read, reading, progress)
    alphabet = "".join(sorted({*found, *known}))
    if codec == "auto" and len(alphabet) > MOST_CHARACTERS:
        return ByteCodec(reading), f"{len(alphabet):,} different characters", refused
    return CharCodec(alphabet, reading), None, refused


def _choose_music(paths: Sequence[Path], codec: str) -> tuple[AnyCodec, str | None]:
    """Returns the music codec of a name, or the one that suits the files, and why."""
    if codec == _AUTO_MUSIC:
        return choose_music(paths)
    return (BeatCodec() if codec == BeatCodec.name else choose_performance(paths)), None


def _skips(skipped: Sequence[Skipped]) -> tuple[FileReport, ...]:
    return tuple(FileReport(name, "skipped", reason) for name, reason in skipped)


def _as_found(store: Store, read: Sequence[SourceFile], skipped: Sequence[Skipped]) -> Store:
    """Returns the store under the names that the files have now, with what was skipped now."""
    reports = [
        report if report.name == file.name else replace(report, name=file.name)
        for report, file in zip(store.report.files, read, strict=True)
    ]
    used = [file for report, file in zip(reports, read, strict=True) if report.is_used]
    return replace(
        store,
        files=tuple(file.name for file in used),
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
