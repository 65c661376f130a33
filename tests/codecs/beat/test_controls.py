"""Controls and variations of metric music."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.codec import Envelope, decode
from gen.codecs import load_codec
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.beat.vocab import DURATION, NUM_SYMBOLS, PITCH, TEMPO, VELOCITY
from gen.codecs.music_codec import with_controls
from gen.errors import CheckpointError
from gen.music.score import Note, Score, Tempo, TimeSignature, Track
from tests.codecs.beat.test_grammar import check_notes
from tests.music.scores import scores

PLAIN = BeatCodec()
DENSITY, KEY, BOTH = (with_controls(PLAIN, names) for names in (("density",), ("key",), ("key", "density")))
NARROW = BeatCodec(
    longest_note=30, seen=frozenset({"TimeSignature_1/32", "Tempo_120", "Drum_38"}), control_names=BOTH.control_names
)
codecs = st.sampled_from((DENSITY, KEY, BOTH))
QUARTER = 384


def symbols(codec: BeatCodec, score: Score) -> list[str]:
    return [codec.vocab.symbols[token] for token in codec.encode(score)]


def check_places(codec: BeatCodec, ids: list[int]) -> None:
    """Fails unless all controls, in order, stand after every Bar and nowhere else; the last ones may be cut off."""
    kinds = [codec.vocab.symbols[token].split("_")[0] for token in ids]
    expected = [name.capitalize() for name in codec.control_names]
    places = [place for place, kind in enumerate(kinds) if kind == "Bar"]
    for place in places:
        found = kinds[place + 1 : place + 1 + len(expected)]
        assert found == expected[: len(found)]
    num_cut = max(0, places[-1] + 1 + len(expected) - len(kinds)) if places else 0
    assert sum(token >= NUM_SYMBOLS for token in ids) == len(places) * len(expected) - num_cut


def test_bars_by_hand() -> None:
    notes = [Note(96 * n, 48, 60, 64) for n in range(16)] + [Note(3 * 1536, 96, 67, 64)]  # 8 a second, two silent bars
    score = Score((Track(notes),), QUARTER, tempos=(Tempo(0, 500_000),), time_signatures=(TimeSignature(0, 4, 4),))
    found = symbols(DENSITY, score)
    assert found[:5] == ["Bar", "Density_8", "TimeSignature_4/4", "Tempo_120", "Position_0"]
    assert [s for s in found if s.startswith(("Bar", "Density"))][2:] == ["Bar", "Density_0"] * 3


def test_the_density_is_of_the_seconds_that_a_bar_lasts_whatever_its_tempo_and_metre() -> None:
    notes = [Note(96 * n, 48, 60, 64) for n in range(40)]
    tempos = (Tempo(0, 500_000), Tempo(1536, 1_000_000))
    score = Score((Track(notes),), QUARTER, tempos, (TimeSignature(0, 4, 4), TimeSignature(3072, 2, 4)))
    found = [symbol for symbol in symbols(DENSITY, score) if symbol.startswith("Density")]
    assert found == ["Density_8", "Density_6", "Density_6"]  # 8 a second, then 4


def test_drums_alone_have_no_key() -> None:
    drums = Score((Track((Note(0, 96, 38, 64),), is_drum=True),), QUARTER)
    assert symbols(BOTH, drums)[:3] == ["Bar", "Density_0", "Key_any"]


def test_the_key_is_that_of_the_bars_around() -> None:
    steps = (0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0, 0)

    def scale(tonic: int, bar: int) -> list[Note]:
        return [Note(1536 * bar + 192 * n, 192, tonic + steps[n % 12], 64) for n in range(96)]

    found = symbols(KEY, Score((Track((*scale(60, 0), *scale(66, 12))),), QUARTER))
    keys = [symbol for symbol in found if symbol.startswith("Key")]
    assert keys[:8] + keys[16:] == ["Key_C"] * 8 + ["Key_F#"] * 8


@given(scores(), codecs)
def test_controls_stand_after_every_bar_and_are_not_heard(score: Score, codec: BeatCodec) -> None:
    ids = codec.encode(score).tolist()
    check_places(codec, ids)
    assert [token for token in ids if token < NUM_SYMBOLS] == PLAIN.encode(score).tolist()
    assert decode(codec, ids) == decode(PLAIN, PLAIN.encode(score))


@given(scores(), codecs)
def test_the_grammar_accepts_what_the_encoder_writes_when_nothing_is_asked(score: Score, codec: BeatCodec) -> None:
    neutral = codec.control_tokens.neutral()
    ids = neutral[codec.encode(score)].tolist()
    grammar = codec.grammar()
    for left, token in zip(range(len(ids), 0, -1), ids, strict=True):
        assert grammar.allowed(None)[token]
        assert grammar.allowed(left)[token], "a budget that the document fits is enough"
        grammar.advance(token)
    assert grammar.allowed(None)[codec.vocab.end]


KINDS = sorted({symbol.split("_")[0] for symbol in PLAIN.vocab.symbols} - {"Begin", "End"})
weights = st.fixed_dictionaries(
    {kind: st.sampled_from((0.0001, 0.05, 1.0, 50.0)) for kind in KINDS} | {"End": st.sampled_from((1e-9, 1.0))}
)
asked = st.fixed_dictionaries(
    {},
    optional={
        "density": st.sampled_from([lambda seconds: 1 + seconds, lambda _: 300.0, lambda _: None]),
        "key": st.sampled_from([lambda seconds: "C" if seconds < 9 else "Bbm"]),
    },
)


def walk(
    codec: BeatCodec, length: int, seed: int, *, weights: dict[str, float], asked: dict[str, Envelope]
) -> list[int]:
    """Draws ids at random: a kind among those that are allowed by its weight, then one of it, until the budget."""
    draw = random.Random(seed)  # noqa: S311
    grammar = codec.grammar({name: envelope for name, envelope in asked.items() if name in codec.control_names})
    ids: list[int] = []
    while len(ids) < length:
        by_kind: dict[str, list[int]] = {}
        for token in np.flatnonzero(grammar.allowed(length - len(ids))).tolist():
            by_kind.setdefault(codec.vocab.symbols[token].split("_")[0], []).append(token)
        assert by_kind.keys() - {"End"}, "something besides End is always allowed"
        kind = draw.choices(list(by_kind), [weights.get(kind, 1.0) for kind in by_kind])[0]
        if kind == "End":
            break
        ids.append(draw.choice(by_kind[kind]))
        grammar.advance(ids[-1])
    assert grammar.tokens_to_close() == 0
    return ids


def check_walk(codec: BeatCodec, ids: list[int]) -> None:
    check_places(codec, ids)
    whole = decode(codec, ids)
    check_notes(whole)
    neutral = codec.control_tokens.neutral()
    again = neutral[codec.encode(whole)].tolist()
    assert again == neutral[ids].tolist()[: len(again)]
    assert not any(PITCH <= token < DURATION for token in ids[len(again) :])


@given(st.integers(1, 200), st.integers(0, 2**32), weights, st.sampled_from((DENSITY, KEY, BOTH, NARROW)), asked)
@settings(max_examples=300)
def test_every_masked_walk_is_sound_and_canonical_whatever_is_asked(
    length: int, seed: int, weights: dict[str, float], codec: BeatCodec, asked: dict[str, Envelope]
) -> None:
    check_walk(codec, walk(codec, length, seed, weights=weights, asked=asked))


@pytest.mark.parametrize("codec", [DENSITY, BOTH, NARROW], ids=["density", "both", "narrow"])
@pytest.mark.parametrize("length", range(1, 45))
def test_every_short_budget_is_kept_also_in_silence(codec: BeatCodec, length: int) -> None:
    for seed in range(12):
        check_walk(codec, walk(codec, length, seed, weights={"End": 1e-9, "Bar": 10.0**seed}, asked={}))


@given(st.lists(st.integers(0, NUM_SYMBOLS + 40), max_size=40), st.integers(1, 30), st.integers(0, 2**32))
def test_after_any_prompt_something_is_allowed_and_the_music_is_sound(
    prompt: list[int], length: int, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    grammar = BOTH.grammar()
    for token in prompt:
        grammar.advance(token)
    ids = list(prompt)
    for left in range(length, 0, -1):
        choices = [token for token in np.flatnonzero(grammar.allowed(left)).tolist() if token != BOTH.vocab.end]
        ids.append(draw.choice(choices))
        grammar.advance(ids[-1])
    check_notes(decode(BOTH, ids))


def test_what_is_asked_is_that_of_the_second_in_which_the_bar_begins() -> None:
    grammar = BOTH.grammar({"density": lambda seconds: 1 + seconds, "key": lambda s: "C" if s < 4 else "Am"})
    found = []
    opening = ("TimeSignature_4/4", "Tempo_60")
    for bar in range(3):
        grammar.advance(BOTH.vocab.index["Bar"])
        for _ in range(2):
            (token,) = np.flatnonzero(grammar.allowed(None)).tolist()
            found.append(BOTH.vocab.symbols[token])
            grammar.advance(token)
        for symbol in opening if bar == 0 else ():
            grammar.advance(BOTH.vocab.index[symbol])
    assert found == ["Density_2", "Key_C", "Density_7", "Key_Am", "Density_8", "Key_Am"]  # 1, 5 and 9 a second


def test_settings_survive_the_spec_and_wrong_ones_are_refused() -> None:
    score = Score((Track((Note(0, 96, 60, 64), Note(0, 96, 72, 64))),), QUARTER)
    codec = BOTH.fitted(BOTH.encode(score))
    assert (codec.pitches, codec.densities) == ((60, 72), (2,))
    assert load_codec(codec.spec()) == codec
    assert PLAIN.spec().keys() == {"name", "version", "longest_note", "seen"}
    with pytest.raises(CheckpointError, match="codec beat: pitches are no range"):
        BeatCodec.from_spec(PLAIN.spec() | {"pitches": [70, 60]})


@given(scores(), st.integers(0, 2**32))
def test_what_is_varied_is_what_the_encoder_would_write(score: Score, seed: int) -> None:
    variation = PLAIN.variation(is_augmented=True)
    assert variation is not None
    ids = PLAIN.encode(score)

    read = variation(ids, np.random.default_rng(seed)).table[ids]

    grammar = PLAIN.grammar()
    for token in read.tolist():
        assert grammar.allowed(None)[token]
        grammar.advance(token)
    assert PLAIN.encode(decode(PLAIN, read.tolist())).tolist() == read.tolist()
    for first, stop, least, most in (
        (PITCH, PITCH + 128, -5, 6),
        (VELOCITY, PITCH, -2, 2),
        (TEMPO, TEMPO + 176, -2, 2),
    ):
        is_kind = (ids >= first) & (ids < stop)
        shifts = set((read[is_kind] - ids[is_kind].astype(int)).tolist())
        assert len(shifts) <= 1
        assert all(least <= shift <= most for shift in shifts)
        ids, read = ids[~is_kind], read[~is_kind]
    assert read.tolist() == ids.tolist(), "drums, metre, places and lengths stay"


def test_the_range_of_the_corpus_is_kept_and_the_key_moves_along() -> None:
    tracks = (Track((Note(0, 96, 60, 64), Note(0, 96, 64, 64))), Track((Note(0, 96, 38, 64),), is_drum=True))
    ids = BOTH.encode(Score(tracks, QUARTER))
    codec = BeatCodec(pitches=(58, 67), control_names=BOTH.control_names)
    variation = codec.variation(is_augmented=True)
    assert variation is not None
    lowest, keys = set(), set()
    for seed in range(300):
        read = [codec.vocab.symbols[token] for token in variation(ids, np.random.default_rng(seed)).table[ids]]
        lowest.add(next(symbol for symbol in read if symbol.startswith("Pitch")))
        keys.add((next(symbol for symbol in read if symbol.startswith("Pitch")), read[2]))
        assert "Drum_38" in read
    assert lowest == {f"Pitch_{pitch}" for pitch in range(58, 64)}
    moved = {int(pitch.split("_")[1]): key for pitch, key in keys if key != "Key_any"}
    assert moved[60] == symbols(BOTH, Score(tracks, QUARTER))[2]
    assert len(set(moved.values())) == 6
