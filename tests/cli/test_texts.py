"""Texts as people have them, from the command line."""

import json
from pathlib import Path

import pytest

from gen.codec import decode
from gen.runs.base import Base
from gen.runs.options import CorpusOptions
from gen.runs.prepared import open_corpus
from gen.runs.run import load
from tests.cli.conftest import TINY, Gen

CAFE, DECOMPOSED = "caf\u00e9 d\u00e9j\u00e0\n", "cafe\u0301 de\u0301ja\u0300\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str, encoding: str = "utf-8") -> str:
    Path(name).write_bytes(text.encode(encoding))
    return name


def test_unknown_characters_are_left_out_and_counted(gen: Gen, here: Path, text_run: Path) -> None:
    write("a.txt", "fox \u00e9\u00e9 \u2013 fox\n")
    refused = gen("eval", text_run, "a.txt")
    assert (refused.code, "--unknown skip" in refused.err) == (2, True)
    shown = gen("eval", text_run, "a.txt", "--unknown", "skip").out
    assert "3 characters that the model lacks left out: 2 '\u00e9', 1 '\u2013'" in shown
    found = json.loads(gen("eval", text_run, "a.txt", "--unknown", "skip", "--json").out)
    write("b.txt", "fox   fox\n")
    known = json.loads(gen("eval", text_run, "b.txt", "--json").out)
    assert (found["unknown"], found["unknown_symbols"]) == (3, {"\u00e9": 2, "\u2013": 1})
    assert (found["units"], found["nats_per_token"]) == (known["units"], known["nats_per_token"])
    assert "unknown" not in known


def test_unknown_characters_are_left_out_from_python(here: Path, text_run: Path) -> None:
    write("a.txt", "fox \u00e9\n")
    assert load(text_run).evaluate("a.txt", unknown="skip").unknown == {"\u00e9": 1}


def test_unknown_characters_do_not_shift_where_documents_end(gen: Gen, here: Path, text_file: Path) -> None:
    run = ("--run", "lines", "--documents", "lines", "--valid", "0")  # they are copies of one line
    assert gen("train", text_file, *run, *TINY).code == 0
    write("a.txt", "The\u00e9\nf\u00e9ox\njumps\n")
    write("b.txt", "The\nfox\njumps\n")
    found = json.loads(gen("eval", "lines", "a.txt", "--unknown", "skip", "--json").out)
    assert found["nats_per_token"] == json.loads(gen("eval", "lines", "b.txt", "--json").out)["nats_per_token"]


def test_a_text_without_one_known_character_is_an_error(gen: Gen, here: Path, text_run: Path) -> None:
    write("a.txt", "\u8a69\u8a69")
    outcome = gen("eval", text_run, "a.txt", "--unknown", "skip")
    assert (outcome.code, "no character of it is in the model's vocabulary" in outcome.err) == (2, True)


def test_another_corpus_is_measured_in_its_own_encoding(gen: Gen, here: Path, text_run: Path) -> None:
    write("a.txt", "fox\u00b7fox", "cp1252")
    hint = gen("eval", text_run, "a.txt").err
    assert "--encoding latin-1 fits" in hint
    result = gen("eval", text_run, "a.txt", "--encoding", "latin-1", "--unknown", "skip", "--json")
    assert json.loads(result.out)["unknown_symbols"] == {"\u00b7": 1}
    assert gen("eval", text_run, "a.txt", "--errors", "skip").code == 0
    assert gen("eval", text_run, "valid", "--errors", "skip").code == 2


def test_the_alphabet_has_the_characters_of_the_validation_file(gen: Gen, here: Path) -> None:
    write("a.txt", "plain words and more\n" * 30)
    write("v.txt", "words with Zebras\n" * 9)
    write("t.txt", "words in Xander\n" * 9)
    command = ("train", "a.txt", "--valid-file", "v.txt", "--test-file", "t.txt", "--run", "a", *TINY)
    assert gen(*command).code == 0
    assert {*"Zebras"} <= {*load("a").codec.vocab.symbols}
    assert "X" not in load("a").codec.vocab.symbols
    assert gen("eval", "a", "valid").code == 0
    assert "--unknown skip" in gen("eval", "a", "test").err
    assert json.loads(gen("eval", "a", "test", "--unknown", "skip", "--json").out)["unknown_symbols"] == {"X": 9}


def test_a_run_with_characters_of_the_validation_file_goes_on_as_if_it_had_not_stopped(gen: Gen, here: Path) -> None:
    write("a.txt", "plain words and more\n" * 30)
    write("v.txt", "words with Zebras\n" * 9)
    common = ("a.txt", "--valid-file", "v.txt", *TINY[2:])
    assert gen("train", *common, "--run", "whole", "--steps", "6").code == 0
    assert gen("train", *common, "--run", "parts", "--steps", "3").code == 0
    assert gen("train", "--run", "parts", "--resume", "--steps", "6").code == 0
    whole, parts = (load(name).evaluate("valid").nats_per_token for name in ("whole", "parts"))
    assert parts == pytest.approx(whole, abs=0.02)  # the rate's schedule knew of another end
    assert load("whole").codec == load("parts").codec


def test_a_validation_file_of_known_characters_changes_no_key(here: Path) -> None:
    write("a.txt", "plain words and more\n" * 30)
    write("v.txt", "more words\n" * 9)
    with_file = open_corpus(CorpusOptions(("a.txt",), valid_file="v.txt"))
    assert with_file.store.key == open_corpus(CorpusOptions(("a.txt",))).store.key


