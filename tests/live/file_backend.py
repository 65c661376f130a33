"""A backend of mido for tests: its output port writes a line a message to the file that `MIDI_LOG` names.

Its input port gives what `PENDING` holds, once. mido takes it by `MIDO_BACKEND` or `mido.set_backend`.
"""

import os
from typing import Any

import mido
from mido.ports import BaseInput, BaseOutput

DEVICES = [
    {"name": "File synth 20:0", "is_input": False, "is_output": True},
    {"name": "Midi Through Port-0 14:0", "is_input": True, "is_output": True},
    {"name": "Keys 24:0", "is_input": True, "is_output": False},
]
PENDING: list[mido.Message] = []


def get_devices(**_: Any) -> list[dict[str, Any]]:
    """Returns the ports, as mido asks for them."""
    return DEVICES


class Output(BaseOutput):  # type: ignore[misc]
    """Writes to the file at once; a message that was sent is there even if the process is killed."""

    def _open(self, *, virtual: bool = False, **_: Any) -> None:
        if self.name == "Taken 9:0":
            raise OSError("already in use")
        self.is_virtual = virtual
        self._file = os.open(os.environ["MIDI_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _send(self, message: mido.Message) -> None:
        os.write(self._file, f"{message}\n".encode())

    def _close(self) -> None:
        os.close(self._file)


class Input(BaseInput):  # type: ignore[misc]
    """Gives the messages of `PENDING`."""

    def _open(self, **_: Any) -> None:
        self._pending = list(PENDING)

    def _receive(self, block: bool = True) -> None:  # noqa: ARG002 - mido says it
        self._messages.extend(self._pending)
        self._pending.clear()
