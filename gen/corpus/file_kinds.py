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
from pathlib import Path
from typing import Final, NamedTuple

from gen.codec import Kind
from gen.codecs.text.foreign import Foreign, foreign_kind
from gen.compressed import Head, read_head, without_compression_suffix
from gen.corpus.sources import SourceFile
from gen.data.report import FileReport
from gen.errors import CorpusError
from gen.music.midi.recognise import has_midi_suffix, holds_midi

_NAMES: Final[dict[Kind, str]] = {"text": "text", "music": "MIDI"}  # in messages
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


def look_at(file: SourceFile) -> LookedAt:
    """Returns what a file is; one that cannot be opened is told by its name."""
    has_midi_name = has_midi_suffix(file.path)
    try:
        head = read_head(file.path)
    except (CorpusError, OSError):  # whoever reads it says what is wrong
        return LookedAt(has_midi_name, is_promising=False)
    is_compressed = head.compression is not None
    if has_midi_name:
        return LookedAt(True, None, is_compressed, holds_midi(head.data))
    if (foreign := foreign_kind(head.data, suffix=file.path.suffix)) is not None:
        return LookedAt(False, foreign, is_compressed, is_promising=False)
    is_midi = holds_midi(head.data)
    return LookedAt(is_midi, None, is_compressed, is_midi or _may_be_text(head))


def kind_of_most(looked: Mapping[SourceFile, LookedAt]) -> Kind:
    """Returns the kind of the files that `auto` reads."""
    midis = [file for file, found in looked.items() if found.is_midi]
    sound = [file for file in midis if looked[file].is_promising]
    texts = [file for file, found in looked.items() if not found.is_midi and found.is_promising]
    num_texts = _count_texts(texts, midis)
    if not sound:
        return "music" if midis and not num_texts else "text"
    return "music" if _count(sound) >= num_texts else "text"


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
        if seen.foreign is not None and (kind == "music" or is_auto or not seen.foreign.is_characters):
            found[file] = _refused(file, seen.foreign)
        elif seen.is_midi != (kind == "music"):
            found[file] = FileReport(file.name, "skipped", _other_kind(seen, looked, kind, is_auto=is_auto))
    return found


def _refused(file: SourceFile, foreign: Foreign) -> FileReport:
    escape = "; --codec char reads it as it is" if foreign.is_characters else ""
    if file.is_given:
        raise CorpusError(f"{file.name}: {foreign.name}, neither text nor MIDI", hint=foreign.hint + escape)
    return FileReport(file.name, "refused", f"neither text nor MIDI, but {foreign.name} ({foreign.hint}{escape})")


def _other_kind(seen: LookedAt, looked: Mapping[SourceFile, LookedAt], kind: Kind, *, is_auto: bool) -> str:
    is_music = kind == "music"
    name, other, codec = (_NAMES[kind], "text", "char") if is_music else (_NAMES[kind], "MIDI", "beat")
    if is_music and not seen.is_promising:
        return "neither text nor MIDI"
    if not is_auto:
        return f"{other}, not {name}"
    num_of_kind = sum(found.is_midi == is_music and found.is_promising for found in looked.values())
    num_of_other = sum(found.is_midi != is_music and found.is_promising for found in looked.values())
    why = f"while most files are {name}" if num_of_kind > num_of_other else f"and the corpus is taken for {name}"
    return f"{other}, {why} (--codec {codec} reads it)"


def _count_texts(texts: Sequence[SourceFile], midis: Sequence[SourceFile]) -> int:
    """Returns how much the texts count beside the MIDI files."""
    stems: dict[Path, set[str]] = {}
    for file in midis:
        stems.setdefault(file.path.parent, set()).add(without_compression_suffix(file.path).stem)
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


def _may_be_text(head: Head) -> bool:
    """Whether there is something, and not the NULs of a binary file: UTF-16 has them on every other place at most."""
    return bool(head.data) and not (b"\0" in head.data[::2] and b"\0" in head.data[1::2])
