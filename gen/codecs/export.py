"""Files that the commands write and read back: the suffix of a name chooses the format.

.txt        the text itself, or a line a note
.mid        type-1 MIDI
.wav        sound, played from a SoundFont
.png .svg   a piano roll
.json       token ids with the codec that they belong to
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gen.codec import Codec, decode, stream
from gen.errors import CorpusError, SettingError
from gen.files import write_atomically
from gen.music.midi.recognise import MIDI_SUFFIXES, is_midi

FORMAT, VERSION = "gen-tokens", 1
ROLL_SUFFIXES = (".png", ".svg")
IDS_SUFFIXES = (".json", ".txt")  # that hold what a codec makes of music, and no more
SOUND_SUFFIX = ".wav"
MAX_NAMED = 3  # kinds of events in a line
SUFFIXES = (".txt", *MIDI_SUFFIXES, SOUND_SUFFIX, *ROLL_SUFFIXES, ".json")


class Source(NamedTuple):
    """A document read from a file: the codec that makes tokens of it, the document, its ids if it came as ids."""

    codec: Codec[Any, Any]
    whole: Any
    tokens: list[int] | None


def check_out(path: Path, *, font: Path | None = None) -> None:
    """Raises SettingError if the file cannot be written, before anything costly is done; `font` is a SoundFont."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingError(f"{path}: unknown suffix ({path.suffix or 'none'})", hint=f"use {' '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise SettingError(f"{path}: no such folder ({path.parent})", hint=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise SettingError(f"{path}: a folder, not a file")
    if suffix == SOUND_SUFFIX:
        from gen.music.views.sound import check_sound

        check_sound(font)
    elif font is not None:
        raise SettingError(f"--soundfont: only for .wav ({path})")


def check_kind(path: Path, codec: Codec[Any, Any]) -> None:
    """Raises SettingError if text is to become music, sound or a picture."""
    if not is_music(codec) and path.suffix.lower() in (*MIDI_SUFFIXES, SOUND_SUFFIX, *ROLL_SUFFIXES):
        raise SettingError(f"{path}: text cannot be written as {path.suffix}", hint="use .txt or .json")


def is_music(codec: Codec[Any, Any]) -> bool:
    """Whether the codec's documents are scores."""
    return codec.kind == "music"


def numbered(path: Path, *, count: int) -> list[Path]:
    """Returns a path for each sample: tune.mid, or tune-1.mid, tune-2.mid, ..."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def convert(source: Path, path: Path, *, font: Path | None) -> None:
    """Writes what a file holds in the format of the path's suffix, and says so; from MIDI to MIDI event by event."""
    from gen.cli.console import say

    check_out(path, font=font)
    if is_midi(source) and path.suffix.lower() in MIDI_SUFFIXES:
        from gen.data.report import counted
        from gen.music.midi.copy import copy_midi

        mended = copy_midi(source, path)
        if mended:
            say(f"mended {', '.join(counted(count, name) for name, count in mended.items())}")
    else:
        codec, whole, tokens = read_source(source)
        write_out(path, codec=codec, whole=whole, tokens=tokens, font=font)
        if tokens is None and path.suffix.lower() in IDS_SUFFIXES:
            _say_left_out(source, codec)
    say(f"wrote {path}")


def write_out(
    path: Path,
    *,
    codec: Codec[Any, Any],
    whole: Any,
    tokens: Sequence[int] | None = None,
    pieces: Iterable[Any] | None = None,
    font: Path | None = None,
) -> None:
    """Writes a document in the format of the path's suffix; the file appears whole or not at all.

    Args:
        tokens: those of the document, where they are known.
        pieces: of music, what its lines are made of; None for those of the document.
        font: the SoundFont for .wav; None takes one that this machine has.
    """
    check_kind(path, codec)
    suffix = path.suffix.lower()
    if suffix == ".json":
        ids = [int(token) for token in (codec.encode(whole) if tokens is None else tokens)]
        _write_text(path, tokens_to_json(codec, ids))
    elif suffix in MIDI_SUFFIXES:
        from gen.music.midi.write import write_midi

        write_midi(path, whole)
    elif suffix == SOUND_SUFFIX:
        from gen.music.views.sound import write_wav

        write_wav(path, whole, font=font)
    elif suffix in ROLL_SUFFIXES:
        from gen.music.views.picture import write_pianoroll

        write_pianoroll(path, whole)
    elif is_music(codec):
        lines = stream(codec, codec.encode(whole).tolist()) if pieces is None else pieces
        _write_text(path, "".join(f"{line}\n" for line in lines))
    else:
        codec.write(path, whole)


def tokens_to_json(codec: Codec[Any, Any], tokens: Sequence[int]) -> str:
    """Returns the file of token ids."""
    data = {"format": FORMAT, "version": VERSION, "codec": codec.spec(), "tokens": list(tokens)}
    return json.dumps(data, ensure_ascii=False) + "\n"


def read_source(path: Path) -> Source:
    """Reads what `gen export` takes. Raises CorpusError, MidiError or CheckpointError."""
    if is_midi(path):
        from gen.codecs.choice import choose_music

        codec = choose_music([path]).codec
        return Source(codec, codec.read(path), None)
    if path.suffix.lower() != ".json":
        raise SettingError(
            f"{path}: neither MIDI nor token ids ({path.suffix or 'no suffix'})", hint="use .mid or .json"
        )
    return _read_tokens(path)


def _say_left_out(source: Path, codec: Codec[Any, Any]) -> None:
    """Says which notes and events of a MIDI file its ids do not have."""
    from gen.cli.console import say
    from gen.data.report import counted
    from gen.music.midi.census import LEFT_OUT

    findings = sum((Counter(part.findings) for part in codec.encode_file(source)), Counter[str]())
    kinds = [(name.removesuffix(LEFT_OUT), n) for name, n in findings.most_common() if name.endswith(LEFT_OUT)]
    if kinds:
        named = ", ".join(counted(count, kind) for kind, count in kinds[:MAX_NAMED])
        more = f" and {counted(len(kinds) - MAX_NAMED, 'more kinds')}" if len(kinds) > MAX_NAMED else ""
        say(f"left out {named}{more}; gen corpus {source} counts all")


def _read_tokens(path: Path) -> Source:
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
    return Source(codec, decode(codec, tokens), tokens)


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: _write_utf8(temporary, text))


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
