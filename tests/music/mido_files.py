"""Random MIDI files written by mido, and what mido reads in a file: a reader that shares nothing with ours."""

import io
from collections import Counter, defaultdict, deque
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import mido
from hypothesis import strategies as st

DRUMS = 9

sevens = st.integers(0, 127)
channels = st.sampled_from((0, 1, 2, DRUMS, 15))
pitches = st.sampled_from((0, 36, 60, 61, 127))  # few, so that they meet
velocities = st.sampled_from((0, 1, 64, 127))
latin = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=4)
blobs = st.lists(sevens, max_size=5).map(tuple)
deltas = st.one_of(st.just(0), st.integers(0, 300), st.sampled_from((127, 128, 16383, 24576)))


def channel(kind: str, **fields: Any) -> st.SearchStrategy[mido.Message]:
    return st.builds(mido.Message, st.just(kind), channel=channels, **fields)


def meta(kind: str, **fields: Any) -> st.SearchStrategy[mido.MetaMessage]:
    return st.builds(mido.MetaMessage, st.just(kind), **fields)


notes = st.one_of(
    channel("note_on", note=pitches, velocity=velocities),
    channel("note_off", note=pitches, velocity=sevens),
)
others = st.one_of(
    channel("control_change", control=st.sampled_from((7, 64, 64)), value=sevens),
    channel("program_change", program=st.integers(0, 3)),
    channel("pitchwheel", pitch=st.integers(-8192, 8191)),
    channel("aftertouch", value=sevens),
    channel("polytouch", note=pitches, value=sevens),
    meta("set_tempo", tempo=st.integers(1, 2_000_000)),
    meta("time_signature", numerator=st.integers(1, 255), denominator=st.sampled_from((1, 2, 8, 64))),
    meta("key_signature", key=st.sampled_from(("C", "Cb", "C#", "F#m", "Abm", "A#m", "Gm"))),
    meta("track_name", name=latin),
    meta("lyrics", text=latin),
    meta("sequencer_specific", data=blobs),
    meta("midi_port", port=sevens),
    st.builds(mido.Message, st.just("sysex"), data=blobs),
    st.builds(mido.Message, st.just("songpos"), pos=st.integers(0, 16383)),
    st.builds(mido.Message, st.just("song_select"), song=sevens),
)
unknown = st.builds(mido.UnknownMetaMessage, st.just(0x60), blobs)  # at once: mido forgets the time before it
timed = st.tuples(deltas, st.one_of(notes, notes, others)).map(lambda pair: pair[1].copy(time=pair[0]))
events = st.one_of(timed, timed, timed, timed, unknown)
tracks = st.lists(events, max_size=25).map(mido.MidiTrack)


@st.composite
def mido_files(draw: st.DrawFn) -> mido.MidiFile:
    """Files of type 0 or 1 with everything that mido can write; less than a day long, perhaps without a note."""
    kind = draw(st.sampled_from((0, 1)))
    return mido.MidiFile(
        type=kind,
        ticks_per_beat=draw(st.one_of(st.sampled_from((24, 96, 480, 0x7FFF)), st.integers(24, 0x7FFF))),
        tracks=draw(st.lists(tracks, min_size=1, max_size=1 if kind == 0 else 4)),
    )


def as_bytes(file: mido.MidiFile) -> bytes:
    """Returns what mido writes."""
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


class Sounded(NamedTuple):
    """A note of a file."""

    is_drum: bool
    program: int
    track_name: str
    onset_ticks: int
    duration_ticks: int
    pitch: int
    velocity: int


class Reference(NamedTuple):
    """What a file says, by mido's messages and the rules of `gen.music.rules`, one note at a time."""

    notes: Counter[Sounded]
    tempos: list[tuple[int, int]]
    times: list[tuple[int, int, int]]
    keys: list[tuple[int, str]]
    num_stray: int
    num_without_end: int


