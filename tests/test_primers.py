"""Primers of every kind at tiny models of both codecs: sampling works, and the primer comes back as it was."""

from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mido
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import gen
from gen.codec import Codec, decode
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.unknown import nearest
from gen.corpus.builtin import builtin_path
from gen.errors import MidiError
from gen.music.continuation import continuation_alone, with_continuation
from gen.music.metre import bars_of
from gen.music.midi.read import read_midi
from gen.music.midi.rules import MAX_SECONDS
from gen.music.midi.write import write_midi
from gen.music.score import ChannelEvent, ChannelEvents, Note, PedalSpan, Score, Tempo, Text, TimeSignature, Track
from gen.runs.run import Run

ANY_CODEC = pytest.mark.parametrize("codec", ["beat", "performance"])
RANDOM = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


@cache
def run_of(codec: str) -> Run:
    """Returns a run of three steps on three chorales, which are of one piano."""
    chorales = builtin_path("chorales")
    assert chorales is not None
    with TemporaryDirectory() as folder:
        files = [chorales / name for name in ("bwv2.6.mid", "bwv3.6.mid", "bwv4.8.mid")]
        sizes: dict[str, Any] = {"hidden_size": 8, "num_layers": 1, "embedding_size": 4, "batch_size": 4, "bptt": 16}
        gen.train(files, codec=codec, run="tiny", out=Path(folder), steps=3, **sizes)
        return gen.load(Path(folder) / "tiny")


@st.composite
def primers(draw: st.DrawFn) -> Score:
    """Scores of any number of instruments, in any metre, at any tempo, of any pitch and length, perhaps of no note."""
    tracks = []
    for _ in range(draw(st.integers(0, 20))):
        events = draw(
            st.lists(
                st.tuples(
                    st.integers(0, 60_000),
                    st.one_of(st.integers(1, 2000), st.integers(1, 3_000_000)),
                    st.integers(0, 127),
                    st.integers(1, 127),
                ),
                max_size=4,
            )
        )
        notes = tuple(sorted(Note(*event) for event in events))
        tracks.append(Track(notes, draw(st.integers(0, 127)), draw(st.booleans())))
    ticks = st.integers(0, 50_000)
    changes = {tick: Tempo(tick, draw(st.integers(1, 0xFFFFFF))) for tick in draw(st.lists(ticks, max_size=3))}
    metres = {
        tick: TimeSignature(tick, draw(st.integers(1, 255)), 2 ** draw(st.integers(0, 6)))
        for tick in draw(st.lists(ticks, max_size=3))
    }
    return Score(
        tuple(tracks),
        draw(st.integers(1, 1000)),
        tuple(changes[tick] for tick in sorted(changes)),
        tuple(metres[tick] for tick in sorted(metres)),
    )


def of_programs(count: int, *, is_drum: bool = False) -> Score:
    """Returns a score of so many programs, a beat each."""
    return Score(tuple(Track((Note(480 * p, 480, 60, 64),), p, is_drum) for p in range(count)))


@st.composite
def files(draw: st.DrawFn) -> Score:
    """Primers as a file can hold them: a day of music at most."""
    score = draw(primers())
    assume(score.duration_seconds <= MAX_SECONDS)
    return score


def read_back(score: Score) -> Score:
    """Returns what a file of a score holds."""
    with TemporaryDirectory() as folder:
        write_midi(Path(folder) / "a.mid", score)
        return read_midi(Path(folder) / "a.mid")[0]


@ANY_CODEC
@given(score=files(), min_length=st.integers(0, 30))
@example(score=of_programs(15), min_length=0)
@example(score=of_programs(128), min_length=30)
@example(score=of_programs(1, is_drum=True), min_length=30)
@example(score=Score(()), min_length=0)
@example(score=Score((Track((Note(0, 2_900_000, 60, 64),)),), 1, (Tempo(0, 1000),)), min_length=30)
@RANDOM
def test_any_primer_is_gone_on_from_or_refused_in_a_line(codec: str, score: Score, min_length: int) -> None:
    run = run_of(codec)
    try:
        (whole,) = run.sample(score, length=30, min_length=min_length, seed=0)
        again = read_back(whole) if 0 < whole.duration_seconds <= MAX_SECONDS else whole
    except MidiError:  # a file cannot hold it
        return
    assert again.num_notes == whole.num_notes
    assert all(isinstance(line, str) for line in map(str, run.stream(score, length=30, min_length=min_length, seed=0)))
    factor = whole.ticks_per_beat // score.ticks_per_beat
    for before, after in zip(score.tracks, whole.tracks, strict=False):
        scaled = Counter(Note(n.onset_ticks * factor, n.duration_ticks * factor, *n[2:]) for n in before.notes)
        assert scaled <= Counter(after.notes)
        assert (after.program, after.is_drum) == (before.program, before.is_drum)
    known = run.codec.adapted(score).whole
    assert {t.program for t in known.tracks if t.notes and not t.is_drum} <= {0} or codec == "performance"


