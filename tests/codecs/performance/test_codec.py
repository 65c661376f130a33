from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from gen.codec import decode
from gen.codecs.choice import choose_performance
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.performance.ids import note_lengths
from gen.errors import CheckpointError, MidiError
from gen.music.midi.rules import DRUMS_LEFT_OUT, LENGTH_0, NOTES, PITCHED_LEFT_OUT, REPAIRS
from gen.music.midi.write import write_midi
from gen.music.score import Note, Score, Tempo, Track
from tests.music.midi_bytes import midi, saved
from tests.music.scores import scores

PIANO = "00 90 3c 40 60 80 3c 00"
DRUMS = "00 99 24 40 00 89 24 00"
CODEC = PerformanceCodec()


def symbols(score: Score, codec: PerformanceCodec = CODEC) -> list[str]:
    return [codec.vocab.symbols[token] for token in codec.encode(score)]


def in_milliseconds(*notes: Note) -> Score:
    return Score((Track(notes),), ticks_per_beat=500, tempos=(Tempo(0, 500_000),))


def test_there_are_388_symbols_then_begin_and_end() -> None:
    vocab = CODEC.vocab
    assert len(vocab) == 390
    assert vocab.symbols[-2:] == ("Begin", "End")
    kinds = [symbol.split("_")[0] for symbol in vocab.symbols[:-2]]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"NoteOn": 128, "NoteOff": 128, "TimeShift": 100, "Velocity": 32}
    assert [vocab.index[symbol] for symbol in ("NoteOn_60", "NoteOff_60", "TimeShift_1", "Velocity_0")] == [
        60,
        188,
        256,
        356,
    ]


def test_a_chord_then_a_note_by_hand() -> None:
    score = in_milliseconds(
        Note(500, 2000, 64, 64), Note(500, 2000, 60, 66), Note(2500, 1230, 60, 80), Note(2500, 100, 67, 80)
    )
    assert symbols(score) == [
        *("TimeShift_50", "Velocity_16", "NoteOn_60", "NoteOn_64"),
        *("TimeShift_100", "TimeShift_100", "NoteOff_60", "NoteOff_64", "Velocity_20", "NoteOn_60", "NoteOn_67"),
        *("TimeShift_10", "NoteOff_67", "TimeShift_100", "TimeShift_13", "NoteOff_60"),
    ]


def test_a_score_without_notes_is_encoded_as_nothing() -> None:
    assert CODEC.encode(Score(())).tolist() == []


def test_a_decoded_note_has_the_middle_velocity_of_its_range() -> None:
    again = decode(CODEC, CODEC.encode(in_milliseconds(Note(0, 100, 60, 127))))
    assert again == in_milliseconds(Note(0, 100, 60, 126))


@given(scores())
def test_encoding_what_was_decoded_gives_the_same_ids(score: Score) -> None:
    ids = CODEC.encode(score)
    assert np.array_equal(CODEC.encode(decode(CODEC, ids)), ids)


@given(scores())
def test_the_order_of_tracks_does_not_matter(score: Score) -> None:
    turned = Score(score.tracks[::-1], score.ticks_per_beat, score.tempos)
    assert np.array_equal(CODEC.encode(turned), CODEC.encode(score))


@given(scores())
@settings(max_examples=20)  # a file is written each time
def test_a_decoded_score_is_the_same_after_a_file(tmp_path_factory: pytest.TempPathFactory, score: Score) -> None:
    path = tmp_path_factory.mktemp("written") / "x.mid"
    decoded = decode(CODEC, CODEC.encode(score))
    CODEC.write(path, decoded)
    assert CODEC.read(path) == decoded


def test_a_note_on_is_the_unit() -> None:
    score = in_milliseconds(Note(0, 100, 60, 64), Note(0, 100, 64, 64))
    assert CODEC.units()[CODEC.encode(score)].sum() == 2


def test_a_file_is_one_part_with_its_findings(tmp_path: Path) -> None:
    (part,) = CODEC.encode_file(saved(tmp_path, midi(PIANO, DRUMS)))
    assert [CODEC.vocab.symbols[token] for token in part.ids] == [
        "Velocity_16",
        "NoteOn_60",
        "TimeShift_10",
        "NoteOff_60",
    ]
    assert part.findings == {NOTES: 1, DRUMS_LEFT_OUT: 1, LENGTH_0: 1}
    assert REPAIRS & part.findings.keys() == {LENGTH_0}


