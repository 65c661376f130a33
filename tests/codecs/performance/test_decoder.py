from hypothesis import given
from hypothesis import strategies as st

from gen.codec import stream
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.performance.decoder import MAX_WAITING, PerformanceDecoder
from gen.music.score import NoteEvent, Score
from tests.music.scores import scores

CODEC = PerformanceCodec()


def ids(*symbols: str) -> list[int]:
    return [CODEC.vocab.index[symbol] for symbol in symbols]


def test_a_note_comes_with_its_note_off() -> None:
    decoder = PerformanceDecoder()
    pieces = [decoder.push(token) for token in ids("TimeShift_50", "Velocity_20", "NoteOn_60", "TimeShift_25")]
    assert pieces == [(), (), (), ()]
    assert decoder.push(ids("NoteOff_60")[0]) == (NoteEvent(0.5, 0.25, 60, 82),)


def test_a_note_waits_for_those_that_began_before_it() -> None:
    decoder = PerformanceDecoder()
    for token in ids("NoteOn_60", "TimeShift_10", "NoteOn_64", "TimeShift_10", "NoteOff_64", "TimeShift_10"):
        assert decoder.push(token) == ()
    assert [event.pitch for event in decoder.push(ids("NoteOff_60")[0])] == [60, 64]


@given(scores())
def test_notes_come_in_order_of_onset_and_pitch(score: Score) -> None:
    events = list(stream(CODEC, CODEC.encode(score).tolist()))
    assert events == sorted(events, key=lambda event: (event.onset_seconds, event.pitch))


def test_stray_note_offs_are_ignored() -> None:
    assert list(stream(CODEC, ids("NoteOff_60", "TimeShift_5", "NoteOff_60"))) == []


def test_open_notes_end_where_the_ids_end() -> None:
    assert list(stream(CODEC, ids("NoteOn_60", "TimeShift_50", "NoteOn_64"))) == [
        NoteEvent(0.0, 0.5, 60, 66),
        NoteEvent(0.5, 0.01, 64, 66),
    ]


def test_a_note_on_of_a_sounding_pitch_ends_the_note_before() -> None:
    assert list(stream(CODEC, ids("NoteOn_60", "TimeShift_50", "NoteOn_60", "TimeShift_50"))) == [
        NoteEvent(0.0, 0.5, 60, 66),
        NoteEvent(0.5, 0.5, 60, 66),
    ]


def test_a_note_that_ends_where_it_begins_lasts_a_frame_and_is_not_doubled() -> None:
    assert list(stream(CODEC, ids("NoteOn_60", "NoteOff_60", "NoteOn_60", "NoteOff_60"))) == [
        NoteEvent(0.0, 0.01, 60, 66)
    ]


@given(st.lists(st.integers(0, 389), max_size=200))
def test_any_ids_decode_to_notes_that_do_not_overlap(tokens: list[int]) -> None:
    score = CODEC.join(stream(CODEC, tokens))
    ends: dict[int, int] = {}
    for onset, duration, pitch, _ in score.tracks[0].notes:
        assert onset >= ends.get(pitch, 0)
        ends[pitch] = onset + duration


def test_a_note_without_end_does_not_hold_back_all_others() -> None:
    decoder = PerformanceDecoder()
    decoder.push(ids("NoteOn_60")[0])
    a_note = ids("NoteOn_64", "TimeShift_1", "NoteOff_64")
    most = come = 0
    for number in range(1, 5 * MAX_WAITING):
        come += sum(len(decoder.push(token)) for token in a_note)
        most = max(most, number - come)
    assert most <= MAX_WAITING
    assert next(iter(decoder.finish())).pitch == 60
