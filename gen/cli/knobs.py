"""What a hand steers while music plays: temperature and density, by MIDI controllers or by the arrow keys."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from gen.cli.keyboard import ArrowKey
from gen.codec import Envelope
from gen.config import SamplingConfig

TEMPERATURE_CONTROL: Final = 1  # the modulation wheel, which most keyboards have
CONTROL_OF_ONE: Final = 64  # its middle is temperature 1
DENSITY_CONTROL: Final = 74  # "brightness", a knob of most controllers that have any
MAX_CONTROL: Final = 127
STEPS_OF_ONE: Final = 20  # presses of a key from temperature 0 to 1
MAX_TEMPERATURE: Final = 2.0  # of the keys, as of the wheel


class ControlMessage(Protocol):
    """The part of a mido message that knobs look at."""

    @property
    def type(self) -> str: ...
    @property
    def control(self) -> int: ...
    @property
    def value(self) -> int: ...


class Knobs:
    """The settings of sampling as a hand changes them.

    Args:
        sampling: where they stand before the first turn.
        density: what is asked for over the time of a piece until a hand sets it; None for anything.
        densities: notes a second that the model knows, ascending; () where it has no such control.
    """

    def __init__(
        self, sampling: SamplingConfig, *, density: Envelope | None = None, densities: Sequence[float] = ()
    ) -> None:
        self._sampling = sampling
        self._density = density
        self._densities = densities
        self._place: int | None = None  # among the densities, where a hand has set it

    def sampling(self) -> SamplingConfig:
        """Returns the settings as they are now: what `gen.generation.sampling.Steering` is."""
        return self._sampling

    @property
    def has_density(self) -> bool:
        """Whether the model knows densities."""
        return bool(self._densities)

    @property
    def hand_density(self) -> float | None:
        """The notes a second that a hand has set; None before it does."""
        return None if self._place is None else self._densities[self._place]

    def density(self, seconds: float) -> float | str | None:
        """Returns what is asked for now at a time of the piece: what `gen.codec.Envelope` is."""
        if self.hand_density is not None:
            return self.hand_density
        return None if self._density is None else self._density(seconds)

    def take(self, message: ControlMessage) -> None:
        """Takes in a message of a MIDI input; what is no knob of ours changes nothing."""
        if message.type != "control_change":
            return
        if message.control == TEMPERATURE_CONTROL:
            self._sampling = replace(self._sampling, temperature=message.value / CONTROL_OF_ONE)
        elif message.control == DENSITY_CONTROL and self._densities:
            self._place = round(message.value / MAX_CONTROL * (len(self._densities) - 1))

    def press(self, key: ArrowKey) -> None:
        """Takes in a key: up and down are for the temperature, right and left for the density."""
        if key in ("up", "down"):
            steps = round(self._sampling.temperature * STEPS_OF_ONE) + (1 if key == "up" else -1)
            temperature = min(max(steps / STEPS_OF_ONE, 0.0), MAX_TEMPERATURE)
            self._sampling = replace(self._sampling, temperature=temperature)
        elif self._densities:
            last = len(self._densities) - 1
            place = last // 2 if self._place is None else self._place + (1 if key == "right" else -1)
            self._place = min(max(place, 0), last)