def read_reference(path: Path) -> Reference:
    """Reads a file with mido."""
    file = mido.MidiFile(path)
    found: Counter[Sounded] = Counter()
    num_stray = num_without_end = 0
    programs = program_changes(file)
    for track in file.tracks:
        name = next((message.name for message in track if message.type == "track_name"), "")
        paired, strays, endless = pair(track, file.ticks_per_beat)
        num_stray, num_without_end = num_stray + strays, num_without_end + endless
        for number, onset, stop, pitch, velocity in paired:
            program = program_at(programs[number], onset, is_drum=number == DRUMS)
            found[Sounded(number == DRUMS, program, name, onset, max(stop - onset, 1), pitch, velocity)] += 1
    return Reference(
        found,
        [(tick, message.tempo) for tick, message in last_of_each_tick(file, "set_tempo")],
        [(tick, m.numerator, m.denominator) for tick, m in last_of_each_tick(file, "time_signature")],
        [(tick, message.key) for tick, message in last_of_each_tick(file, "key_signature")],
        num_stray,
        num_without_end,
    )


def with_ticks(track: mido.MidiTrack) -> list[tuple[int, Any]]:
    """Returns the messages of a track, each with its tick from the start."""
    tick, timed = 0, []
    for message in track:
        tick += message.time
        timed.append((tick, message))
    return timed


def pair(track: mido.MidiTrack, ticks_per_beat: int) -> tuple[list[tuple[int, int, int, int, int]], int, int]:
    """Returns channel, onset, end, pitch and velocity of the notes; then the stray offs and the notes without end."""
    timed = with_ticks(track)
    waiting: defaultdict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)
    last_offs: dict[tuple[int, int], int] = {}
    done, num_stray = [], 0
    for tick, message in timed:
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.channel, message.note)
        if message.type == "note_on" and message.velocity > 0:
            waiting[key].append((tick, message.velocity))
        elif waiting[key]:
            onset, velocity = waiting[key].popleft()
            done.append((message.channel, onset, tick, message.note, velocity))
            last_offs[key] = tick
        else:
            num_stray += 1
    endless = 0
    for key, rest in waiting.items():
        endless += len(rest)
        for place, (onset, velocity) in enumerate(rest):
            limit = rest[place + 1][0] if place + 1 < len(rest) else timed[-1][0]
            stop = max(onset + 1, min(limit, onset + ticks_per_beat), last_offs.get(key, 0))
            done.append((key[0], onset, stop, key[1], velocity))
    return done, num_stray, endless


def program_changes(file: mido.MidiFile) -> defaultdict[int, list[tuple[int, int]]]:
    """Returns tick and program of each change by channel, of equal ticks those of earlier tracks first."""
    changes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for track in file.tracks:
        for tick, message in with_ticks(track):
            if message.type == "program_change":
                changes[message.channel].append((tick, message.program))
    return changes


def program_at(changes: list[tuple[int, int]], tick: int, *, is_drum: bool) -> int:
    if is_drum:  # one kit, which the first in the file names
        return changes[0][1] if changes else 0
    before = sorted((change for change in changes if change[0] <= tick), key=lambda change: change[0])
    if len({program for _, program in changes}) == 1:  # the only one, though it is set later
        return changes[0][1]
    return before[-1][1] if before else 0


def last_of_each_tick(file: mido.MidiFile, kind: str) -> list[tuple[int, Any]]:
    found = {}
    for track in file.tracks:
        for tick, message in with_ticks(track):
            if message.type == kind:
                found[tick] = message
    return sorted(found.items(), key=lambda item: item[0])


def exact_seconds(tick: int, tempos: list[tuple[int, int]], ticks_per_beat: int) -> Fraction:
    """Returns when a tick sounds, without any rounding."""
    total, at, tempo = Fraction(0), 0, 500_000
    for start, following in tempos:
        if start >= tick:
            break
        total += (start - at) * tempo
        at, tempo = start, following
    return (total + (tick - at) * tempo) / (ticks_per_beat * 1_000_000)
