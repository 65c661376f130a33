"""The assignment of programs to MIDI's sixteen channels while music is drawn.

Drums play on channel 10. Every other program has a channel of its own, until there are sixteen programs: the sixteenth
takes the channel that has been silent longest, or, if all sound, the one used least recently.
"""

from collections.abc import Set as AbstractSet

from gen.music.midi.protocol import CHANNELS, DRUM_CHANNEL

PITCHED_CHANNELS = tuple(channel for channel in range(CHANNELS) if channel != DRUM_CHANNEL)


class Channels:
    """Assigns channels, numbered from 0."""

    def __init__(self) -> None:
        self._programs: dict[int, int] = {}  # by channel; the channel used last stands last

    def used(self) -> list[int]:
        """Returns the channels that have played."""
        return sorted(self._programs)

    def take(self, program: int, *, is_drum: bool, busy: AbstractSet[int]) -> tuple[int, bool]:
        """Returns the channel for a note that begins, and whether it needs a program change.

        Args:
            program: of General MIDI; of drums the kit.
            is_drum: True for the drum channel.
            busy: the channels on which notes sound.
        """
        channel = DRUM_CHANNEL if is_drum else self._pitched(program, busy)
        is_new = self._programs.pop(channel, None) != program
        self._programs[channel] = program
        return channel, is_new

    def rest(self, channel: int) -> None:
        """Records that a note of the channel has ended."""
        self._programs[channel] = self._programs.pop(channel)

    def _pitched(self, program: int, busy: AbstractSet[int]) -> int:
        used = [channel for channel in self._programs if channel != DRUM_CHANNEL]
        if own := [channel for channel in used if self._programs[channel] == program]:
            return own[0]
        if unused := [channel for channel in PITCHED_CHANNELS if channel not in used]:
            return unused[0]
        return next((channel for channel in used if channel not in busy), used[0])
