"""Bends, controllers and pedals of a MIDI file, measured in the rendered sound."""

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gen.music.midi.read import read_midi
from gen.music.views.gestures import released_ticks, struck_velocities
from gen.music.views.sound import SAMPLE_RATE, write_wav
from tests.music.midi_bytes import midi, saved

pytest.importorskip("tinysoundfont")
pytest.importorskip("pretty_midi")

ORGAN = "00 c0 10"  # sounds as long as its key is down, with an even loudness
NOTE = "00 90 45 64  8f 00 80 45 00"  # A4 for four beats, two seconds
LATE = "87 40 {}  87 40 80 45 00"  # something after the first of them, then the note's end
HALVES = "00 90 45 64" + LATE


def sound(folder: Path, *tracks: str) -> NDArray[np.float64]:
    """Returns the (N, 2) samples of a file of 480 ticks a beat, full scale 1."""
    score, _ = read_midi(saved(folder, midi(*tracks)))
    write_wav(folder / "x.wav", score)
    with wave.open(str(folder / "x.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768


def hertz(samples: NDArray[np.float64], start: float, stop: float) -> float:
    """Returns the loudest frequency between two seconds."""
    part = samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)].sum(axis=1)
    size = 1 << 19
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)), size)).argmax()) * SAMPLE_RATE / size


def semitones(samples: NDArray[np.float64], plain: NDArray[np.float64], start: float = 0.2, stop: float = 0.9) -> float:
    """Returns the interval from the plain sound to the other in semitones."""
    return float(12 * np.log2(hertz(samples, start, stop) / hertz(plain, start, stop)))


def loudness(samples: NDArray[np.float64], start: float, stop: float) -> float:
    part = samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
    return float(np.sqrt(np.sum(part**2) / (2 * SAMPLE_RATE * (stop - start))))


PITCHES = {
    "nothing": ("", 0),
    "a bend up": ("00 e0 7f 7f", 2),
    "a bend down": ("00 e0 00 00", -2),
    "half a bend": ("00 e0 00 60", 1),
    "a bend in a range of an octave": ("00 b0 65 00  00 b0 64 00  00 b0 06 0c  00 e0 7f 7f", 12),
    "a range with its finer half": ("00 b0 65 00  00 b0 64 00  00 b0 06 01  00 b0 26 32  00 e0 7f 7f", 1.5),
    "coarse tuning": ("00 b0 65 00  00 b0 64 02  00 b0 06 43", 3),
    "fine tuning": ("00 b0 65 00  00 b0 64 01  00 b0 06 60", 0.5),
    "a parameter of the maker's own": ("00 b0 63 00  00 b0 62 02  00 b0 06 43", 0),
    "a bend that is reset": ("00 e0 7f 7f  00 b0 79 00", 0),
}


@pytest.mark.parametrize("told", PITCHES)
def test_a_note_sounds_higher_or_lower_as_it_is_told(tmp_path: Path, told: str) -> None:
    events, expected = PITCHES[told]
    samples = sound(tmp_path, ORGAN + events + NOTE)
    assert semitones(samples, sound(tmp_path, ORGAN + NOTE)) == pytest.approx(expected, abs=0.03)


def test_a_bend_counts_from_its_tick_on(tmp_path: Path) -> None:
    samples, plain = sound(tmp_path, ORGAN + HALVES.format("e0 7f 7f")), sound(tmp_path, ORGAN + NOTE)
    assert semitones(samples, plain, 0.2, 0.9) == pytest.approx(0, abs=0.03)
    assert semitones(samples, plain, 1.1, 1.9) == pytest.approx(2, abs=0.03)


def test_a_bend_is_of_its_channel_and_port(tmp_path: Path) -> None:
    bent = "00 ff 21 01 00" + ORGAN + "00 e0 7f 7f  00 90 39 40  8f 00 80 39 00"
    samples = sound(tmp_path, bent, "00 ff 21 01 01" + ORGAN + NOTE)
    plain = sound(tmp_path, ORGAN + NOTE)
    spectrum = np.abs(np.fft.rfft(samples[: 2 * SAMPLE_RATE].sum(axis=1)))
    at = round(2 * hertz(plain, 0.2, 0.9))
    assert spectrum[at - 6 : at + 7].max() > 0.3 * spectrum.max()


LOUDNESSES = {
    "volume 0": ("b0 07 00", 0, 0.001),
    "expression 0": ("b0 0b 00", 0, 0.001),
    "half the expression": (
        "b0 0b 40",
        0.25,
        0.16,
    ),  # General MIDI says 40 log10: a quarter; this synthesiser an eighth
    "all sound off": ("b0 78 00", 0, 0.01),
    "all notes off": ("b0 7b 00", 0, 0.05),
    "a chorus, which is not played": ("b0 5d 7f", 1, 0.02),
}