@pytest.mark.parametrize("music", [BeatCodec(), PerformanceCodec()])
@given(score=primers())
@example(score=of_programs(15))
@RANDOM
def test_any_primer_leaves_the_grammar_a_way_on_and_no_end(music: Codec[Score, Any], score: Score) -> None:
    """At a model that could draw every token, also one that was fitted to nothing like the primer."""
    piano = music.encode(Score((Track((Note(0, 480, 60, 64),)),)))
    for codec in (music, music.fitted(piano)):
        try:
            ids = codec.encode(score).tolist()
        except MidiError:
            continue
        for budget in (40, None):
            grammar = codec.grammar()
            assert grammar is not None
            for token in ids:
                grammar.advance(token)
            mask = grammar.allowed(None if budget is None else max(budget, grammar.tokens_to_close()))
            assert mask[: codec.vocab.begin].any()


def note_ons(path: Path) -> Counter[tuple[Any, ...]]:
    """Returns every event of a file, with its tick and what its track is called, as mido reads them."""
    events: Counter[tuple[Any, ...]] = Counter()
    for track in mido.MidiFile(path).tracks:
        now, name = 0, next((message.name for message in track if message.type == "track_name"), "")
        for message in track:
            now += message.time
            if message.type != "end_of_track":
                events[now, name, str(message.copy(time=0))] += 1
    return events


QUARTETS = pytest.mark.parametrize("ticks_per_beat", [24, 96, 480, 1000])


def quartet(ticks_per_beat: int, *, programs: tuple[int, ...] = (0, 0, 0, 0)) -> Score:
    """Returns voices and drums at a tempo that no codec has, with a change, pedal, a bend, texts and a long silence."""
    beat = ticks_per_beat
    tracks = [
        Track(
            tuple(Note(beat * place, beat, 48 + 5 * voice + place % 3, 64) for place in (*range(8), *range(80, 88))),
            program,
            name=f"voice {voice}",
            pedal=(PedalSpan(0, 4 * beat),) if voice == 0 else (),
            events=ChannelEvents([ChannelEvent(0, 0xB0, 7, 99), ChannelEvent(beat, 0xE0, 0, 80)] * (voice == 1)),
        )
        for voice, program in enumerate(programs)
    ]
    drums = Track(tuple(Note(beat * place, 1, 36, 100) for place in range(80, 88)), 25, True, "kit")
    tempos = (Tempo(0, 487_321), Tempo(81 * beat, 611_111))
    texts = (
        Text(0, 1, "a text"),
        Text(0, 2, "nobody's"),
        Text(0, 5, "la"),
        Text(beat, 5, "l\xe0"),
        Text(80 * beat, 6, "B"),
    )
    return Score((*tracks, drums), beat, tempos, (TimeSignature(0, 3, 4),), texts=texts)


@ANY_CODEC
@QUARTETS
def test_a_primer_comes_back_event_for_event_and_then_goes_on(codec: str, ticks_per_beat: int, tmp_path: Path) -> None:
    run, primer = run_of(codec), quartet(ticks_per_beat)
    write_midi(tmp_path / "primer.mid", primer)
    write_midi(tmp_path / "on.mid", run.sample(primer, length=60, min_length=60, seed=0)[0])
    before, after = note_ons(tmp_path / "primer.mid"), note_ons(tmp_path / "on.mid")
    assert before <= after
    added = after - before
    assert {name for _, name, message in added if message.startswith("note_")} == {"tiny"}
    assert min(tick for tick, _, message in added if message.startswith("note_on")) >= 87 * ticks_per_beat


