"""Files that hold a text or a Score, written and read; the suffix of a name chooses the format.

.txt                      the text itself, or a line a note
.mid .midi .kar .rmi      type-1 MIDI
.wav                      sound, played from a SoundFont
.png .svg                 a piano roll
.json                     token ids with the codec that they belong to
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gen.codec import AnyCodec, decode, stream
from gen.errors import CorpusError, SettingError
from gen.files.disk import check_place, write_atomically
from gen.music.midi.recognise import MIDI_SUFFIXES, is_midi

FORMAT, VERSION = "gen-tokens", 1
ROLL_SUFFIXES = (".png", ".svg")
IDS_SUFFIXES = (".json", ".txt")  # that hold what a codec makes of music, and no more
SOUND_SUFFIX = ".wav"
SUFFIXES = (".txt", *MIDI_SUFFIXES, SOUND_SUFFIX, *ROLL_SUFFIXES, ".json")


class Document(NamedTuple):
    """A text or a Score with the codec that makes tokens of it."""

    codec: AnyCodec
    whole: Any
    tokens: Sequence[int] | None = None  # None for those that the codec makes of it
    lines: Iterable[Any] | None = None  # of a .txt of music; None for the pieces of its tokens


class Differences(NamedTuple):
    """The number of events, by their kind, in which an export differs from its MIDI file."""

    mended: Counter[str]
    left_out: Counter[str]


def check_target(path: Path, *, font: Path | None = None) -> None:
    """Raises SettingError if the file cannot be written, before anything costly is done; `font` is a SoundFont."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingError(f"{path}: unknown suffix ({path.suffix or 'none'})", hint=f"use {' '.join(SUFFIXES)}")
    check_place(path)
    if suffix == SOUND_SUFFIX:
        from gen.music.views.sound import check_sound

        check_sound(font)
    elif font is not None:
        raise SettingError(f"--soundfont: only for .wav ({path})")


def check_kind(path: Path, codec: AnyCodec) -> None:
    """Raises SettingError if text is to become music, sound or a picture."""
    if codec.kind == "text" and path.suffix.lower() in (*MIDI_SUFFIXES, SOUND_SUFFIX, *ROLL_SUFFIXES):
        raise SettingError(f"{path}: text cannot be written as {path.suffix}", hint="use .txt or .json")


def numbered(path: Path, *, count: int) -> list[Path]:
    """Returns a path for each sample: tune.mid, or tune-1.mid, tune-2.mid, ..."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def convert(source: Path, path: Path, *, font: Path | None = None) -> Differences:
    """Writes the document of a file in the format of another path's suffix; from MIDI to MIDI event by event.

    Raises GenError if the source cannot be read or the target cannot be written.
    """
    check_target(path, font=font)
    if is_midi(source) and path.suffix.lower() in MIDI_SUFFIXES:
        from gen.music.midi.copy import copy_midi

        return Differences(copy_midi(source, path), Counter())
    document = read_document(source)
    write_document(path, document, font=font)
    is_lossy = document.tokens is None and path.suffix.lower() in IDS_SUFFIXES
    return Differences(Counter(), _left_out(source, document.codec) if is_lossy else Counter())


def write_document(path: Path, document: Document, *, font: Path | None = None) -> None:
    """Writes a document in the format of the path's suffix; the file appears whole or not at all.

    Args:
        path: of a kind that `check_target` allows.
        document: the text or the Score.
        font: the SoundFont for .wav; None takes one that this machine has.
    """
    codec, whole = document.codec, document.whole
    check_kind(path, codec)
    suffix = path.suffix.lower()
    if suffix == ".json":
        _write_text(path, tokens_to_json(codec, _tokens(document)))
    elif suffix in MIDI_SUFFIXES:
        from gen.music.midi.write import write_midi

        write_midi(path, whole)
    elif suffix == SOUND_SUFFIX:
        from gen.music.views.sound import write_wav

        write_wav(path, whole, font=font)
    elif suffix in ROLL_SUFFIXES:
        from gen.music.views.picture import write_pianoroll

        write_pianoroll(path, whole)
    elif codec.kind == "music":
        lines = stream(codec, _tokens(document)) if document.lines is None else document.lines
        _write_text(path, "".join(f"{line}\n" for line in lines))
    else:
        codec.write(path, whole)


def tokens_to_json(codec: AnyCodec, tokens: Sequence[int]) -> str:
    """Returns the content of a file of token ids."""
    data = {"format": FORMAT, "version": VERSION, "codec": codec.spec(), "tokens": list(tokens)}
    return json.dumps(data, ensure_ascii=False) + "\n"


def read_document(path: Path) -> Document:
    """Reads a MIDI file, or a file of token ids. Raises CorpusError, MidiError, CheckpointError or SettingError."""
    if is_midi(path):
        from gen.codecs.choice import choose_music

        codec = choose_music([path]).codec
        return Document(codec, codec.read(path))
    if path.suffix.lower() != ".json":
        raise SettingError(
            f"{path}: neither MIDI nor token ids ({path.suffix or 'no suffix'})", hint="use .mid or .json"
        )
    return _read_tokens(path)


def _tokens(document: Document) -> list[int]:
    if document.tokens is not None:
        return list(document.tokens)
    adapted = document.codec.adapted(document.whole)
    return [int(token) for token in document.codec.encode(adapted.whole)]


def _left_out(source: Path, codec: AnyCodec) -> Counter[str]:
    """Returns the number of notes and events of a MIDI file that its ids lack, by their kind."""
    from gen.music.midi.census import LEFT_OUT

    findings = sum((Counter(part.findings) for part in codec.encode_file(source)), Counter[str]())
    return Counter({name.removesuffix(LEFT_OUT): n for name, n in findings.items() if name.endswith(LEFT_OUT)})


def _read_tokens(path: Path) -> Document:
    from gen.codecs import load_codec

    if not path.is_file():
        raise CorpusError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise CorpusError(f"{path}: not JSON ({err})") from err
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CorpusError(f"{path}: not a file of token ids", hint="gen sample RUN --out x.json writes one")
    if data.get("version") != VERSION:
        raise CorpusError(f"{path}: unknown version ({data.get('version')})", hint="a newer gen can read it")
    spec, tokens = data.get("codec"), data.get("tokens")
    if not isinstance(spec, dict) or not isinstance(tokens, list):
        raise CorpusError(f"{path}: codec or tokens missing")
    codec = load_codec(spec)
    for token in tokens:
        if type(token) is not int or not 0 <= token < len(codec.vocab):
            raise CorpusError(
                f"{path}: not a token of its codec ({token})", hint=f"ids are 0 to {len(codec.vocab) - 1}"
            )
    return Document(codec, decode(codec, tokens), tokens)


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: _write_utf8(temporary, text))


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
