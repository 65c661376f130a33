"""Replaces the instruments of a primer that a model does not know by instruments that it knows."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gen.codec import Adapted
from gen.music.score import Score, Track
from gen.music.views.instruments import instrument_name

FAMILY: Final = 8  # programs, as General MIDI groups them
_DRUMS = "drums"
_MAX_NAMED = 3


def played_by(score: Score, *, programs: Collection[int], has_drums: bool) -> Adapted[Score]:
    """Returns a score for the instruments that a model knows.

    An unknown program becomes the nearest known one. If no program is known, pitched notes are left out; if drums are
    unknown, drums are. A score that would become empty stays unchanged.

    Args:
        score: any.
        programs: that the model knows.
        has_drums: whether it knows drums.
    """
    tracks = [track for track in score.tracks if len(track.notes)]
    asked = sorted({track.program for track in tracks if not track.is_drum})
    substitutes = {program: nearest(program, programs) for program in asked if programs and program not in programs}
    left_out = [instrument_name(program) for program in asked if not programs]
    if not has_drums and any(track.is_drum for track in tracks):
        left_out.append(_DRUMS)
    if not substitutes and not left_out:
        return Adapted(score, ())
    kept = [track for track in tracks if (has_drums if track.is_drum else programs)] or tracks
    played = tuple(_played(track, substitutes) for track in kept)
    return Adapted(replace(score, tracks=played), tuple(_lines(substitutes, left_out)))


def nearest(program: int, known: Collection[int]) -> int:
    """Returns the known program nearest to another: of its family, or of the family nearest to it."""
    return min(known, key=lambda other: (abs(other // FAMILY - program // FAMILY), abs(other - program), other))


def _played(track: Track, substitutes: Mapping[int, int]) -> Track:
    return track if track.is_drum else replace(track, program=substitutes.get(track.program, track.program))


def _lines(substitutes: Mapping[int, int], left_out: Sequence[str]) -> Iterator[str]:
    by_substitute: defaultdict[int, list[str]] = defaultdict(list)
    for program, substitute in substitutes.items():
        by_substitute[substitute].append(instrument_name(program))
    for substitute, names in by_substitute.items():
        whose = "its" if len(names) == 1 else "their"
        yield f"{_listed(names)}: {instrument_name(substitute)} goes on in {whose} place"
    if left_out:
        yield f"{_listed(left_out)}: it goes on without"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _MAX_NAMED:
        names = [*names[: _MAX_NAMED - 1], f"{len(names) - _MAX_NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