@QUARTETS
def test_what_goes_on_stands_on_the_beat_of_the_primer(ticks_per_beat: int) -> None:
    run, primer = run_of("beat"), quartet(ticks_per_beat)
    drawn = [item.token for item in run.generate(primer, length=200, min_length=200, seed=0)]
    ids = run.prompt(primer).ids
    before, after = (decode(run.codec, tokens) for tokens in (ids, [*ids, *drawn]))
    on_grid = Counter(onsets_and_pitches(after)) - Counter(onsets_and_pitches(before))
    cut = (80 // 3 - 8 // 3 - 9) * 3 * 384  # the bars of 3/4 that the codec leaves out of the silence

    (whole,) = run.sample(primer, length=200, min_length=200, seed=0)
    (added,) = [track for track in whole.tracks if track.name == "tiny"]
    assert whole.ticks_per_beat == ticks_per_beat
    assert Counter((note.onset_ticks, note.pitch) for note in added.notes) == Counter(
        ((2 * (onset + cut) * ticks_per_beat + 384) // 768, pitch) for onset, pitch in on_grid.elements()
    )


def test_what_goes_on_from_a_performance_is_in_its_time() -> None:
    run, primer = run_of("performance"), quartet(480)
    drawn = [item.token for item in run.generate(primer, length=100, min_length=100, seed=0)]
    ids = run.prompt(primer).ids
    before, after = (decode(run.codec, tokens) for tokens in (ids, [*ids, *drawn]))
    in_ms = Counter(onsets_and_pitches(after)) - Counter(onsets_and_pitches(before))
    cut_seconds = primer.seconds([80 * 480])[0] - primer.seconds([8 * 480])[0] - 10  # a silence of ten seconds is left

    (whole,) = run.sample(primer, length=100, min_length=100, seed=0)
    (added,) = [track for track in whole.tracks if track.name == "tiny"]
    found = sorted((whole.seconds([note.onset_ticks])[0], note.pitch) for note in added.notes)
    wanted = sorted((onset / 1000 + cut_seconds, pitch) for onset, pitch in in_ms.elements())
    assert [pitch for _, pitch in found] == [pitch for _, pitch in wanted]
    # A tick is 1.3 ms, and the silence was cut in frames of 10 ms.
    assert [seconds for seconds, _ in found] == pytest.approx([seconds for seconds, _ in wanted], abs=0.011)


def onsets_and_pitches(score: Score) -> list[tuple[int, int]]:
    return [(n.onset_ticks, n.pitch) for track in score.tracks for n in track.notes if not track.is_drum]


def test_a_single_track_of_the_instrument_that_goes_on_holds_what_is_added() -> None:
    run = run_of("beat")
    primer = Score((Track(tuple(Note(480 * n, 480, 60, 64) for n in range(8)), 0, name="piano"),), 480)
    (whole,) = run.sample(primer, length=40, min_length=40, seed=0)
    (track,) = whole.tracks
    assert track.name == "piano"
    assert Counter(primer.tracks[0].notes) < Counter(track.notes)


def test_a_primer_of_an_unknown_instrument_is_read_as_the_nearest_known_one() -> None:
    run = run_of("beat")
    piano, choir = (run.prompt(quartet(480, programs=(program,) * 4)) for program in (0, 52))
    assert choir.ids == piano.ids
    assert choir.unknown == (
        "choir aahs: acoustic grand piano goes on in its place",
        "drums: it goes on without",
    )
    assert piano.unknown == choir.unknown[1:]


@pytest.mark.parametrize(
    ("program", "known", "expected"),
    [(52, {0, 48, 56}, 48), (52, {0, 55, 56}, 55), (40, {0, 47, 41}, 41), (71, {0, 127}, 127), (4, {0, 8}, 0)],
)
def test_the_nearest_program_is_of_the_family_first(program: int, known: set[int], expected: int) -> None:
    assert nearest(program, known) == expected


def test_a_codec_that_was_never_fitted_knows_all_there_is() -> None:
    score = quartet(480, programs=(0, 40, 52, 127))
    assert BeatCodec().adapted(score) == (score, ())


def test_what_is_added_alone_begins_at_0_at_the_tempo_it_has_in_the_piece() -> None:
    run, primer = run_of("beat"), quartet(480)
    settings: dict[str, Any] = {"length": 60, "min_length": 60, "seed": 0}
    drawn = [item.token for item in run.generate(primer, **settings)]
    alone = run.prompt(primer).continued(drawn, name="tiny", with_prompt=False)
    (whole,) = run.sample(primer, **settings)
    (added,) = [track for track in whole.tracks if track.name == "tiny"]
    start = added.notes[0].onset_ticks
    assert list(alone.tracks[0].notes) == [n._replace(onset_ticks=n.onset_ticks - start) for n in added.notes]
    assert alone.tempos[0] == Tempo(0, 611_111)
    assert alone.time_signatures[0] == TimeSignature(0, 3, 4)
    assert alone.duration_seconds == pytest.approx(whole.duration_seconds - whole.seconds([start])[0], abs=1e-6)


def test_what_is_added_alone_keeps_its_bar_lines() -> None:
    primer = Score((Track((Note(0, 480, 60, 64),)),), 480, (), (TimeSignature(0, 3, 4),))
    added = Score((Track((Note(960, 480, 62, 64), Note(1440, 480, 64, 64))),), 480)
    alone = continuation_alone(primer, added, name="me")
    assert alone.time_signatures == (TimeSignature(0, 3, 4), TimeSignature(480, 3, 4))
    assert alone.tracks[0].notes == (Note(0, 480, 62, 64), Note(480, 480, 64, 64))
    assert [bars_of(alone).start_of(bar) for bar in (1, 2, 3)] == [0, 480, 1920]


@pytest.mark.parametrize(
    ("events", "is_joined"),
    [
        ([(0, 0xB0, 7, 99), (100, 0xE0, 0, 80), (900, 0xE0, 0, 64)], True),
        ([(0, 0xE0, 0, 80)], False),
        ([(0, 0xB0, 11, 99), (900, 0xB0, 11, 0)], False),
    ],
)
def test_a_channel_that_was_left_bent_or_mute_is_not_gone_on_with(
    events: list[tuple[int, int, int, int]], is_joined: bool
) -> None:
    home = Track((Note(0, 480, 60, 64),), events=ChannelEvents([ChannelEvent(*event) for event in events]))
    added = Score((Track((Note(960, 480, 62, 64),)),), 480)
    assert len(with_continuation(Score((home,), 480), added, name="me").tracks) == (1 if is_joined else 2)


def test_a_pitch_that_still_sounds_is_struck_in_a_track_of_its_own() -> None:
    home = Track((Note(0, 4800, 60, 64),))
    added = Score((Track((Note(960, 480, 60, 64),)),), 480)
    assert with_continuation(Score((home,), 480), added, name="me").tracks == (
        home,
        Track(added.tracks[0].notes, name="me"),
    )


@pytest.mark.parametrize("text", ["a\u0308 b", "\u00e4 b\n"])
def test_a_text_that_was_typed_comes_back_as_it_was(text: str) -> None:
    codec = CharCodec.build(text)
    assert codec.continued(text, codec.encode("b ").tolist(), name="any") == text + "b "
    assert codec.continued(text, codec.encode("b ").tolist(), name="any", with_prompt=False) == "b "


@pytest.mark.parametrize(("tempo_us", "halvings"), [(60_000, 2), (30_000, 3), (500_000, 0), (8_000_000, -1)])
def test_what_goes_on_is_in_the_note_values_of_the_primer(tempo_us: int, halvings: int) -> None:
    codec = BeatCodec()
    notes = tuple(Note(480 * n, 480, 60, 64) for n in range(4))
    primer = Score((Track(notes),), 480, (Tempo(0, tempo_us),), (TimeSignature(0, 4, 4),))
    written = ["Bar", "TimeSignature_3/8", "Tempo_122.4", "Position_0", "Pitch_62", "Duration_24"]
    whole = codec.continued(primer, [codec.vocab.index[symbol] for symbol in written], name="me")
    beat = 480 * 2**halvings if halvings >= 0 else 240  # a quarter of the codec
    assert whole.tracks[0].notes == (*notes, Note(1920, beat, 62, 66))
    assert whole.tempos == (Tempo(0, tempo_us), Tempo(1920, round(490_195 / 2**halvings)))
    assert whole.time_signatures[1] == TimeSignature(1920, 3, round(8 / 2**halvings))
