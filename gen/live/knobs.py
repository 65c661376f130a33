"""Knobs for live music: MIDI controllers or the arrow keys set the temperature and the density."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, Protocol

from gen.codec import Envelope
from gen.config import SamplingConfig

TEMPERATURE_CONTROL: Final = 1  # the modulation wheel, which most keyboards have
CONTROL_OF_ONE: Final = 64  # its middle is temperature 1
DENSITY_CONTROL: Final = 74  # "brightness", a knob of most controllers that have any
MAX_CONTROL: Final = 127
STEPS_OF_ONE: Final = 20  # presses of a key from temperature 0 to 1
MAX_TEMPERATURE: Final = 2.0  # of the keys, as of the wheel

ArrowKey = Literal["up", "down", "right", "left"]


class ControlMessage(Protocol):
    """The part of a mido message that knobs read."""

    @property
    def type(self) -> str: ...
    @property
    def control(self) -> int: ...
    @property
    def value(self) -> int: ...


class Knobs:
    """The settings of sampling that a player changes by hand.

    Args:
        sampling: the settings before the first turn.
        density: the density over the time of a piece until a knob sets it; None for any.
        densities: notes a second that the model knows, ascending; () if it has no control of density.
    """

    def __init__(
        self, sampling: SamplingConfig, *, density: Envelope | None = None, densities: Sequence[float] = ()
    ) -> None:
        self._sampling = sampling
        self._density = density
        self._densities = densities
        self._index: int | None = None  # of the density that a knob has set

    def sampling(self) -> SamplingConfig:
        """Returns the current settings; the method is a `gen.generation.sampling.Steering`."""
        return self._sampling

    @property
    def has_density(self) -> bool:
        """True if the model knows densities."""
        return bool(self._densities)

    @property
    def hand_density(self) -> float | None:
        """The notes a second that a knob has set; None before that."""
        return None if self._index is None else self._densities[self._index]

    def density(self, seconds: float) -> float | str | None:
        """Returns the current density for a time of the piece; the method is a `gen.codec.Envelope`."""
        if self.hand_density is not None:
            return self.hand_density
        return None if self._density is None else self._density(seconds)

    def take(self, message: ControlMessage) -> None:
        """Applies a message of a MIDI input; one of another controller changes nothing."""
        if message.type != "control_change":
            return
        if message.control == TEMPERATURE_CONTROL:
            self._sampling = replace(self._sampling, temperature=message.value / CONTROL_OF_ONE)
        elif message.control == DENSITY_CONTROL and self._densities:
            self._index = round(message.value / MAX_CONTROL * (len(self._densities) - 1))

    def press(self, key: ArrowKey) -> None:
        """Applies a key: up and down change the temperature, right and left the density."""
        if key in ("up", "down"):
            steps = round(self._sampling.temperature * STEPS_OF_ONE) + (1 if key == "up" else -1)
            temperature = min(max(steps / STEPS_OF_ONE, 0.0), MAX_TEMPERATURE)
            self._sampling = replace(self._sampling, temperature=temperature)
        elif self._densities:
            last = len(self._densities) - 1
            index = last // 2 if self._index is None else self._index + (1 if key == "right" else -1)
            self._index = min(max(index, 0), last)
