"""What is done with MIDI that says more, or other, than one stream of pitches: every rule stands here.

Each rule that bears on a file is counted under the name in quotes; `REPAIRS` are those that mend something.

Refused, with the reason (`gen.music.midi.chunks`, `gen.music.midi.read`): no regular file, no `MThd`, a header that is
not whole, more than `MAX_BYTES`, a type above 2, division 0 or an SMPTE division that is none, no track, no sound note,
a last note past `MAX_SECONDS`. Where a corpus is prepared, also what takes more time or memory than one file may.

Read as far as it is sound (`gen.music.midi.chunks`, `gen.music.midi.events`, `gen.music.midi.read`):
- The MIDI file in a RIFF of the form RMID is the file; what the RIFF says about lengths is believed only where it can
  be. Before the header, up to 4 KiB are passed over if it is one of six bytes: "bytes before the header".
- A header longer than 6 bytes is read for its first six. One that promises no tracks is not believed.
- Chunks of unknown names, bytes between chunks that are none, tracks beyond the promised number or beyond `MAX_TRACKS`:
  "chunks skipped". Bytes after the last: "bytes after the end".
- Fewer tracks than promised: "tracks missing", the ones that are there are read.
- A track whose length leads neither to another chunk nor to the end of the file ends where an end of track stands
  before another track or for the last time; without one, at its length or with the file: "wrong lengths of tracks".
- A track that breaks keeps what came before: an event that goes past its end, a status that MIDI does not define, a
  data byte where no status came before, a number of over 4096 bytes, time past `MAX_TICKS`: "tracks cut short". What
  an event holds that is of no use here is not looked at.
- Data bytes over 127 are read as 127: "files with data bytes over 127".
- A tempo, time or key signature of too few bytes is left out: "meta events too short". So is a tempo of 0: "tempos of
  0"; a metre of no notes or of notes shorter than 1/`MAX_DENOMINATOR`: "impossible metres"; a key of more than 7 sharps
  or flats, or of a mode other than major and minor: "impossible keys".
- Of a file of independent patterns (type 2) the first that has a note-on is read, for together they are no piece:
  "patterns left out".
- Time in SMPTE frames becomes beats of a second, at 29.97 frames a second of 1.001 s, which is exact; such a file's
  tempo events say nothing, by the standard, and are left out: "files in SMPTE time", no repair.

Channels:
- A channel is one of the sixteen of a port (`gen.music.midi.devices`): what has a channel of another port is of another
  channel. Ports past `MAX_PORTS` count as the last; more than `MAX_VOICES` channels of tracks are refused.
- Channel 10 of each port plays drums, and others do where the file says so (`gen.music.midi.parts`).
- Bends, controllers, pressures, texts and the like are counted by kind (`gen.music.midi.census`): "pitch bends left
  out" and so on where a codec does not use them, which mends nothing. Of two tempos, time signatures or key signatures
  at one tick the earlier is left out; a change of program with no pitched note until the next one likewise.

Mended while reading:
- A note-off ends the oldest sounding note of its track, channel and pitch. With none: "stray note-offs", no repair
  since nothing is lost.
- A note whose off is missing lasts until the next note-on of that pitch, the end of its track, or for one beat,
  whichever is first, but not less than the notes of that pitch before it: "notes without an end".
- A note that ends at the tick where it starts is given one tick: "notes of length 0".

Sustain pedal: down from a controller 64 value of 64 or more until one below; without one, until the last note-off of
its channel. It acts on a channel in all tracks. A note whose off falls in the span [down, up) sounds until the pedal
rises or its pitch is struck again, whichever is first: "notes held by the pedal".

"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gen.music.score import PedalSpan, Track, differences

VERSION = 3  # of these rules and those of the layouts of codecs; stores made by another version are made anew
MAX_BYTES = 8 << 20  # events and notes take up to a hundred times the bytes of the file; few files pass 1 MiB
MAX_TRACKS = 4096  # each costs up to 16 voices; real files have some dozens
MAX_PORTS = 256  # what a port prefix can number
MAX_VOICES = 16 * MAX_TRACKS  # channels of all tracks that have notes
MAX_TICKS = 2**31 - 1  # where other readers wrap around to negative time
MAX_SECONDS = 24 * 3600
MAX_DENOMINATOR = 64

NOTES = "notes"
CHUNKS_SKIPPED = "chunks skipped"
BYTES_AFTER_END = "bytes after the end"
BYTES_BEFORE_HEADER = "bytes before the header"
TRACKS_MISSING = "tracks missing"
LENGTHS_WRONG = "wrong lengths of tracks"
TRACKS_CUT = "tracks cut short"
METAS_LEFT_OUT = "meta events too short"
TEMPOS_LEFT_OUT = "tempos of 0"
METRES_LEFT_OUT = "impossible metres"
KEYS_LEFT_OUT = "impossible keys"
PATTERNS_LEFT_OUT = "patterns left out"
SMPTE_TIME = "files in SMPTE time"
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

REPAIRS = frozenset(
    {
        CHUNKS_SKIPPED,
        BYTES_AFTER_END,
        BYTES_BEFORE_HEADER,
        TRACKS_MISSING,
        LENGTHS_WRONG,
        TRACKS_CUT,
        METAS_LEFT_OUT,
        TEMPOS_LEFT_OUT,
        METRES_LEFT_OUT,
        KEYS_LEFT_OUT,
        PATTERNS_LEFT_OUT,
        DATA_CLIPPED,
        WITHOUT_END,
        LENGTH_0,
        OVERLAPS,
        SILENCES,
    }
)

Ints = NDArray[np.int64]


def pair_notes(
    voices: Ints,
    ticks: Ints,
    pitches: NDArray[np.uint8],
    velocities: NDArray[np.uint8],
    *,
    end_ticks: Ints,
    ticks_per_beat: int,
) -> tuple[Ints, Ints, NDArray[np.bool_], Counter[str]]:
    """Returns the notes of all voices of a file, and what was found.

    Args:
        voices: (N,) which track and channel each event is of, as a number from 0; events are in the order of the file.
        velocities: (N,) 0 is a note-off.
        end_ticks: by voice, the last tick of its track.

    Returns:
        The voices (M,) of the notes, their columns (4, M) as in `Notes`, both in ascending order, whether each has a
        note-off (M,), and the findings.
    """
    keys = voices << 7 | pitches
    order = np.argsort(keys.astype(np.min_scalar_type(keys.max(initial=0))), kind="stable")  # 16 bits sort by radix
    keys, ticks, velocities = keys[order], ticks[order], velocities[order]
    groups = np.cumsum(differences(keys, before=-1) != 0) - 1  # the events of one voice and pitch, in time order
    is_on = velocities > 0
    is_stray = _stray_offs(groups, is_on)
    is_off = ~(is_on | is_stray)

    onsets, owners = ticks[is_on], groups[is_on]
    has_off = _ranks(owners) < np.bincount(groups[is_off], minlength=len(keys))[owners]
    stops = np.empty_like(onsets)
    stops[has_off] = ticks[is_off]  # without the strays, the first off of a group is that of its first on, and so on
    last_offs = np.zeros(len(keys), np.int64)
    last_offs[groups[is_off]] = ticks[is_off]  # by group: a later one overwrites
    rest, rest_owners = onsets[~has_off], owners[~has_off]
    is_last = np.ones(len(rest), bool)
    is_last[:-1] = rest_owners[1:] != rest_owners[:-1]
    limits = np.where(is_last, end_ticks[keys[is_on][~has_off] >> 7], np.append(rest[1:], 0))
    limits = np.minimum(limits, rest + ticks_per_beat)
    stops[~has_off] = np.maximum.reduce((rest + 1, limits, last_offs[rest_owners]))

    findings = Counter(
        {
            STRAY_OFFS: int(is_stray.sum()),
            WITHOUT_END: len(rest),
            LENGTH_0: int((stops == onsets).sum()),
        }
    )
    columns = np.stack((onsets, np.maximum(stops - onsets, 1), keys[is_on] & 0x7F, velocities[is_on]))
    order = np.lexsort((columns[1] << 14 | columns[2] << 7 | columns[3], keys[is_on] >> 7 << 32 | onsets))
    return (keys[is_on] >> 7)[order], columns[:, order], has_off[order], findings


def pedal_spans(changes: ArrayLike, *, end_ticks: int) -> tuple[PedalSpan, ...]:
    """Returns when the pedal of one channel is down.

    Args:
        changes: (N, 2) tick and value of controller 64 in time order.
        end_ticks: where a pedal that is never lifted goes up.
    """
    ticks, values = np.asarray(changes, dtype=np.int64).reshape(-1, 2).T
    turns = ticks[np.diff(values >= 64, prepend=False)]  # down, up, down ...
    if len(turns) % 2:
        turns = np.append(turns, end_ticks)
    downs, ups = turns.reshape(-1, 2).T
    is_span = ups > downs
    return tuple(map(PedalSpan, downs[is_span].tolist(), (ups - downs)[is_span].tolist()))


def held_ends(tracks: Sequence[Track]) -> Ints:
    """Returns until when each of the (N,) notes of tracks is held, by its key or by the pedal."""
    pedals = {id(track.pedal): track.pedal for track in tracks}  # one for all tracks of a channel
    spans = {key: np.array(pedal, dtype=np.int64).reshape(-1, 2).T for key, pedal in pedals.items()}
    return np.concatenate([_held(spans[id(track.pedal)], track.columns[0] + track.columns[1]) for track in tracks])


def _stray_offs(groups: Ints, is_on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which of the (N,) events, ordered by group, then time, are note-offs with nothing to end.

    They are those at which the count of note-ons less note-offs falls lower than it ever was in its group.
    """
    count = np.cumsum(np.where(is_on, 1, -1))
    ranks = _ranks(groups)
    before = np.concatenate(([0], count))[np.arange(len(groups)) - ranks]  # all that the groups before add up to
    starts = np.arange(len(groups)) - ranks  # taken off, they put each group below all that came before it
    lowest = np.minimum.accumulate(np.minimum(count - before, 0) - starts)
    return np.asarray(~is_on & (differences(lowest) < 0))


def _ranks(groups: Ints) -> Ints:
    """Returns the place of each of the (N,) elements within its group; groups stand in ascending order."""
    sizes = np.bincount(groups)
    return np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _held(spans: Ints, end_ticks: Ints) -> Ints:
    """Returns until when the pedal holds each of a track's (N,) notes; where it does not, when the key goes up.

    Args:
        spans: (2, S) when the pedal goes down, and how long it stays there.
    """
    if not spans.size:
        return end_ticks
    starts, lengths = spans
    place = np.searchsorted(starts, end_ticks, side="right") - 1
    up = (starts + lengths)[place]  # place -1 is the last span, but the next line leaves it out
    return np.where((place >= 0) & (end_ticks < up), up, end_ticks)
