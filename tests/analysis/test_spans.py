"""Spans of words by the scheme IOB, counted as conlleval counts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.analysis.spans import Span, has_spans, span_scores, spans

split = str.split


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", []),
        ("B-X I-X O B-Y", [Span(0, 2, "X"), Span(3, 4, "Y")]),
        ("B-X B-X", [Span(0, 1, "X"), Span(1, 2, "X")]),
        ("I-X I-X", [Span(0, 2, "X")]),  # begins without a B, as in the scheme of CoNLL-2003
        ("I-X I-Y I-Y", [Span(0, 1, "X"), Span(1, 3, "Y")]),
        ("B-X I-Y", [Span(0, 1, "X"), Span(1, 2, "Y")]),
        ("B-a-b I-a-b", [Span(0, 2, "a-b")]),
    ],
)
def test_a_span_ends_where_conlleval_ends_it(tags: str, found: list[Span]) -> None:
    assert list(spans(tags.split())) == found


tags = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=12)


@given(tags)
def test_spans_are_those_of_the_rules_of_conlleval(sentence: list[str]) -> None:
    # startOfChunk and endOfChunk of the script, for a scheme without E and S.
    found, start = [], 0
    before = ("O", "")
    for n, tag in enumerate([*sentence, "O"]):
        mark, _, kind = tag.partition("-")
        ends = before[0] != "O" and (mark in "BO" or kind != before[1])
        starts = mark == "B" or (mark == "I" and (before[0] == "O" or kind != before[1]))
        if ends:
            found.append(Span(start, n, before[1]))
        start = n if starts else start
        before = (mark, kind)

    assert list(spans(sentence)) == found


def test_scores_are_those_of_an_example_by_hand() -> None:
    right = [split("B-X I-X O B-Y"), split("B-X I-Y"), split("O O")]
    found = [split("B-X I-X O B-X"), split("O O"), split("O B-Y")]

    scores = span_scores(right, found)

    assert scores == pytest.approx((1 / 3, 1 / 4, 2 / 7))  # one is right, of three that are found and four wanted
    assert span_scores([["O"]], [["O"]]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("names", "is_iob"),
    [("O B-X I-X", True), ("I-X", True), ("O", False), ("O NN", False), ("B- O", False), ("", False)],
)
def test_tags_are_by_the_scheme_if_all_of_them_are(names: str, is_iob: bool) -> None:
    assert has_spans(names.split()) == is_iob
