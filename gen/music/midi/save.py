"""Writes the bytes of a Standard MIDI File to disk, in a RIFF file where the name ends in .rmi."""

from pathlib import Path

from gen.files.disk import write_atomically
from gen.music.midi.recognise import RIFF_SUFFIX


def save_midi(path: Path, data: bytes) -> None:
    """Writes a Standard MIDI File, which appears whole or not at all. Raises SettingError if it cannot be written."""
    contents = in_riff(data) if path.suffix.lower() == RIFF_SUFFIX else data
    write_atomically(path, lambda temporary: temporary.write_bytes(contents))


def in_riff(data: bytes) -> bytes:
    """Returns a RIFF file of the form RMID (MMA RP-029) whose one chunk is a Standard MIDI File.

    Sizes are little-endian. The chunk is padded to an even number of bytes, which its own size does not count.
    """
    body = b"RMIDdata" + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
