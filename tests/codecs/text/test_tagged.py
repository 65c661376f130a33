"""Sentences whose words have tags: files of two columns, their ids, and what such files may not hold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codec import decode
from gen.codecs.text import files
from gen.codecs.text.columns import BLANKS, COMMENTS, tagged_parts, words_of
from gen.codecs.text.tagged import UNKNOWN_CHARACTERS, UNKNOWN_TAGS, TaggedCodec
from gen.config import Reading
from gen.errors import CheckpointError, CorpusError

CODEC = TaggedCodec("Tdegho", ("DET", "NOUN"))
Sentence = list[tuple[str, str]]


def write(folder: Path, text: str) -> Path:
    path = folder / "words.txt"
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> list[Sentence]:
    """Returns the sentences of a file, joined from its parts."""
    found: list[Sentence] = [[]]
    for part in tagged_parts(path, Reading()):
        for n, pair in enumerate(zip(part.words, part.tags, strict=True)):
            found += [[] for end in part.ends if end == n]
            found[-1].append(pair)
        found += [[] for end in part.ends if end == len(part.words)]
    return [sentence for sentence in found if sentence]


def test_a_word_is_its_characters_and_then_its_tag() -> None:
    ids = CODEC.encode("The\tDET\ndog\tNOUN\n")

    assert [CODEC.vocab.symbols[token] for token in ids] == ["T", "h", "e", "Tag_DET", "d", "o", "g", "Tag_NOUN"]
    assert CODEC.units()[ids].sum() == 2


def test_what_the_codec_does_not_know_has_symbols_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, "dog\tNOUN\nzoo\tX\n")

    (part,) = CODEC.encode_file(path)

    symbols = [CODEC.vocab.symbols[token] for token in part.ids]
    assert symbols == ["d", "o", "g", "Tag_NOUN", "Unknown", "o", "o", "Tag"]
    assert (part.findings[UNKNOWN_CHARACTERS], part.findings[UNKNOWN_TAGS]) == (1, 1)
    assert decode(CODEC, part.ids) == "dog\tNOUN\n\ufffdoo\t\ufffd\n"


def test_columns_are_parted_by_tabs_or_blanks_and_the_first_and_last_are_read(tmp_path: Path) -> None:
    assert read(write(tmp_path, "New York\tx\tLOC\nis\ty\tO\n")) == [[("New York", "LOC"), ("is", "O")]]
    assert read(write(tmp_path, "EU NNP B-NP B-ORG\nrejects  VBZ B-VP O \n")) == [[("EU", "B-ORG"), ("rejects", "O")]]


def test_sentences_end_at_blank_lines_and_comments_and_document_starts_are_skipped(tmp_path: Path) -> None:
    text = "# a comment\n-DOCSTART- -X- O\n\nEU\tB\n#1\tI\n \t\n\n#\tO\n# text = a b\n-DOCSTART-\nb\tB"
    path = write(tmp_path, text)

    assert read(path) == [[("EU", "B"), ("#1", "I")], [("#", "O")], [("b", "B")]]
    assert sum(part.findings[COMMENTS] for part in tagged_parts(path, Reading())) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# about this\nthe DT\n# #\n5 CD\n\n# #\n5 CD\n", [[("the", "DT"), ("#", "#"), ("5", "CD")], [("5", "CD")]]),
        ("the DT\n# a longer remark\n5 CD\n", [[("the", "DT"), ("5", "CD")]]),
        ("the\tDT\n# remark\n#remark\n5\tCD\n", [[("the", "DT"), ("5", "CD")]]),
        ("#\t#\n5\tCD\n\n#tag\tX\n", [[("#", "#"), ("5", "CD")], [("#tag", "X")]]),
        ("#tag X\n#1 Y\n", [[("#tag", "X"), ("#1", "Y")]]),
    ],
)
def test_a_number_sign_opens_a_comment_or_is_a_token(tmp_path: Path, text: str, wanted: list[Sentence]) -> None:
    assert read(write(tmp_path, text)) == wanted


def test_a_no_break_space_is_a_character_of_a_token(tmp_path: Path) -> None:
    between_tabs, between_blanks = "10\u00a0000\tNUM\n\u00a0\tX\n", "10\u00a0000 NUM\na\u3000b \u00a0X\n"

    assert read(write(tmp_path, between_tabs)) == [[("10\u00a0000", "NUM"), ("\u00a0", "X")]]
    assert read(write(tmp_path, between_blanks)) == [[("10\u00a0000", "NUM"), ("a\u3000b", "\u00a0X")]]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("  the  dog ", ["the", "dog"]),
        ("10\u00a0000 men\x0c", ["10\u00a0000", "men"]),
        ("New York\tis\t big\t", ["New York", "is", "big"]),
        ("New York\t", ["New York"]),
        (" \t ", []),
        ("", []),
    ],
)
def test_words_of_plain_text_stand_between_tabs_or_else_blanks(line: str, wanted: list[str]) -> None:
    assert words_of(line) == wanted


tokens = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r\0\ufeff"), min_size=1, max_size=6).map(
    lambda token: token.strip(BLANKS)
)


@given(st.lists(tokens.filter(lambda token: token and not token.startswith("-DOCSTART-")), min_size=1, max_size=6))
def test_the_tokens_of_a_file_are_the_words_of_a_line_between_tabs(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str]
) -> None:
    path = write(tmp_path_factory.mktemp("trip"), "".join(f"{token}\tX\n" for token in wanted))

    assert [token for token, _ in read(path)[0]] == words_of("\t".join(wanted) + "\t") == wanted


def test_ends_of_sentences_are_counted_in_ids(tmp_path: Path) -> None:
    (part,) = CODEC.encode_file(write(tmp_path, "\ndog\tNOUN\n\n\nThe\tDET\nhog\tNOUN\n\nhe\tNOUN\n"))

    assert part.ends.tolist() == [4, 12]


words = st.text(st.sampled_from("abc#\u00e9\U0001f40e"), min_size=1, max_size=5)
sentences = st.lists(st.lists(st.tuples(words, st.sampled_from(["O", "B-x", "#"])), min_size=1, max_size=6), max_size=8)


@given(sentences, st.integers(1, 20))
def test_files_are_read_the_same_in_parts_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[Sentence], size: int
) -> None:
    text = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in wanted)
    path = write(tmp_path_factory.mktemp("parts"), text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK_BYTES", size)
        assert read(path) == wanted


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a\tX\n\nb\n", "a token without a tag (b, line 3)"),
        ("a\tX\nb\t\n", "a token without a tag (b, line 2)"),
        ("a\tX\n\tX\n", "a token without a tag (X, line 2)"),
        ("a\tX\nb\tc\tX\n", "not as many columns as on other lines (3 on line 2, 2 before)"),
        ("It was a dark and stormy night\nand it rained\n", "not as many columns as on other lines (3 on line 2,"),
    ],
)
def test_a_line_that_has_no_tag_is_named(tmp_path: Path, text: str, what: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(CorpusError) as err:
        list(CODEC.encode_file(path))

    assert str(err.value).startswith(f"{path}: ")
    assert what in str(err.value)


@pytest.mark.parametrize("change", [{"tags": ["b", "a"]}, {"tags": "ab"}, {"tags": [1]}, {"alphabet": "ba"}])
def test_a_spec_that_is_damaged_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="codec: "):
        TaggedCodec.from_spec(CODEC.spec() | change)


def test_words_are_encoded_without_their_tags_for_a_model_that_shall_find_them() -> None:
    known, asked = CODEC.encode("dog\tNOUN\nhe\tDET\n"), CODEC.encode_words(["dog", "he"])

    is_tag = known >= CODEC.first_tag
    assert np.array_equal(known[~is_tag], asked[~is_tag])
    assert set(asked[is_tag].tolist()) == {CODEC.first_tag}
