"""What every codec promises. A new codec joins by one line in CASES."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from gen.codec import AnyCodec, Grammar, IdArray, decode, stream
from gen.codecs import load_codec
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.codecs.text.tagged import TaggedCodec
from gen.errors import GenError
from gen.music.score import Note, NoteEvent, Score, Tempo, TimeSignature, Track

# Czech, Russian and Chinese, and a horse beyond the first plane.
POEM = "\u017dlut\u00fd k\u016f\u0148\n\t\u043f\u0435\u043b \u0434\u044c\u044f\u0432\u043e\u043b \u8a69 \U0001f40e\n"
# A word, a tag a line.
SENTENCE = "\u017dlut\u00fd\tA\nk\u016f\u0148\tB-C\n\U0001f40e\tA\n"
# Two notes that overlap, and after a silence a soft one.
TUNE = Score(
    (Track((Note(0, 100, 60, 64), Note(50, 100, 64, 80), Note(700, 10, 60, 3))),),
    ticks_per_beat=500,
    tempos=(Tempo(0, 500_000),),
)
# Two programs and drums in two metres, a triplet, a note a little early, a long one, a silent bar and a new tempo.
BAND = Score(
    (
        Track((Note(0, 96, 60, 64), Note(128, 128, 64, 80), Note(1149, 3000, 67, 80))),
        Track((Note(0, 384, 43, 64), Note(8064, 384, 43, 64)), program=33),
        Track((Note(0, 1, 36, 100), Note(192, 1, 42, 100)), is_drum=True),
    ),
    ticks_per_beat=384,
    tempos=(Tempo(0, 500_000), Tempo(1536, 600_000)),
    time_signatures=(TimeSignature(0, 3, 4), TimeSignature(2304, 4, 4)),
)


class Case(NamedTuple):
    """A codec, and a document that it should hold without loss."""

    name: str
    codec: Callable[[], AnyCodec]
    whole: Any
    num_units: int


CASES = [
    Case("char", lambda: CharCodec.build(POEM), POEM, len(POEM)),
    Case("byte", ByteCodec, POEM, len(POEM.encode())),
    Case("tagged", lambda: TaggedCodec("".join(sorted({*SENTENCE} - {*"\t\n"})), ("A", "B-C")), SENTENCE, 3),
    Case("performance", PerformanceCodec, TUNE, 3),
    Case("performance", lambda: PerformanceCodec(control_names=("density", "key")), TUNE, 3),
    Case("beat", BeatCodec, BAND, 7),
    Case("beat", lambda: BeatCodec(control_names=("density", "key")), BAND, 7),
]

OTHER_TUNE = Score(
    (Track((Note(0, 9600, 30, 64),), program=70),), ticks_per_beat=384, time_signatures=(TimeSignature(0, 7, 8),)
)
OTHERS: dict[str, AnyCodec] = {
    "char": CharCodec.build("other"),
    "byte": ByteCodec(),
    "tagged": TaggedCodec("ehort", ("B-C", "D")),
    "performance": PerformanceCodec().fitted(PerformanceCodec().encode(OTHER_TUNE)),
    "beat": BeatCodec().fitted(BeatCodec().encode(OTHER_TUNE)),
}

every_codec = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_codec_with_a_grammar = pytest.mark.parametrize(
    "case", [case for case in CASES if case.codec().grammar() is not None], ids=lambda case: case.name
)


@every_codec
def test_its_spec_as_json_makes_an_equal_codec(case: Case) -> None:
    codec = case.codec()
    again = load_codec(json.loads(json.dumps(codec.spec())))
    assert again == codec
    assert again.vocab == codec.vocab


@every_codec
def test_what_also_knows_another_corpus_has_the_symbols_and_samples_of_both(case: Case) -> None:
    codec, other = case.codec(), OTHERS[case.name]
    ids = codec.encode(case.whole)
    both = codec.fitted(ids).merged_with(other.spec())

    assert {*both.vocab.symbols} == {*codec.vocab.symbols, *other.vocab.symbols}
    assert load_codec(json.loads(json.dumps(both.spec()))) == both
    assert both.merged_with(other.spec()) == both
    assert decode(both, both.encode(case.whole)) == decode(codec, ids)
    grammar, plain = both.grammar(), other.grammar()
    if grammar is not None and plain is not None and isinstance(case.whole, Score) and not codec.controls:
        for token in other.encode(OTHER_TUNE).tolist():  # no note of which the first corpus has
            assert grammar.allowed(None)[token] or not plain.allowed(None)[token]
            grammar.advance(token)
            plain.advance(token)


@every_codec
def test_its_pieces_are_what_its_decoder_gives_and_each_has_ids(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole)
    pieces, owners = codec.pieces(ids)
    shown: list[Any] = [piece for piece in stream(codec, ids.tolist()) if isinstance(piece, str | NoteEvent)]
    if codec.kind == "music":
        assert sorted(pieces) == sorted(shown)
    else:
        assert "".join(pieces) == "".join(shown)
    assert owners.shape == ids.shape
    assert {*owners.tolist()} - {-1} == {*range(len(pieces))}


@every_codec
def test_what_may_be_asked_of_its_controls_is_known_and_of_nothing_else(case: Case) -> None:
    controls = case.codec().controls
    if controls is not None:
        assert controls.names
        assert all(len(controls.values(name)) > 1 for name in controls.names)
        assert controls.values("loudness") == ()


@pytest.mark.parametrize("codec", [PerformanceCodec(), BeatCodec()])
def test_the_densities_that_may_be_asked_for_are_those_of_a_corpus(codec: PerformanceCodec | BeatCodec) -> None:
    known = replace(codec, control_names=("density", "key"), densities=(0, 2, 5)).control_tokens
    assert known.values("density") == pytest.approx((0.5, 1.0, 2.828), abs=0.001)
    assert known.values("key")[:2] == ("C", "C#")


@every_codec
def test_fitting_it_to_a_corpus_changes_no_id_and_survives_its_spec(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole)

    fitted = codec.fitted(ids)

    assert fitted.encode(case.whole).tolist() == ids.tolist()
    assert load_codec(json.loads(json.dumps(fitted.spec()))) == fitted


@every_codec
def test_its_spec_names_it_and_its_version(case: Case) -> None:
    spec = case.codec().spec()
    assert spec["name"] == case.codec().name == case.name
    assert isinstance(spec["version"], int)


@every_codec
def test_a_spec_of_another_version_is_refused(case: Case) -> None:
    with pytest.raises(GenError, match="version"):
        load_codec({**case.codec().spec(), "version": 999})


@every_codec
def test_the_ids_of_a_document_are_narrow_and_hold_neither_begin_nor_end(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole)
    assert ids.dtype in (np.uint8, np.uint16, np.uint32)
    assert ids.max() < codec.vocab.begin < codec.vocab.end == len(codec.vocab) - 1


@every_codec
def test_what_is_decoded_encodes_to_the_same_ids(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole)
    assert codec.encode(decode(codec, ids)).tolist() == ids.tolist()


@every_codec
def test_begin_is_not_decoded_and_end_ends_the_document(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole).tolist()
    framed = [codec.vocab.begin, *ids, codec.vocab.end, *ids]
    assert list(stream(codec, framed)) == list(stream(codec, ids))


@every_codec
def test_every_piece_of_the_stream_is_certain(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole).tolist()
    pieces = list(stream(codec, ids))
    decoder = codec.decoder()
    sure = [piece for token in ids[: len(ids) // 2] for piece in decoder.push(token)]
    assert sure == pieces[: len(sure)]


@every_codec
def test_a_written_file_is_read_back_and_encoded_the_same(case: Case, tmp_path: Path) -> None:
    codec = case.codec()
    path = tmp_path / f"whole{codec.suffix}"
    codec.write(path, case.whole)
    ids = codec.encode(case.whole).tolist()
    assert codec.encode(codec.read(path)).tolist() == ids
    assert [int(token) for part in codec.encode_file(path) for token in part.ids] == ids
    assert list(tmp_path.iterdir()) == [path]


@every_codec
def test_writing_where_nothing_can_be_written_is_an_error_that_leaves_nothing(case: Case, tmp_path: Path) -> None:
    codec = case.codec()
    with pytest.raises(GenError, match="cannot be written"):
        codec.write(tmp_path / "missing" / f"whole{codec.suffix}", case.whole)
    assert not list(tmp_path.iterdir())


@every_codec
def test_a_missing_file_is_an_error_that_names_it(case: Case, tmp_path: Path) -> None:
    codec = case.codec()
    path = tmp_path / f"missing{codec.suffix}"
    with pytest.raises(GenError, match="missing"):
        codec.read(path)
    with pytest.raises(GenError, match="missing"):
        list(codec.encode_file(path))


@every_codec
def test_its_kind_is_that_of_its_documents(case: Case) -> None:
    assert case.codec().kind == ("text" if isinstance(case.whole, str) else "music")


@every_codec
def test_units_count_what_the_document_holds(case: Case) -> None:
    codec = case.codec()
    units = codec.units()
    assert units.shape == (len(codec.vocab),)
    assert not units[-2:].any()
    assert int(units[codec.encode(case.whole)].sum()) == case.num_units


@every_codec_with_a_grammar
def test_the_grammar_accepts_what_the_codec_encodes(case: Case) -> None:
    codec = case.codec()
    grammar = fresh_grammar(codec)
    ids = as_nothing_asked(codec, codec.encode(case.whole))
    for place, token in enumerate(ids):
        assert grammar.allowed(None)[token], (place, codec.vocab.symbols[token])
        assert grammar.allowed(len(ids) - place)[token], (place, codec.vocab.symbols[token])
        grammar.advance(token)
    assert grammar.tokens_to_close() == 0
    assert grammar.allowed(None)[codec.vocab.end]


@every_codec_with_a_grammar
@pytest.mark.parametrize("budget", [*range(1, 12), 40, 150])
def test_every_masked_walk_closes_within_its_budget_and_is_what_the_codec_writes(case: Case, budget: int) -> None:
    codec = case.codec()
    random = np.random.default_rng(budget)
    for _ in range(20):
        ids = masked_walk(codec, budget, random)
        assert len(ids) <= budget
        whole = decode(codec, ids)
        again = as_nothing_asked(codec, codec.encode(whole))
        assert again == ids[: len(again)]  # a cut may leave ids at the end that say nothing, such as silence
        assert decode(codec, again) == whole


@every_codec_with_a_grammar
def test_a_walk_without_a_budget_says_truly_how_far_it_is_from_an_end(case: Case) -> None:
    codec = case.codec()
    grammar = fresh_grammar(codec)
    random = np.random.default_rng(0)
    for _ in range(300):
        to_close = grammar.tokens_to_close()
        assert to_close == 0 or not grammar.allowed(None)[codec.vocab.end]
        grammar.advance(draw(grammar, None, codec, random, may_end=False))
        assert grammar.tokens_to_close() >= to_close - 1


@every_codec
def test_a_variation_keeps_what_is_no_symbol_and_depends_on_chance_alone(case: Case) -> None:
    codec = case.codec()
    variation = codec.variation(is_augmented=True)
    if variation is None:
        assert codec.variation(is_augmented=False) is None
        return
    ids = codec.encode(case.whole)
    tables = [variation(ids, np.random.default_rng(seed)).table for seed in range(20)]
    assert all(np.array_equal(tables[n], variation(ids, np.random.default_rng(n)).table) for n in range(20))
    assert len({table.tobytes() for table in tables}) > 1
    for table in tables:
        assert table.shape == (len(codec.vocab),)
        assert (table[-2:] == (codec.vocab.begin, codec.vocab.end)).all()
        assert 0 <= table.min() <= table[:-2].max() < codec.vocab.begin


@every_codec
def test_ids_without_controls_are_neutral_already(case: Case) -> None:
    codec = case.codec()
    if codec.controls is not None:
        neutral = codec.controls.neutral()
        assert neutral.shape == (len(codec.vocab),)
        assert np.array_equal(neutral[neutral], neutral)
        assert decode(codec, neutral[codec.encode(case.whole)].tolist()) == decode(codec, codec.encode(case.whole))


def as_nothing_asked(codec: AnyCodec, ids: IdArray) -> list[int]:
    """Returns ids as a grammar has them of which nothing is asked."""
    known: list[int] = (ids if codec.controls is None else codec.controls.neutral()[ids]).tolist()
    return known


def fresh_grammar(codec: AnyCodec) -> Grammar:
    grammar = codec.grammar()
    assert grammar is not None
    return grammar


def masked_walk(codec: AnyCodec, budget: int, random: np.random.Generator) -> list[int]:
    """Returns ids drawn evenly among those that the grammar allows, up to end or the budget."""
    grammar = fresh_grammar(codec)
    ids: list[int] = []
    while len(ids) < budget:
        token = draw(grammar, budget - len(ids), codec, random, may_end=True)
        if token == codec.vocab.end:
            break
        grammar.advance(token)
        ids.append(token)
    assert grammar.tokens_to_close() == 0
    return ids


def draw(grammar: Grammar, budget: int | None, codec: AnyCodec, random: np.random.Generator, *, may_end: bool) -> int:
    """Draws one of the ids that are allowed, evenly."""
    allowed = grammar.allowed(budget)
    assert allowed.shape == (len(codec.vocab),)
    assert not allowed[codec.vocab.begin]
    choices = np.flatnonzero(allowed)
    return int(random.choice(choices if may_end else choices[choices != codec.vocab.end]))


@every_codec
def test_every_id_has_a_number_for_each_feature_and_every_symbol_a_class(case: Case) -> None:
    codec = case.codec()
    ids = codec.encode(case.whole)
    features, classes = codec.features(ids), codec.symbol_classes()
    assert all(values.shape == ids.shape and values.dtype == np.float32 for values in features.values())
    assert any(np.ptp(values) for values in features.values())
    assert all(values.shape == (0,) for values in codec.features(ids[:0]).values())
    assert classes.of.shape == (len(codec.vocab),)
    assert set(classes.of.tolist()) == set(range(len(classes.names)))
