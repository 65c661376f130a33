"""The end of a streamed text before the first of several given strings, the stops.

The stop that is complete first ends the text; of several that are complete at the same character, the longest. Text is
held back only while it may be the beginning of a stop.
"""

from collections.abc import Iterator, Sequence

from gen.errors import SettingError


def stop_at(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """Yields the text of the pieces up to the first stop, without it; pulls no piece after it.

    Text that cannot be part of a stop is yielded at once. Raises SettingError if a stop is empty.
    """
    if not all(stops):
        raise SettingError("--stop: must not be empty ('')", hint="leave the option out to go on")
    return _until(pieces, stops)


def _until(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        held += piece
        found = _first(held, stops)
        num_certain = len(held) - max((_overlap(held, stop) for stop in stops), default=0) if found is None else found
        if num_certain:
            yield held[:num_certain]
        if found is not None:
            return
        held = held[num_certain:]
    if held:
        yield held


def _first(text: str, stops: Sequence[str]) -> int | None:
    """Returns the index at which the stop begins that is complete first; None if none is complete."""
    found = [(text.find(stop), len(stop)) for stop in stops]
    ends = [(start + length, start) for start, length in found if start >= 0]
    return min(ends)[1] if ends else None


def _overlap(text: str, stop: str) -> int:
    """Returns the number of last characters of `text` that are the beginning of `stop`; fewer than all of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
