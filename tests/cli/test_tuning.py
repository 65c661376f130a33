"""Fine-tuning: what the run that another starts from knows stays known."""

import json
from pathlib import Path
from typing import Any

import pytest

from gen.corpus.builtin import builtin_path
from gen.music.score import Note, Score, TimeSignature, Track
from gen.runs.checkpoint import read_header
from tests.cli.conftest import TINY, Gen
from tests.cli.test_given_again import assert_refused

NAMES = "Ada Stone\nEmil Marsh\nCleo Oak\n" * 20
LOWER = "rain and rain again, he said: snow!\n" * 20


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two texts, the same texts under labels, and a run of the first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text(NAMES)
    (tmp_path / "lower.txt").write_text(LOWER)
    for label, text in (("glad", NAMES), ("sad", LOWER)):
        (tmp_path / "labels" / label).mkdir(parents=True)
        (tmp_path / "labels" / label / "a.txt").write_text(text)
    return tmp_path


def header(run: str) -> dict[str, Any]:
    return read_header(Path("checkpoints") / run / "model.safetensors")


@pytest.mark.usefixtures("here")
def test_a_tuned_run_knows_the_characters_of_both_corpora(gen: Gen) -> None:
    gen("train", "names.txt", "--run", "names", *TINY)

    tuned = gen("train", "lower.txt", "--run", "tuned", "--from", "names", "--steps", "3")

    num_names, num_both = len({*NAMES}) + 2, len({*NAMES, *LOWER}) + 2
    assert f"it knows {num_names} of the {num_both} symbols" in tuned.err
    assert gen("sample", "tuned", "--prompt", "Ada Stone: snow!", "--length", "9").code == 0
    again = gen("train", "names.txt", "--run", "again", "--from", "tuned", "--steps", "3")
    assert f"it knows {num_both} of the {num_both} symbols" in again.err


@pytest.mark.usefixtures("here")
def test_what_the_new_corpus_lacks_can_still_be_drawn(gen: Gen) -> None:
    gen("train", "names.txt", "--run", "names", *TINY)
    gen("train", "lower.txt", "--run", "tuned", "--from", "names", "--steps", "3")

    drawn = gen("sample", "tuned", "--length", "2000", "--temperature", "2", "--seed", "1").out

    assert {*drawn} >= {*NAMES, *LOWER}


@pytest.mark.usefixtures("here")
def test_a_tuned_run_goes_on_and_is_measured_as_any_other(gen: Gen) -> None:
    gen("train", "names.txt", "--run", "names", *TINY)
    gen("train", "lower.txt", "--run", "tuned", "--from", "names", "--steps", "3")

    assert gen("train", "--run", "tuned", "--resume", "--steps", "5").code == 0
    assert gen("eval", "tuned", "valid").code == 0
    assert gen("eval", "checkpoints/tuned/model.safetensors", "names.txt").code == 0


@pytest.mark.parametrize("corpus", ["labels/glad", "names.txt"])
@pytest.mark.usefixtures("here")
def test_labels_that_the_new_corpus_lacks_can_still_be_asked_for(gen: Gen, corpus: str) -> None:
    gen("train", "labels", "--run", "two", *TINY)

    assert gen("train", corpus, "--run", "one", "--from", "two", "--steps", "3").code == 0

    assert gen("sample", "one", "--label", "sad", "--length", "9").code == 0
    assert json.loads(gen("info", "one", "--json").out)["labels"] == ["glad", "sad"]
    assert gen("train", "--run", "one", "--resume", "--steps", "5").code == 0


def test_labels_keep_their_numbers_and_new_ones_follow(gen: Gen, here: Path) -> None:
    gen("train", "labels", "--run", "two", *TINY)
    (here / "labels" / "glad").rename(here / "labels" / "calm")

    gen("train", "labels", "--run", "three", "--from", "two", "--steps", "3")

    assert header("three")["labels"] == ["glad", "sad", "calm"]
    assert gen("eval", "three", "valid").code == 0
    measured = [gen("eval", run, "valid").out for run in ("three", "checkpoints/three/model.safetensors")]
    assert measured[0] == measured[1]


