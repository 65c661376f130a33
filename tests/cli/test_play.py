import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import pytest
from mido import Message

from gen.config import SamplingConfig
from gen.live.knobs import Knobs
from gen.runs.run import load
from tests.cli.conftest import Gen, trained
from tests.conftest import REPOSITORY
from tests.live import file_backend
from tests.live.live import restruck, unbalanced

PATIENCE = 60.0  # seconds that a test waits for another process
BACKEND = "tests.live.file_backend"
EXIT_INTERRUPTED = 130


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the output port writes to."""
    monkeypatch.setenv("MIDI_LOG", str(tmp_path / "log.txt"))
    mido.set_backend(BACKEND)
    yield tmp_path / "log.txt"
    mido.set_backend()


def messages(log: Path) -> list[mido.Message]:
    return [mido.Message.from_str(line) for line in log.read_text().splitlines()]


def test_what_is_drawn_is_played_and_ends(gen: Gen, music_run: Path, log: Path) -> None:
    outcome = gen("play", music_run, "--length", "60", "--seed", "1")
    assert outcome == (0, "", "")
    sent = messages(log)
    assert sum(m.type == "note_on" for m in sent) > 3
    assert unbalanced(sent) == {}
    assert restruck(sent) == []


def test_it_plays_the_notes_that_sample_writes_with_the_same_seed(
    gen: Gen, music_run: Path, log: Path, tmp_path: Path
) -> None:
    gen("play", music_run, "--length", "40", "--seed", "3")
    gen("sample", music_run, "--length", "40", "--seed", "3", "--out", tmp_path / "a.mid")
    written = [m.note for m in mido.MidiFile(tmp_path / "a.mid") if m.type == "note_on" and m.velocity]
    assert sorted(m.note for m in messages(log) if m.type == "note_on") == sorted(written)


def test_a_text_model_is_refused(gen: Gen, text_run: Path, log: Path) -> None:
    outcome = gen("play", text_run)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: fox: writes text; only music can be played\n")
    assert log.read_text() == ""


def test_the_ports_are_listed_without_a_run(gen: Gen, log: Path) -> None:
    outcome = gen("play", "--list")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "output  File synth 20:0",
        "output  Midi Through Port-0 14:0",
        "input   Midi Through Port-0 14:0",
        "input   Keys 24:0",
    ]
    assert not log.exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "RUN: missing"),
        (["x", "--look-ahead", "0"], "--look-ahead: must be 0.1 to 60 seconds (0)"),
        (["x", "--look-ahead", "nan"], "--look-ahead: must be 0.1 to 60 seconds (nan)"),
        (["x", "--length", "many"], "--length: neither a whole number nor inf (many)"),
        (["x", "--port", "organ"], "--port: no such port (organ)"),
        (["x", "--input", "File"], "--input: no such port (File)"),
        (["x"], "x: no such run"),
    ],
)
def test_what_cannot_be_is_one_line(gen: Gen, log: Path, arguments: list[str], line: str) -> None:
    outcome = gen("play", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == f"error: {line}"


def test_an_unknown_label_is_one_line(gen: Gen, music_run: Path, log: Path) -> None:
    outcome = gen("play", music_run, "--label", "bass")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --label: unknown to tunes (bass)")
    assert log.read_text() == ""


def test_a_primer_is_played_first(gen: Gen, music_run: Path, music_folder: Path, log: Path, tmp_path: Path) -> None:
    primer = tmp_path / "two.mid"
    track = mido.MidiTrack()
    for note in (61, 66):
        track += [Message("note_on", note=note, velocity=70), Message("note_off", note=note, time=96)]
    mido.MidiFile(tracks=[track]).save(primer)
    assert gen("play", music_run, "--prompt-file", primer, "--length", "12", "--seed", "2").code == 0
    assert [m.note for m in messages(log) if m.type == "note_on"][:2] == [61, 66]


def test_the_wheel_sets_the_temperature(gen: Gen, music_run: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    knobs: list[Knobs] = []

    class Kept(Knobs):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            knobs.append(self)

    monkeypatch.setattr("gen.cli.playing.Knobs", Kept)
    turns = [Message("control_change", control=1, value=32), Message("note_on", note=60)]
    monkeypatch.setattr(file_backend, "PENDING", turns)
    assert gen("play", music_run, "--length", "20", "--input", "keys", "--top-k", "9").code == 0
    assert knobs[0].sampling() == SamplingConfig(temperature=0.5, top_k=9)
    assert unbalanced(messages(log)) == {}


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory, music_folder: Path) -> Path:
    """A run that knows densities."""
    folder = tmp_path_factory.mktemp("runs")
    return trained(folder, "dense", music_folder, "--codec", "performance", "--controls", "density")


def test_a_knob_sets_the_density_of_what_is_drawn_from_then_on(
    gen: Gen, dense: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | str | None] = []

    class Kept(Knobs):
        def density(self, seconds: float) -> float | str | None:
            asked.append(super().density(seconds))
            return asked[-1]

    monkeypatch.setattr("gen.cli.playing.Knobs", Kept)
    monkeypatch.setattr(file_backend, "PENDING", [Message("control_change", control=74, value=127)])
    options = ("--length", "400", "--seed", "1", "--input", "keys", "--density", "2")
    assert gen("play", dense, *options, "--look-ahead", "0.1").code == 0
    controls = load(dense).codec.controls
    assert controls is not None
    assert (asked[0], asked[-1]) == (2.0, controls.values("density")[-1])
    assert unbalanced(messages(log)) == {}


def test_a_density_that_was_not_trained_is_one_line(gen: Gen, music_run: Path, log: Path) -> None:
    outcome = gen("play", music_run, "--density", "3")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --density: the model was not trained with it (its controls: none)")
    assert log.read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "seconds"), [("SIGINT", 0.1), ("SIGINT", 0.33), ("SIGTERM", 0.2), ("SIGTERM", 0.57), ("SIGHUP", 0.4)]
)
def test_a_signal_ends_every_note(music_run: Path, tmp_path: Path, number: str, seconds: float) -> None:
    log = tmp_path / "log.txt"
    environment = {**os.environ, "MIDO_BACKEND": BACKEND, "MIDI_LOG": str(log), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "gen", "play", str(music_run), "--seed", "1"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        end = time.monotonic() + PATIENCE
        while not (log.exists() and "note_on" in log.read_text()):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                pytest.fail(f"nothing was played: {process.communicate()[1].decode()}")
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(getattr(signal, number))
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (EXIT_INTERRUPTED, b"", b"")
    sent = messages(log)
    assert unbalanced(sent) == {}
    assert [(m.control, m.value) for m in sent[-2:]] == [(64, 0), (123, 0)]
