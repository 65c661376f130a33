"""Which of MIDI's sixteen channels plays which program while music is made up as it goes.

Drums play on channel 10. Every other program has a channel; a sixteenth takes over the one that has been silent for
longest, and if all sound the one that was used least lately.
"""

from collections.abc import Set as AbstractSet

from gen.music.midi.protocol import CHANNELS, DRUM_CHANNEL

PITCHED_CHANNELS = tuple(channel for channel in range(CHANNELS) if channel != DRUM_CHANNEL)


class Channels:
    """Hands out channels, which are counted from 0."""

    def __init__(self) -> None:
        self._programs: dict[int, int] = {}  # by channel, the one that was used last at the end

    def used(self) -> list[int]:
        """Returns the channels that were played on."""
        return sorted(self._programs)

    def take(self, program: int, *, is_drum: bool, busy: AbstractSet[int]) -> tuple[int, bool]:
        """Returns the channel for a note that begins, and whether the program is new to the channel.

        Args:
            program: General MIDI, of drums the kit.
            is_drum: whether it is for the drum channel.
            busy: the channels on which notes sound.
        """
        channel = DRUM_CHANNEL if is_drum else self._pitched(program, busy)
        is_new = self._programs.pop(channel, None) != program
        self._programs[channel] = program
        return channel, is_new

    def rest(self, channel: int) -> None:
        """Takes note that a note has ended."""
        self._programs[channel] = self._programs.pop(channel)

    def _pitched(self, program: int, busy: AbstractSet[int]) -> int:
        used = [channel for channel in self._programs if channel != DRUM_CHANNEL]
        if own := [channel for channel in used if self._programs[channel] == program]:
            return own[0]
        if unused := [channel for channel in PITCHED_CHANNELS if channel not in used]:
            return unused[0]
        return next((channel for channel in used if channel not in busy), used[0])
