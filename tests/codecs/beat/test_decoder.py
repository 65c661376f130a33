"""What a stream of beat ids becomes, as it comes."""

import itertools

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codec import decode, stream
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.beat.layout import DRUM_TICKS
from gen.music.score import NoteEvent, Score, Tempo, TimeSignature
from tests.codecs.beat.test_grammar import check_notes
from tests.music.scores import scores

CODEC = BeatCodec()
VOCAB = CODEC.vocab
OPENING = ("Bar", "TimeSignature_4/4", "Tempo_120")
HORN = ("Program_60", "Velocity_20", "Pitch_60")


def pieces(*symbols: str) -> list[NoteEvent | Tempo | TimeSignature]:
    return list(stream(CODEC, [VOCAB.index[symbol] for symbol in symbols]))


def notes(*symbols: str) -> list[NoteEvent]:
    return [piece for piece in pieces(*symbols) if isinstance(piece, NoteEvent)]


def test_metre_and_tempo_come_before_the_first_note() -> None:
    assert pieces(*OPENING, "Position_24", *HORN, "Duration_36") == [
        TimeSignature(0, 4, 4),
        Tempo(0, 500_000),
        NoteEvent(0.5, 0.75, 60, 82, program=60),
    ]


def test_a_note_comes_with_its_duration_and_a_long_one_with_what_follows() -> None:
    decoder = CODEC.decoder()
    came = [len(decoder.push(VOCAB.index[symbol])) for symbol in (*OPENING, "Position_0", *HORN, "Duration_95")]
    assert came == [0] * 7 + [3]
    came = [len(decoder.push(VOCAB.index[s])) for s in ("Position_95", "Pitch_62", "Duration_96", "Duration_96", "Bar")]
    assert came == [0, 0, 0, 0, 1]


def test_a_drum_comes_at_once() -> None:
    (hit,) = notes(*OPENING, "Position_0", "Velocity_25", "Drum_38")
    assert hit == NoteEvent(0.0, DRUM_TICKS / 384 / 2, 38, 102, is_drum=True)


def test_a_note_just_before_the_bar_line_comes_before_the_tempo_that_begins_there() -> None:
    said = (*OPENING, "Bar", "TimeSignature_3/4", "Tempo_60", "Position_0", "MicroTiming_-4", *HORN, "Duration_24")
    early, metre, tempo, late = pieces(*said, "Position_24", "Pitch_60", "Duration_24")[2:]
    assert (metre, tempo) == (TimeSignature(1536, 3, 4), Tempo(1536, 1_000_000))
    assert isinstance(early, NoteEvent)
    assert isinstance(late, NoteEvent)
    assert (early.onset_seconds, early.duration_seconds) == ((1536 - 4) / 768, 0.5)
    assert (late.onset_seconds, late.duration_seconds) == (3.0, 1.0)


def test_what_a_bar_says_to_an_early_note_alone_comes_at_the_end() -> None:
    said = (*OPENING, "Bar", "Tempo_60", "Position_0", "MicroTiming_-4", *HORN, "Duration_24")
    assert pieces(*said)[-1] == Tempo(1536, 1_000_000)


def test_what_no_note_follows_says_nothing() -> None:
    assert pieces(*OPENING) == []
    assert pieces(*OPENING, "Position_0", *HORN, "Duration_24", "Bar", "Tempo_60")[-1] == NoteEvent(0, 0.5, 60, 82, 60)


def test_time_goes_on_through_tempos() -> None:
    said = [*OPENING, "Position_0", *HORN, "Duration_1"]
    for tempo in ("Tempo_60", "Tempo_240", "Tempo_30"):
        said += ["Position_48", tempo, "Bar", "Position_0", "Pitch_60", "Duration_1"]
    assert [note.onset_seconds for note in notes(*said)] == [0, 1 + 2, 3 + 2 + 0.5, 5.5 + 0.5 + 4]


@pytest.mark.parametrize(
    ("said", "onsets"),
    [
        (("Pitch_60", "Duration_24"), [0.0]),  # nothing before it
        ((*OPENING, "Bar", *HORN, "Duration_24"), [2.0]),  # no Position
        ((*OPENING, "Position_0", *HORN), [0.0]),  # no Duration
        ((*OPENING, "Position_0", *HORN, "Duration_24", "Pitch_60", "Duration_9"), [0.0]),  # it sounds
        ((*OPENING, "Position_24", *HORN, "Duration_24", "Position_0", "Pitch_61", "Duration_24"), [0.5, 0.5]),
        ((*OPENING, "Position_100", *HORN, "Duration_24"), [0.0]),  # past the bar
        ((*OPENING, "Position_0", "Duration_24", *HORN, "Duration_24"), [0.0]),  # a Duration of nothing
    ],
)
def test_ids_that_no_grammar_made_are_read_as_well_as_they_can(said: tuple[str, ...], onsets: list[float]) -> None:
    assert [note.onset_seconds for note in notes(*said)] == onsets


@given(st.lists(st.integers(0, len(VOCAB) - 1), max_size=150))
def test_any_ids_are_music_in_order_of_time(ids: list[int]) -> None:
    onsets = [piece.onset_seconds for piece in stream(CODEC, ids) if isinstance(piece, NoteEvent)]
    assert onsets == sorted(onsets)
    score = decode(CODEC, ids)
    check_notes(score)
    ticks = [tempo.onset_ticks for tempo in score.tempos]
    assert ticks == sorted(set(ticks))


@given(scores())
def test_pieces_come_in_order_of_time(score: Score) -> None:
    ids = CODEC.encode(score).tolist()
    whole = decode(CODEC, ids)
    times = [
        piece.onset_seconds if isinstance(piece, NoteEvent) else float(whole.seconds([piece.onset_ticks])[0])
        for piece in stream(CODEC, ids)
    ]
    assert all(later - earlier > -1e-9 for earlier, later in itertools.pairwise(times))


@given(scores())
def test_seconds_are_those_of_the_joined_score(score: Score) -> None:
    ids = CODEC.encode(score)
    whole = decode(CODEC, ids)
    ours = sorted(piece.onset_seconds for piece in stream(CODEC, ids.tolist()) if isinstance(piece, NoteEvent))
    theirs = sorted(second for track in whole.tracks for second in whole.seconds(track.columns[0]).tolist())
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_seconds_are_those_that_mido_counts() -> None:
    said = (*OPENING, "Position_0", *HORN, "Duration_24", "Position_48", "Tempo_60", "Bar", "Tempo_240", "Position_3")
    last = notes(*said, "Pitch_60", "Duration_24")[-1]
    beats = mido.tick2second(48 * 16, 384, 500_000) + mido.tick2second(48 * 16, 384, 1_000_000)
    assert last.onset_seconds == beats + mido.tick2second(48, 384, 250_000)
