"""MIDI files as commented hexdumps."""

from pathlib import Path


def hexdump(text: str) -> bytes:
    """Returns the bytes of a hexdump, in which # begins a comment."""
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


def midi(*tracks: str, kind: int = 1, division: int = 480, promised: int | None = None) -> bytes:
    """Returns a MIDI file with the given tracks, each a hexdump of its events without the end of track."""
    bodies = [hexdump(track) + hexdump("00 ff 2f 00") for track in tracks]
    header = b"MThd" + (6).to_bytes(4)
    for number in (kind, len(tracks) if promised is None else promised, division):
        header += number.to_bytes(2)
    return header + b"".join(b"MTrk" + len(body).to_bytes(4) + body for body in bodies)


def saved(folder: Path, data: bytes) -> Path:
    """Writes the bytes of a MIDI file; returns its path."""
    path = folder / "x.mid"
    path.write_bytes(data)
    return path
