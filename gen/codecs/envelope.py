"""Envelopes of controls: a value over time, given as `4`, or as points in `0:2 30s:8`.

A point is TIME:VALUE, the time in seconds from the start of the piece, ascending. The value of the first point holds
before it, that of the last point after it. Numbers are interpolated linearly between points; names, and `any`, hold
until the next point.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gen.codec import Controls, Envelope
from gen.errors import SettingError
from gen.music.keys import key_number

ANY = "any"
CONTROLS = ("density", "key")  # in the order of their tokens


def read_envelopes(given: Mapping[str, Envelope | str | float], trained: Controls | None) -> dict[str, Envelope]:
    """Returns an envelope for each control of which something is asked.

    Args:
        given: by the name of the control, an envelope, its points as text, or one value for all the time.
        trained: the controls that the model was trained with.

    Raises:
        SettingError: a control is unknown or not trained, or its points cannot be read.
    """
    names = trained.names if trained else ()
    for name in given:
        if name not in CONTROLS:
            raise SettingError(f"controls: unknown ({name})", hint=f"there are {', '.join(CONTROLS)}")
        if name not in names:
            raise SettingError(
                f"--{name}: the model was not trained with it (its controls: {', '.join(names) or 'none'})",
                hint=f"gen train CORPUS --controls {name}",
            )
    return {name: asked if callable(asked) else read_envelope(name, str(asked)) for name, asked in given.items()}


def read_envelope(name: str, text: str) -> Envelope:
    """Returns the envelope that a text describes. Raises SettingError, which names the point."""
    read_value = _READERS[name]
    words = text.split()
    if len(words) == 1 and ":" not in text:
        return _Points((0.0,), (read_value(words[0]),))
    times: list[float] = []
    values: list[float | str | None] = []
    for number, word in enumerate(words, 1):
        time, colon, value = word.partition(":")
        seconds = _number(time.removesuffix("s"))
        if not colon or seconds is None or seconds < 0:
            raise SettingError(
                f"--{name}: point {number} is not TIME:VALUE ({word})", hint='as in "0:2 30s:8", in seconds'
            )
        if times and seconds <= times[-1]:
            raise SettingError(f"--{name}: point {number} is not after the one before ({word})")
        times.append(seconds)
        values.append(read_value(value))
    if not times:
        raise SettingError(f"--{name}: empty", hint=f'give one value, or points as in "0:{ANY} 30s:{ANY}"')
    return _Points(tuple(times), tuple(values))


@dataclass(frozen=True, slots=True)
class _Points:
    """An envelope through points: numbers are interpolated, other values hold until the next point."""

    times: tuple[float, ...]
    values: tuple[float | str | None, ...]

    def __call__(self, seconds: float) -> float | str | None:
        index = bisect_right(self.times, seconds)
        before = self.values[max(index - 1, 0)]
        if index in (0, len(self.times)):
            return before
        after = self.values[index]
        if not isinstance(before, float) or not isinstance(after, float):
            return before
        share = (seconds - self.times[index - 1]) / (self.times[index] - self.times[index - 1])
        return before + share * (after - before)


def _number(text: str) -> float | None:
    """Returns the finite number in a text, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _density(text: str) -> float | None:
    if text == ANY:
        return None
    density = _number(text)
    if density is None or density <= 0:
        raise SettingError(f"--density: neither a number of notes a second above 0 nor {ANY} ({text})")
    return density


def _key(text: str) -> str | None:
    if text == ANY:
        return None
    key_number(text)
    return text


_READERS: dict[str, Callable[[str], float | str | None]] = {"density": _density, "key": _key}
