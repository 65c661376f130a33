"""Prepares a corpus: finds its files, chooses the codec and makes the store of token ids.

The files are read up to three times, part by part, so that memory does not grow with them:

    hash      hashes the contents; a store of the same contents, made in the same way, is used again
    survey    of texts only: collects the characters, and finds the files that are no text
    encode    writes the ids; MIDI files are encoded in worker processes

`gen.corpus.encoding` decides whether a file that cannot be used is refused or an error.
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
from gen.codecs.text.documents import document_parts
from gen.codecs.text.forms import in_form_of
from gen.codecs.text.pairs import PairsCodec
from gen.codecs.text.tables.pairs import VERSION as PAIRS_VERSION
from gen.codecs.text.tables.pairs import pair_parts
from gen.codecs.text.tables.parts import VERSION as TABLES_VERSION
from gen.codecs.text.tables.parts import is_table
from gen.codecs.text.tagged import VERSION as TAGGED_VERSION
from gen.codecs.text.tagged import TaggedCodec
from gen.config import Reading
from gen.corpus.encoding import Encoder, OnProgress, Progress, Refusal, Weights, survey, survey_tagged
from gen.corpus.file_kinds import LookedAt, kind_of_most, left_out, look_at
from gen.corpus.hashing import HashedFile, check_unchanged, hash_files
from gen.corpus.sources import Skipped, SourceFile, StandardInput, find_sources
from gen.corpus.workers import file_encoder
from gen.data.report import FileReport, Report
from gen.data.store import Store, open_store, stores_folder
from gen.data.store_writer import StoreWriter
from gen.errors import CorpusError, SettingError
from gen.music.midi import rules

MAX_BYTES_UNLIMITED = 1 << 20  # of a MIDI file that is read without limits, to choose a codec: always below a second
MAX_CHARACTERS = 8192  # different characters; for more, `auto` chooses the codec `byte`
_TEXT_CODECS = ("char", "byte", "tagged", "pairs")
_REASON = "reason"  # the key of the reason for the codec, in the codec spec of a store


class _Corpus(NamedTuple):
    """The files of a corpus, before they are read."""

    sources: Sequence[str]
    hashed: Sequence[HashedFile]
    looked: Mapping[SourceFile, LookedAt]
    unsuited: Mapping[SourceFile, FileReport]  # files of `looked` that are not read, with the reasons
    skipped: Sequence[Skipped]

    @property
    def read(self) -> list[HashedFile]:
        """The files to read, in order."""
        return [hashed for hashed in self.hashed if hashed.file not in self.unsuited]

    def unhashed(self) -> tuple[FileReport, ...]:
        """Returns the reports of files that the key of the store does not depend on."""
        hashed = {hashed.file for hashed in self.hashed}
        unsuited = (report for file, report in self.unsuited.items() if file not in hashed)
        return (*unsuited, *(FileReport(name, "skipped", reason) for name, reason in self.skipped))

    def unused(self) -> tuple[FileReport, ...]:
        """Returns the reports of all files that are not read."""
        return (*(self.unsuited[h.file] for h in self.hashed if h.file in self.unsuited), *self.unhashed())


class _Recipe(NamedTuple):
    """The choices that the contents of a store depend on, apart from its files."""

    codec: str | AnyCodec  # AUTO_MUSIC for an "auto" that reads MIDI
    reading: Reading
    alphabet: str  # added to that of the corpus

    @property
    def are_pairs(self) -> bool:
        """True if the documents are the pairs of tables."""
        return self.codec == "pairs" or isinstance(self.codec, PairsCodec)

    @property
    def is_music(self) -> bool:
        if isinstance(self.codec, str):
            return self.codec not in ("auto", *_TEXT_CODECS)
        return self.codec.kind == "music"

    def of_whole_files(self) -> "_Recipe":
        """Returns the recipe of the time before tables were read by rows."""
        reading, codec = replace(self.reading, documents="files"), self.codec
        codec = replace(codec, reading=reading) if isinstance(codec, CharCodec | ByteCodec | TaggedCodec) else codec
        return self._replace(codec=codec, reading=reading)


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
    """Returns the store of a corpus: from the cache, or made now.

    Args:
        sources: files, folders, globs, "-" or names of built-in corpora.
        codec: "auto" takes `beat` or `performance` if most files are MIDI (`gen.corpus.file_kinds` counts them,
            `gen.codecs.choice` chooses, `codec_reason` says why), else `char`, or `byte` for a text of more than 8192
            different characters; "tagged" reads words with tags. A codec given as an object keeps its vocabulary.
        reading: the options of reading files as documents; they also apply to a codec given as an object.
        on_progress: called with the bytes done and their total.
        num_workers: the number of processes that encode MIDI files, each file with limits of time and memory. None
            chooses the fastest number; 0 encodes in this process, without limits. The store does not depend on it.
        alphabet: characters that the codecs `char` and `tagged` have in addition to those of the corpus.
        known_key: the key of a store to use again if it holds the same files, even if newer rules would read them
            differently.
        auto_reads: the kind of files that "auto" reads, instead of that of most files; for a run that is resumed.
        stdin: the standard input that "-" reads; given if the corpus is prepared more than once.

    Raises:
        CorpusError: a source is missing or unusable, no file is usable, or the store cannot be written.
        GenError: a worker was killed, and no other could be started.
        SettingError: the codec is unknown, or the number of workers is negative.
    """
    if num_workers is not None and num_workers < 0:
        raise SettingError(f"num_workers: must not be negative ({num_workers})")
    codec, reading = _matched(codec, reading)
    with closing(StandardInput()) if stdin is None else nullcontext(stdin) as kept:
        looked, skipped = _looked_at(sources, reading, kept)
        is_auto_music = codec == "auto" and (auto_reads or kind_of_most(looked)) == "music"
        recipe = _Recipe(AUTO_MUSIC if is_auto_music else codec, reading, alphabet)
        _check_suits(recipe)
        unsuited = left_out(looked, "music" if recipe.is_music else "text", is_auto=codec == "auto")
        corpus, progress = _hashed(_Corpus(sources, [], looked, unsuited, skipped), recipe, on_progress)
        if not corpus.read:
            raise _nothing_usable(sources, corpus.unused())
        _check_label_column(corpus, recipe)
        key, *older_keys = _keys(corpus, recipe)
        store = _cached(stores_folder() / known_key) if known_key in older_keys else None
        if store is None and known_key in older_keys and not recipe.is_music:  # the store is older than tables
            recipe = recipe.of_whole_files()
            key = _keys(corpus, recipe)[0]
        folder = stores_folder() / key
        store = store or _cached(folder) or _build(folder, corpus, recipe, progress, num_workers=num_workers)
        progress.finish()
    # Newer rules may drop characters of a text, which changes its alphabet. So older stores of texts do not count as
    # equivalent.
    return replace(_as_found(store, corpus), older_keys=tuple(older_keys) if recipe.is_music else ())


def _looked_at(
    sources: Sequence[str], reading: Reading, stdin: StandardInput
) -> tuple[dict[SourceFile, LookedAt], Sequence[Skipped]]:
    """Returns the kinds of the files that sources name, and the paths that are not read."""
    found = find_sources(sources, stdin)
    files = [file._replace(label=None) for file in found.files] if reading.labels == "none" else found.files
    return {file: look_at(file) for file in files}, found.skipped


def codec_reason(store: Store) -> str | None:
    """Returns the reason for which "auto" chose the codec of a store; None if there was no choice."""
    reason: str | None = store.codec_spec.get(_REASON)
    return reason


def _matched(codec: str | AnyCodec, reading: Reading) -> tuple[str | AnyCodec, Reading]:
    """Returns a codec of text with the reading, and the reading in the codec's normal form; others as they are.

    Raises SettingError if the codec is unknown.
    """
    choices = ("auto", *codec_names())
    if isinstance(codec, str) and codec not in choices:
        raise SettingError(f"--codec: unknown ({codec})", hint=f"choose one of {', '.join(choices)}")
    if not isinstance(codec, CharCodec | ByteCodec | TaggedCodec):
        return codec, reading
    reading = in_form_of(reading, codec.normalize)
    return replace(codec, reading=reading), reading


def _hashed(corpus: _Corpus, recipe: _Recipe, on_progress: OnProgress | None) -> tuple[_Corpus, Progress]:
    """Returns the corpus with the hashes of its files, and the progress so far."""
    # The key of a text corpus also depends on the files that it leaves out.
    files = [file for file in corpus.looked if not (recipe.is_music and file in corpus.unsuited)]
    progress = Progress(sum(file.size for file in files), _weights(recipe), on_progress)
    hashed, unreadable = hash_files(files, on_bytes=lambda num: progress.advance(num, progress.weights.hash))
    return corpus._replace(hashed=hashed, skipped=(*corpus.skipped, *unreadable)), progress


def _check_suits(recipe: _Recipe) -> None:
    """Raises SettingError if an option for texts is given for music."""
    if not recipe.is_music:
        return
    reading = recipe.reading
    asked = {
        "documents": None if reading.documents in ("auto", "files") else reading.documents,
        "text-column": reading.text_column,
        "label-column": reading.label_column,
    }
    for option, value in asked.items():
        if value is not None:
            raise SettingError(f"--{option}: only for text ({value})", hint="leave it out")


def _check_label_column(corpus: _Corpus, recipe: _Recipe) -> None:
    """Raises SettingError if a label column is given and no file is a table.

    A codec given as an object measures a trained model, which works on any text.
    """
    reading = recipe.reading
    is_asked = reading.label_column is not None and isinstance(recipe.codec, str)
    if not is_asked or any(is_table(hashed.file.path, reading) for hashed in corpus.read):
        return
    raise SettingError(
        f"--label-column: no file is a table ({reading.label_column})",
        hint="CSV, TSV and JSON lines are known by their suffixes; --text-column has any file read as a table",
    )


def _weights(recipe: _Recipe) -> Weights:
    if recipe.is_music:
        return Weights(hash=1, survey=0, encode=30)
    has_survey = recipe.codec in ("auto", "char", "tagged", "pairs")
    return Weights(hash=1, survey=3 if has_survey else 0, encode=3)


def _keys(corpus: _Corpus, recipe: _Recipe) -> list[str]:
    """Returns the key of the store, a hash of all that its contents depend on, then the keys of older equivalents.

    Older stores of the same files were made when MIDI was read by other rules, or tables as plain text. An option that
    was added after the first stores is part of the key only if it changes the contents, so that these are still found.
    """
    codec, reading, alphabet = recipe
    made_by: Any
    if not isinstance(codec, str):
        made_by = codec.spec()
    elif recipe.is_music:
        made_by = specs_before_choice(codec)
    else:
        made_by = [codec, TAGGED_VERSION] if codec == "tagged" else [codec, char.VERSION, BYTE_VERSION]
    plain = [(hashed.file.label, hashed.file.is_given, hashed.sha256) for hashed in corpus.hashed]
    files = [(*known, *_read_anew(corpus, hashed)) for known, hashed in zip(plain, corpus.hashed, strict=True)]
    more: dict[str, Any] = {} if reading.documents in ("auto", "files") else {"documents": reading.documents}
    for name in ("errors", "normalize", "unknown"):
        if (value := getattr(reading, name)) != getattr(Reading(), name):
            more[name] = value
    more |= {"alphabet": alphabet} if alphabet else {}
    if recipe.are_pairs:
        more["pairs"] = [PAIRS_VERSION, reading.text_column, reading.target_column]
        return [_hash_of([made_by, reading.encoding, files, more])]
    if recipe.is_music:
        versions = (rules.VERSION, *range(rules.VERSION - 1, 0, -1))
        return [_hash_of([made_by, reading.encoding, files, more, version]) for version in versions]
    texts = [_hash_of([made_by, reading.encoding, by, more]) for by in (files, plain)]
    if tables := [index for index, hashed in enumerate(corpus.hashed) if is_table(hashed.file.path, reading)]:
        columns = [TABLES_VERSION, reading.text_column, None if reading.labels == "none" else reading.label_column]
        rows = {"tables": tables, "columns": columns}
        texts.insert(0, _hash_of([made_by, reading.encoding, files, more | rows]))
    return list(dict.fromkeys(texts))


def _hash_of(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([part for part in parts if part != {}], sort_keys=True).encode()).hexdigest()


def _read_anew(corpus: _Corpus, hashed: HashedFile) -> list[str]:
    """Returns the steps of reading a file that the first versions did not have."""
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
        return None  # missing or damaged


def _build(folder: Path, corpus: _Corpus, recipe: _Recipe, progress: Progress, *, num_workers: int | None) -> Store:
    read = corpus.read
    chosen, reason, refused = _choose(read, recipe, progress)
    with StoreWriter(folder, num_symbols=len(chosen.vocab) - 2) as writer:
        files = dict(corpus.unsuited)
        with file_encoder(chosen, read, num_workers=num_workers if recipe.is_music else 0) as encode_file:
            encoder = Encoder(chosen, writer, progress, encode_file=encode_file, refused=refused)
            for hashed in read:
                files[hashed.file] = encoder.add(hashed)
                check_unchanged(hashed)
        report = Report(tuple(files[hashed.file] for hashed in corpus.hashed))
        if not writer.num_documents:
            raise _nothing_usable(corpus.sources, (*report.files, *corpus.unhashed()), encoder.hint)
        return writer.commit(codec_spec=chosen.spec() | ({_REASON: reason} if reason else {}), report=report)


def _choose(
    read: Sequence[HashedFile], recipe: _Recipe, progress: Progress
) -> tuple[AnyCodec, str | None, dict[SourceFile, Refusal]]:
    """Returns the codec, the reason for it if there was a choice, and the files already known to be unusable."""
    codec, reading, known = recipe
    if not isinstance(codec, str):
        return codec, None, {}
    if recipe.is_music:
        small = [hashed.file.path for hashed in read if hashed.size <= MAX_BYTES_UNLIMITED]  # without a limit
        return *choose_music(small or [hashed.file.path for hashed in read], codec), {}
    if codec == "byte":
        return ByteCodec(reading, reading.normalize), None, {}
    if codec == "tagged":
        found, tags, refused = survey_tagged(read, reading, progress)
        return TaggedCodec(_joined(found, known), tags, reading, reading.normalize), None, refused
    found, refused = survey(read, reading, progress, parts_of=pair_parts if codec == "pairs" else document_parts)
    alphabet = _joined(found, known)
    if codec == "pairs":
        return PairsCodec(alphabet, reading, reading.normalize), None, refused
    if codec == "auto" and len(alphabet) > MAX_CHARACTERS:
        return ByteCodec(reading, reading.normalize), f"{len(alphabet):,} different characters", refused
    return CharCodec(alphabet, reading, reading.normalize), None, refused


def _joined(found: str, known: str) -> str:
    """Returns the characters of both in ascending order."""
    return "".join(sorted({*found, *known}))


def _as_found(store: Store, corpus: _Corpus) -> Store:
    """Returns the store with the present names of the files, and with the files that are left out at present."""
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
    """Returns the error for a corpus without a usable file; its message has the reasons."""
    if len(files) == 1:
        return CorpusError(f"{files[0].name}: {files[0].reason}", hint=hint)
    problems = Report(tuple(files)).problems()
    return CorpusError(f"{' '.join(sources)}: nothing usable ({problems})", hint=hint)