def test_drums_alone_are_refused_by_the_codec_of_pitches(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match=r"x\.mid: only drums \(1 notes\)"):
        CODEC.read(saved(tmp_path, midi(DRUMS)))


def test_pitches_alone_are_refused_by_the_codec_of_drums(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="only pitched notes"):
        PerformanceCodec(is_drums=True).read(saved(tmp_path, midi(PIANO)))


def test_a_corpus_of_drums_keeps_them(tmp_path: Path) -> None:
    path = saved(tmp_path, midi(DRUMS))
    codec = choose_performance([path, path])
    (part,) = codec.encode_file(path)
    assert codec.is_drums
    assert part.findings == {NOTES: 1, LENGTH_0: 1}
    assert decode(codec, part.ids).tracks[0].is_drum


def test_drums_are_left_out_if_one_file_has_pitched_notes(tmp_path: Path) -> None:
    paths = []
    for name, tracks in (("a", (DRUMS,)), ("b", (DRUMS,)), ("c", (DRUMS, PIANO))):
        (tmp_path / name).mkdir()
        paths.append(saved(tmp_path / name, midi(*tracks)))
    assert choose_performance(paths) == PerformanceCodec()
    assert choose_performance(paths[:2]) == PerformanceCodec(is_drums=True)


def test_files_of_no_use_do_not_choose_the_codec(tmp_path: Path) -> None:
    assert choose_performance([saved(tmp_path, b"no MIDI")]) == PerformanceCodec()


def test_a_codec_of_drums_counts_the_pitches_it_leaves_out(tmp_path: Path) -> None:
    (part,) = PerformanceCodec(is_drums=True).encode_file(saved(tmp_path, midi(PIANO, DRUMS)))
    assert part.findings[PITCHED_LEFT_OUT] == 1


@pytest.mark.parametrize(
    "codec", [PerformanceCodec(), PerformanceCodec(is_drums=True), PerformanceCodec(longest_note=250)]
)
def test_a_codec_comes_back_from_its_spec(codec: PerformanceCodec) -> None:
    assert PerformanceCodec.from_spec(codec.spec()) == codec


@given(scores())
def test_the_lengths_of_notes_are_those_of_the_decoded_score(score: Score) -> None:
    ids = CODEC.encode(score)

    decoded = decode(CODEC, ids)

    expected = [note.duration_ticks // 10 for track in decoded.tracks for note in track.notes]
    assert sorted(note_lengths(ids).tolist()) == sorted(expected)


def test_a_fitted_codec_lets_no_note_be_longer_than_nearly_all_of_the_corpus() -> None:
    notes = [Note(onset_ticks=100 * n, duration_ticks=50, pitch=60, velocity=64) for n in range(5000)]
    held = Note(onset_ticks=0, duration_ticks=400_000, pitch=40, velocity=64)  # one in five thousand

    codec = CODEC.fitted(CODEC.encode(in_milliseconds(held, *notes)))

    assert codec.longest_note == 5
    assert CODEC.fitted(CODEC.encode(in_milliseconds())).longest_note is None


def test_a_spec_without_its_setting_is_refused() -> None:
    with pytest.raises(CheckpointError, match="codec performance: pitched notes or drums is not said"):
        PerformanceCodec.from_spec({"name": "performance", "version": 1})


def test_pretty_midi_reads_the_seconds_that_were_decoded(tmp_path: Path) -> None:
    pretty_midi = pytest.importorskip("pretty_midi")
    score = in_milliseconds(Note(500, 2000, 60, 66), Note(2500, 1230, 61, 80))
    write_midi(tmp_path / "x.mid", score)
    (instrument,) = pretty_midi.PrettyMIDI(str(tmp_path / "x.mid")).instruments
    rows = [(round(n.start, 6), round(n.end, 6), n.pitch, n.velocity) for n in instrument.notes]
    assert rows == [(0.5, 2.5, 60, 66), (2.5, 3.73, 61, 80)]
