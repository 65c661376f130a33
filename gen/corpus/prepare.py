"""From files to a store of token ids: the one place that binds sources, codecs and the store together.

The files are read up to three times, part by part, so that memory does not grow with them:

    hash      the contents; a store that was made of the same contents in the same way is used again
    survey    text only: which characters there are, and which files are no text
    encode    writes the ids; of MIDI, in processes of their own

What becomes of a file that cannot be used stands in `gen.corpus.encoding`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gen.codec import AnyCodec, Kind
from gen.codecs import codec_names
from gen.codecs.choice import AUTO_MUSIC, choose_music, specs_before_choice
from gen.codecs.text import char
from gen.codecs.text.byte import VERSION as BYTE_VERSION
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.text.forms import in_form_of
from gen.codecs.text.tables.parts import VERSION as TABLES_VERSION
from gen.codecs.text.tables.parts import is_table
from gen.config import Reading
from gen.corpus.encoding import Encoder, OnProgress, Progress, Refusal, Weights, survey
from gen.corpus.file_kinds import LookedAt, kind_of_most, left_out, look_at
from gen.corpus.hashing import HashedFile, check_unchanged, hash_files
from gen.corpus.sources import Skipped, SourceFile, StandardInput, find_sources
from gen.corpus.workers import file_encoder
from gen.data.report import FileReport, Report
from gen.data.store import Store, open_store, stores_folder
from gen.data.store_writer import StoreWriter
from gen.errors import CorpusError, SettingError
from gen.music.midi import rules

MAX_BYTES_UNLIMITED = 1 << 20  # bytes of a MIDI file by which a codec is chosen: less than a second, whatever it holds
MAX_CHARACTERS = 8192  # more different ones than this, and `auto` takes bytes
_TEXT_CODECS = ("char", "byte")
_REASON = "reason"  # beside the codec's own keys in what a store keeps of it


class _Corpus(NamedTuple):
    """The files of a corpus, and what is known of them before they are read."""

    hashed: Sequence[HashedFile]
    looked: Mapping[SourceFile, LookedAt]
    unsuited: Mapping[SourceFile, FileReport]  # what is not read of those looked at, with the reasons
    skipped: Sequence[Skipped]

    @property
    def read(self) -> list[HashedFile]:
        """Those to read, in order."""
        return [hashed for hashed in self.hashed if hashed.file not in self.unsuited]

    def unhashed(self) -> tuple[FileReport, ...]:
        """Returns the reports of what is no part of the store."""
        hashed = {hashed.file for hashed in self.hashed}
        unsuited = (report for file, report in self.unsuited.items() if file not in hashed)
        return (*unsuited, *(FileReport(name, "skipped", reason) for name, reason in self.skipped))

    def unused(self) -> tuple[FileReport, ...]:
        """Returns the reports of all that is not read."""
        return (*(self.unsuited[h.file] for h in self.hashed if h.file in self.unsuited), *self.unhashed())


class _How(NamedTuple):
    """How a store is made; the arguments are those of `prepare`."""

    reading: Reading
    sources: Sequence[str]
    alphabet: str
    num_workers: int | None


def prepare(
    sources: Sequence[str],
    *,
    codec: str | AnyCodec = "auto",
    reading: Reading = Reading(),
    on_progress: OnProgress | None = None,
    num_workers: int | None = None,
    known_key: str | None = None,
    alphabet: str = "",
    auto_reads: Kind | None = None,
    stdin: StandardInput | None = None,
) -> Store:
    """Returns the store of a corpus: made now, or found in the cache when the contents are known.

    Args:
        sources: files, folders, globs, "-" or names of built-in corpora.
        codec: "auto" takes `beat` or `performance` if most files are MIDI (`gen.corpus.file_kinds` counts them,
            `gen.codecs.choice` chooses, `codec_reason` says why), else `char`, or `byte` for a text of more than 8192
            different characters. A codec given as an object keeps its vocabulary.
        reading: how files become documents; a codec given as an object reads its files that way too.
        on_progress: called with the bytes done and their total.
        num_workers: processes that encode MIDI beside this one, each file under limits of time and memory; None for as
            many as make it faster, 0 for none and no limits. The store does not depend on it.
        alphabet: characters that the codec `char` shall have besides those of the corpus.
        known_key: of a store to use again if it is of the same files, though they would be read otherwise today.
        auto_reads: what "auto" reads whatever most files are, as a run did that goes on.
        stdin: what "-" reads, for whoever prepares it more than once.

    Raises:
        CorpusError: a source is missing or unusable, nothing is usable, or the store cannot be written.
        GenError: a process that encoded was killed, and no other could be started.
        SettingError: the codec is unknown, or the number of workers negative.
    """
    if num_workers is not None and num_workers < 0:
        raise SettingError(f"num_workers: must not be negative ({num_workers})")
    _check_codec(codec)
    if isinstance(codec, CharCodec | ByteCodec):
        reading = in_form_of(reading, codec.normalize)
        codec = replace(codec, reading=reading)
    with closing(StandardInput()) if stdin is None else nullcontext(stdin) as kept:
        found = find_sources(sources, kept)
        files = [file._replace(label=None) for file in found.files] if reading.labels == "none" else found.files
        looked = {file: look_at(file) for file in files}
        choice = _music_or_text(looked, codec, auto_reads)
        _check_suits(reading, choice)
        corpus, progress = _hashed(looked, choice, found.skipped, is_auto=codec == "auto", on_progress=on_progress)
        if not corpus.read:
            raise _nothing_usable(sources, corpus.unused())
        _check_label_column(corpus, codec, reading)
        key, *older_keys = _keys(corpus, choice, reading, alphabet)
        store = _cached(stores_folder() / known_key) if known_key in older_keys else None
        if store is None and known_key in older_keys and not _is_music(choice):  # as before tables were read by rows
            reading = replace(reading, documents="files")
            choice = replace(choice, reading=reading) if isinstance(choice, CharCodec | ByteCodec) else choice
            key = _keys(corpus, choice, reading, alphabet)[0]
        folder, how = stores_folder() / key, _How(reading, sources, alphabet, num_workers)
        store = store or _cached(folder) or _build(folder, corpus, choice, how, progress)
        progress.finish()
    # What a text lost by newer rules shifts its alphabet: of the older stores only the very one will do.
    return replace(_as_found(store, corpus), older_keys=tuple(older_keys) if _is_music(choice) else ())


def codec_reason(store: Store) -> str | None:
    """Returns why "auto" chose the codec of a store; None where it did not, or where a text leaves no choice."""
    reason: str | None = store.codec_spec.get(_REASON)
    return reason


def _check_codec(codec: str | AnyCodec) -> None:
    choices = ("auto", *codec_names())
    if isinstance(codec, str) and codec not in choices:
        raise SettingError(f"--codec: unknown ({codec})", hint=f"choose one of {', '.join(choices)}")


def _hashed(
    looked: Mapping[SourceFile, LookedAt],
    codec: str | AnyCodec,
    skipped: Sequence[Skipped],
    *,
    is_auto: bool,
    on_progress: OnProgress | None,
) -> tuple[_Corpus, Progress]:
    """Returns the corpus with the hashes of its files, and the progress that this is."""
    unsuited = left_out(looked, "music" if _is_music(codec) else "text", is_auto=is_auto)
    # What a text corpus leaves out counts among its contents all the same.
    files = [file for file in looked if not (_is_music(codec) and file in unsuited)]
    progress = Progress(sum(file.size for file in files), _weights(codec), on_progress)
    hashed, unreadable = hash_files(files, on_bytes=lambda num: progress.advance(num, progress.weights.hash))
    return _Corpus(hashed, looked, unsuited, (*skipped, *unreadable)), progress


def _music_or_text(
    looked: Mapping[SourceFile, LookedAt], codec: str | AnyCodec, auto_reads: Kind | None
) -> str | AnyCodec:
    """Returns the codec asked for, with "music" for "auto" where that reads MIDI."""
    return AUTO_MUSIC if codec == "auto" and (auto_reads or kind_of_most(looked)) == "music" else codec


def _check_suits(reading: Reading, codec: str | AnyCodec) -> None:
    """Raises SettingError if what only texts have is asked of music."""
    if not _is_music(codec):
        return
    asked = {
        "documents": None if reading.documents in ("auto", "files") else reading.documents,
        "text-column": reading.text_column,
        "label-column": reading.label_column,
    }
    for option, value in asked.items():
        if value is not None:
            raise SettingError(f"--{option}: only for text ({value})", hint="leave it out")


def _check_label_column(corpus: _Corpus, codec: str | AnyCodec, reading: Reading) -> None:
    """Raises SettingError if labels of tables are asked for, and there is none; a model is measured on any text."""
    is_asked = reading.label_column is not None and isinstance(codec, str)
    if not is_asked or any(is_table(hashed.file.path, reading) for hashed in corpus.read):
        return
    raise SettingError(
        f"--label-column: no file is a table ({reading.label_column})",
        hint="CSV, TSV and JSON lines are known by their suffixes; --text-column has any file read as a table",
    )


def _is_music(codec: str | AnyCodec) -> bool:
    return codec not in ("auto", *_TEXT_CODECS) if isinstance(codec, str) else codec.kind == "music"


def _weights(codec: str | AnyCodec) -> Weights:
    if _is_music(codec):
        return Weights(hash=1, survey=0, encode=30)
    return Weights(hash=1, survey=3 if codec in ("auto", "char") else 0, encode=3)


def _keys(corpus: _Corpus, codec: str | AnyCodec, reading: Reading, alphabet: str) -> list[str]:
    """Returns the hash of everything that decides what the store holds, then those of the same files as once read.

    So music was read by other rules, and tables as plain text. What came later than the first stores is named only
    where it makes a difference, so that these are still found.
    """
    made_by: Any
    if not isinstance(codec, str):
        made_by = codec.spec()
    elif _is_music(codec):
        made_by = specs_before_choice(codec)
    else:
        made_by = [codec, char.VERSION, BYTE_VERSION]
    plain = [(hashed.file.label, hashed.file.is_given, hashed.sha256) for hashed in corpus.hashed]
    files = [(*known, *_read_anew(corpus, hashed)) for known, hashed in zip(plain, corpus.hashed, strict=True)]
    more: dict[str, Any] = {} if reading.documents in ("auto", "files") else {"documents": reading.documents}
    for name in ("errors", "normalize", "unknown"):
        if (value := getattr(reading, name)) != getattr(Reading(), name):
            more[name] = value
    more |= {"alphabet": alphabet} if alphabet else {}
    if _is_music(codec):
        versions = (rules.VERSION, *range(rules.VERSION - 1, 0, -1))
        return [_hash_of([made_by, reading.encoding, files, more, version]) for version in versions]
    texts = [_hash_of([made_by, reading.encoding, by, more]) for by in (files, plain)]
    if tables := [place for place, hashed in enumerate(corpus.hashed) if is_table(hashed.file.path, reading)]:
        columns = [TABLES_VERSION, reading.text_column, None if reading.labels == "none" else reading.label_column]
        rows = {"tables": tables, "columns": columns}
        texts.insert(0, _hash_of([made_by, reading.encoding, files, more | rows]))
    return list(dict.fromkeys(texts))


def _hash_of(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([part for part in parts if part != {}], sort_keys=True).encode()).hexdigest()


def _read_anew(corpus: _Corpus, hashed: HashedFile) -> list[str]:
    """Returns what is done with a file that the first versions did not do."""
    seen = corpus.looked[hashed.file]
    is_read = hashed.file not in corpus.unsuited
    changes = {
        "unpacked": seen.is_compressed and is_read,
        "without inner marks": hashed.has_inner_mark and is_read and not seen.is_midi,
        "left out": seen.foreign is not None and seen.foreign.is_characters and not is_read,
    }
    return [name for name, holds in changes.items() if holds]


def _cached(folder: Path) -> Store | None:
    try:
        return open_store(folder)
    except CorpusError:
        return None  # not made yet, or damaged


def _build(folder: Path, corpus: _Corpus, codec: str | AnyCodec, how: _How, progress: Progress) -> Store:
    read = corpus.read
    chosen, reason, refused = _choose(read, codec, how.reading, progress, how.alphabet)
    num_workers = how.num_workers if _is_music(chosen) else 0
    with StoreWriter(folder, num_symbols=len(chosen.vocab) - 2) as writer:
        files = dict(corpus.unsuited)
        with file_encoder(chosen, read, num_workers=num_workers) as encode_file:
            encoder = Encoder(chosen, writer, progress, encode_file=encode_file, refused=refused)
            for hashed in read:
                files[hashed.file] = encoder.add(hashed)
                check_unchanged(hashed)
        report = Report(tuple(files[hashed.file] for hashed in corpus.hashed))
        if not writer.num_documents:
            raise _nothing_usable(how.sources, (*report.files, *corpus.unhashed()), encoder.hint)
        return writer.commit(codec_spec=chosen.spec() | ({_REASON: reason} if reason else {}), report=report)


def _choose(
    read: Sequence[HashedFile], codec: str | AnyCodec, reading: Reading, progress: Progress, known: str
) -> tuple[AnyCodec, str | None, dict[SourceFile, Refusal]]:
    """Returns the codec, why if there was a choice, and which files are known to be of no use, with the reasons."""
    if not isinstance(codec, str):
        return codec, None, {}
    if _is_music(codec):
        small = [hashed.file.path for hashed in read if hashed.size <= MAX_BYTES_UNLIMITED]  # without a limit
        return *choose_music(small or [hashed.file.path for hashed in read], codec), {}
    if codec == "byte":
        return ByteCodec(reading, reading.normalize), None, {}
    found, refused = survey(read, reading, progress)
    alphabet = "".join(sorted({*found, *known}))
    if codec == "auto" and len(alphabet) > MAX_CHARACTERS:
        return ByteCodec(reading, reading.normalize), f"{len(alphabet):,} different characters", refused
    return CharCodec(alphabet, reading, reading.normalize), None, refused


def _as_found(store: Store, corpus: _Corpus) -> Store:
    """Returns the store under the names that the files have now, with what was left out now."""
    reports = [
        corpus.unsuited.get(hashed.file) or (report if report.name == hashed.file.name else _renamed(report, hashed))
        for report, hashed in zip(store.report.files, corpus.hashed, strict=True)
    ]
    used = [hashed.file for report, hashed in zip(reports, corpus.hashed, strict=True) if report.is_used]
    return replace(
        store,
        files=tuple(file.name for file in used),
        paths=tuple(file.path for file in used),
        report=Report((*reports, *corpus.unhashed())),
    )


def _renamed(report: FileReport, hashed: HashedFile) -> FileReport:
    return replace(report, name=hashed.file.name)


def _nothing_usable(sources: Sequence[str], files: Sequence[FileReport], hint: str | None = None) -> CorpusError:
    """Returns the error for a corpus without a single usable file; it gives the reasons."""
    if len(files) == 1:
        return CorpusError(f"{files[0].name}: {files[0].reason}", hint=hint)
    problems = Report(tuple(files)).problems()
    return CorpusError(f"{' '.join(sources)}: nothing usable ({problems})", hint=hint)