def test_a_tuned_run_reads_its_corpus_as_the_letters_that_it_holds(here: Path) -> None:
    write("a.txt", "abc abc\n" * 30)
    base = Base({"name": "char", "version": 1, "alphabet": " ABCabc"}, (), False)
    material = open_corpus(CorpusOptions(("a.txt",), codec="char", base=base))
    assert decode(material.codec, material.store.ids[:8]) == "abc abc\n"


@pytest.mark.parametrize(("corpus", "prompt"), [(CAFE, DECOMPOSED), (DECOMPOSED, CAFE)])
def test_a_prompt_in_another_normal_form_is_read_and_said_so(gen: Gen, here: Path, corpus: str, prompt: str) -> None:
    assert gen("train", write("a.txt", corpus * 60), "--run", "cafe", *TINY).code == 0
    write("p.txt", prompt)
    outcomes = [
        gen("sample", "cafe", *given, "--length", "5", "--seed", "1")
        for given in (("--prompt", prompt), ("--prompt-file", "p.txt"), ("--prompt", corpus))
    ]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    assert "normal" in outcomes[0].err or "NF" in outcomes[0].err
    assert outcomes[2].err == ""
    assert len({outcome.out.removeprefix(prompt).removeprefix(corpus) for outcome in outcomes}) == 1
    stop = prompt[:6].strip()
    assert gen("sample", "cafe", "--stop", stop, "--length", "5").code == 0


def test_a_text_in_another_normal_form_is_measured_with_the_option_that_the_hint_names(gen: Gen, here: Path) -> None:
    assert gen("train", write("a.txt", CAFE * 60), "--run", "cafe", *TINY).code == 0
    write("b.txt", DECOMPOSED * 9)
    assert "--normalize nfc" in gen("eval", "cafe", "b.txt").err
    write("c.txt", CAFE * 9)
    found = [gen("eval", "cafe", *given, "--json").out for given in (("b.txt", "--normalize", "nfc"), ("c.txt",))]
    assert found[0] == found[1]


def test_a_run_that_normalises_goes_on_and_is_measured(gen: Gen, here: Path) -> None:
    assert gen("train", write("a.txt", DECOMPOSED * 60), "--run", "n", "--normalize", "nfc", *TINY).code == 0
    assert "\u0301" not in load("n").codec.vocab.symbols
    assert gen("train", "--run", "n", "--resume", "--steps", "5").code == 0
    assert gen("eval", "n", "valid").code == 0
    assert gen("eval", "n", "a.txt").code == 0
    assert gen("train", "--run", "n", "--resume", "--normalize", "nfkc").code == 2


def test_a_run_that_replaces_bad_bytes_goes_on(gen: Gen, here: Path) -> None:
    Path("a.txt").write_bytes(b"It\x92s \xe2\x80\x9cfine\xe2\x80\x9d.\n" * 60)
    assert gen("train", "a.txt", "--run", "r", "--errors", "replace", *TINY).code == 0
    assert "\ufffd" in load("r").codec.vocab.symbols
    assert gen("train", "--run", "r", "--resume", "--steps", "5").code == 0
    assert gen("eval", "r", "valid").code == 0
    assert json.loads(gen("corpus", "a.txt", "--errors", "skip", "--json").out)["findings"] == {
        "bytes invalid in utf-8 skipped": 60
    }


def test_training_says_how_many_files_are_not_used(gen: Gen, here: Path, music_folder: Path) -> None:
    for number in range(3):
        write(f"{number}.txt", "some words of a text\n" * 40)
    Path("tune.mid").write_bytes((music_folder / "bwv2.6.mid").read_bytes())
    outcome = gen("train", ".", "--run", "mixed", "--out", str(here / ".runs"), *TINY)
    assert outcome.code == 0
    assert "1 file not used, gen corpus says why" in outcome.err


def test_a_corpus_that_is_too_small_says_what_was_left_out(gen: Gen, here: Path) -> None:
    for number in range(2):
        write(f"{number}.txt", "ab")
    (here / "tune.mid").write_bytes(b"MThd\0\0\0\6\0\0\0\1\1\xe0")
    outcome = gen("train", ".", "--run", "a", "--out", ".runs", *TINY)
    assert outcome.code == 2
    assert "; not used: 1 MIDI, while most files are text)" in outcome.err


@pytest.mark.parametrize("name", ["prompt.docx", "prompt.png"])
def test_a_prompt_file_that_is_no_text_is_named(gen: Gen, here: Path, text_run: Path, name: str) -> None:
    data = {"prompt.docx": b"PK\3\4" + bytes(99), "prompt.png": b"\x89PNG\r\n\x1a\n\0"}[name]
    Path(name).write_bytes(data)
    outcome = gen("sample", text_run, "--prompt-file", name)
    assert outcome.code == 2
    assert f"{name}: a" in outcome.err
    assert "not text" in outcome.err


def test_copies_are_counted(gen: Gen, here: Path) -> None:
    for number in range(4):
        write(f"{number}.txt", f"text {number % 3}\n")
    assert json.loads(gen("corpus", ".", "--json").out)["copies"] == 1
    assert "1 of the documents a copy of another" in gen("corpus", ".").out
