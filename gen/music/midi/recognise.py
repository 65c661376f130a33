"""Recognises MIDI files by their names and their first bytes.

A MIDI file is a Standard MIDI File, alone or in a RIFF file of the form RMID (.rmi); Karaoke files (.kar) are Standard
MIDI Files with lyrics. Any of them may be compressed (`gen.files.compressed`).
"""

from pathlib import Path, PurePath
from typing import Final

from gen.errors import CorpusError
from gen.files.compressed import read_head, without_compression_suffix

RIFF_SUFFIX: Final = ".rmi"
MIDI_SUFFIXES: Final = (".mid", ".midi", ".kar", RIFF_SUFFIX)
MAX_PREAMBLE: Final = 4096  # bytes before the header: MacBinary puts 128 there, a mail or a page its header lines


def is_midi(path: Path) -> bool:
    """Returns whether a file is MIDI, by its name or its first bytes; False if it cannot be read."""
    if has_midi_suffix(path):
        return True
    try:
        return path.is_file() and holds_midi(read_head(path).data)
    except (CorpusError, OSError, ValueError):  # reading the file later gives the error
        return False


def has_midi_suffix(path: PurePath) -> bool:
    """Returns whether the name of a file, apart from a suffix of compression, ends like that of a MIDI file."""
    return without_compression_suffix(path).suffix.lower() in MIDI_SUFFIXES


def begins_as_midi(head: bytes) -> bool:
    """Returns whether the first bytes of a file, 12 or more, are those of a MIDI file."""
    return head[:4] == b"MThd" or begins_as_riff(head)


def begins_as_riff(head: bytes) -> bool:
    """Returns whether the first 12 bytes of a file are those of a RIFF file that holds MIDI."""
    return head[:4] == b"RIFF" and head[8:12] == b"RMID"


def holds_midi(head: bytes) -> bool:
    """Returns whether a MIDI file begins within the first bytes of a file, where other bytes may stand before it."""
    return begins_as_midi(head) or b"MThd\0" in head[: MAX_PREAMBLE + 5]
