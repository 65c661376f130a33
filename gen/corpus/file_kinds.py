"""Finds the kind of each file of a corpus, and decides whether its texts or its MIDI files are read.

If no codec is named, the kind of most files is read. Files count as follows:

    a file that the user named      counts as ten files found in folders
    unusable files                  do not count: empty files, binary files, pictures
    README, LICENSE and the like    do not count
    texts in a folder with MIDI     count once per name, in however many such folders the name occurs; texts that are
                                    named after a MIDI file do not count: tunes/a.mid, tunes/a_chords.txt

If both kinds count the same, MIDI is read: music often comes with texts, but texts rarely come with music.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gen.codec import Kind
from gen.codecs.text.foreign import Foreign, foreign_kind
from gen.corpus.sources import SourceFile
from gen.data.report import FileReport
from gen.errors import CorpusError
from gen.files.compressed import Head, read_head, without_compression_suffix
from gen.music.midi.recognise import has_midi_suffix, holds_midi

_NAMES: Final[dict[Kind, str]] = {"text": "text", "music": "MIDI"}  # in messages
_NAMED_FILE_COUNT = 10
_ABOUT = re.compile(
    r"(read.?me|licen[cs]e|copying|copyright|notice|authors|credits|change(s|log)|citation|contributing|manifest|"
    r"metadata|(md5|sha\d*)sums?)([-_. ].*)?",
    re.IGNORECASE,
)


class LookedAt(NamedTuple):
    """The kind of a file, by its name and its first bytes."""

    is_midi: bool
    foreign: Foreign | None = None  # the format of a file that is neither text nor MIDI
    is_compressed: bool = False
    is_promising: bool = True  # whether the file seems usable


def look_at(file: SourceFile) -> LookedAt:
    """Returns the kind of a file; for a file that cannot be opened, by its name only."""
    has_midi_name = has_midi_suffix(file.path)
    try:
        head = read_head(file.path)
    except (CorpusError, OSError):  # reading the file later gives the error
        return LookedAt(has_midi_name, is_promising=False)
    is_compressed = head.compression is not None
    if has_midi_name:
        return LookedAt(True, None, is_compressed, holds_midi(head.data))
    if (foreign := foreign_kind(head.data, suffix=file.path.suffix)) is not None:
        return LookedAt(False, foreign, is_compressed, is_promising=False)
    is_midi = holds_midi(head.data)
    return LookedAt(is_midi, None, is_compressed, is_midi or _may_be_text(head))


def kind_of_most(looked: Mapping[SourceFile, LookedAt]) -> Kind:
    """Returns the kind that is read if no codec is named."""
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
        kind: the kind that is read.
        is_auto: whether no codec was named. With a text codec, foreign formats made of characters, such as RTF, are
            read as texts.

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
    """Returns the count of the texts beside the MIDI files."""
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
    return sum(_NAMED_FILE_COUNT if file.is_given else 1 for file in files)


def _may_be_text(head: Head) -> bool:
    """Returns whether a file is neither empty nor binary: a text has no NULs, or in UTF-16 on every other byte only."""
    return bool(head.data) and not (b"\0" in head.data[::2] and b"\0" in head.data[1::2])
