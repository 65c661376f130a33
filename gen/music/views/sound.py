"""Renders a score as sound: a .wav of 16 bits, 44,100 Hz and two channels, played by tinysoundfont from a SoundFont.

Each track plays on a channel of its own; their number is not limited to 16. `gen.music.views.gestures` makes commands
of bends and controllers, and applies the pedals: a note lasts until they are up or its key is struck again. The samples
first go to a temporary file beside the target, because the loudest sample, which sets the volume, is known only at the
end. So memory does not grow with the length of the piece.
"""

import importlib.util
import math
import os
import tempfile
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.errors import SettingError
from gen.files.disk import write_atomically
from gen.music.midi.protocol import VOLUME
from gen.music.score import Score, Track
from gen.music.views.gestures import (
    DEFAULT_VOLUME,
    Command,
    gestures,
    has_volume,
    loudness,
    released_ticks,
    struck_velocities,
)
from gen.music.views.instruments import instrument_name

if TYPE_CHECKING:
    from tinysoundfont import Synth

SAMPLE_RATE = 44_100
FONT_VARIABLE = "GEN_SOUNDFONT"
MAX_PEAK = 10 ** (-1 / 20)  # of full scale: 1 dB of headroom for peaks between samples
MAX_TAIL_SECONDS = 10.0
_GAIN_DB = 6.0  # without it a piano is half as loud as on other recordings
_VIBRATO_HERTZ = 5.5
_VIBRATO_BLOCK = 256  # frames, about 30 blocks per vibration
_SILENCE = 1e-4  # of full scale, -80 dB
_BLOCK = 4096  # frames
_MAX_VOICES = 512  # two per note of a stereo instrument; beyond them the oldest note is cut off
_MAX_FRAMES = (1 << 32) // 4 - 64  # the size field of a .wav, in frames of four bytes
_SUFFIXES = (".sf2", ".sf3")
_FOLDERS = (
    "~/.local/share/soundfonts",
    "~/.local/share/sounds/sf2",
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
    "/opt/homebrew/share/fluid-synth/sf2",
    "/usr/local/share/fluid-synth/sf2",
    "~/Library/Audio/Sounds/Banks",
)


class _Events(NamedTuple):
    """Commands for the synthesiser in the order of playing: (N,) arrays."""

    frames: NDArray[np.int64]
    commands: NDArray[np.int64]
    channels: NDArray[np.int64]
    firsts: NDArray[np.int64]  # for ON and OFF the pitch
    seconds: NDArray[np.int64]  # for ON the velocity


def write_wav(path: Path, score: Score, *, font: Path | None = None) -> None:
    """Writes a score as sound, until its last note has died away; equal scores and fonts give equal bytes.

    If the sound would be louder than `MAX_PEAK`, the whole piece is made quieter; it is never made louder.

    Args:
        font: a SoundFont, .sf2 or .sf3; None takes the one that `find_font` finds.

    Raises:
        SettingError: the synthesiser or a font is missing, the font is damaged or lacks an instrument, the music is
            too long for a .wav, or the file cannot be written.
    """
    seconds = score.duration_seconds + MAX_TAIL_SECONDS
    if seconds * SAMPLE_RATE > _MAX_FRAMES:
        raise SettingError(f"{path}: longer than a .wav can be ({seconds / 3600:.1f} h)", hint="write .mid")
    font = check_sound(font)
    player = _player(font, score.tracks)
    events = _events(score)
    write_atomically(path, partial(_write, player=player, events=events))


def check_sound(font: Path | None = None) -> Path:
    """Returns the font that will be played. Raises SettingError if the synthesiser or a font is missing."""
    if importlib.util.find_spec("tinysoundfont") is None:
        raise SettingError(
            "sound: needs tinysoundfont, of the extra gen-rnn[audio]",
            hint='pip install "gen-rnn[audio]" && pip install --no-deps tinysoundfont',
        )
    return find_font(font)


