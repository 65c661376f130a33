import random
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.codec import decode
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.beat.grammar import BeatGrammar
from gen.music.score import Score

CODEC = BeatCodec()
VOCAB = CODEC.vocab
KINDS = [symbol.split("_")[0] for symbol in VOCAB.symbols]
OPENING = ("Bar", "TimeSignature_4/4", "Tempo_120")
NOTE = ("Position_0", "Program_0", "Velocity_16", "Pitch_60", "Duration_24")
NARROW = BeatCodec(longest_note=30, seen=frozenset({"TimeSignature_1/32", "Tempo_120", "Drum_38"}))
SOLO = BeatCodec(longest_note=200, seen=frozenset({"TimeSignature_4/4", "TimeSignature_3/8", "Tempo_120", "Program_7"}))
CODECS = pytest.mark.parametrize("codec", [CODEC, NARROW, SOLO], ids=["all", "narrow", "solo"])
codecs = st.sampled_from([CODEC, NARROW, SOLO])


def allowed_ids(grammar: BeatGrammar, budget: int | None) -> list[int]:
    return np.flatnonzero(grammar.allowed(budget)).tolist()


def allowed_symbols(*taken: str, budget: int | None = None, codec: BeatCodec = CODEC) -> set[str]:
    grammar = codec.grammar()
    for symbol in taken:
        grammar.advance(VOCAB.index[symbol])
    return {VOCAB.symbols[token] for token in allowed_ids(grammar, budget)}


def kinds(*taken: str, budget: int | None = None, codec: BeatCodec = CODEC) -> set[str]:
    return {symbol.split("_")[0] for symbol in allowed_symbols(*taken, budget=budget, codec=codec)}


def walk(length: int, seed: int, *, weights: dict[str, float], codec: BeatCodec = CODEC) -> list[int]:
    """Draws ids at random: a kind among those that are allowed by its weight, then one of it, until the budget."""
    draw = random.Random(seed)  # noqa: S311
    grammar = codec.grammar()
    ids: list[int] = []
    while len(ids) < length:
        by_kind: dict[str, list[int]] = {}
        for token in allowed_ids(grammar, length - len(ids)):
            by_kind.setdefault(KINDS[token], []).append(token)
        assert by_kind.keys() - {"End"}, "something besides End is always allowed"
        kind = draw.choices(list(by_kind), [weights.get(kind, 1.0) for kind in by_kind])[0]
        if kind == "End":
            break
        ids.append(draw.choice(by_kind[kind]))
        grammar.advance(ids[-1])
    assert grammar.tokens_to_close() == 0
    return ids


def check_notes(score: Score) -> None:
    """Fails at a pitch that a program or the drums sound twice at once."""
    for track in score.tracks:
        ends: dict[int, int] = {}
        for onset, duration, pitch, _ in track.notes:
            assert onset >= ends.get(pitch, 0), "a note sounds twice"
            ends[pitch] = onset + duration


def check_file(path: Path) -> int:
    """Reads a file with mido alone; fails at a stray, double, hanging or empty note; returns how many there are."""
    num_notes = 0
    for track in mido.MidiFile(path).tracks:
        now = 0
        sounding: dict[tuple[int, int], int] = {}
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                assert (message.channel, message.note) not in sounding
                sounding[message.channel, message.note] = now
                num_notes += 1
            elif message.type in ("note_on", "note_off"):
                assert sounding.pop((message.channel, message.note)) < now
        assert not sounding
    return num_notes


weights = st.fixed_dictionaries(
    {kind: st.sampled_from((0.0001, 0.05, 1.0, 50.0)) for kind in sorted(set(KINDS) - {"Begin", "End"})}
    | {"End": st.sampled_from((1e-9, 1.0))}
)


@given(st.integers(1, 200), st.integers(0, 2**32), weights, codecs)
@settings(max_examples=300)
def test_every_masked_walk_is_sound_and_canonical(
    length: int, seed: int, weights: dict[str, float], codec: BeatCodec
) -> None:
    ids = walk(length, seed, weights=weights, codec=codec)
    whole = decode(codec, ids)
    check_notes(whole)
    again = codec.encode(whole).tolist()
    assert again == ids[: len(again)]
    assert not {"Pitch", "Drum"} & {KINDS[token] for token in ids[len(again) :]}