@pytest.mark.parametrize("told", LOUDNESSES)
def test_a_note_that_sounds_gets_softer_as_it_is_told(tmp_path: Path, told: str) -> None:
    event, share, tolerance = LOUDNESSES[told]
    samples = sound(tmp_path, ORGAN + HALVES.format(event))
    assert loudness(samples, 1.3, 1.9) / loudness(samples, 0.2, 0.9) == pytest.approx(share, abs=tolerance)


def test_volume_0_is_silence(tmp_path: Path) -> None:
    assert not sound(tmp_path, ORGAN + "00 b0 07 00" + NOTE).any()


def test_where_volumes_are_told_the_others_are_100(tmp_path: Path) -> None:
    quiet = "00 c1 10  00 b1 07 00  00 91 3c 40  60 81 3c 00"
    as_told = loudness(sound(tmp_path, ORGAN + "00 b0 07 64" + NOTE), 0.2, 1.9)
    assert loudness(sound(tmp_path, ORGAN + NOTE, quiet), 0.2, 1.9) == pytest.approx(as_told, rel=0.01)
    assert loudness(sound(tmp_path, ORGAN + NOTE), 0.2, 1.9) > 1.2 * as_told


def test_a_note_is_panned(tmp_path: Path) -> None:
    left, right = np.abs(sound(tmp_path, ORGAN + "00 b0 0a 00" + NOTE)).max(axis=0)
    assert left > 20 * right


def test_modulation_is_a_vibrato(tmp_path: Path) -> None:
    samples, plain = sound(tmp_path, ORGAN + "00 b0 01 7f" + NOTE), sound(tmp_path, ORGAN + NOTE)
    assert semitones(samples, plain, 0.2, 1.9) == pytest.approx(0, abs=0.6)
    heard = [semitones(samples, plain, start, start + 0.05) for start in np.arange(0.2, 1.2, 0.01)]
    assert 0.25 < max(heard) < 0.6
    assert -0.6 < min(heard) < -0.25


def test_a_vibrato_ends_in_tune(tmp_path: Path) -> None:
    tuned = "00 b0 65 00  00 b0 64 02  00 b0 06 43  00 b0 01 7f"
    samples = sound(tmp_path, ORGAN + tuned + HALVES.format("b0 01 00"))
    assert semitones(samples, sound(tmp_path, ORGAN + NOTE), 1.1, 1.9) == pytest.approx(3, abs=0.03)


def test_a_bank_that_the_font_lacks_plays_bank_0(tmp_path: Path) -> None:
    in_bank = sound(tmp_path, "00 b0 00 08  00 b0 20 01" + ORGAN + NOTE)
    assert np.array_equal(in_bank, sound(tmp_path, ORGAN + NOTE))


@pytest.mark.parametrize("pedal", ["42", "45"])
def test_sostenuto_and_hold_pedals_hold_notes(tmp_path: Path, pedal: str) -> None:
    held = f"00 90 45 64  60 b0 {pedal} 7f  83 00 80 45 00  87 40 b0 {pedal} 00"
    samples = sound(tmp_path, ORGAN + held)
    assert loudness(samples, 0.9, 1.4) > 0.5 * loudness(samples, 0.1, 0.4)
    assert loudness(samples, 1.9, 2.2) < 0.1 * loudness(samples, 0.1, 0.4)


def test_sostenuto_holds_the_keys_that_are_down_alone(tmp_path: Path) -> None:
    track = "00 90 3c 40  10 b0 42 7f  10 90 40 40  10 80 3c 00  10 80 40 00  81 00 b0 42 00"
    (notes,) = read_midi(saved(tmp_path, midi(track)))[0].tracks
    assert released_ticks(notes).tolist() == [0x40 + 128, 0x40]


def test_all_notes_off_waits_for_the_pedal(tmp_path: Path) -> None:
    held = "00 b0 40 7f  00 90 45 64  83 60 80 45 00  00 b0 7b 00  87 40 b0 40 00"
    samples = sound(tmp_path, ORGAN + held)
    assert loudness(samples, 0.8, 1.4) > 0.5 * loudness(samples, 0.1, 0.4)


def test_the_soft_pedal_makes_notes_softer(tmp_path: Path) -> None:
    track = "00 b0 43 7f  00 90 3c 40  10 80 3c 00  10 b0 43 00  00 90 3c 40  10 80 3c 00"
    (notes,) = read_midi(saved(tmp_path, midi(track)))[0].tracks
    assert struck_velocities(notes).tolist() == [48, 64]


def test_what_is_told_after_the_last_note_does_not_lengthen_the_sound(tmp_path: Path) -> None:
    plain = sound(tmp_path, ORGAN + NOTE)
    assert np.array_equal(sound(tmp_path, ORGAN + NOTE + "ff 7f e0 00 40"), plain)
