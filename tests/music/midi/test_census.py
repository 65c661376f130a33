"""Counts of events by kind, compared with those of mido."""

import tempfile
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings

from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.errors import MidiError
from gen.music.midi.census import EVENT_KINDS, left_out
from gen.music.midi.read import read_midi_events
from tests.music.midi_bytes import midi, saved
from tests.music.mido_files import as_bytes, mido_files
from tests.music.mido_kinds import mido_counts

NOTE = "00 90 3c 40  60 80 3c 00"
EVENTS = {
    "pitch bends": "00 e0 00 7f",
    "volume changes": "00 b0 07 40",
    "expression changes": "00 b0 0b 40",
    "pan changes": "00 b0 0a 40",
    "modulation changes": "00 b0 01 40",
    "bank changes": "00 b0 00 08",
    "parameter changes": "00 b0 65 00",
    "sostenuto pedal changes": "00 b0 42 7f",
    "soft pedal changes": "00 b0 43 7f",
    "other controller changes": "00 b0 02 40",
    "channel mode messages": "00 b0 7b 00",
    "channel pressures": "00 d0 40",
    "key pressures": "00 a0 3c 40",
    "lyrics": "00 ff 05 02 6c 61",
    "markers": "00 ff 06 01 41",
    "texts": "00 ff 01 01 41",
    "system exclusive messages": "00 f0 03 01 02 f7",
    "other meta events": "00 ff 60 01 41",
    "other system messages": "00 f6",
}


@pytest.mark.parametrize("codec", [PerformanceCodec(), BeatCodec()])
@pytest.mark.parametrize("kind", EVENTS)
def test_what_a_codec_leaves_out_is_counted(tmp_path: Path, codec: PerformanceCodec | BeatCodec, kind: str) -> None:
    (part,) = codec.encode_file(saved(tmp_path, midi(EVENTS[kind] * 3 + NOTE)))
    assert (part.findings[kind], part.findings[f"{kind} left out"]) == (0, 3)


def test_finer_halves_of_controllers_are_of_the_same_kind(tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 b0 07 40  00 b0 27 01" + NOTE))
    assert read_midi_events(path).census.counts == {"volume changes": 2}


@given(file=mido_files())
@settings(max_examples=100)
def test_every_event_is_counted_once(file: mido.MidiFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), as_bytes(file))
        try:
            census = read_midi_events(path).census
        except MidiError:
            return
        assert +census.counts == mido_counts(mido.MidiFile(path))
        assert all(0 <= census.left_out[kind] <= census.counts[kind] for kind in census.left_out)


def test_a_change_of_program_without_a_note_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 c0 01  00 c0 02" + NOTE + "00 c1 07  00 c9 08  00 99 24 40  60 89 24 00"))
    (part,) = BeatCodec().encode_file(path)
    assert (part.findings["program changes"], part.findings["program changes left out"]) == (1, 3)


def test_the_earlier_of_two_tempos_at_a_tick_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 ff 51 03 07 a1 20  00 ff 51 03 07 a1 21" + NOTE))
    for codec in (PerformanceCodec(), BeatCodec()):
        (part,) = codec.encode_file(path)
        assert (part.findings["tempos"], part.findings["tempos left out"]) == (1, 1)


@pytest.mark.parametrize("event", ["00 ff 21 00", "00 ff 51 01 07", "00 ff 58 04 00 02 18 08"])
def test_an_event_that_is_refused_is_neither_kept_nor_left_out(tmp_path: Path, event: str) -> None:
    (part,) = BeatCodec().encode_file(saved(tmp_path, midi(event + NOTE)))
    assert not part.findings.keys() & (EVENT_KINDS | {left_out(kind) for kind in EVENT_KINDS})