@CODECS
@pytest.mark.parametrize("budget", [*range(1, 25), 60, 400])
def test_every_walk_writes_a_file_that_another_reader_finds_sound(
    budget: int, codec: BeatCodec, tmp_path: Path
) -> None:
    for seed in range(5):
        ids = walk(budget, seed, weights={"End": 0.01}, codec=codec)
        num_notes = int(codec.units()[ids].sum())
        if num_notes:
            codec.write(tmp_path / "walk.mid", decode(codec, ids))
            assert check_file(tmp_path / "walk.mid") == num_notes


def test_a_document_opens_with_bar_metre_and_tempo() -> None:
    assert kinds() == {"Bar"}
    assert kinds("Bar") == {"TimeSignature"}
    assert kinds(*OPENING[:2]) == {"Tempo"}
    assert kinds(*OPENING) == {"Bar", "Position"}


def test_the_first_note_says_who_plays_and_how_loud() -> None:
    assert kinds(*OPENING, "Position_0") == {"MicroTiming", "Program", "Velocity"}
    assert kinds(*OPENING, *NOTE[:2]) == {"Velocity"}
    assert kinds(*OPENING, *NOTE[:3]) == {"Pitch"}
    assert kinds(*OPENING, "Position_0", "Velocity_16") == {"Drum"}
    assert kinds(*OPENING, *NOTE[:4]) == {"Duration"}


def test_after_a_note_come_higher_notes_later_programs_drums_time_or_the_end() -> None:
    after = allowed_symbols(*OPENING, *NOTE)
    assert {"End", "Bar", "Position_1", "Pitch_61", "Program_1", "Velocity_17"} <= after
    assert not {"Pitch_60", "Pitch_59", "Program_0", "Duration_1"} & after
    after_drum = kinds(*OPENING, *NOTE, "Velocity_3", "Drum_40")
    assert after_drum == {"Velocity", "Drum", "Position", "Bar", "End"}


def test_the_velocity_is_another_one_than_before() -> None:
    assert "Velocity_16" in allowed_symbols(*OPENING, *NOTE)  # of the drums, which have none yet
    assert allowed_symbols(*OPENING, *NOTE, "Velocity_16") == {f"Drum_{pitch}" for pitch in range(128)}
    taken = (*OPENING, *NOTE, "Velocity_16", "Drum_40", "Position_12")
    assert "Velocity_16" not in allowed_symbols(*taken)
    assert {"Pitch", "Drum"} <= kinds(*taken)


def test_a_pitch_that_sounds_is_not_struck_by_its_program() -> None:
    assert "Pitch_60" not in allowed_symbols(*OPENING, *NOTE, "Position_23")
    assert "Pitch_60" in allowed_symbols(*OPENING, *NOTE, "Position_24")
    assert "Pitch_60" in allowed_symbols(*OPENING, *NOTE, "Position_23", "Program_1", "Velocity_1")


def test_positions_ascend_and_a_micro_timing_may_make_one_of_them_later() -> None:
    moved = (*OPENING, "Position_3", "MicroTiming_-2", *NOTE[1:])
    after = allowed_symbols(*moved)
    assert "Position_3" in after
    assert "Position_2" not in after
    assert "MicroTiming_-2" not in allowed_symbols(*moved, "Position_3")
    assert "MicroTiming_-1" in allowed_symbols(*moved, "Position_3")
    assert kinds(*OPENING, "Position_3", *NOTE[1:], "Position_3") == {"MicroTiming"}


def test_nothing_is_earlier_than_the_first_bar() -> None:
    assert not any(symbol.startswith("MicroTiming_-") for symbol in allowed_symbols(*OPENING, "Position_0"))
    assert "MicroTiming_-1" in allowed_symbols(*OPENING, "Bar", "Position_0")


def test_positions_stay_within_the_bar() -> None:
    positions = {symbol for symbol in allowed_symbols("Bar", "TimeSignature_3/8", "Tempo_120") if "Position" in symbol}
    assert positions == {f"Position_{position}" for position in range(36)}


def test_more_is_added_to_a_whole_note_alone() -> None:
    assert "Duration" in kinds(*OPENING, *NOTE[:4], "Duration_96")
    assert "Duration" not in kinds(*OPENING, *NOTE[:4], "Duration_95")


def test_tempo_changes_at_a_bar_line_or_at_a_position_but_not_to_itself() -> None:
    assert "Tempo" in kinds(*OPENING, *NOTE, "Bar")
    assert "Tempo" in kinds(*OPENING, "Position_3")
    assert "Tempo" not in kinds(*OPENING, "Position_0")
    assert "Tempo" not in kinds(*OPENING, "Position_3", "MicroTiming_1")
    assert "Tempo_120" not in allowed_symbols(*OPENING, "Position_3")
    assert "End" not in allowed_symbols(*OPENING, *NOTE, "Position_3", "Tempo_60")


