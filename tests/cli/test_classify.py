"""Labels of documents, as a user trains, asks and measures them."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from gen.runs.checkpoint import read_checkpoint
from tests.cli.conftest import TINY, Gen, Outcome, spawn
from tests.cli.test_given_again import assert_refused

WORDS = {"warm": ("sun", "sand", "summer"), "cold": ("ice", "frost", "winter")}
SMALL = ("--hidden", "16", "--embedding", "8", "--batch-size", "8", "--lr", "0.01")


def texts(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Returns labels and texts in which a label's words stand among others."""
    draw = random.Random(seed)  # noqa: S311 - words, not secrets
    found = []
    for number in range(count):
        label = ("warm", "cold")[number % 2]
        words = [draw.choice(("a", "the", "in", "of", *WORDS[label])) for _ in range(8)] + [draw.choice(WORDS[label])]
        found.append((label, " ".join(words)))
    return found


def write_table(path: Path, count: int, *, seed: int = 0) -> Path:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for label, text in texts(count, seed=seed)))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of 120 labelled texts."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "weather.csv", 120)
    return tmp_path


def train(gen: Gen, *options: str, run: str = "weather", task: str = "classify", steps: int = 60) -> Outcome:
    labels = ("--label-column", "label", "--task", task)
    return gen("train", "weather.csv", *labels, "--run", run, *SMALL, "--steps", steps, *options)


@pytest.mark.usefixtures("here")
def test_a_classifier_learns_the_labels_of_a_table(gen: Gen) -> None:
    trained = train(gen)

    assert trained.code == 0, trained.err
    assert "100.0 % right" in trained.err
    assert "next: gen classify weather FILE" in trained.err
    measured = gen("eval", "weather", "valid")
    assert measured.out.startswith("100.0 % right, macro F1 1.000")
    assert "always the commonest label would be 50.0 % right" in measured.out


def test_gen_classify_answers_a_line_a_file(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "b.txt").write_text("the frost of winter")
    (here / "a.txt").write_text("summer in the sun")

    outcome = gen("classify", "weather", "b.txt", "a.txt")

    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert {name: label for name, label, _ in lines} == {"b.txt": "cold", "a.txt": "warm"}
    assert all(0.5 < float(chance) <= 1 for *_, chance in lines)


def test_gen_classify_answers_a_line_a_row_in_their_order(gen: Gen, here: Path) -> None:
    train(gen)
    write_table(here / "new.csv", 30, seed=1)

    outcome = gen("classify", "weather", "new.csv", "--text-column", "text")

    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [name for name, *_ in lines] == [f"new.csv:{number}" for number in range(1, 31)]
    assert [label for _, label, _ in lines] == [label for label, _ in texts(30, seed=1)]


def test_gen_classify_shows_the_likeliest_labels_and_all_in_json(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "a.txt").write_text("sand in the sun")

    name, *labels = gen("classify", "weather", "a.txt", "--top", "2").out.rstrip("\n").split("\t")
    found = json.loads(gen("classify", "weather", "a.txt", "--json").out)

    assert (name, labels[0], labels[2]) == ("a.txt", "warm", "cold")
    assert float(labels[1]) + float(labels[3]) == pytest.approx(1, abs=2e-3)
    assert (found["document"], found["label"]) == ("a.txt", "warm")
    assert sum(found["probabilities"].values()) == pytest.approx(1)


def test_gen_classify_leaves_out_characters_that_the_model_has_never_seen(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "a.txt").write_text("\u2603 frost \u2603 ice \u2603")

    assert gen("classify", "weather", "a.txt").out.split("\t")[1] == "cold"


@pytest.mark.usefixtures("here")
def test_the_validation_part_is_classified_by_its_name(gen: Gen) -> None:
    train(gen)

    lines = [line.split("\t") for line in gen("classify", "weather", "valid").out.splitlines()]

    wanted = {f"weather.csv:{number}": label for number, (label, _) in enumerate(texts(120), 1)}
    assert len(lines) == 12
    assert all(wanted[name] == label for name, label, _ in lines)
    assert_refused(
        gen("classify", "weather", "valid", "--text-column", "text"), "--text-column: only for another corpus"
    )


def test_rows_without_text_get_no_answer_and_are_told(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "gaps.csv").write_text("text,label\nice and frost,\n,\nsun and sand,\n")

    outcome = gen("classify", "weather", "gaps.csv", "--text-column", "text")

    assert [line.split("\t")[1] for line in outcome.out.splitlines()] == ["cold", "warm"]
    assert "1 documents without text get no answer" in outcome.err


