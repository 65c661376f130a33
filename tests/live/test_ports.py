import sys
from collections.abc import Iterator
from pathlib import Path

import mido
import pytest

from gen.errors import SettingError
from gen.live import ports
from gen.live.ports import choose_port, input_port, output_port, port_names
from tests.live import file_backend

NAMES = ["FLUID Synth (912):0", "Midi Through 14:0", "USB Keystation 24:0", "USB Keystation 24:1"]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the output port writes to."""
    monkeypatch.setenv("MIDI_LOG", str(tmp_path / "log.txt"))
    mido.set_backend("tests.live.file_backend")
    yield tmp_path / "log.txt"
    mido.set_backend()


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Leaves only output ports of these names."""
    devices = [{"name": name, "is_input": False, "is_output": True} for name in names]
    monkeypatch.setattr(file_backend, "DEVICES", devices)


@pytest.mark.parametrize("name", ["FLUID Synth (912):0", "fluid", "Synth"])
def test_a_part_of_the_name_is_enough(name: str) -> None:
    assert choose_port(name, NAMES, option="--port") == NAMES[0]


def test_the_whole_name_wins_over_a_part_of_another() -> None:
    assert choose_port("Synth", ["Synth 2", "Synth"], option="--port") == "Synth"


@pytest.mark.parametrize(
    ("name", "line", "hint"),
    [
        ("organ", "--port: no such port (organ)", f"ports: {', '.join(NAMES)}"),
        ("usb", "--port: not the name of one port (usb)", "ports: USB Keystation 24:0, USB Keystation 24:1"),
    ],
)
def test_no_port_or_several_are_listed(name: str, line: str, hint: str) -> None:
    with pytest.raises(SettingError) as error:
        choose_port(name, NAMES, option="--port")
    assert (str(error.value), error.value.hint) == (line, hint)


def test_all_ports_are_named(log: Path) -> None:
    assert port_names().outputs == ["File synth 20:0", "Midi Through Port-0 14:0"]
    assert port_names().inputs == ["Midi Through Port-0 14:0", "Keys 24:0"]


def test_the_only_port_that_leads_somewhere_needs_no_name(log: Path) -> None:
    with output_port(None) as (port, name):
        port.send(mido.Message("note_on", note=61))
    assert name == "File synth 20:0"
    assert log.read_text().startswith("note_on channel=0 note=61")


def test_without_any_port_there_is_a_virtual_one(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "Midi Through Port-0 14:0")
    monkeypatch.setattr(ports, "HAS_VIRTUAL", True)
    with output_port(None) as (port, name):
        assert isinstance(port, file_backend.Output)
        assert port.is_virtual
    assert name == "gen (virtual)"


@pytest.mark.parametrize("names", [(), ("One", "Two")])
def test_a_port_that_is_not_clear_must_be_named(
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
) -> None:
    only(monkeypatch, *names)
    monkeypatch.setattr(ports, "HAS_VIRTUAL", False)
    with pytest.raises(SettingError, match="--port: needed") as error, output_port(None):
        pass
    assert all(name in str(error.value.hint) for name in names)


def test_a_port_that_another_program_holds_is_one_line(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "Taken 9:0")
    with pytest.raises(SettingError, match=r"Taken 9:0: the port cannot be opened \(already in use\)"):
        output_port("taken").__enter__()


def test_an_input_gives_what_came_and_never_waits(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    knob = mido.Message("control_change", control=1, value=99)
    monkeypatch.setattr(file_backend, "PENDING", [knob])
    with input_port("keys") as port:
        assert list(port.iter_pending()) == [knob]
        assert list(port.iter_pending()) == []


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    monkeypatch.delitem(sys.modules, "mido.backends.rtmidi", raising=False)
    mido.set_backend("mido.backends.rtmidi")
    with pytest.raises(SettingError, match="MIDI ports: need python-rtmidi") as error:
        port_names()
    assert error.value.hint == 'pip install "gen-rnn[live]"'


@pytest.mark.skipif(sys.platform != "linux" or ports.ALSA_SEQUENCER.exists(), reason="this machine has a MIDI system")
def test_a_machine_without_midi_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rtmidi", reason="needs the extra live")
    mido.set_backend("mido.backends.rtmidi")
    with pytest.raises(SettingError, match="this machine has no MIDI system"):
        port_names()
    assert capfd.readouterr().err == ""
