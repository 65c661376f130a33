"""Tells what each file of a corpus is, and which of them are read: texts or MIDI.

Where nobody says it, the kind is read that most files are. Not all files count alike:

    a file that the user named      counts as ten that were found
    what cannot be of use           counts nothing: empty, binary, a picture
    README, LICENSE and the like    count nothing
    texts in a folder with MIDI     count once a name, however many such folders have one of that name, and nothing if
                                    named after one of the MIDI files: tunes/a.mid, tunes/a_chords.txt

As many of both are MIDI: notes may come with a text beside them, and hardly the other way round.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

from gen.codecs.text.foreign import Foreign, foreign_kind
from gen.compressed import Head, read_head
from gen.corpus.sources import SourceFile
from gen.data.report import FileReport
from gen.errors import CorpusError

Kind = Literal["text", "MIDI"]

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
_COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".lzma")
_MAX_PREAMBLE = 4096  # bytes before the header of a MIDI file, as `gen.music.midi.chunks` has it
_NAMED_COUNTS = 10
_ABOUT = re.compile(
    r"(read.?me|licen[cs]e|copying|copyright|notice|authors|credits|change(s|log)|citation|contributing|manifest|"
    r"metadata|(md5|sha\d*)sums?)([-_. ].*)?",
    re.IGNORECASE,
)


class LookedAt(NamedTuple):
    """What a file is, by its name and its first bytes."""

    is_midi: bool
    foreign: Foreign | None = None  # what it is if it is neither text nor MIDI
    is_compressed: bool = False
    is_promising: bool = True  # it looks as if it could be used


def is_midi(path: Path) -> bool:
    """Returns whether a file is MIDI, packed or not, by its name or its first bytes."""
    if _has_midi_name(path):
        return True
    try:
        return path.is_file() and _holds_midi(read_head(path).data)
    except (CorpusError, OSError, ValueError):  # whoever reads it says what is wrong
        return False


def look_at(file: SourceFile) -> LookedAt:
    """Returns what a file is; one that cannot be opened is told by its name."""
    has_midi_name = _has_midi_name(file.path)
    try:
        head = read_head(file.path)
    except (CorpusError, OSError):  # whoever reads it says what is wrong
        return LookedAt(has_midi_name, is_promising=False)
    is_compressed = head.compression is not None
    if has_midi_name:
        return LookedAt(True, None, is_compressed, _holds_midi(head.data))
    if (foreign := foreign_kind(head.data, suffix=file.path.suffix)) is not None:
        return LookedAt(False, foreign, is_compressed, is_promising=False)
    is_midi = _holds_midi(head.data)
    return LookedAt(is_midi, None, is_compressed, is_midi or _may_be_text(head))


def kind_of_most(looked: Mapping[SourceFile, LookedAt]) -> Kind:
    """Returns the kind of the files that `auto` reads."""
    midis = [file for file, found in looked.items() if found.is_midi]
    sound = [file for file in midis if looked[file].is_promising]
    texts = [file for file, found in looked.items() if not found.is_midi and found.is_promising]
    num_texts = _count_texts(texts, midis)
    if not sound:
        return "MIDI" if midis and not num_texts else "text"
    return "MIDI" if _count(sound) >= num_texts else "text"


def left_out(looked: Mapping[SourceFile, LookedAt], kind: Kind, *, is_auto: bool) -> dict[SourceFile, FileReport]:
    """Returns the files that are not read, with the reasons.

    Args:
        kind: what is read.
        is_auto: nobody said so. Who says so has texts of any kind read that are written in characters, such as RTF.

    Raises:
        CorpusError: the user named a file that is neither text nor MIDI.
    """
    found = {}
    for file, seen in looked.items():
        if seen.foreign is not None and (kind == "MIDI" or is_auto or not seen.foreign.is_characters):
            found[file] = _refused(file, seen.foreign)
        elif seen.is_midi != (kind == "MIDI"):
            found[file] = FileReport(file.name, "skipped", _other_kind(seen, looked, kind, is_auto=is_auto))
    return found


def _refused(file: SourceFile, foreign: Foreign) -> FileReport:
    escape = "; --codec char reads it as it is" if foreign.is_characters else ""
    if file.is_given:
        raise CorpusError(f"{file.name}: {foreign.name}, neither text nor MIDI", hint=foreign.hint + escape)
    return FileReport(file.name, "refused", f"neither text nor MIDI, but {foreign.name} ({foreign.hint}{escape})")


def _other_kind(seen: LookedAt, looked: Mapping[SourceFile, LookedAt], kind: Kind, *, is_auto: bool) -> str:
    other = "text" if kind == "MIDI" else "MIDI"
    if kind == "MIDI" and not seen.is_promising:
        return "neither text nor MIDI"
    if not is_auto:
        return f"{other}, not {kind}"
    codec = "char" if kind == "MIDI" else "beat"
    num_of_kind = sum(found.is_midi == (kind == "MIDI") and found.is_promising for found in looked.values())
    num_of_other = sum(found.is_midi != (kind == "MIDI") and found.is_promising for found in looked.values())
    why = f"while most files are {kind}" if num_of_kind > num_of_other else f"and the corpus is taken for {kind}"
    return f"{other}, {why} (--codec {codec} reads it)"


def _count_texts(texts: Sequence[SourceFile], midis: Sequence[SourceFile]) -> int:
    """Returns how much the texts count beside the MIDI files."""
    stems: dict[Path, set[str]] = {}
    for file in midis:
        stems.setdefault(file.path.parent, set()).add(_plain_name(file.path).stem)
    counted: dict[object, SourceFile] = {}
    for file in texts:
        beside = stems.get(file.path.parent)
        if file.is_given or beside is None:
            counted[file.path] = file
        elif not any(file.path.stem == stem or file.path.stem.startswith((f"{stem}_", f"{stem}-")) for stem in beside):
            counted[file.path.name] = file
    return _count([file for file in counted.values() if not _ABOUT.fullmatch(file.path.name)])


def _count(files: Sequence[SourceFile]) -> int:
    return sum(_NAMED_COUNTS if file.is_given else 1 for file in files)


def _plain_name(path: PurePath) -> PurePath:
    return PurePath(path.stem) if path.suffix.lower() in _COMPRESSED_SUFFIXES else path


def _has_midi_name(path: PurePath) -> bool:
    return _plain_name(path).suffix.lower() in MIDI_SUFFIXES


def _holds_midi(head: bytes) -> bool:
    if head.startswith(b"MThd") or (head.startswith(b"RIFF") and head[8:12] == b"RMID"):
        return True
    return b"MThd\0" in head[: _MAX_PREAMBLE + 5]


def _may_be_text(head: Head) -> bool:
    """Whether there is something, and not the NULs of a binary file: UTF-16 has them on every other place at most."""
    return bool(head.data) and not (b"\0" in head.data[::2] and b"\0" in head.data[1::2])
