"""Random MIDI files written by mido, and a naive reader of mido's messages that shares no code with gen."""

import io
from collections import Counter, defaultdict, deque
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import mido
from hypothesis import strategies as st

DRUMS = 9

sevens = st.integers(0, 127)
channels = st.sampled_from((0, 1, DRUMS, 10))
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
few_ports = st.integers(0, 2)
of_parts = st.sampled_from(
    (
        "41 10 42 12 40 1a 15 02 0f",  # GS: channel 11 is drums
        "41 10 42 12 40 10 15 00 1b",  # GS: channel 10 is none
        "43 10 4c 08 00 07 01",  # XG: channel 1 is drums
        "41 10 42 12 40 00 7f 00 41",  # GS on
        "43 10 4c 00 00 7e 00",  # XG on
        "7e 7f 09 01",  # GM on
        "7e 7f 09 03",  # GM2 on
    )
).map(lambda text: tuple(bytes.fromhex(text)))
others = st.one_of(
    channel("control_change", control=st.sampled_from((7, 64, 64)), value=sevens),
    channel("control_change", control=st.just(0), value=st.sampled_from((0, 8, 120, 121, 126, 127))),
    st.builds(mido.Message, st.just("sysex"), data=of_parts),
    meta("midi_port", port=few_ports),
    meta("device_name", name=st.sampled_from(("", "A", "B"))),
    meta("channel_prefix", channel=st.sampled_from((0, 1, DRUMS))),
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
    """Draws files of type 0 or 1 with all events that mido can write, shorter than a day, perhaps without notes."""
    kind = draw(st.sampled_from((0, 1)))
    return mido.MidiFile(
        type=kind,
        ticks_per_beat=draw(st.one_of(st.sampled_from((24, 96, 480, 0x7FFF)), st.integers(24, 0x7FFF))),
        tracks=draw(st.lists(tracks, min_size=1, max_size=1 if kind == 0 else 4)),
    )


few_channels = st.sampled_from((0, DRUMS, 10))
routing = st.one_of(
    st.builds(mido.Message, st.just("sysex"), data=of_parts),
    meta("midi_port", port=st.integers(0, 1)),
    meta("device_name", name=st.sampled_from(("A", "B"))),
    meta("channel_prefix", channel=few_channels),
).map(lambda message: [message])
programs_in_banks = st.builds(
    lambda number, bank, program: [
        mido.Message("control_change", channel=number, control=0, value=bank),
        mido.Message("program_change", channel=number, program=program),
    ],
    few_channels,
    st.sampled_from((0, 120, 121, 127)),
    st.integers(0, 2),
)
programs_alone = st.builds(
    lambda number, program: [mido.Message("program_change", channel=number, program=program)],
    few_channels,
    st.integers(0, 2),
)
whole_notes = st.builds(
    lambda number, pitch, length: [
        mido.Message("note_on", channel=number, note=pitch, velocity=64),
        mido.Message("note_off", channel=number, note=pitch, velocity=0, time=length),
    ],
    few_channels,
    st.integers(60, 61),
    st.integers(1, 4),
)
told_tracks = st.lists(st.one_of(routing, routing, programs_in_banks, programs_alone, whole_notes, whole_notes))


@st.composite
def routed_files(draw: st.DrawFn) -> mido.MidiFile:
    """Draws files of several ports whose channels change between programs, drums and melody."""
    kind = draw(st.sampled_from((0, 1)))
    tracks = draw(st.lists(told_tracks, min_size=1, max_size=1 if kind == 0 else 3))
    gaps = iter(lambda: draw(st.integers(0, 1)), None)
    return mido.MidiFile(
        type=kind,
        tracks=[
            mido.MidiTrack(m.copy(time=m.time + next(gaps)) for messages in track for m in messages) for track in tracks
        ],
    )


def as_bytes(file: mido.MidiFile) -> bytes:
    """Returns the bytes that mido writes."""
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
    """The contents of a file, by mido's messages and the rules of `gen.music.midi.rules`, one note at a time."""

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
    addressed = [addresses(track, is_one=file.type == 0) for track in file.tracks]
    programs = program_changes(file, addressed)
    drums = drum_changes(file, addressed)
    for track, channels_of in zip(file.tracks, addressed, strict=True):
        name = next((message.name for message in track if message.type == "track_name"), "")
        paired, strays, endless = pair(track, channels_of, file.ticks_per_beat)
        num_stray, num_without_end = num_stray + strays, num_without_end + endless
        for address, onset, stop, pitch, velocity in paired:
            is_drum = drum_at(drums[address], onset, address)
            program = program_at(programs[address], onset, is_drum=is_drum and len(drums[address]) == 0)
            if is_drum and drums[address]:
                first = min(o for a, o, *_ in paired if a == address and drum_at(drums[a], o, a))
                program = program_at(programs[address], first, is_drum=False)
            found[Sounded(is_drum, program, name, onset, max(stop - onset, 1), pitch, velocity)] += 1
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


Address = tuple[str, int, int]  # device, port, channel; a system exclusive message has channel -1


def addresses(track: mido.MidiTrack, *, is_one: bool) -> list[Address]:
    """Returns the address of each message of a track.

    Args:
        is_one: whether the file has one track, in which a channel prefix limits a port to that channel.
    """
    ports: dict[int, tuple[str, int]] = dict.fromkeys(range(-1, 16), ("", 0))
    prefix = None
    found = []
    for message in track:
        told = ports if prefix is None else (prefix,)
        if message.type == "channel_prefix":
            prefix = message.channel if is_one else None
        elif message.type == "midi_port":
            ports.update({number: (ports[number][0], message.port) for number in told})
        elif message.type == "device_name":
            ports.update({number: (message.name, ports[number][1]) for number in told})
        elif hasattr(message, "channel"):
            prefix = None
        number = -1 if message.is_meta else getattr(message, "channel", -1)
        found.append((*ports[number], number))
    return found


def drum_changes(file: mido.MidiFile, addressed: list[list[Address]]) -> defaultdict[Address, list[tuple[int, bool]]]:
    """Returns the ticks at which each channel is set to drums or to melody, in order, naively event by event."""
    timed = [
        (tick, number, place, message, address)
        for number, (track, channels_of) in enumerate(zip(file.tracks, addressed, strict=True))
        for place, ((tick, message), address) in enumerate(zip(with_ticks(track), channels_of, strict=True))
    ]
    every = {address for _, _, _, message, address in timed if hasattr(message, "channel") and not message.is_meta}
    modes: defaultdict[tuple[str, int], str] = defaultdict(str)
    by_part: dict[Address, bool] = {}
    banks: dict[Address, int] = {}
    by_bank: dict[Address, bool] = {}
    said: defaultdict[Address, list[tuple[int, bool]]] = defaultdict(list)
    for tick, _, _, message, (device, port, number) in sorted(timed, key=lambda row: row[:3]):
        address = (device, port, number)
        if message.type == "control_change" and message.control == 0:
            banks[address] = message.value
            continue
        if message.type == "program_change":
            told = [address]
            bank, mode = banks.get(address), modes[device, port]
            by_bank.pop(address, None)
            if bank is not None and mode != "gs" and (bank in (120, 121, 126, 127) or mode == "xg"):
                by_bank[address] = bank in (120, 126, 127)
        elif message.type == "sysex":
            text = bytes(message.data).hex(" ")
            told = [other for other in every if other[:2] == (device, port)]
            one = {"41 10 42 12 40 1a 15": 10, "41 10 42 12 40 10 15": 9, "43 10 4c 08 00 07": 0}
            part = next((one[start] for start in one if text.startswith(start)), None)
            if part is not None:
                told = [other for other in told if other[2] == part]
            elif text.startswith(("7e 7f 09", "41 10 42 12 40 00 7f", "43 10 4c 00 00 7e")):
                modes[device, port] = {"7": "", "4": "gs"}[text[0]] if not text.startswith("43") else "xg"
            else:
                continue
            for other in told:
                banks.pop(other, None)
                by_bank.pop(other, None)
                by_part.pop(other, None)
                if part is not None:
                    by_part[other] = part != 9
        else:
            continue
        for other in told:
            said[other].append((tick, by_bank.get(other, by_part.get(other, other[2] == DRUMS))))
    return defaultdict(list, {a: turns for a, turns in said.items() if any(t[1] != (a[2] == DRUMS) for t in turns)})


def drum_at(changes: list[tuple[int, bool]], tick: int, address: Address) -> bool:
    return next((is_drum for start, is_drum in reversed(changes) if start <= tick), address[2] == DRUMS)


def pair(
    track: mido.MidiTrack, channels_of: list[Address], ticks_per_beat: int
) -> tuple[list[tuple[Address, int, int, int, int]], int, int]:
    """Returns address, onset, end, pitch and velocity of the notes; then the counts of stray offs and endless notes."""
    timed = with_ticks(track)
    waiting: defaultdict[tuple[Address, int], deque[tuple[int, int]]] = defaultdict(deque)
    last_offs: dict[tuple[Address, int], int] = {}
    done, num_stray = [], 0
    for (tick, message), address in zip(timed, channels_of, strict=True):
        if message.type not in ("note_on", "note_off"):
            continue
        key = (address, message.note)
        if message.type == "note_on" and message.velocity > 0:
            waiting[key].append((tick, message.velocity))
        elif waiting[key]:
            onset, velocity = waiting[key].popleft()
            done.append((address, onset, tick, message.note, velocity))
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


def program_changes(file: mido.MidiFile, addressed: list[list[Address]]) -> defaultdict[Address, list[tuple[int, int]]]:
    """Returns tick and program of each change by channel, sorted by tick, then by track."""
    changes: defaultdict[Address, list[tuple[int, int]]] = defaultdict(list)
    for track, channels_of in zip(file.tracks, addressed, strict=True):
        for (tick, message), address in zip(with_ticks(track), channels_of, strict=True):
            if message.type == "program_change":
                changes[address].append((tick, message.program))
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
    """Returns the time of a tick in seconds, without rounding."""
    total, at, tempo = Fraction(0), 0, 500_000
    for start, following in tempos:
        if start >= tick:
            break
        total += (start - at) * tempo
        at, tempo = start, following
    return (total + (tick - at) * tempo) / (ticks_per_beat * 1_000_000)