def test_eight_bars_may_be_silent() -> None:
    silence = ("Bar",) * 8  # after the one with the note
    assert "Bar" in allowed_symbols(*OPENING, *NOTE, *silence)
    assert "Bar" not in allowed_symbols(*OPENING, *NOTE, "Bar", *silence)
    assert "Bar" in allowed_symbols(*OPENING, *NOTE[:4], *("Duration_96",) * 3, *silence)


def test_fifteen_programs_may_play() -> None:
    notes = [
        symbol
        for program in range(15)
        for symbol in (f"Position_{program}", f"Program_{program}", "Velocity_9", "Pitch_60", "Duration_1")
    ]
    programs = {s for s in allowed_symbols(*OPENING, *notes, "Position_20") if s.startswith("Program")}
    assert programs == {f"Program_{program}" for program in range(14)}


def test_a_fitted_grammar_has_what_was_seen() -> None:
    assert allowed_symbols("Bar", codec=SOLO) == {"TimeSignature_4/4", "TimeSignature_3/8"}
    assert allowed_symbols(*OPENING, "Position_3", codec=SOLO) >= {"Program_7"}
    assert "Tempo" not in kinds(*OPENING, "Position_3", codec=SOLO)
    assert kinds("Bar", "TimeSignature_1/32", "Tempo_120", "Position_0", codec=NARROW) == {"Velocity", "MicroTiming"}
    taken = (*OPENING, "Position_0", "Program_7", "Velocity_9", "Pitch_60", "Duration_96", "Duration_96")
    durations = {symbol for symbol in allowed_symbols(*taken, codec=SOLO) if symbol.startswith("Duration")}
    assert durations == {f"Duration_{positions}" for positions in range(1, 9)}


@pytest.mark.parametrize(
    ("taken", "needed"),
    [
        ((), 0),
        (("Bar",), 0),
        (OPENING, 0),
        ((*OPENING, "Position_0"), 2),  # Velocity, Drum
        ((*OPENING, "Position_1"), 1),  # Tempo
        ((*OPENING, *NOTE[:2]), 3),
        ((*OPENING, *NOTE[:3]), 2),
        ((*OPENING, *NOTE[:4]), 1),
        ((*OPENING, *NOTE), 0),
        ((*OPENING, *NOTE, "Position_0"), 3),  # MicroTiming, Pitch, Duration
        ((*OPENING, *NOTE, "Velocity_16"), 1),
    ],
)
def test_tokens_to_close_are_counted(taken: tuple[str, ...], needed: int) -> None:
    grammar = CODEC.grammar()
    for symbol in taken:
        grammar.advance(VOCAB.index[symbol])
    assert grammar.tokens_to_close() == needed


def test_the_last_tokens_of_a_budget_leave_no_note_open() -> None:
    assert kinds(*OPENING, *NOTE, budget=1) == {"Bar", "End"}
    assert kinds(*OPENING, *NOTE, budget=2) == {"Bar", "End", "Pitch", "Velocity"}
    assert kinds(*OPENING, *NOTE, "Velocity_16", "Drum_40", budget=1) == {"Bar", "End", "Drum"}


@given(
    st.lists(st.integers(0, len(VOCAB) - 3), max_size=80), st.integers(1, 40), st.integers(0, 2**32), weights, codecs
)
def test_after_any_prompt_something_is_allowed_and_the_music_is_sound(
    prompt: list[int], length: int, seed: int, weights: dict[str, float], codec: BeatCodec
) -> None:
    draw = random.Random(seed)  # noqa: S311
    grammar = codec.grammar()
    ids = list(prompt)
    for token in prompt:
        grammar.advance(token)
    for left in range(length, 0, -1):
        choices = [token for token in allowed_ids(grammar, left) if token != VOCAB.end]
        ids.append(draw.choices(choices, [weights[KINDS[choice]] for choice in choices])[0])
        grammar.advance(ids[-1])
    whole = decode(codec, ids)
    check_notes(whole)
    codec.encode(whole)


@given(st.lists(st.integers(0, len(VOCAB) - 3), max_size=80), codecs)
def test_after_any_prompt_enough_budget_closes_every_note(prompt: list[int], codec: BeatCodec) -> None:
    grammar = codec.grammar()
    for token in prompt:
        grammar.advance(token)
    for left in range(grammar.tokens_to_close(), 0, -1):
        grammar.advance(next(token for token in allowed_ids(grammar, left) if token != VOCAB.end))
    assert grammar.tokens_to_close() == 0
