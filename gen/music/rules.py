"""What is done with MIDI that says more, or other, than one stream of pitches: every rule stands here.

Each rule that bears on a file is counted under the name in quotes; `REPAIRS` are those that mend something.

Refused, with the reason (`gen.music.midi`): no regular file, no `MThd`, more than `MAX_BYTES`, truncated, fewer tracks
than promised or none, type 2 of several tracks or a type above 2, division 0 or SMPTE, tempo 0, whatever mido cannot
parse (such as a key signature of 11 sharps), a track past `MAX_TICKS`, a last note past `MAX_SECONDS`, no notes.

Mended while reading:
- Unknown chunks, tracks beyond the promised number: "chunks skipped". Bytes after the last: "bytes after the end".
- Data bytes over 127 are read as 127: "files with data bytes over 127".
- A note-off ends the oldest sounding note of its track, channel and pitch. With none: "stray note-offs", no repair
  since nothing is lost.
- A note whose off is missing lasts until the next note-on of that pitch, the end of its track, or for one beat,
  whichever is first, but not less than the notes of that pitch before it: "notes without an end".
- A note that ends at the tick where it starts is given one tick: "notes of length 0".

Sustain pedal: down from a controller 64 value of 64 or more until one below; without one, until the last note-off of
its channel. It acts on a channel in all tracks. A note whose off falls in the span [down, up) sounds until the pedal
rises or its pitch is struck again, whichever is first: "notes held by the pedal".

One stream of pitches on a grid of frames (`lay_out`):
- Onsets and ends are rounded to the nearest frame from the start of the piece, so errors never add up. A note keeps
  at least one frame.
- Notes on the drum channel are left out, or for a drum codec all others: "drum notes left out", "pitched notes left
  out". All programs become one: "programs merged" counts them where there are two or more.
- Notes of equal pitch and onset frame become one, the loudest, that lasts as long as the longest: "unisons joined".
- A key struck while its pitch sounds ends the note before: "overlapping notes cut" where both are of one track,
  "notes cut by another voice" where they are not, which is no fault of the file.
- A silence longer than `MAX_SILENCE_SECONDS`, also before the first note, is cut to it: "silences cut".
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.score import Note, PedalSpan, Score, Track

MAX_BYTES = 8 << 20  # mido's messages take 170 times the bytes of the file; ordinary files stay below 1 MiB
MAX_TICKS = 2**31 - 1  # where other readers wrap around to negative time
MAX_SECONDS = 24 * 3600
MAX_SILENCE_SECONDS = 10

NOTES = "notes"
CHUNKS_SKIPPED = "chunks skipped"
BYTES_AFTER_END = "bytes after the end"
DATA_CLIPPED = "files with data bytes over 127"
STRAY_OFFS = "stray note-offs"
WITHOUT_END = "notes without an end"
LENGTH_0 = "notes of length 0"
PEDALLED = "notes held by the pedal"
DRUMS_LEFT_OUT = "drum notes left out"
PITCHED_LEFT_OUT = "pitched notes left out"
PROGRAMS_MERGED = "programs merged"
UNISONS = "unisons joined"
OVERLAPS = "overlapping notes cut"
VOICE_CUTS = "notes cut by another voice"
SILENCES = "silences cut"

REPAIRS = frozenset({CHUNKS_SKIPPED, BYTES_AFTER_END, DATA_CLIPPED, WITHOUT_END, LENGTH_0, OVERLAPS, SILENCES})

Ints = NDArray[np.int64]


class Layout(NamedTuple):
    """One stream of pitches on a grid of frames: (N,) arrays in ascending order of onset, then pitch.

    No pitch sounds twice at once, no note is shorter than a frame, no silence longer than the limit.
    `cut_seconds` (C, 2) lists the silences that were cut: when in the score the silence ended, how much went.
    """

    onset_frames: Ints
    end_frames: Ints
    pitches: Ints
    velocities: Ints
    cut_seconds: NDArray[np.float64]
    findings: Counter[str]


class _Sounding(NamedTuple):
    """The notes of a score in frames, not yet settled: (N,) arrays."""

    onset_frames: Ints
    end_frames: Ints  # the key goes up
    held_frames: Ints  # the pedal lets go of it; end_frames where no pedal holds it
    pitches: Ints
    velocities: Ints
    voices: Ints  # which track each is of


def pair_notes(
    events: Iterable[tuple[int, int, int]], *, end_ticks: int, ticks_per_beat: int
) -> tuple[list[Note], Counter[str]]:
    """Returns the notes of one track and channel, sorted, and what was found.

    Args:
        events: (tick, pitch, velocity) in the order of the file; velocity 0 is a note-off.
        end_ticks: the last tick of the track.
    """
    notes: list[Note] = []
    findings: Counter[str] = Counter()
    last_off: dict[int, int] = {}
    waiting: defaultdict[int, deque[tuple[int, int]]] = defaultdict(deque)
    for tick, pitch, velocity in events:
        if velocity:
            waiting[pitch].append((tick, velocity))
        elif waiting[pitch]:
            onset, struck = waiting[pitch].popleft()
            findings[LENGTH_0] += tick == onset
            notes.append(Note(onset, max(1, tick - onset), pitch, struck))
            last_off[pitch] = tick
        else:
            findings[STRAY_OFFS] += 1
    for pitch, rest in waiting.items():
        findings[WITHOUT_END] += len(rest)
        onsets = [onset for onset, _ in rest] + [end_ticks]
        for (onset, struck), limit in zip(rest, onsets[1:], strict=True):
            stop = max(onset + 1, min(limit, onset + ticks_per_beat), last_off.get(pitch, 0))
            notes.append(Note(onset, stop - onset, pitch, struck))
    return sorted(notes), findings


def pedal_spans(changes: Iterable[tuple[int, int]], *, end_ticks: int) -> tuple[PedalSpan, ...]:
    """Returns when the pedal of one channel is down.

    Args:
        changes: (tick, value of controller 64) in time order.
        end_ticks: where a pedal that is never lifted goes up.
    """
    spans: list[PedalSpan] = []
    down: int | None = None
    for tick, value in changes:
        if value >= 64 and down is None:
            down = tick
        elif value < 64 and down is not None:
            if tick > down:
                spans.append(PedalSpan(down, tick - down))
            down = None
    if down is not None and end_ticks > down:
        spans.append(PedalSpan(down, end_ticks - down))
    return tuple(spans)


def lay_out(score: Score, *, is_drums: bool, frames_per_second: int) -> Layout:
    """Returns a score as one stream of pitches on a grid of frames, by the rules above."""
    kept = [track for track in score.tracks if track.is_drum == is_drums and track.notes]
    findings: Counter[str] = Counter()
    left_out = score.num_notes - sum(len(track.notes) for track in kept)
    findings[PITCHED_LEFT_OUT if is_drums else DRUMS_LEFT_OUT] = left_out
    programs = {track.program for track in kept}
    findings[PROGRAMS_MERGED] = len(programs) if len(programs) > 1 else 0
    if not kept:
        nothing = np.zeros(0, np.int64)
        return Layout(nothing, nothing, nothing, nothing, np.zeros((0, 2)), +findings)
    parts = [_sounding(score, track, voice, frames_per_second=frames_per_second) for voice, track in enumerate(kept)]
    merged = _Sounding(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    (onsets, ends, pitches, velocities), settled = _settle(merged)
    findings += settled
    removed, cuts = _cut_silences(onsets, ends, frames_per_second=frames_per_second)
    findings[SILENCES] = len(cuts)
    findings[NOTES] = len(onsets)
    return Layout(onsets - removed, ends - removed, pitches, velocities, cuts, +findings)


def _sounding(score: Score, track: Track, voice: int, *, frames_per_second: int) -> _Sounding:
    onset_ticks, durations, pitches, velocities = np.array(track.notes, dtype=np.int64).T
    end_ticks = onset_ticks + durations
    held_ticks = end_ticks
    if track.pedal:
        starts, spans = np.array(track.pedal, dtype=np.int64).T
        place = np.searchsorted(starts, end_ticks, side="right") - 1
        up = (starts + spans)[place]  # place -1 is the last span, but the next line leaves it out
        held_ticks = np.where((place >= 0) & (end_ticks < up), up, end_ticks)

    def frames(ticks: Ints) -> Ints:
        return np.asarray(np.floor(score.seconds(ticks) * frames_per_second + 0.5), dtype=np.int64)

    onsets = frames(onset_ticks)
    ends = np.maximum(frames(end_ticks), onsets + 1)
    return _Sounding(
        onsets, ends, np.maximum(frames(held_ticks), ends), pitches, velocities, np.full_like(onsets, voice)
    )


def _settle(notes: _Sounding) -> tuple[tuple[Ints, Ints, Ints, Ints], Counter[str]]:
    """Joins unisons, cuts each note at the next of its pitch.

    Returns:
        Onsets, ends, pitches, velocities in order, and what was found.
    """
    order = np.lexsort((notes.onset_frames, notes.pitches))
    onsets, ends, held, pitches, velocities, voices = (array[order] for array in notes)
    is_first = np.ones(len(onsets), dtype=bool)
    is_first[1:] = (pitches[1:] != pitches[:-1]) | (onsets[1:] != onsets[:-1])
    first = np.flatnonzero(is_first)
    num_joined = len(onsets) - len(first)
    onsets, pitches, voices = onsets[first], pitches[first], voices[first]
    ends, held, velocities = (np.maximum.reduceat(array, first) for array in (ends, held, velocities))

    limit = np.full(len(onsets), np.iinfo(np.int64).max)
    limit[:-1] = np.where(pitches[1:] == pitches[:-1], onsets[1:], limit[:-1])
    is_cut = ends > limit
    is_same_voice = np.append(voices[1:] == voices[:-1], False)
    until = np.minimum(held, limit)
    findings = Counter(
        {
            UNISONS: num_joined,
            OVERLAPS: int(np.count_nonzero(is_cut & is_same_voice)),
            VOICE_CUTS: int(np.count_nonzero(is_cut & ~is_same_voice)),
            PEDALLED: int(np.count_nonzero(until > ends)),
        }
    )
    order = np.lexsort((pitches, onsets))
    return (onsets[order], until[order], pitches[order], velocities[order]), findings


def _cut_silences(onsets: Ints, ends: Ints, *, frames_per_second: int) -> tuple[Ints, NDArray[np.float64]]:
    """Returns how many frames each of the (N,) notes moves forward, and the cuts as in `Layout`."""
    sounding_until = np.concatenate(([0], np.maximum.accumulate(ends)[:-1]))
    excess = np.maximum(0, onsets - sounding_until - MAX_SILENCE_SECONDS * frames_per_second)
    at = np.flatnonzero(excess)
    cuts = np.stack((onsets[at], excess[at]), axis=1) / frames_per_second
    return np.cumsum(excess), cuts
