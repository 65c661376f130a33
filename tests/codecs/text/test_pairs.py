"""Pairs as ids: both columns, and all that a table may lack."""

from itertools import pairwise
from pathlib import Path

import pytest

from gen.codec import decode
from gen.codecs import load_codec
from gen.codecs.text.pairs import PairsCodec
from gen.codecs.text.tables.pairs import INCOMPLETE, SEPARATOR, describe, look_at_pairs, pair_parts
from gen.config import Reading
from gen.errors import CorpusError, SettingError


def write(folder: Path, content: str, name: str = "pairs.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def pairs_of(path: Path, **reading: str) -> list[tuple[str, str]]:
    """Returns the pairs that are read from a file."""
    found = []
    for part in pair_parts(path, Reading(**reading)):  # type: ignore[arg-type]
        starts = [0, *part.ends.tolist()]
        texts = [part.text[start:stop] for start, stop in pairwise(starts)]
        found += [tuple(text.split(SEPARATOR)) for text in texts]
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("source,target\nab,x y\nc,z\n", "a.csv"),
        ("Target;Source\nx y;ab\nz;c\n", "a.csv"),
        ("n,input,output\n1,ab,x y\n2,c,z\n", "a.csv"),
        ("word\tpronunciation\nab\tx y\nc\tz\n", "a.tsv"),
        ("ab\tx y\nc\tz\n", "a.txt"),
        ("ab\tx y\tby somebody\nc\tz\tby another\n", "a.tsv"),
        ('{"question": "ab", "answer": "x y"}\n{"answer": "z", "question": "c"}\n', "a.jsonl"),
        ('{"p": "ab", "q": "x y"}\n{"p": "c", "q": "z"}\n', "a.jsonl"),
        ("  ab ,x y\nc, z \n", "a.csv"),
    ],
)
def test_pairs_are_found_in_every_kind_of_table(tmp_path: Path, content: str, name: str) -> None:
    assert pairs_of(write(tmp_path, content, name)) == [("ab", "x y"), ("c", "z")]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"text_column": "b", "target_column": "c"}, ("2", "3")),
        ({"text_column": "3", "target_column": "1"}, ("3", "1")),
        ({"text_column": "c"}, ("3", "1")),
        ({"target_column": "a"}, ("2", "1")),
        ({"target_column": "c"}, ("1", "3")),
    ],
)
def test_columns_are_taken_by_name_or_number(tmp_path: Path, asked: dict[str, str], wanted: tuple[str, str]) -> None:
    path = write(tmp_path, "a,b,c\n1,2,3\n")

    assert pairs_of(path, **asked)[-1] == wanted


def test_a_number_in_a_target_of_json_is_read_as_it_is_written(tmp_path: Path) -> None:
    assert pairs_of(write(tmp_path, '{"input": "3 + 4", "output": 7}\n', "sums.jsonl")) == [("3 + 4", "7")]


def test_rows_that_lack_a_side_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "source,target\nab,x\n,y\nc,\n \t,z\nd,w\ne\n")

    (part,) = pair_parts(path, Reading())

    assert pairs_of(path) == [("ab", "x"), ("d", "w")]
    assert part.findings[INCOMPLETE] == 4
    assert part.lines.tolist() == [2, 6]


@pytest.mark.parametrize(
    ("content", "asked", "words"),
    [
        ("ab\ncd\n", {}, "no column of targets"),
        ("source,target\n", {}, "no row has a source and a target"),
        ("source,target\na,b\n", {"target_column": "phonemes"}, "no column phonemes"),
        ("source,target\na,b\n", {"text_column": "3"}, "no column 3"),
        ("source,target\na,b\n", {"text_column": "target", "target_column": "target"}, "in one column"),
        ("source,target,source\na,b,c\n", {}, r"several columns source \(columns: source, target, source\)"),
        ("target,target,source\na,b,c\n", {}, "several columns target"),
        ("n,n,words\n1,2,3\n", {"text_column": "n", "target_column": "words"}, "several columns n"),
    ],
)
def test_a_table_without_pairs_is_one_line(tmp_path: Path, content: str, asked: dict[str, str], words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        pairs_of(write(tmp_path, content), **asked)


def test_columns_of_one_name_are_read_by_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "source,target,source\nab,x y,z\n")

    assert pairs_of(path, text_column="1", target_column="2") == [("ab", "x y")]
    assert pairs_of(path, text_column="3") == [("z", "x y")]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("source,target\na,b\na,b,c\n", "a.csv", r"a row of 3 fields where there are 2 columns \(line 3\)"),
        ('source,target\n"a"b,c\n"a","b"\n', "a.csv", "not CSV"),
        ('{"source": "a", "target": "b"}\nx\n', "a.jsonl", "not JSON"),
        ('{"source": "a", "target": "b"}\n[1]\n', "a.jsonl", r"not a JSON object \(line 2\)"),
        ('[{"source": "a", "target": "b"}]\n', "a.json", "a JSON array"),
        ('{"source": "a", "target": ["b"]}\n', "a.jsonl", "target is not one value"),
    ],
)
def test_no_hint_names_a_way_of_reading_that_pairs_do_not_have(
    tmp_path: Path, content: str, name: str, words: str
) -> None:
    with pytest.raises(CorpusError, match=words) as err:
        pairs_of(write(tmp_path, content, name))

    assert "--documents" not in (err.value.hint or "")


def test_a_nul_in_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="a NUL in a text"):
        pairs_of(write(tmp_path, '{"input": "a\\u0000b", "output": "c"}\n', "a.jsonl"))


def test_the_columns_are_told(tmp_path: Path) -> None:
    named, plain = write(tmp_path, "source,target\na,b\n"), write(tmp_path, "a\tb\nc\td\n", "a.tsv")

    assert describe(look_at_pairs(named, Reading())) == "rows, sources of column source, targets of column target"
    assert (
        describe(look_at_pairs(plain, Reading())) == "rows without a header, sources of column 1, targets of column 2"
    )


@pytest.fixture
def codec() -> PairsCodec:
    return PairsCodec(f"{SEPARATOR} abcxyz")


def test_a_spec_makes_an_equal_codec(codec: PairsCodec) -> None:
    assert load_codec(codec.spec()) == codec
    assert codec.spec()["alphabet"] == " abcxyz"
    assert codec.vocab.symbols == ("Separator", *" abcxyz", "Begin", "End")


def test_ids_are_sources_separators_and_targets(codec: PairsCodec, tmp_path: Path) -> None:
    path = write(tmp_path, "source,target\nab,x y\nc,z\n")

    (part,) = codec.encode_file(path)

    assert decode(codec, part.ids[: part.ends[0]]) == "ab\tx y"
    assert decode(codec, part.ids[part.ends[0] :]) == "c\tz"
    assert (part.ids == codec.separator).sum() == 2
    assert codec.units()[part.ids].sum() == len("abx ycz")


def test_a_source_ends_with_the_separator(codec: PairsCodec) -> None:
    assert codec.encode_source(" ab\n").tolist() == [*codec.encode("ab").tolist(), codec.separator]


@pytest.mark.parametrize("source", ["", " ", "a\0b"])
def test_no_source_is_refused(codec: PairsCodec, source: str) -> None:
    with pytest.raises(SettingError, match="no source"):
        codec.encode_source(source)


def test_alphabets_are_merged(codec: PairsCodec) -> None:
    merged = codec.merged_with(PairsCodec(f"{SEPARATOR}aq").spec())

    assert merged == PairsCodec(f"{SEPARATOR} abcqxyz")
