import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.codec import decode
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.performance.grammar import PerformanceGrammar
from gen.music.score import Score
from tests.music.scores import scores

CODEC = PerformanceCodec()
VOCAB = CODEC.vocab
KINDS = [symbol.split("_")[0] for symbol in VOCAB.symbols]


def allowed_ids(grammar: PerformanceGrammar, budget: int | None) -> list[int]:
    return np.flatnonzero(grammar.allowed(budget)).tolist()


def allowed_symbols(*taken: str, budget: int | None = None) -> set[str]:
    grammar = CODEC.grammar()
    for symbol in taken:
        grammar.advance(VOCAB.index[symbol])
    return {VOCAB.symbols[token] for token in allowed_ids(grammar, budget)}


def walk(length: int, seed: int, *, weights: dict[str, float], codec: PerformanceCodec = CODEC) -> list[int]:
    """Draws ids at random among the allowed ones, each kind with its weight, until `End` or the budget is spent."""
    draw = random.Random(seed)  # noqa: S311
    grammar = codec.grammar()
    ids: list[int] = []
    while len(ids) < length:
        choices = allowed_ids(grammar, length - len(ids))
        assert set(choices) - {VOCAB.end}, "something besides End is always allowed"
        token = draw.choices(choices, [weights.get(KINDS[choice], 1.0) for choice in choices])[0]
        if token == VOCAB.end:
            break
        ids.append(token)
        grammar.advance(token)
    assert grammar.tokens_to_close() == 0
    return ids


def check_notes(ids: list[int], *, longest: int = 1 << 62) -> None:
    """Plays the ids, and fails at a stray, double, hanging, empty or too long note."""
    now = 0
    onsets: dict[int, int] = {}
    for token in ids:
        kind, _, value = VOCAB.symbols[token].partition("_")
        if kind == "TimeShift":
            now += int(value)
        elif kind == "NoteOn":
            assert int(value) not in onsets, "a note sounds twice"
            onsets[int(value)] = now
        elif kind == "NoteOff":
            length = now - onsets.pop(int(value))
            assert 0 < length <= longest, "a note of length 0, or too long"
    assert not onsets, "a note hangs"


def without_trailing_time(ids: list[int]) -> list[int]:
    while ids and KINDS[ids[-1]] == "TimeShift":
        ids = ids[:-1]
    return ids


weights = st.fixed_dictionaries(
    {kind: st.sampled_from((0.0001, 0.05, 1.0, 50.0)) for kind in ("NoteOn", "NoteOff", "TimeShift", "Velocity")}
    | {"End": st.sampled_from((1e-9, 1.0))}
)


@given(st.integers(1, 300), st.integers(0, 2**32), weights)
@settings(max_examples=300)
def test_every_masked_walk_is_valid_and_canonical(length: int, seed: int, weights: dict[str, float]) -> None:
    ids = walk(length, seed, weights=weights)
    check_notes(ids)
    assert CODEC.encode(decode(CODEC, ids)).tolist() == without_trailing_time(ids)


@given(st.integers(1, 300), st.integers(0, 2**32), weights, st.sampled_from((1, 7, 100, 250)))
@settings(max_examples=200)
def test_a_fitted_walk_is_valid_and_holds_no_note_too_long(
    length: int, seed: int, weights: dict[str, float], longest: int
) -> None:
    ids = walk(length, seed, weights=weights, codec=PerformanceCodec(longest_note=longest))
    check_notes(ids, longest=longest)
    assert CODEC.encode(decode(CODEC, ids)).tolist() == without_trailing_time(ids)


@pytest.mark.parametrize("length", range(1, 25))
def test_every_short_budget_is_kept(length: int) -> None:
    for seed in range(60):
        check_notes(walk(length, seed, weights={"NoteOn": 0.2, "TimeShift": 0.2, "End": 1e-9}))


@pytest.mark.parametrize("length", range(1, 40))
def test_the_longest_silence_does_not_lead_astray(length: int) -> None:
    grammar = CODEC.grammar()
    longest = VOCAB.index["TimeShift_100"]
    ids: list[int] = []
    for left in range(length, 0, -1):
        choices = [token for token in allowed_ids(grammar, left) if token != VOCAB.end]
        ids.append(longest if longest in choices else choices[-1])
        grammar.advance(ids[-1])
    check_notes(ids)


@given(scores())
def test_the_grammar_accepts_what_the_encoder_writes(score: Score) -> None:
    grammar = CODEC.grammar()
    ids = CODEC.encode(score).tolist()
    for left, token in zip(range(len(ids), 0, -1), ids, strict=True):
        assert grammar.allowed(None)[token]
        assert grammar.allowed(left)[token], "a budget that the document fits is enough"
        grammar.advance(token)
    assert grammar.allowed(None)[VOCAB.end]


def test_a_document_opens_with_time_or_a_velocity() -> None:
    assert {symbol.split("_")[0] for symbol in allowed_symbols()} == {"TimeShift", "Velocity"}


