"""What a run was trained on, when it is wanted again: piped in once, moved since, or known from a model file alone."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gen.corpus.sources import standard_input
from gen.music.midi import rules
from gen.runs.checkpoint import read_checkpoint, write_checkpoint
from tests.cli.conftest import TINY, Gen, Outcome

TEXT = "It was a dark and stormy night; the rain fell in torrents.\n" * 60
GOING_ON = ("train", "--run", "a", "--resume", "--steps", "5")

Pipe = Callable[[str], None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a cache of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "here"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Puts a text on standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves a test that reads standard input waiting for ever, or rather failing at once."""

    class Silent(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            pytest.fail("it waits for the keyboard")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Silent())))


def assert_refused(outcome: Outcome, what: str) -> None:
    assert outcome.code == 2
    assert outcome.err.splitlines()[0].startswith("error: ")
    assert what in outcome.err.splitlines()[0]


@pytest.mark.parametrize("corpus", [["-"], ["-", "b.txt"], ["b.txt", "--valid-file", "-"]])
def test_a_run_on_standard_input_is_measured_and_goes_on_without_it(
    gen: Gen, here: Path, pipe: Pipe, request: pytest.FixtureRequest, corpus: list[str]
) -> None:
    (here / "b.txt").write_text(TEXT[::-1])
    pipe(TEXT)
    assert gen("train", *corpus, "--run", "a", *TINY).code == 0
    request.getfixturevalue("keyboard")

    measured = gen("eval", "a", "valid")
    resumed = gen(*GOING_ON)

    assert measured.code == 0
    assert resumed.code == 0
    assert ("from the cache" in resumed.err) == ("-" in corpus[:1])


@pytest.mark.parametrize("corpus", [["-", "--valid-file", "b.txt"], ["b.txt", "--valid-file", "-"]])
def test_standard_input_is_read_once_though_the_other_corpus_has_more_characters(
    gen: Gen, here: Path, pipe: Pipe, corpus: list[str]
) -> None:
    (here / "b.txt").write_text(TEXT + "[1]")
    pipe(TEXT + "[2]")

    trained = gen("train", *corpus, "--run", "a", *TINY)

    assert trained.code == 0, trained.err
    assert gen("eval", "a", "valid").code == 0
    assert not list((here.parent / "cache" / "spool").iterdir())


def test_standard_input_is_read_once_where_controls_are_asked_for(gen: Gen, here: Path, music_folder: Path) -> None:
    data = (music_folder / "bwv2.6.mid").read_bytes()
    command = [sys.executable, "-m", "gen", "train", "-", "--controls", "density", "--run", "a", *TINY]

    done = subprocess.run(command, input=data, cwd=here, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_model_file_alone_is_validated_on_the_store_of_its_validation_file_or_says_that_it_is_gone(
    gen: Gen, here: Path, *, is_cached: bool
) -> None:
    (here / "a.txt").write_text(TEXT)
    (here / "b.txt").write_text(TEXT[::-1])
    gen("train", "a.txt", "--valid-file", "b.txt", "--run", "a", *TINY)
    expected = gen("eval", "a", "valid")
    shutil.copy(here / "checkpoints" / "a" / "model.safetensors", here / "alone.safetensors")
    if not is_cached:
        shutil.rmtree(here.parent / "cache")

    outcome = gen("eval", "alone.safetensors", "valid")

    if is_cached:
        assert outcome == expected
    else:
        assert_refused(outcome, "corpus: no such file, and its store is not in the cache")


@pytest.mark.parametrize("loss", ["gone", "damaged"])
def test_a_run_on_standard_input_says_what_to_give_when_the_cache_has_lost_it(
    gen: Gen, here: Path, pipe: Pipe, request: pytest.FixtureRequest, loss: str
) -> None:
    pipe(TEXT)
    assert gen("train", "-", "--run", "a", *TINY).code == 0
    stores = here.parent / "cache" / "stores"
    if loss == "gone":
        shutil.rmtree(stores)
    else:
        (ids,) = stores.glob("*/ids.bin")
        ids.write_bytes(ids.read_bytes()[:-1])
    request.getfixturevalue("keyboard")

    for command in (["eval", "a", "valid"], GOING_ON):
        outcome = gen(*command)
        assert_refused(outcome, "standard input: cannot be read again, and its store is not in the cache")
        assert "hint: give it again: gen train FILE --run RUN --resume" in outcome.err

    (here / "same.txt").write_text(TEXT)
    assert gen("train", "same.txt", "--run", "a", "--resume", "--steps", "4").code == 0
    assert gen("eval", "a", "valid").code == 0


def test_the_same_piped_in_again_goes_on_and_something_else_does_not(gen: Gen, here: Path, pipe: Pipe) -> None:
    pipe(TEXT)
    assert gen("train", "-", "--run", "a", *TINY).code == 0
    shutil.rmtree(here.parent / "cache")

    pipe(TEXT + "more")
    assert_refused(gen(*GOING_ON, "-"), "the corpus has changed")
    pipe(TEXT)
    assert gen(*GOING_ON, "-").code == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["-", "--valid-file", "-"], "--valid-file: standard input is the corpus already (-)"),
        (["b.txt", "--test-file", "-"], "--test-file: standard input cannot be kept for later (-)"),
    ],
)
@pytest.mark.usefixtures("keyboard")
def test_standard_input_is_given_once_and_not_for_later(gen: Gen, here: Path, arguments: list[str], what: str) -> None:
    (here / "b.txt").write_text(TEXT)

    assert_refused(gen("train", *arguments, "--run", "a", *TINY), what)


