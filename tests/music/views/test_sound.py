import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gen.errors import SettingError
from gen.music.score import Note, PedalSpan, Score, Tempo, Track
from gen.music.views import sound as audio
from gen.music.views.sound import MAX_PEAK, SAMPLE_RATE, find_font, write_wav

pytest.importorskip("tinysoundfont")
FONT = next(Path(pytest.importorskip("pretty_midi").__file__).parent.glob("*.sf2"))
BEAT = 480  # ticks, half a second
ORGAN = 16  # which sounds as long as its key is down


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Selects the font of pretty_midi, whatever fonts this machine has."""
    monkeypatch.delenv(audio.FONT_VARIABLE, raising=False)
    monkeypatch.setattr(audio, "_FOLDERS", (str(tmp_path / "fonts"),))


def rendered(path: Path, *tracks: Track, tempos: tuple[Tempo, ...] = ()) -> NDArray[np.float64]:
    """Returns (N, 2) samples of a score, full scale 1."""
    write_wav(path / "x.wav", Score(tracks, BEAT, tempos))
    with wave.open(str(path / "x.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768


def loudness(samples: NDArray[np.float64], start: float, stop: float) -> float:
    """Returns the root mean square of the samples between two seconds; after the end it is 0."""
    part = samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
    return float(np.sqrt(np.sum(part**2) / (2 * SAMPLE_RATE * (stop - start))))


def loudest_hertz(samples: NDArray[np.float64], start: float, stop: float) -> float:
    part = samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)].sum(axis=1)
    size = 1 << 19
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)), size)).argmax()) * SAMPLE_RATE / size


def onset_seconds(samples: NDArray[np.float64], after: float) -> float:
    """Returns the time of the first loud window of 5 ms after a time."""
    window = SAMPLE_RATE // 200
    first = round(after * SAMPLE_RATE)
    parts = samples[first : first + (len(samples) - first) // window * window].reshape(-1, window * 2)
    return after + float(np.argmax(np.abs(parts).max(axis=1) > 0.01)) / 200


@pytest.mark.parametrize(("program", "pitch", "hertz"), [(0, 69, 440.0), (73, 81, 880.0), (40, 57, 220.0)])
def test_a_note_sounds_at_its_pitch(tmp_path: Path, program: int, pitch: int, hertz: float) -> None:
    samples = rendered(tmp_path, Track((Note(0, 4 * BEAT, pitch, 100),), program))
    heard = loudest_hertz(samples, 0.2, 1.8)
    partial = max(1, round(heard / hertz))  # of a violin's low strings the octave is louder
    assert heard / partial == pytest.approx(hertz, rel=0.006)  # 10 cents: pianos are stretched, fonts are not exact


def test_notes_begin_when_the_tempo_map_says(tmp_path: Path) -> None:
    notes = (Note(BEAT, BEAT // 4, 60, 110), Note(3 * BEAT, BEAT // 4, 72, 110))
    samples = rendered(tmp_path, Track(notes, 12), tempos=(Tempo(0, 500_000), Tempo(2 * BEAT, 1_500_000)))
    assert loudness(samples, 0, 0.49) < 1e-4
    assert onset_seconds(samples, 0) == pytest.approx(0.5, abs=0.02)
    assert onset_seconds(samples, 1.8) == pytest.approx(2.5, abs=0.02)  # by hand: 1 s, then 1.5 s a beat


def test_the_sound_lasts_until_the_last_note_has_died_away(tmp_path: Path) -> None:
    samples = rendered(tmp_path, Track((Note(0, 2 * BEAT, 60, 100),)))
    assert 1.0 < len(samples) / SAMPLE_RATE < 1.0 + audio.MAX_TAIL_SECONDS
    assert np.abs(samples[-100:]).max() < 1e-3
    assert loudness(samples, 0.1, 1.0) > 0.01


def test_a_note_under_the_pedal_sounds_until_it_is_up(tmp_path: Path) -> None:
    note = (Note(0, BEAT, 60, 100),)
    dry = rendered(tmp_path, Track(note, ORGAN))
    held = rendered(tmp_path, Track(note, ORGAN, pedal=(PedalSpan(0, 4 * BEAT),)))
    assert loudness(held, 1.2, 1.9) > 10 * loudness(dry, 1.2, 1.9)
    assert loudness(held, 2.8, 3.0) < 0.1 * loudness(held, 1.2, 1.9)


def test_a_pitch_struck_again_under_the_pedal_is_not_let_go_early(tmp_path: Path) -> None:
    notes = (Note(0, BEAT // 2, 60, 100), Note(BEAT, BEAT // 2, 60, 100))
    samples = rendered(tmp_path, Track(notes, ORGAN, pedal=(PedalSpan(0, 4 * BEAT),)))
    assert loudness(samples, 1.5, 1.9) == pytest.approx(loudness(samples, 0.1, 0.4), rel=0.2)


def test_drums_are_played_by_drums(tmp_path: Path) -> None:
    snare = rendered(tmp_path, Track((Note(0, BEAT, 38, 110),), is_drum=True))
    piano = rendered(tmp_path, Track((Note(0, BEAT, 38, 110),)))
    assert flatness(snare) > 5 * flatness(piano)


def flatness(samples: NDArray[np.float64]) -> float:
    """Returns the geometric divided by the arithmetic mean of the power spectrum: 1 for noise, 0 for a tone."""
    power = np.abs(np.fft.rfft(samples[: SAMPLE_RATE // 5].sum(axis=1))) ** 2 + 1e-12
    return float(np.exp(np.log(power).mean()) / power.mean())


def test_twenty_tracks_play_twenty_instruments(tmp_path: Path) -> None:
    tracks = [Track((Note(number * 2 * BEAT, BEAT, 69, 100),), number) for number in range(20)]
    samples = rendered(tmp_path, *tracks)
    assert all(loudness(samples, number, number + 0.5) > 0.003 for number in range(20))


def test_loud_music_is_made_quieter_and_never_clipped(tmp_path: Path) -> None:
    chord = tuple(Note(0, 4 * BEAT, pitch, 127) for pitch in range(36, 96, 2))
    samples = rendered(tmp_path, Track(chord, 19))
    assert np.abs(samples).max() == pytest.approx(MAX_PEAK, abs=1e-3)


def test_equal_scores_give_equal_files(tmp_path: Path) -> None:
    score = Score(
        (Track((Note(0, 480, 60, 64), Note(7, 480, 64, 100)), 48), Track((Note(3, 9, 42, 90),), is_drum=True))
    )
    for name in ("a.wav", "b.wav"):
        write_wav(tmp_path / name, score)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_a_score_without_notes_is_silence_of_no_length(tmp_path: Path) -> None:
    assert rendered(tmp_path, Track(())).shape == (0, 2)


def test_sound_is_rendered_in_blocks_however_long_a_note_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def silence(_synth: object, count: int) -> NDArray[np.float32]:
        sizes.append(count)
        return np.zeros(2 * count, np.float32)

    monkeypatch.setattr(audio, "_samples", silence)
    write_wav(tmp_path / "x.wav", Score((Track((Note(0, 600 * BEAT, 60, 64),)),)))
    assert max(sizes) <= 4096
    assert 300 * SAMPLE_RATE <= sum(sizes) < 301 * SAMPLE_RATE


def test_music_longer_than_a_wav_can_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"longer than a .wav can be \(7.0 h\)"):
        write_wav(tmp_path / "x.wav", Score((Track((Note(0, 7 * 7200 * BEAT, 60, 64),)),)))
    assert not list(tmp_path.iterdir())


def test_without_a_synthesiser_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(SettingError, match=r"needs tinysoundfont.*gen-rnn\[audio\]"):
        write_wav(tmp_path / "x.wav", Score((Track((Note(0, 9, 60, 64),)),)))


def test_the_font_given_comes_before_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = tmp_path / "given.sf2", tmp_path / "named.sf2"
    for path in (given, named):
        path.symlink_to(FONT)
    monkeypatch.setenv(audio.FONT_VARIABLE, str(named))
    assert (find_font(given), find_font()) == (given, named)


def test_a_font_of_the_system_comes_before_that_of_pretty_midi(tmp_path: Path) -> None:
    assert find_font() == FONT
    (tmp_path / "fonts").mkdir()
    for name in ("a-piano.sf2", "FluidR3_GM.sf2", "readme.txt"):
        (tmp_path / "fonts" / name).touch()
    assert find_font().name == "FluidR3_GM.sf2"


def test_without_a_font_the_error_says_where_it_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    with pytest.raises(SettingError, match=r"no SoundFont \(looked at \$GEN_SOUNDFONT") as error:
        find_font()
    assert str(tmp_path / "fonts") in str(error.value)
    assert "--soundfont" in (error.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"not a font", b"RIFF\0\0\0\0sfbkLIST", b"RIFF\0\0\0\0WAVE"])
def test_a_file_that_is_no_font_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.sf2").write_bytes(content)
    with pytest.raises(SettingError, match=r"x.sf2: not a SoundFont"):
        write_wav(tmp_path / "x.wav", Score((Track((Note(0, 9, 60, 64),)),)), font=tmp_path / "x.sf2")
    assert not (tmp_path / "x.wav").exists()


def test_a_font_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none.sf2: no such SoundFont"):
        find_font(tmp_path / "none.sf2")
