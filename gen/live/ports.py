"""Finds and opens the MIDI ports of this machine, through mido and the library behind it (extra `live`).

A port is named by any part of its name that no other port has. Without a name it is the only port of the machine. If
there is none, Linux and macOS get a virtual port, to which a synthesiser can be connected.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import mido
from mido.backends.backend import DEFAULT_BACKEND

from gen.errors import SettingError
from gen.live.player import OutputPort

VIRTUAL_NAME = "gen"
HAS_VIRTUAL = sys.platform != "win32"
ALSA_SEQUENCER = Path("/dev/snd/seq")
_LOOPS = ("midi through",)  # ports of the system that lead nowhere by themselves


class InputPort(Protocol):
    """The part of a mido port that listening needs."""

    def iter_pending(self) -> Iterator[mido.Message]:
        """Yields the messages since the last call; never waits."""
        ...


class PortNames(NamedTuple):
    """The ports of this machine."""

    outputs: list[str]
    inputs: list[str]


def port_names() -> PortNames:
    """Returns the names of all ports. Raises SettingError if there is no library or no MIDI system."""
    _check_system()
    try:
        return PortNames(mido.get_output_names(), mido.get_input_names())
    except OSError as err:
        raise _no_system(err) from err


@contextmanager
def output_port(name: str | None) -> Iterator[tuple[OutputPort, str]]:
    """Opens the port to play to; gives it with its name, and closes it.

    Raises:
        SettingError: there is no such port, or several, no library or no MIDI system.
    """
    names = port_names().outputs
    if name is None:
        found = [each for each in names if not each.lower().startswith(_LOOPS)]
        if not found and HAS_VIRTUAL:
            with _opened(mido.open_output, VIRTUAL_NAME, is_virtual=True) as port:
                yield port, f"{VIRTUAL_NAME} (virtual)"
            return
        if len(found) != 1:
            raise SettingError("--port: needed, for there is not just one port", hint=_known(names))
        name = found[0]
    chosen = choose_port(name, names, option="--port")
    with _opened(mido.open_output, chosen, is_virtual=False) as port:
        yield port, chosen


@contextmanager
def input_port(name: str) -> Iterator[InputPort]:
    """Opens a port to listen to, and closes it. Raises SettingError as `output_port` does."""
    chosen = choose_port(name, port_names().inputs, option="--input")
    with _opened(mido.open_input, chosen, is_virtual=False) as port:
        yield port


def choose_port(name: str, names: Sequence[str], *, option: str) -> str:
    """Returns the one of `names` that equals a name, or else the one that contains it, in any case of letters.

    Raises SettingError, which names the option, if there is none, or more than one.
    """
    if name in names:
        return name
    found = [each for each in names if name.lower() in each.lower()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise SettingError(f"{option}: no such port ({name})", hint=_known(names))
    raise SettingError(f"{option}: not the name of one port ({name})", hint=_known(found))


@contextmanager
def _opened(open_port: Callable[..., Any], name: str, *, is_virtual: bool) -> Iterator[Any]:
    try:
        port = open_port(name, virtual=is_virtual)
    except (OSError, ValueError, NotImplementedError) as err:
        raise SettingError(f"{name}: the port cannot be opened ({err})") from err
    with port:
        yield port


def _check_system() -> None:
    """Raises SettingError if the machine can have no ports, before a C library prints its own error."""
    try:
        mido.backend.load()
    except ImportError as err:
        raise SettingError(f"MIDI ports: need python-rtmidi ({err.name})", hint='pip install "gen-rnn[live]"') from err
    is_alsa = sys.platform == "linux" and mido.backend.name == DEFAULT_BACKEND and mido.backend.api is None
    if is_alsa and not ALSA_SEQUENCER.exists():
        raise _no_system(f"{ALSA_SEQUENCER} is missing")


def _no_system(why: object) -> SettingError:
    return SettingError(
        f"MIDI ports: this machine has no MIDI system ({why})",
        hint="on Linux: modprobe snd-seq; or write a file: gen sample RUN --out tune.mid",
    )


def _known(names: Sequence[str]) -> str:
    return f"ports: {', '.join(names)}" if names else "there is no port; a synthesiser or an instrument brings one"