def test_at_a_terminal_it_is_said_that_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        standard_input()
    os.close(ours)

    assert capsys.readouterr() == ("", "reading standard input; end it with Ctrl-D\n")


def test_a_corpus_that_was_moved_is_still_measured_on(gen: Gen, here: Path) -> None:
    (here / "a.txt").write_text(TEXT)
    assert gen("train", "a.txt", "--run", "a", *TINY).code == 0
    before = gen("eval", "a", "valid").out

    (here / "a.txt").rename(here / "b.txt")

    assert gen("eval", "a", "valid").out == before
    assert gen(*GOING_ON, "b.txt").code == 0
    shutil.rmtree(here.parent / "cache")
    (here / "b.txt").unlink()
    assert_refused(gen("eval", "a", "valid"), "b.txt: no such file, and its store is not in the cache")


def test_the_model_file_names_no_folder_and_no_document(gen: Gen, here: Path) -> None:
    private = here / "home" / "someone" / "private"
    for number, place in enumerate(("corpus/dear/diary.txt", "corpus/old/letters.txt", "judged/secret.txt")):
        (private / place).parent.mkdir(parents=True, exist_ok=True)
        (private / place).write_text(TEXT * (number + 1))
    options = ["--valid-file", private / "judged", "--test-file", private / "judged" / "secret.txt"]
    assert gen("train", private / "corpus", "--run", "a", *options, *TINY).code == 0

    data = (here / "checkpoints" / "a" / "model.safetensors").read_bytes()

    for word in ("someone", "private", "diary", "letters", "secret", "judged", str(here)):
        assert word.encode() not in data
    assert gen("eval", "a", "valid").code == 0
    assert gen("eval", "a", "test").code == 0
    facts = json.loads(gen("info", "a", "--json").out)
    assert facts["corpus"]["sources"] == ["corpus"]
    assert facts["corpus"]["num_documents"] == 2


def test_a_model_file_alone_is_measured_while_the_cache_has_its_corpus(gen: Gen, here: Path) -> None:
    (here / "a.txt").write_text(TEXT)
    assert gen("train", "a.txt", "--run", "a", *TINY).code == 0
    shutil.copy(here / "checkpoints" / "a" / "model.safetensors", here / "m.safetensors")

    assert gen("eval", "m.safetensors", "valid").out == gen("eval", "a", "valid").out
    assert_refused(gen("eval", "m.safetensors", "test"), "has no test corpus")
    shutil.rmtree(here.parent / "cache")
    assert_refused(gen("eval", "m.safetensors", "valid"), "corpus: no such file, and its store is not in the cache")
    assert gen("eval", "m.safetensors", "a.txt").code == 0


def as_before(folder: Path) -> None:
    """Puts the places of a corpus into the model file, as earlier versions did."""
    _, training = read_checkpoint(folder / "training.safetensors", "training")
    tensors, header = read_checkpoint(folder / "model.safetensors", "model")
    write_checkpoint(folder / "model.safetensors", "model", tensors, header | {"corpus": training["corpus"]})


def test_an_older_model_file_is_read_and_loses_its_places_when_the_run_goes_on(gen: Gen, here: Path) -> None:
    (here / "diary.txt").write_text(TEXT)
    assert gen("train", "diary.txt", "--run", "a", *TINY).code == 0
    path = here / "checkpoints" / "a" / "model.safetensors"
    now = gen("eval", "a", "valid").out
    as_before(path.parent)
    assert b"diary" in path.read_bytes()
    shutil.copy(path, here / "m.safetensors")

    assert gen("eval", "m.safetensors", "valid").out == now
    assert gen(*GOING_ON).code == 0
    assert b"diary" not in path.read_bytes()


@pytest.fixture
def tunes(gen: Gen, here: Path, music_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on MIDI whose corpus is, since then, read by later rules and prepared no more."""
    shutil.copytree(music_folder, here / "tunes")
    assert gen("train", "tunes", "--run", "a", "--valid-file", "tunes/bwv3.6.mid", *TINY).code == 0
    monkeypatch.setattr(rules, "VERSION", rules.VERSION + 1)
    shutil.rmtree(here.parent / "cache")
    return here / "checkpoints" / "a"


@pytest.mark.usefixtures("tunes")
def test_music_that_later_rules_read_the_same_is_measured_and_goes_on(gen: Gen) -> None:
    assert gen("eval", "a", "valid").code == 0
    assert gen(*GOING_ON).code == 0


def test_music_that_later_rules_read_otherwise_is_refused_and_said_to_be_so(gen: Gen, tunes: Path) -> None:
    path = tunes / "training.safetensors"
    tensors, header = read_checkpoint(path, "training")
    name, num_tokens = next(iter(header["corpus"]["documents"].items()))
    header["corpus"]["documents"][name] += 1
    header["corpus"]["num_valid_targets"] += 1
    write_checkpoint(path, "training", tensors, header)

    outcome = gen(*GOING_ON)

    what = f"this version of gen reads MIDI otherwise ({name}: {num_tokens + 1} tokens then, {num_tokens} now)"
    assert_refused(outcome, what)
    assert_refused(gen("eval", "a", "valid"), "this version of gen reads MIDI otherwise")


def test_music_that_later_rules_read_otherwise_goes_on_while_the_cache_has_it(
    gen: Gen, here: Path, music_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(music_folder, here / "tunes")
    assert gen("train", "tunes", "--run", "a", *TINY).code == 0
    stores = {*(here.parent / "cache" / "stores").iterdir()}
    monkeypatch.setattr(rules, "VERSION", rules.VERSION + 1)

    assert gen("eval", "a", "valid").code == 0
    assert gen(*GOING_ON).code == 0
    assert {*(here.parent / "cache" / "stores").iterdir()} == stores