@pytest.mark.usefixtures("here")
def test_a_tuned_run_can_end_if_the_other_could(gen: Gen) -> None:
    gen("train", "labels/glad", "labels/sad", "--valid", "0", "--run", "two", *TINY)
    gen("train", "lower.txt", "--run", "one", "--from", "two", "--steps", "3")

    assert header("two")["can_end"] is True
    assert header("one")["can_end"] is True


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--codec", "byte"], "--codec: byte cannot go on from names, whose codec is char"),
        (["--codec", "beat"], "--codec: beat cannot go on from names, whose codec is char"),
        (["--controls", "key"], "--controls: only for music (key)"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_cannot_start_from_another_run_is_one_line(gen: Gen, arguments: list[str], what: str) -> None:
    gen("train", "names.txt", "--run", "names", *TINY)

    assert_refused(gen("train", "lower.txt", "--run", "tuned", "--from", "names", *arguments), what)


@pytest.mark.usefixtures("here")
def test_the_codec_of_the_other_run_is_taken(gen: Gen) -> None:
    gen("train", "names.txt", "--codec", "byte", "--run", "names", *TINY)

    assert gen("train", "lower.txt", "--run", "tuned", "--from", "names", "--steps", "3").code == 0

    assert json.loads(gen("info", "tuned", "--json").out)["codec"]["name"] == "byte"


@pytest.mark.usefixtures("here")
def test_the_normal_form_of_the_other_run_is_taken(gen: Gen, here: Path) -> None:
    (here / "wide.txt").write_text("\uff33\uff2e\uff2f\uff37\n" * 40, encoding="utf-8")
    gen("train", "names.txt", "--normalize", "nfkc", "--run", "names", *TINY)

    gen("train", "wide.txt", "--run", "tuned", "--from", "names", "--steps", "3")

    codec = header("tuned")["codec"]
    assert codec["normalize"] == "nfkc"
    assert {*codec["alphabet"]} == {*NAMES, *"SNOW"}
    assert gen("train", "--run", "tuned", "--resume", "--steps", "4").code == 0


@pytest.mark.usefixtures("here")
def test_a_run_that_goes_on_starts_from_no_other(gen: Gen) -> None:
    gen("train", "names.txt", "--run", "names", *TINY)
    gen("train", "lower.txt", "--run", "tuned", "--from", "names", "--steps", "3")

    outcome = gen("train", "--run", "tuned", "--resume", "--from", "names")

    assert_refused(outcome, "--from: only for a new run (tuned goes on)")


def test_a_tuned_run_of_music_may_write_what_both_corpora_have(gen: Gen, here: Path) -> None:
    from gen.music.midi.write import write_midi

    chorales = builtin_path("chorales")
    assert chorales is not None
    gen("train", chorales / "bwv2.6.mid", "--run", "bach", "--controls", "density", *TINY)
    notes = tuple(Note(96 * place, 96, 40 + place, 64) for place in range(400 // 12))
    write_midi(here / "odd.mid", Score((Track(notes, program=70),), 384, time_signatures=(TimeSignature(0, 7, 8),)))

    tuned = gen("train", "odd.mid", "--run", "odd", "--from", "bach", "--controls", "key", "--steps", "3")

    assert tuned.code == 0
    old, new = header("bach")["codec"], header("odd")["codec"]
    assert isinstance(old, dict)
    assert isinstance(new, dict)
    assert {*new["seen"]} > {*old["seen"]}
    assert {"Program_70", "TimeSignature_7/8"} <= {*new["seen"]}
    assert new["controls"] == ["density", "key"]
    assert gen("sample", "odd", "--density", "4", "--key", "Am", "--length", "50", "--out", "x.mid").code == 0
    assert gen("train", "--run", "odd", "--resume", "--steps", "5").code == 0


def test_music_is_not_read_by_a_run_of_text_and_it_says_so(gen: Gen, here: Path) -> None:
    gen("train", "names.txt", "--run", "names", *TINY)

    outcome = gen("train", builtin_path("chorales"), "--run", "tuned", "--from", "names")

    assert_refused(outcome, "nothing usable")
    assert "hint: --from names: it reads with the codec char" in outcome.err
    assert not (here / "checkpoints" / "tuned").exists()