def find_font(font: Path | None = None) -> Path:
    """Returns the SoundFont to play.

    It is the given one, else $GEN_SOUNDFONT, else one in the usual folders of the system, first those with General MIDI
    in their names, else the one in the pretty_midi package.

    Raises:
        SettingError: no SoundFont is found.
    """
    named = os.environ.get(FONT_VARIABLE)
    chosen = font or (Path(named) if named else None)
    if chosen is not None:
        if not chosen.is_file():
            raise SettingError(f"{chosen}: {'not a file' if chosen.exists() else 'no such SoundFont'}")
        return chosen
    found = next(_usual_fonts(), None)
    if found is None:
        looked = ", ".join((f"${FONT_VARIABLE}", *_FOLDERS, "the pretty_midi package"))
        raise SettingError(
            f"sound: no SoundFont (looked at {looked})",
            hint="pip install pretty_midi, apt install timgm6mb-soundfont, or give --soundfont FILE",
        )
    return found


def _usual_fonts() -> Iterator[Path]:
    for folder in _FOLDERS:
        fonts = [path for path in Path(folder).expanduser().glob("*") if path.suffix.lower() in _SUFFIXES]
        yield from sorted(fonts, key=lambda path: (not _is_general(path), path.name))
    package = importlib.util.find_spec("pretty_midi")  # its folder is enough; to import it would take a second
    for location in (package.submodule_search_locations or ()) if package else ():
        yield from sorted(Path(location).glob("*.sf2"))


def _is_general(path: Path) -> bool:
    return "gm" in path.stem.lower() or "general" in path.stem.lower()


def _player(font: Path, tracks: Sequence[Track]) -> "_Player":
    """Returns a player in which track N of a score plays its instrument on channel N."""
    from tinysoundfont import Synth

    with font.open("rb") as file:
        head = file.read(12)
    synth = Synth(gain=_GAIN_DB, samplerate=SAMPLE_RATE)
    try:
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise RuntimeError
        loaded = synth.sfload(str(font), max_voices=_MAX_VOICES)
    except RuntimeError as err:
        raise SettingError(f"{font}: not a SoundFont") from err
    player = _Player(synth, loaded, tracks)
    for channel, track in enumerate(tracks):
        try:
            player.select(channel, bank=0)
        except RuntimeError as err:
            name = instrument_name(track.program, track.is_drum)
            raise SettingError(
                f"{font}: no instrument for program {track.program} ({name})", hint="give another --soundfont"
            ) from err
    return player


class _Player:
    """A synthesiser with the vibrato of its channels and the number of frames that it has played."""

    def __init__(self, synth: "Synth", loaded: int, tracks: Sequence[Track]) -> None:
        self._synth = synth
        self._loaded = loaded  # the number of the font
        self._tracks = tracks
        self._tunings: Counter[int] = Counter()  # in cents, by channel
        self._vibratos: dict[int, int] = {}  # in cents, by channel
        self.now = 0  # frames

    def select(self, channel: int, *, bank: int) -> None:
        """Selects the instrument of a channel from a bank. Raises RuntimeError if the font lacks it."""
        track = self._tracks[channel]
        self._synth.program_select(channel, self._loaded, bank, track.program, track.is_drum)

    def execute(self, command: int, channel: int, first: int, second: int) -> None:
        """Executes a command."""
        if command == Command.ON:
            self._synth.noteon(channel, first, second)
        elif command == Command.OFF:
            self._synth.noteoff(channel, first)
        elif command == Command.CONTROL:
            self._synth.control_change(channel, first, second)
        elif command == Command.BEND:
            self._synth.pitchbend(channel, first)
        elif command == Command.BANK:
            self._change_bank(channel, first)
        else:
            self._tune(channel, command, first)

    def samples(self, max_frames: int) -> NDArray[np.float32]:
        """Plays the next N frames, at most `max_frames`; returns (2 N,) interleaved samples."""
        count = min(max_frames, _VIBRATO_BLOCK if self._vibratos else _BLOCK)
        turn = math.sin(2 * math.pi * _VIBRATO_HERTZ * self.now / SAMPLE_RATE)
        for channel, depth in self._vibratos.items():
            self._synth.set_tuning(channel, (self._tunings[channel] + depth * turn) / 100)
        self.now += count
        return _samples(self._synth, count)

    def _change_bank(self, channel: int, bank: int) -> None:
        try:
            self.select(channel, bank=bank)
        except RuntimeError:
            self.select(channel, bank=0)

    def _tune(self, channel: int, command: int, cents: int) -> None:
        if command == Command.TUNING:
            self._tunings[channel] = cents
        elif cents:
            self._vibratos[channel] = cents
        else:
            self._vibratos.pop(channel, None)
        self._synth.set_tuning(channel, self._tunings[channel] / 100)