def test_gen_eval_draws_the_confusion_table(gen: Gen, here: Path) -> None:
    train(gen)

    outcome = gen("eval", "weather", "weather.csv", "--picture", "confusion.png")

    assert outcome.code == 0, outcome.err
    assert (here / "confusion.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(gen("eval", "weather", "weather.csv", "--json").out)
    assert found["confusion"] == [[60, 0], [0, 60]]
    assert (found["labels"], found["documents"], found["majority"]) == (["cold", "warm"], 120, 0.5)


@pytest.mark.usefixtures("here")
def test_a_run_that_writes_finds_labels_by_bayes(gen: Gen) -> None:
    train(gen, "--bptt", "32", run="writer", task="write", steps=150)

    outcome = gen("classify", "writer", "weather.csv", "--text-column", "text")

    answers = [line.split("\t")[1] for line in outcome.out.splitlines()]
    wanted = [label for label, _ in texts(120)]
    assert sum(a == b for a, b in zip(answers, wanted, strict=True)) > 110
    assert gen("eval", "writer", "valid", "--by-label").out.startswith("100.0 % right")


@pytest.mark.usefixtures("here")
def test_a_classifier_starts_from_a_run_that_writes(gen: Gen) -> None:
    train(gen, "--bptt", "32", "--layers", "2", run="writer", task="write")

    outcome = train(gen, "--from", "writer")

    assert outcome.code == 0, outcome.err
    assert "layers  2  as in the run that it starts from" in outcome.err
    assert "100.0 % right" in outcome.err


@pytest.mark.usefixtures("here")
def test_a_killed_classifier_is_resumed_bit_for_bit(gen: Gen, here: Path) -> None:
    train(gen, run="whole", steps=150)
    options = ("weather.csv", "--label-column", "label", "--task", "classify", "--run", "killed", *SMALL)
    with spawn(["train", *options, "--steps", "150"]) as process:
        while not (here / "checkpoints" / "killed" / "training.safetensors").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert gen("train", "--run", "killed", "--resume", "--steps", "150").code == 0

    (first, _), (second, _) = (
        read_checkpoint(here / "checkpoints" / run / "training.safetensors", "training") for run in ("whole", "killed")
    )
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first if name.startswith("model."))


@pytest.mark.parametrize("number", [1, 2])
def test_bad_labels_are_one_line(gen: Gen, here: Path, number: int) -> None:
    (here / "one.csv").write_text("text,label\n" + "the sun,warm\n" * 30)
    (here / "plain.txt").write_text("no labels at all, but enough text to train on\n" * 10)
    source = ("one.csv", "--label-column", "label") if number == 1 else ("plain.txt",)

    outcome = gen("train", *source, "--task", "classify", "--run", "bad", *TINY)

    assert_refused(outcome, f"{source[0]}: no two labels to learn")


@pytest.mark.usefixtures("here")
def test_a_run_of_another_task_is_refused_in_one_line(gen: Gen, here: Path) -> None:
    train(gen)
    gen("train", "weather.csv", "--run", "unlabelled", *TINY)

    assert_refused(gen("sample", "weather"), "weather: classifies, and does not write")
    assert_refused(gen("classify", "unlabelled", "weather.csv"), "unlabelled: was trained without labels")
    assert_refused(gen("train", "weather.csv", "--from", "weather", "--run", "x", "--steps", "3"), "weather classifies")
    assert_refused(gen("train", "--run", "weather", "--resume", "--task", "write"), "task cannot change")
    assert_refused(gen("train", "weather.csv", "--bidirectional", "--run", "y", *TINY), "--bidirectional")
    assert_refused(gen("classify", "weather", "weather.csv", "--text-column", "mood"), "no column mood")
    assert_refused(gen("eval", "weather", "valid", "--precision", "int8"), "--precision: not where labels are found")
    assert_refused(gen("eval", "weather", "valid", "--context", "64"), "--context: not where labels are found")
    assert not (here / "checkpoints" / "x").exists()


def test_rows_without_a_label_are_told_and_not_learnt(gen: Gen, here: Path) -> None:
    with (here / "weather.csv").open("a") as table:
        table.write("a text,\n" * 7)

    outcome = train(gen)

    assert outcome.code == 0
    assert "2  cold, warm; the commonest has 50.0 % of the documents; 7 documents without one" in outcome.err


@pytest.mark.usefixtures("here")
def test_a_batch_has_no_more_rows_than_there_are_passages(gen: Gen) -> None:
    options = ("--label-column", "label", "--task", "classify", "--run", "weather", "--hidden", "16", "--steps", "2")

    outcome = gen("train", "weather.csv", *options, "--batch-size", "5000", "--bptt", "1000")

    assert "batch size  108  5,000 given, but the corpus has no more sequences" in outcome.err


def test_copies_of_one_text_a_label_are_one_line(gen: Gen, here: Path) -> None:
    (here / "weather.csv").write_text("text,label\n" + "the sun,warm\nthe ice,cold\n" * 30)

    assert_refused(train(gen), "weather.csv: nothing to validate on, for copies are kept in one part (60 documents, 2")


def test_a_label_of_one_document_is_told(gen: Gen, here: Path) -> None:
    with (here / "weather.csv").open("a") as table:
        table.write("fog and mist,grey\n")

    assert "of one document each: grey" in train(gen).err


def test_a_classifier_trains_without_labels_to_validate_on(gen: Gen, here: Path) -> None:
    (here / "few.csv").write_text("text,label\nthe sun of summer,warm\nice and frost,cold\n" + "nothing at all,\n" * 40)

    outcome = gen("train", "few.csv", "--label-column", "label", "--task", "classify", "--run", "few", *TINY)

    assert outcome.code == 0, outcome.err
    assert "not validated" in outcome.err
    assert gen("classify", "few", "few.csv", "--text-column", "text").code == 0


@pytest.mark.usefixtures("here")
def test_balanced_labels_are_remembered_when_a_run_goes_on(gen: Gen) -> None:
    assert train(gen, "--balance-labels").code == 0

    assert gen("train", "--run", "weather", "--resume", "--steps", "70").code == 0
    _, header = read_checkpoint(Path("checkpoints/weather/training.safetensors"), "training")
    assert header["training"]["balance_labels"] is True