def test_a_velocity_is_followed_by_a_note_and_is_not_the_last_one() -> None:
    assert allowed_symbols("Velocity_3") == {f"NoteOn_{pitch}" for pitch in range(128)}
    assert "Velocity_3" not in allowed_symbols("Velocity_3", "NoteOn_60")


def test_notes_of_a_frame_ascend_and_none_ends_in_the_frame_it_began() -> None:
    kinds = ("NoteOn", "NoteOff")
    after = {symbol for symbol in allowed_symbols("Velocity_3", "NoteOn_125") if symbol.startswith(kinds)}
    assert after == {"NoteOn_126", "NoteOn_127"}


def test_note_offs_ascend_and_come_first() -> None:
    taken = ("Velocity_3", "NoteOn_60", "NoteOn_64", "NoteOn_67", "TimeShift_5", "NoteOff_64")
    offs = {symbol for symbol in allowed_symbols(*taken) if symbol.startswith("NoteOff")}
    assert offs == {"NoteOff_67"}
    assert not any(symbol.startswith("NoteOff") for symbol in allowed_symbols(*taken, "NoteOn_64"))


def test_a_pitch_struck_again_ends_first() -> None:
    taken = ("Velocity_3", "NoteOn_60", "TimeShift_5")
    assert "NoteOn_60" not in allowed_symbols(*taken)
    assert "NoteOn_60" in allowed_symbols(*taken, "NoteOff_60")


def test_time_goes_on_only_after_the_longest_shift() -> None:
    assert "TimeShift_1" in allowed_symbols("Velocity_3", "NoteOn_60", "TimeShift_100")
    assert "TimeShift_1" not in allowed_symbols("Velocity_3", "NoteOn_60", "TimeShift_99")


def test_a_document_ends_only_after_its_last_note_off() -> None:
    a_note = ("Velocity_3", "NoteOn_60", "TimeShift_5", "NoteOff_60")
    assert "End" in allowed_symbols(*a_note)
    for taken in ((), a_note[:2], a_note[:3], (*a_note, "TimeShift_5"), (*a_note, "Velocity_4")):
        assert "End" not in allowed_symbols(*taken)


def test_silence_lasts_ten_seconds_at_most() -> None:
    nine = ("TimeShift_100",) * 9
    assert {"TimeShift_1", "TimeShift_100"} <= allowed_symbols(*nine)
    assert not any(symbol.startswith("TimeShift") for symbol in allowed_symbols(*nine, "TimeShift_100"))


@pytest.mark.parametrize(
    ("taken", "needed"),
    [
        ((), 0),
        (("Velocity_3",), 3),
        (("Velocity_3", "NoteOn_60"), 2),
        (("Velocity_3", "NoteOn_60", "NoteOn_61"), 3),
        (("Velocity_3", "NoteOn_60", "NoteOn_61", "TimeShift_1"), 2),
        (("Velocity_3", "NoteOn_60", "NoteOn_61", "TimeShift_1", "NoteOff_60"), 1),
        (("Velocity_3", "NoteOn_60", "NoteOn_61", "TimeShift_1", "NoteOff_61"), 2),
        (("Velocity_3", "NoteOn_60", "TimeShift_1", "Velocity_4"), 4),
        (("Velocity_3", "NoteOn_60", "TimeShift_1", "NoteOff_60"), 0),
    ],
)
def test_tokens_to_close_are_counted(taken: tuple[str, ...], needed: int) -> None:
    grammar = CODEC.grammar()
    for symbol in taken:
        grammar.advance(VOCAB.index[symbol])
    assert grammar.tokens_to_close() == needed


def test_the_last_token_of_a_budget_may_be_time() -> None:
    assert {symbol.split("_")[0] for symbol in allowed_symbols(budget=1)} == {"TimeShift"}


@given(
    st.lists(st.integers(0, 387), max_size=60),
    st.integers(1, 40),
    st.integers(0, 2**32),
    st.sampled_from((None, 1, 50)),
)
def test_after_any_prompt_something_is_allowed_and_the_file_is_valid(
    prompt: list[int], length: int, seed: int, longest_note: int | None
) -> None:
    draw = random.Random(seed)  # noqa: S311
    grammar = PerformanceCodec(longest_note=longest_note).grammar()
    ids = list(prompt)
    for token in prompt:
        grammar.advance(token)
    for left in range(length, 0, -1):
        choices = [token for token in allowed_ids(grammar, left) if token != VOCAB.end]
        ids.append(draw.choice(choices))
        grammar.advance(ids[-1])
    score = decode(CODEC, ids)
    check_notes(CODEC.encode(score).tolist())


@given(st.lists(st.integers(0, 387), max_size=60), st.sampled_from((None, 1, 50)))
def test_after_any_prompt_enough_budget_closes_every_note(prompt: list[int], longest_note: int | None) -> None:
    grammar = PerformanceCodec(longest_note=longest_note).grammar()
    for token in prompt:
        grammar.advance(token)
    for left in range(grammar.tokens_to_close(), 0, -1):
        grammar.advance(next(token for token in allowed_ids(grammar, left) if token != VOCAB.end))
    assert grammar.tokens_to_close() == 0
