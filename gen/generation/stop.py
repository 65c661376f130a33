"""Ends a stream of text before a given string, holding back no more than may be its beginning."""

from collections.abc import Iterator

from gen.errors import SettingError


def stop_at(pieces: Iterator[str], stop: str) -> Iterator[str]:
    """Yields the text of the pieces up to the first `stop`, which is left out; pulls nothing after it.

    What cannot be part of `stop` is yielded at once. Raises SettingError if `stop` is empty.
    """
    if not stop:
        raise SettingError("--stop: must not be empty ('')", hint="leave the option out to go on")
    return _until(pieces, stop)


def _until(pieces: Iterator[str], stop: str) -> Iterator[str]:
    held = ""
    for piece in pieces:
        held += piece
        found = held.find(stop)
        num_certain = found if found >= 0 else len(held) - _overlap(held, stop)
        if num_certain:
            yield held[:num_certain]
        if found >= 0:
            return
        held = held[num_certain:]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """Returns how many of the last characters of `text` are the beginning of `stop`; fewer than all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