def _events(score: Score) -> _Events:
    parts = [_keys(score, channel, track) for channel, track in enumerate(score.tracks) if track.notes]
    if not parts:
        return _Events(*np.zeros((5, 0), np.int64))
    last = max(int(part[0].max()) for part in parts)
    parts += [_gestures(score, channel, track, until=last) for channel, track in enumerate(score.tracks)]
    columns = np.concatenate(parts, axis=1)
    # Within a frame all keys go up before any goes down: otherwise a repeated note would end as it begins. Commands
    # between the two keep their order.
    is_key = (columns[1] == Command.OFF) | (columns[1] == Command.ON)
    ranks = np.where(is_key, columns[1], Command.CONTROL)
    order = np.lexsort((np.where(is_key, columns[3], 0), columns[2], ranks, columns[0]))
    return _Events(*columns[:, order])


def _keys(score: Score, channel: int, track: Track) -> NDArray[np.int64]:
    """Returns the ON and OFF commands of a track, as (5, 2N) columns of `_Events` in no order."""
    onsets, _, pitches, _ = track.columns
    velocities = struck_velocities(track)
    starts = _frames(score, onsets)
    stops = np.maximum(_frames(score, released_ticks(track)), starts + 1)
    return np.stack(
        (
            np.concatenate((starts, stops)),
            np.repeat((Command.ON, Command.OFF), len(starts)),
            np.full(2 * len(starts), channel),
            np.concatenate((pitches, pitches)),
            np.concatenate((velocities, np.zeros_like(velocities))),
        )
    )


def _gestures(score: Score, channel: int, track: Track, *, until: int) -> NDArray[np.int64]:
    """Returns the other commands of a track up to a frame, as (5, N) columns of `_Events`, in order."""
    volume = loudness(0, VOLUME, DEFAULT_VOLUME) if any(map(has_volume, score.tracks)) else ()
    rows = np.array([*volume, *gestures(track)], np.int64).reshape(-1, 4)
    ticks, commands, firsts, seconds = rows.T
    columns = np.stack((_frames(score, ticks), commands, np.full(len(rows), channel), firsts, seconds))
    return columns[:, columns[0] <= until]


def _frames(score: Score, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.rint(score.seconds(ticks) * SAMPLE_RATE), np.int64)


def _write(path: Path, *, player: _Player, events: _Events) -> None:
    with tempfile.TemporaryFile(dir=path.parent) as spool, wave.open(str(path), "wb") as file:
        peak = 0.0
        for block in _render(player, events):
            peak = max(peak, float(np.abs(block).max()))
            spool.write(block.tobytes())
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        spool.seek(0)
        for block in _blocks(spool):
            samples = np.rint(block * (32767 * min(1.0, MAX_PEAK / max(peak, MAX_PEAK)))).astype("<i2")
            file.writeframesraw(samples.tobytes())


def _blocks(spool: IO[bytes]) -> Iterator[NDArray[np.float32]]:
    while data := spool.read(_BLOCK * 8):
        yield np.frombuffer(data, np.float32)


def _render(player: _Player, events: _Events) -> Iterator[NDArray[np.float32]]:
    """Yields (2 N,) interleaved samples until nothing sounds."""
    for frame, *command in zip(*(column.tolist() for column in events), strict=True):
        while player.now < frame:
            yield player.samples(frame - player.now)
        player.execute(*command)
    end = player.now + int(MAX_TAIL_SECONDS * SAMPLE_RATE) if len(events.frames) else 0
    while player.now + _BLOCK <= end:
        block = player.samples(_BLOCK)
        yield block
        if np.abs(block).max() < _SILENCE:
            return


def _samples(synth: "Synth", count: int) -> NDArray[np.float32]:
    return np.frombuffer(synth.generate(count), np.float32)
