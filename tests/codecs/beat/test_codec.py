"""What the beat codec writes of a score, and what comes back."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from gen.codec import decode
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.beat.layout import MAX_BARS, MAX_POSITIONS, lay_out_beats
from gen.codecs.beat.vocab import LEVEL_US, NUM_TEMPOS, tempo_levels
from gen.errors import CheckpointError, MidiError
from gen.music.midi.write import write_midi
from gen.music.score import Note, PedalSpan, Score, Tempo, TimeSignature, Track
from tests.codecs.beat.test_grammar import check_notes
from tests.music.scores import scores

CODEC = BeatCodec()
VOCAB = CODEC.vocab
QUARTER = 384


def piano(*notes: Note, **others: object) -> Score:
    return Score((Track(notes),), QUARTER, **others)  # type: ignore[arg-type]


def symbols(score: Score) -> str:
    """Returns the tokens of a score, but for what every document at 120 in 4/4 begins with."""
    text = " ".join(VOCAB.symbols[token] for token in CODEC.encode(score).tolist())
    return text.removeprefix("Bar TimeSignature_4/4 Tempo_120 ")


def found(score: Score) -> Counter[str]:
    return Counter({name: count for name, count in lay_out_beats(score).findings.items() if name != "notes"})


def test_a_document_opens_with_metre_and_tempo() -> None:
    ids = CODEC.encode(piano(Note(0, 384, 60, 64), tempos=(Tempo(0, 1_000_000),)))
    assert [VOCAB.symbols[token] for token in ids[:3]] == ["Bar", "TimeSignature_4/4", "Tempo_60"]


def test_a_chord_says_its_place_program_and_velocity_once() -> None:
    chord = piano(Note(48, 384, 60, 64), Note(48, 192, 64, 64))
    assert symbols(chord) == "Position_3 Program_0 Velocity_16 Pitch_60 Duration_24 Pitch_64 Duration_12"


def test_programs_ascend_drums_are_last_and_each_keeps_its_velocity() -> None:
    band = Score(
        (
            Track((Note(0, 16, 36, 120), Note(384, 16, 36, 120)), is_drum=True),
            Track((Note(0, 384, 40, 80), Note(384, 384, 40, 80)), program=33),
            Track((Note(0, 384, 72, 40), Note(384, 384, 72, 44)), program=5),
        ),
        QUARTER,
    )
    assert symbols(band) == (
        "Position_0 Program_5 Velocity_10 Pitch_72 Duration_24 Program_33 Velocity_20 Pitch_40 Duration_24 "
        "Velocity_30 Drum_36 "
        "Position_24 Program_5 Velocity_11 Pitch_72 Duration_24 Program_33 Pitch_40 Duration_24 Drum_36"
    )


def test_an_onset_between_positions_is_said_in_ticks() -> None:
    assert symbols(piano(Note(21, 16, 60, 64))).startswith("Position_1 MicroTiming_5 ")
    assert symbols(piano(Note(1530, 16, 60, 64))).startswith("Bar Position_0 MicroTiming_-6 ")  # the beat it belongs to


@pytest.mark.parametrize(
    ("positions", "said"),
    [(1, "1"), (96, "96"), (97, "96 1"), (192, "96 96"), (300, "96 96 96 12"), (MAX_POSITIONS, " ".join(["96"] * 64))],
)
def test_long_notes_are_said_in_whole_notes_and_a_rest(positions: int, said: str) -> None:
    tokens = symbols(piano(Note(0, positions * 16, 60, 64))).split(" Pitch_60 ")[1]
    assert tokens == " ".join(f"Duration_{part}" for part in said.split())


def test_empty_bars_are_bars_alone_and_a_new_metre_is_said_in_its_bar() -> None:
    score = piano(
        Note(0, 384, 60, 64), Note(10 * QUARTER, 384, 60, 64), time_signatures=(TimeSignature(8 * QUARTER, 3, 4),)
    )
    assert symbols(score).split(" ", 5)[-1] == "Bar Bar TimeSignature_3/4 Position_48 Pitch_60 Duration_24"


def test_tempo_stands_at_the_bar_line_or_at_its_position() -> None:
    tempos = (Tempo(0, 500_000), Tempo(192, 1_000_000), Tempo(1536, 500_000))
    score = piano(Note(0, 16, 60, 64), Note(192, 16, 60, 64), Note(1536, 16, 60, 64), tempos=tempos)
    tokens = symbols(score).split("Position_12 ")[1]
    assert tokens == "Tempo_60 Pitch_60 Duration_1 Bar Tempo_120 Position_0 Pitch_60 Duration_1"


def test_the_tempo_of_a_score_comes_back_and_within_one_percent() -> None:
    score = piano(Note(0, 16, 60, 64), Note(384, 16, 60, 64), tempos=(Tempo(0, 654_321), Tempo(384, 333_333)))
    back = decode(CODEC, CODEC.encode(score))
    for ours, theirs in zip(back.tempos, score.tempos, strict=True):
        assert ours.onset_ticks == theirs.onset_ticks
        assert ours.tempo_us_per_beat == pytest.approx(theirs.tempo_us_per_beat, rel=0.01)


def test_tempo_levels_are_two_percent_apart_and_hold_120() -> None:
    assert np.allclose(LEVEL_US[:-1] / LEVEL_US[1:], 2 ** (1 / 35), rtol=1e-5)
    assert LEVEL_US[tempo_levels(np.array([500_000]))] == [500_000]
    assert tempo_levels(LEVEL_US).tolist() == list(range(NUM_TEMPOS))


def test_what_is_changed_is_counted() -> None:
    assert found(piano(Note(0, 16, 60, 64), Note(8, 16, 60, 90))) == {"unisons joined": 1}
    assert found(piano(Note(0, 100, 60, 64))) == {"lengths rounded": 1}
    assert found(piano(Note(0, MAX_POSITIONS * 16 + 16, 60, 64))) == {"notes shortened": 1}
    assert found(piano(Note(0, 64, 60, 64), Note(32, 64, 60, 64))) == {"overlapping notes cut": 1}
    assert found(piano(Note(0, 16, 60, 64), tempos=(Tempo(0, 501_000),))) == {"tempos rounded": 1}
    assert found(piano(Note(0, 16, 60, 64), tempos=(Tempo(99, 500_000),))) == {"tempos moved": 1, "tempos left out": 1}
    assert found(Score((Track((Note(1, 1, 60, 64),)),), 1000)) == {"onsets rounded": 1, "lengths rounded": 1}
    assert found(Score((Track((Note(0, 16, 60, 64),), pedal=(PedalSpan(0, 32),)),), QUARTER)) == {
        "notes held by the pedal": 1
    }
    assert found(piano(Note(0, 16, 60, 64), tempos=(Tempo(0, 62_500),))) == {
        "tempos in another note value": 1,
        "lengths rounded": 1,
    }


def test_the_pedal_holds_a_note_until_it_rises_or_the_pitch_is_struck_again() -> None:
    notes = (Note(0, 96, 60, 64), Note(96, 96, 64, 64), Note(384, 96, 60, 64), Note(768, 96, 67, 64))
    layout = lay_out_beats(Score((Track(notes, pedal=(PedalSpan(48, 528),)),), QUARTER))
    assert layout.notes.positions.tolist() == [24, 30, 12, 6]  # struck again, rises at 576 twice, no pedal
    assert layout.findings == {"notes": 4, "notes held by the pedal": 3}


def test_the_pedal_holds_the_notes_of_its_own_track_and_no_drums() -> None:
    pedal = (PedalSpan(0, 1536),)
    tracks = (
        Track((Note(0, 96, 60, 64), Note(0, 96, 62, 64)), 5, pedal=pedal),
        Track((Note(384, 96, 60, 64),), 7),  # another program strikes the same pitch
        Track((Note(768, 96, 60, 64),), 5),  # another track of the program does
        Track((Note(0, 96, 36, 64),), is_drum=True, pedal=pedal),
    )
    layout = lay_out_beats(Score(tracks, QUARTER))
    lengths = zip(layout.notes.programs.tolist(), layout.notes.pitches.tolist(), layout.notes.positions, strict=True)
    assert sorted(lengths) == [(5, 60, 6), (5, 60, 48), (5, 62, 96), (7, 60, 6), (128, 36, 0)]
    assert layout.findings["notes held by the pedal"] == 2


def test_a_note_held_past_the_longest_length_is_counted() -> None:
    pedal = (PedalSpan(0, 300 * QUARTER),)
    score = Score((Track((Note(0, 96, 60, 64), Note(299 * QUARTER, 96, 62, 64)), pedal=pedal),), QUARTER)
    layout = lay_out_beats(score)
    assert layout.notes.positions.tolist() == [MAX_POSITIONS, 24]
    assert layout.findings["notes shortened"] == 1


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (60_000, "4/16 Tempo_249.7 Position_6 Program_0 Velocity_16 Pitch_60 Duration_6"),
        (120_000, "4/8 Tempo_249.7 Position_12 Program_0 Velocity_16 Pitch_60 Duration_12"),
        (6_000_000, "4/2 Tempo_20.19 Position_48 Program_0 Velocity_16 Pitch_60 Duration_48"),
    ],
)
def test_a_tempo_too_fast_or_too_slow_is_said_in_another_note_value(us: int, said: str) -> None:
    assert symbols(piano(Note(384, 384, 60, 64), tempos=(Tempo(0, us),))) == f"Bar TimeSignature_{said}"


def test_a_pitch_of_two_tracks_of_a_program_is_one() -> None:
    voices = (Track((Note(0, 768, 60, 64),)), Track((Note(0, 384, 60, 80), Note(384, 384, 60, 80))))
    layout = lay_out_beats(Score(voices, QUARTER))
    assert layout.notes.onsets.tolist() == [0, 384]
    assert layout.notes.velocities.tolist() == [80, 80]
    assert layout.notes.positions.tolist() == [24, 24]
    assert layout.findings == {"notes": 2, "unisons joined": 1, "notes cut by another voice": 1}


def test_notes_too_close_become_one_and_the_next_far_enough_is_kept() -> None:
    close = [Note(tick, 8, 60, 64) for tick in (0, 10, 20, 30, 40)]
    assert lay_out_beats(piano(*close)).notes.onsets.tolist() == [0, 20, 40]
    drums = Score((Track(tuple(close), is_drum=True),), QUARTER)
    assert lay_out_beats(drums).notes.onsets.tolist() == [0, 10, 20, 30, 40]


def test_a_sixteenth_program_is_left_out() -> None:
    tracks = [Track((Note(program, 16, 60, 64),) * 1, program) for program in range(15)]
    score = Score((*tracks, Track((Note(0, 16, 60, 64), Note(384, 16, 60, 64)), 99)), QUARTER)
    layout = lay_out_beats(score)
    assert set(layout.notes.programs.tolist()) == {*range(14), 99}
    assert layout.findings["notes of further programs left out"] == 1


def test_silence_is_cut_to_eight_bars_and_what_comes_after_keeps_its_place_tempo_and_metre() -> None:
    late = 20 * 4 * QUARTER
    score = piano(
        Note(0, 384, 60, 64),
        Note(late + 48, 384, 60, 64),
        tempos=(Tempo(0, 500_000), Tempo(late - 5 * QUARTER, 1_000_000)),
        time_signatures=(TimeSignature(late, 3, 4),),
    )
    tokens = symbols(score).split("Duration_24", 1)[1]
    assert tokens == " Bar" * 9 + " TimeSignature_3/4 Tempo_60 Position_3 Pitch_60 Duration_24"
    assert lay_out_beats(score).findings["silences cut"] == 1


def test_bars_in_which_a_note_sounds_are_no_silence() -> None:
    score = piano(Note(0, 20 * 4 * QUARTER, 60, 64), Note(20 * 4 * QUARTER, 384, 64, 64))
    assert symbols(score).split().count("Bar") == 20
    assert not lay_out_beats(score).findings["silences cut"]


def test_a_score_of_too_many_bars_is_refused_with_its_place(tmp_path: Path) -> None:
    score = Score((Track((Note(4 * MAX_BARS, 1, 60, 64),)),), 1, (Tempo(0, 125_000),))
    with pytest.raises(MidiError, match=rf"^score: more than {MAX_BARS} bars \({MAX_BARS + 1}\)$"):
        CODEC.encode(score)
    path = tmp_path / "long.mid"
    write_midi(path, score)
    with pytest.raises(MidiError, match=rf"^{path}: more than {MAX_BARS} bars"):
        next(CODEC.encode_file(path))


def test_a_score_without_notes_is_no_ids_and_back() -> None:
    assert CODEC.encode(Score(())).tolist() == []
    assert decode(CODEC, []) == Score((), QUARTER)


@given(scores())
def test_every_score_is_canonical_accepted_by_the_grammar_and_sound(score: Score) -> None:
    ids = CODEC.encode(score).tolist()
    grammar = CODEC.grammar()
    for place, token in enumerate(ids):
        assert grammar.allowed(None)[token]
        assert grammar.allowed(len(ids) - place)[token]
        grammar.advance(token)
    assert grammar.tokens_to_close() == 0
    assert grammar.allowed(None)[VOCAB.end]
    back = decode(CODEC, ids)
    check_notes(back)
    assert CODEC.encode(back).tolist() == ids


@given(scores())
def test_every_note_comes_back_at_its_tick_and_place(score: Score) -> None:
    layout = lay_out_beats(score)
    back = decode(CODEC, CODEC.encode(score))
    ours = sorted(
        (note.onset_ticks, 128 if track.is_drum else track.program, note.pitch, note.duration_ticks)
        for track in back.tracks
        for note in track.notes
    )
    notes = layout.notes
    theirs = zip(notes.onsets, notes.programs, notes.pitches, notes.ends - notes.onsets, strict=True)
    assert ours == sorted(tuple(int(value) for value in row) for row in theirs)


@given(scores())
def test_without_silences_every_onset_is_within_half_a_tick_of_the_score(score: Score) -> None:
    layout = lay_out_beats(score)
    if layout.findings["silences cut"]:
        return
    grid = layout.grid
    onsets = grid.exact(np.concatenate([track.columns[0] for track in score.tracks])) / grid.unit
    nearest = np.abs(layout.notes.onsets[:, None] - onsets[None]).min(axis=1)
    assert nearest.max() <= 0.5


def test_fitting_takes_what_a_corpus_has() -> None:
    band = Score(
        (Track((Note(0, 96 * 16, 60, 64),), program=7), Track((Note(0, 16, 38, 64),), is_drum=True)),
        QUARTER,
        time_signatures=(TimeSignature(0, 6, 8),),
    )
    fitted = CODEC.fitted(CODEC.encode(band))
    assert fitted.longest_note == 96
    assert set(fitted.seen or ()) == {"TimeSignature_6/8", "Tempo_120", "Program_7", "Drum_38"}
    assert CODEC.fitted(CODEC.encode(band)[:0]).grammar().allowed(None).any()


@pytest.mark.parametrize(
    "setting",
    [{"longest_note": 0}, {"longest_note": "9"}, {"seen": "Program_0"}, {"seen": [3]}, {"seen": ["Program_128"]}],
)
def test_a_spec_with_a_wrong_setting_is_refused(setting: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="codec beat"):
        BeatCodec.from_spec(CODEC.spec() | setting)


@pytest.mark.parametrize("folder", ["jsb_chorales", "nottingham", "mutopia_keyboard", "freedoom", "pop909", "groove"])
def test_real_music_is_canonical_and_accepted(shared_data: Path, folder: str) -> None:
    for path in sorted((shared_data / "midi" / folder).rglob("*.mid"))[::150]:
        ids = CODEC.encode(CODEC.read(path)).tolist()
        grammar = CODEC.grammar()
        for token in ids:
            assert grammar.allowed(None)[token]
            grammar.advance(token)
        assert CODEC.encode(decode(CODEC, ids)).tolist() == ids
