"""The two passes over the contents of a corpus: `survey` collects characters, `Encoder` writes ids to the store.

A file that was found and cannot be used is refused, and the preparation continues without it. A text that the user
named and that cannot be used is an error.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import numpy as np

from gen.codec import AnyCodec, Part
from gen.codecs.beat import layout as beat_layout
from gen.codecs.text import char
from gen.codecs.text.char import UnknownCharacterError
from gen.codecs.text.codec import TextCodec
from gen.codecs.text.columns import TaggedWords, tagged_parts
from gen.codecs.text.documents import document_parts
from gen.codecs.text.files import LINE_END, TextPart
from gen.config import Reading
from gen.corpus.hashing import HashedFile, check_unchanged
from gen.corpus.sources import STDIN_NAME, SourceFile
from gen.corpus.workers import EncodeFile
from gen.data.report import FileReport, Status
from gen.data.store_writer import StoreWriter
from gen.errors import CorpusError, MidiError
from gen.music.midi import rules

OnProgress = Callable[[int, int], None]
PartsOf = Callable[[Path, Reading], Iterator[TextPart]]

EMPTY_DOCUMENTS = "empty documents left out"
_REPAIRS = rules.REPAIRS | beat_layout.REPAIRS  # findings that mean a repair; the others only count
_PROGRESS_CALLS = 200  # of `on_progress` for a corpus, about


class Refusal(NamedTuple):
    """The reason for which a file cannot be used, and perhaps a hint."""

    reason: str
    hint: str | None


class _RefusedError(Exception):
    """A file cannot be used. This error never leaves the module."""

    def __init__(self, reason: str, hint: str | None) -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, hint)


class Weights(NamedTuple):
    """The times per byte of the passes over a corpus, relative to each other."""

    hash: int
    survey: int
    encode: int


@dataclass(slots=True)
class Progress:
    """Adds up the work of all passes and reports it as a share of the bytes of the corpus."""

    total: int  # bytes
    weights: Weights
    on_progress: OnProgress | None
    done: int = 0  # bytes times weights
    reported: int = 0  # bytes

    def advance(self, num_bytes: int, weight: int) -> None:
        """Adds bytes that a pass has read, given the weight of the pass."""
        self.done += num_bytes * weight
        done = min(self.done // sum(self.weights), self.total)
        if self.on_progress is not None and done > self.reported + self.total // _PROGRESS_CALLS:
            self.reported = done
            self.on_progress(done, self.total)

    def finish(self) -> None:
        """Reports that all work is done."""
        if self.on_progress is not None:
            self.on_progress(self.total, self.total)


def survey(
    read: Sequence[HashedFile], reading: Reading, progress: Progress, *, parts_of: PartsOf = document_parts
) -> tuple[str, dict[SourceFile, Refusal]]:
    """Returns the characters of all texts in ascending order, and the files that are no text.

    Args:
        parts_of: reads a file as the codec will.
    """
    seen = np.zeros(char.NUM_CODE_POINTS, np.bool_)
    refused: dict[SourceFile, Refusal] = {}
    are_lines = reading.documents == "lines"
    if are_lines:  # whole files have the same characters as their lines, and line ends, which are removed below
        reading = replace(reading, documents="files")
    for hashed in read:
        added = []
        try:
            parts = _as_code_points(parts_of(hashed.file.path, reading))
            for part in _readable(hashed, parts, progress, progress.weights.survey):
                is_seen = seen.take(part.ids)
                if not is_seen.all():  # the check is twice as fast as marking, which is seldom needed
                    added.append(np.unique(part.ids[~is_seen]))
                    seen[added[-1]] = True
        except _RefusedError as err:
            refused[hashed.file] = err.refusal
            for codes in added:
                seen[codes] = False
    seen[ord(LINE_END)] &= not are_lines
    return "".join(map(chr, np.flatnonzero(seen).tolist())), refused


def survey_tagged(
    read: Sequence[HashedFile], reading: Reading, progress: Progress
) -> tuple[str, tuple[str, ...], dict[SourceFile, Refusal]]:
    """Returns the characters of all words and all tags, both in ascending order, and the files without two columns."""
    characters, tags, refused = set[str](), set[str](), dict[SourceFile, Refusal]()
    for hashed in read:
        words, found = set[str](), set[str]()
        parts = map(partial(_noted_, words, found), tagged_parts(hashed.file.path, reading))
        try:
            for _ in _readable(hashed, parts, progress, progress.weights.survey):
                pass
        except _RefusedError as err:
            refused[hashed.file] = err.refusal
            continue
        characters.update(*words)
        tags |= found
    return "".join(sorted(characters)), tuple(sorted(tags)), refused


def _noted_(words: set[str], tags: set[str], part: TaggedWords) -> Part:
    """Adds the words and tags of a part to both sets; returns a part with as many ids as it has characters."""
    words.update(part.words)
    tags.update(part.tags)
    return Part(np.zeros(sum(map(len, part.words)) + len(part.tags), np.uint8), part.findings)


class Encoder:
    """Encodes files and adds them to a store.

    Args:
        encode_file: the method of the codec, or a function that does the same in another process.
        refused: the files that are already known to be unusable.
    """

    def __init__(
        self,
        codec: AnyCodec,
        writer: StoreWriter,
        progress: Progress,
        *,
        encode_file: EncodeFile,
        refused: Mapping[SourceFile, Refusal],
    ) -> None:
        self.hint: str | None = None  # that of the first refused file with a hint
        self._encode_file = encode_file
        self._text_codec = codec if isinstance(codec, TextCodec) else None
        self._refused = refused
        self._writer = writer
        self._progress = progress
        self._units = codec.units()
        symbols = self._units[:-2]
        # With one unit per symbol, as for characters and bytes, the units need no lookup.
        self._units_per_token = int(symbols[0]) if len(symbols) and symbols.min() == symbols.max() else None

    def add(self, hashed: HashedFile) -> FileReport:
        """Adds a file. Raises CorpusError if it is a text that the user named and is unusable, or if it has changed."""
        name = hashed.file.name
        if (known := self._refused.get(hashed.file)) is not None:
            return self._refuse(name, known)
        tokens = num_units = 0
        findings: Counter[str] = Counter()
        try:
            self._writer.open_file(label=hashed.file.label)
            parts = self._encode_file(hashed.file.path)
            for part in _readable(hashed, parts, self._progress, self._progress.weights.encode):
                self._writer.add(part.ids, part.ends, part.labels)
                tokens += len(part.ids)
                num_units += self._count_units(part)
                findings.update(part.findings)
        except _RefusedError as err:
            self._writer.drop_file()
            return self._refuse(name, err.refusal)
        written = self._writer.close_file(name)
        findings[EMPTY_DOCUMENTS] += written.num_empty
        found = dict(+findings)
        is_repaired = not _REPAIRS.isdisjoint(found)
        status: Status = "repaired" if is_repaired else "kept"
        way = None if self._text_codec is None else self._text_codec.way(hashed.file.path)
        return FileReport(name, status, None, tokens, num_units, found, written.num_documents, way)

    def _refuse(self, name: str, refusal: Refusal) -> FileReport:
        self.hint = self.hint or refusal.hint
        return FileReport(name, "refused", refusal.reason)

    def _count_units(self, part: Part) -> int:
        if self._units_per_token is not None:
            return len(part.ids) * self._units_per_token
        return int(self._units[part.ids].sum())


def _as_code_points(parts: Iterator[TextPart]) -> Iterator[Part]:
    for part in parts:
        yield Part(char.code_points(part.text), part.findings)


def _readable(hashed: HashedFile, parts: Iterator[Part], progress: Progress, weight: int) -> Iterator[Part]:
    """Yields the parts of a file and reports progress.

    Raises:
        _RefusedError: the file cannot be used, and the preparation continues without it.
        CorpusError: the file cannot be used and the user named it, or it changed while it was read.
    """
    left = hashed.size
    is_empty = True
    try:
        for part in parts:
            yield part
            is_empty = is_empty and not len(part.ids)
            progress.advance(min(len(part.ids), left), weight)  # a character has at least one byte
            left -= min(len(part.ids), left)
        if is_empty:
            raise CorpusError(f"{hashed.file.path}: empty")
    except (CorpusError, MidiError) as err:
        check_unchanged(hashed)
        reason = str(err).removeprefix(f"{hashed.file.path}: ")
        is_named = hashed.file.is_given or isinstance(err, UnknownCharacterError)
        if isinstance(err, MidiError) or not is_named:
            raise _RefusedError(reason, err.hint) from err
        kind = UnknownCharacterError if isinstance(err, UnknownCharacterError) else CorpusError
        hint = err.hint
        if hint is not None and hashed.file.name == STDIN_NAME:  # the hint names the temporary copy
            hint = hint.replace(quote(str(hashed.file.path)), "FILE")
        raise kind(f"{hashed.file.name}: {reason}", hint=hint) from err
    finally:
        progress.advance(left, weight)
