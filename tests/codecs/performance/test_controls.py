"""Controls in the stream of a performance: where they stand, what they say, and how they are asked for."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.codec import Envelope, decode
from gen.codecs import load_codec
from gen.codecs.controls import DROPOUT
from gen.codecs.envelope import read_envelopes
from gen.codecs.music_codec import with_controls
from gen.codecs.performance.codec import PerformanceCodec
from gen.errors import CheckpointError, SettingError
from gen.music.score import Note, Score, Tempo, Track
from tests.codecs.performance.test_grammar import check_notes
from tests.music.scores import scores

PLAIN = PerformanceCodec()
DENSITY, KEY, BOTH = (with_controls(PLAIN, names) for names in (("density",), ("key",), ("key", "density")))
CODECS = (DENSITY, KEY, BOTH)
FIRST_CONTROL = 388
codecs = st.sampled_from(CODECS)


def in_milliseconds(*notes: Note) -> Score:
    return Score((Track(notes),), ticks_per_beat=500, tempos=(Tempo(0, 500_000),))


def symbols(codec: PerformanceCodec, score: Score) -> list[str]:
    return [codec.vocab.symbols[token] for token in codec.encode(score)]


def without_controls(ids: list[int]) -> list[int]:
    return [token for token in ids if token < FIRST_CONTROL]


def check_places(codec: PerformanceCodec, ids: list[int]) -> None:
    """Plays the ids; fails unless all controls, in order, stand where each second begins; the last may be cut off."""
    now = 0
    due = [name.capitalize() for name in codec.control_names]
    for token in ids:
        kind, _, value = codec.vocab.symbols[token].partition("_")
        assert (token >= FIRST_CONTROL) == bool(due)
        assert not due or kind == due[0]
        due = due[1:]
        if kind == "TimeShift":
            if (now + int(value)) // 100 > now // 100:
                due = [name.capitalize() for name in codec.control_names]
            now += int(value)


def test_the_symbols_stand_before_begin_and_end() -> None:
    assert BOTH.control_names == ("density", "key"), "whatever the order in which they are given"
    added = BOTH.vocab.symbols[FIRST_CONTROL:]
    assert added[:3] == ("Density_any", "Density_0", "Density_1")
    assert added[15:18] == ("Density_14", "Key_any", "Key_C")
    assert added[-3:] == ("Key_Bm", "Begin", "End")
    assert len(added) == 1 + 15 + 1 + 24 + 2


def test_three_seconds_by_hand() -> None:
    score = in_milliseconds(Note(500, 100, 60, 64), Note(1500, 600, 64, 64), Note(2500, 500, 67, 80))
    assert symbols(DENSITY, score) == [
        *("Density_2", "TimeShift_50", "Velocity_16", "NoteOn_60", "TimeShift_10", "NoteOff_60", "TimeShift_90"),
        *("Density_2", "NoteOn_64", "TimeShift_60", "Density_0", "NoteOff_64", "TimeShift_40", "Velocity_20"),
        *("NoteOn_67", "TimeShift_50", "Density_any", "NoteOff_67"),
    ]


def test_where_two_seconds_are_silent_the_density_is_any() -> None:
    score = in_milliseconds(Note(0, 100, 60, 64), Note(4100, 100, 60, 64))
    assert symbols(DENSITY, score) == [
        *("Density_0", "Velocity_16", "NoteOn_60", "TimeShift_10", "NoteOff_60", "TimeShift_100", "Density_any"),
        *("TimeShift_100", "Density_any", "TimeShift_100", "Density_0", "TimeShift_100", "Density_0", "NoteOn_60"),
        *("TimeShift_10", "NoteOff_60"),
    ]


@pytest.mark.parametrize(("count", "level"), [(1, 0), (2, 2), (4, 4), (8, 6), (16, 8), (32, 10), (64, 12)])
def test_density_is_in_half_octaves_of_notes_a_second(count: int, level: int) -> None:
    notes = [Note(10 * (n // 4), 10, 40 + n % 4, 64) for n in range(count)]
    assert symbols(DENSITY, in_milliseconds(*notes))[0] == f"Density_{level}"


def test_the_key_is_that_of_the_bars_around() -> None:
    def scale(tonic: int, start: int) -> list[Note]:
        steps = (0, 2, 4, 5, 7, 9, 11, 12, 7, 4) * 8
        return [Note(start + 500 * n, 500, tonic + step, 64) for n, step in enumerate(steps)]

    found = symbols(KEY, in_milliseconds(*scale(60, 0), *scale(66, 40_000)))
    keys = [symbol for symbol in found if symbol.startswith("Key")]
    assert keys[:30] == ["Key_C"] * 30
    assert keys[-30:] == ["Key_F#"] * 30
    assert len(keys) == 81, "the last note ends where another second begins"


@given(scores(), codecs)
def test_controls_stand_where_each_second_begins_and_are_not_heard(score: Score, codec: PerformanceCodec) -> None:
    ids = codec.encode(score).tolist()
    check_places(codec, ids)
    assert without_controls(ids) == PLAIN.encode(score).tolist()
    assert decode(codec, ids) == decode(PLAIN, PLAIN.encode(score))
    assert codec.encode(decode(codec, ids)).tolist() == ids


@given(scores(), codecs)
def test_the_grammar_accepts_what_the_encoder_writes_when_it_is_asked_for(
    score: Score, codec: PerformanceCodec
) -> None:
    ids = codec.encode(score).tolist()
    grammar = codec.grammar(as_in(codec, ids))
    for left, token in zip(range(len(ids), 0, -1), ids, strict=True):
        assert grammar.allowed(None)[token]
        assert grammar.allowed(left)[token], "a budget that the document fits is enough"
        grammar.advance(token)
    assert grammar.allowed(None)[codec.vocab.end]


def as_in(codec: PerformanceCodec, ids: list[int]) -> dict[str, Envelope]:
    """Returns envelopes that ask for the controls that stand in ids."""
    found: dict[str, dict[int, float | str]] = {"density": {}, "key": {}}
    now = 0
    for token in ids:
        kind, _, value = codec.vocab.symbols[token].partition("_")
        if kind == "TimeShift":
            now += int(value)
        elif value == "any":
            continue
        elif kind == "Density":
            found["density"][now // 100] = 0.5 * 2 ** (int(value) / 2)
        elif kind == "Key":
            found["key"][now // 100] = value

    def envelope(name: str) -> Envelope:
        return lambda seconds: found[name].get(int(seconds) - 1)  # asked for by the middle of two seconds

    return {name: envelope(name) for name in found}


asked = st.fixed_dictionaries(
    {},
    optional={
        "density": st.sampled_from([lambda seconds: 1 + seconds, lambda _: 300.0, lambda _: 0.001, lambda _: None]),
        "key": st.sampled_from([lambda seconds: "C" if seconds < 9 else "Bbm", lambda _: None]),
    },
)
weights = st.fixed_dictionaries(
    {kind: st.sampled_from((0.0001, 0.05, 1.0, 50.0)) for kind in ("NoteOn", "NoteOff", "TimeShift", "Velocity")}
    | {"End": st.sampled_from((1e-9, 1.0))}
)


def walk(
    codec: PerformanceCodec, length: int, seed: int, *, weights: dict[str, float], asked: dict[str, Envelope]
) -> list[int]:
    """Draws ids at random among the allowed ones, until `End` or the budget is spent."""
    draw = random.Random(seed)  # noqa: S311
    grammar = codec.grammar({name: envelope for name, envelope in asked.items() if name in codec.control_names})
    kinds = [symbol.split("_")[0] for symbol in codec.vocab.symbols]
    ids: list[int] = []
    while len(ids) < length:
        choices = np.flatnonzero(grammar.allowed(length - len(ids))).tolist()
        assert set(choices) - {codec.vocab.end}, "something besides End is always allowed"
        assert not grammar.tokens_to_close() or codec.vocab.end not in choices
        token = draw.choices(choices, [weights.get(kinds[choice], 1.0) for choice in choices])[0]
        if token == codec.vocab.end:
            break
        ids.append(token)
        grammar.advance(token)
    assert grammar.tokens_to_close() == 0
    return ids


def check_walk(codec: PerformanceCodec, ids: list[int]) -> None:
    check_notes(without_controls(ids))
    check_places(codec, ids)
    again = codec.encode(decode(codec, ids)).tolist()
    neutral = codec.control_tokens.neutral()
    assert neutral[again].tolist() == neutral[ids].tolist()[: len(again)]
    beyond = {codec.vocab.symbols[token].split("_")[0] for token in ids[len(again) :]}
    assert beyond <= {"TimeShift", "Density", "Key"}


@given(codecs, st.integers(1, 300), st.integers(0, 2**32), weights, asked, st.sampled_from((None, 1, 7, 250)))
@settings(max_examples=300)
def test_every_masked_walk_is_valid_whatever_is_asked(
    codec: PerformanceCodec,
    length: int,
    seed: int,
    weights: dict[str, float],
    asked: dict[str, Envelope],
    longest_note: int | None,
) -> None:
    fitted = PerformanceCodec(control_names=codec.control_names, longest_note=longest_note)
    check_walk(fitted, walk(fitted, length, seed, weights=weights, asked=asked))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: "+".join(codec.control_names))
@pytest.mark.parametrize("length", range(1, 25))
def test_every_short_budget_is_kept(codec: PerformanceCodec, length: int) -> None:
    for seed in range(40):
        weights = {"NoteOn": 0.2, "TimeShift": 0.2, "End": 1e-9}
        check_walk(codec, walk(codec, length, seed, weights=weights, asked={}))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: "+".join(codec.control_names))
@pytest.mark.parametrize("length", range(1, 40))
def test_the_longest_silence_does_not_lead_astray(codec: PerformanceCodec, length: int) -> None:
    check_walk(codec, walk(codec, length, 0, weights={"TimeShift": 1e6, "End": 1e-9}, asked={}))


@given(codecs, st.lists(st.integers(0, 428), max_size=60), st.integers(1, 40), st.integers(0, 2**32))
def test_after_any_prompt_something_is_allowed_and_the_file_is_valid(
    codec: PerformanceCodec, prompt: list[int], length: int, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    grammar = codec.grammar()
    ids = [token for token in prompt if token < codec.vocab.begin]
    for token in ids:
        grammar.advance(token)
    for left in range(length, 0, -1):
        choices = [token for token in np.flatnonzero(grammar.allowed(left)).tolist() if token != codec.vocab.end]
        ids.append(draw.choice(choices))
        grammar.advance(ids[-1])
    check_notes(PLAIN.encode(decode(codec, ids)).tolist())


@given(codecs, st.lists(st.integers(0, 428), max_size=60))
def test_after_any_prompt_enough_budget_closes_every_note(codec: PerformanceCodec, prompt: list[int]) -> None:
    grammar = codec.grammar()
    for token in prompt:
        if token < codec.vocab.begin:
            grammar.advance(token)
    for left in range(grammar.tokens_to_close(), 0, -1):
        grammar.advance(next(t for t in np.flatnonzero(grammar.allowed(left)).tolist() if t != codec.vocab.end))
    assert grammar.tokens_to_close() == 0


def asked_ids(codec: PerformanceCodec, asked: dict[str, Envelope], *, seconds: float) -> list[str]:
    """Returns the controls that the grammar forces at some time."""
    grammar = codec.grammar(asked)
    for _ in range(int(seconds)):
        grammar.advance(codec.vocab.index["TimeShift_100"])
    found = []
    for _ in codec.control_names:
        (token,) = np.flatnonzero(grammar.allowed(None)).tolist()
        found.append(codec.vocab.symbols[token])
        grammar.advance(token)
    return found


def test_what_is_not_asked_is_any_and_what_is_asked_is_that_of_the_middle_of_two_seconds() -> None:
    rising: dict[str, Envelope] = {"density": lambda seconds: seconds}
    assert asked_ids(BOTH, {}, seconds=0) == ["Density_any", "Key_any"]
    assert asked_ids(BOTH, rising, seconds=0) == ["Density_2", "Key_any"]  # one a second
    assert asked_ids(BOTH, rising | {"key": lambda _: "Bb"}, seconds=7) == ["Density_8", "Key_A#"]  # eight a second


def test_where_a_second_begins_nothing_but_what_is_asked_may_come() -> None:
    grammar = DENSITY.grammar({"density": lambda _: 8.0})
    found = []
    for symbol in ("Density_8", "Velocity_16", "NoteOn_60", "TimeShift_99", "TimeShift_1"):
        grammar.advance(DENSITY.vocab.index[symbol])
        found.append({DENSITY.vocab.symbols[token] for token in np.flatnonzero(grammar.allowed(None)).tolist()})
    assert found[-1] == {"Density_8"}
    assert all(len(symbols) > 1 and not any(s.startswith("Density") for s in symbols) for symbols in found[:-1])


def test_a_density_that_the_corpus_lacks_becomes_the_nearest_that_it_has() -> None:
    notes = [Note(100 * n, 50, 60, 64) for n in range(10)] + [Note(2000, 50, 60, 64)]  # ten, then one
    codec = DENSITY.fitted(DENSITY.encode(in_milliseconds(*notes)))
    assert codec.densities == (0, 7)
    for density, expected in (("0.01", "Density_0"), ("1.5", "Density_0"), ("2", "Density_7"), ("99", "Density_7")):
        assert asked_ids(codec, read_envelopes({"density": density}, codec.controls), seconds=0) == [expected]


def test_a_density_that_hardly_stands_anywhere_is_not_known() -> None:
    seldom = [Note(2000 * span + 10 * n, 5, 60, 64) for span in range(200) for n in range(16 if span == 7 else 4)]
    codec = DENSITY.fitted(DENSITY.encode(in_milliseconds(*seldom)))
    assert codec.densities == (4,)


def test_controls_survive_the_spec_and_a_spec_from_before_them_is_read() -> None:
    codec = BOTH.fitted(BOTH.encode(in_milliseconds(Note(0, 100, 60, 64))))
    assert load_codec(codec.spec()) == codec
    assert PLAIN.spec() == {"name": "performance", "version": 1, "is_drums": False, "longest_note": None}


def test_controls_of_the_first_version_stood_elsewhere_and_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"codec performance: of another version \(1\)"):
        load_codec(DENSITY.spec() | {"version": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"controls": ["tempo"]},
        {"controls": "key"},
        {"controls": ["key", "density"]},
        {"pitches": [60]},
        {"pitches": [70, 60]},
        {"densities": ["1"]},
    ],
)
def test_a_spec_with_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="codec performance"):
        PerformanceCodec.from_spec(PLAIN.spec() | wrong)


def test_drums_have_no_key_and_unknown_controls_are_named() -> None:
    with pytest.raises(SettingError, match="--controls: drums have no key"):
        with_controls(PerformanceCodec(is_drums=True), ("key",))
    with pytest.raises(SettingError, match=r"--controls: unknown \(loudness\)"):
        with_controls(PLAIN, ("loudness",))


@given(scores(), st.integers(0, 2**32))
def test_in_training_the_key_moves_along_and_time_stays(score: Score, seed: int) -> None:
    ids = BOTH.encode(score)
    variation = BOTH.variation(is_augmented=True)
    assert variation is not None
    read = variation(ids, np.random.default_rng(seed)).table[ids]

    check_walk(BOTH, read.tolist())
    names = BOTH.vocab.symbols
    shift = next(int(after) - int(before) for before, after in zip(ids, read, strict=True) if before < 128)
    for before, after in zip(ids.tolist(), read.tolist(), strict=True):
        assert names[before].startswith("TimeShift") <= (before == after)
        assert names[before].startswith("Density") <= (after in (before, BOTH.vocab.index["Density_any"]))
        if names[before].startswith("Key") and names[after] != "Key_any":
            place, moved = (names.index(names[token]) - BOTH.vocab.index["Key_C"] for token in (before, after))
            assert (moved - place) % 12 == shift % 12
            assert moved // 12 == place // 12


def test_each_control_is_forgotten_in_a_part_of_the_segments_by_itself() -> None:
    ids = BOTH.encode(in_milliseconds(Note(0, 100, 60, 64)))
    variation = BOTH.variation(is_augmented=False)
    assert variation is not None
    read = np.stack([variation(ids, np.random.default_rng(seed)).table[ids] for seed in range(2000)])
    assert (read[:, 2:] == ids[2:]).all()
    is_any = read[:, :2] == [BOTH.vocab.index["Density_any"], BOTH.vocab.index["Key_any"]]
    assert np.allclose(is_any.mean(axis=0), DROPOUT, atol=0.04)  # 4 sigma
    assert np.isclose(is_any.all(axis=1).mean(), DROPOUT**2, atol=0.03)
