"""Sequences out of sequences, as a user trains, asks and measures them."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from gen.cli.main import run as run_gen
from gen.config import TrainingSettings
from gen.errors import SettingError
from gen.runs.checkpoint import read_checkpoint
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions
from gen.runs.run import load
from tests.cli.conftest import TINY, Gen, Outcome, spawn
from tests.cli.test_given_again import assert_refused

SMALL = ("--hidden", "32", "--embedding", "8", "--batch-size", "16", "--lr", "0.01", "--layers", "1")
LETTERS = "abcd"


def target_of(source: str) -> str:
    """Returns the letters in reverse, in capitals, with blanks between."""
    return " ".join(reversed(source.upper()))


def sources(count: int, *, seed: int = 0) -> list[str]:
    draw = random.Random(seed)  # noqa: S311 - words, not secrets
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(draw.choices(LETTERS, k=draw.randint(1, 5)))] = None
    return [*found]


def write_table(path: Path, texts: list[str]) -> Path:
    path.write_text("source,target\n" + "".join(f"{text},{target_of(text)}\n" for text in texts))
    return path


def train(gen: Gen, *options: str, run: str = "turn", steps: int = 400) -> Outcome:
    return gen("train", "turn.csv", "--task", "pairs", "--run", run, *SMALL, "--steps", steps, *options)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of pairs."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "turn.csv", sources(600))
    return tmp_path


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt to turn words round."""
    folder = tmp_path_factory.mktemp("pairs")
    table = write_table(folder / "turn.csv", sources(600))
    options = ["--task", "pairs", "--run", "turn", "--out", str(folder), *SMALL, "--steps", "400"]
    assert run_gen(["train", str(table), *options]) == 0
    return folder / "turn"


def test_a_run_learns_its_pairs(gen: Gen, learnt: Path) -> None:
    measured = json.loads(gen("eval", learnt, "valid", "--json").out)

    assert measured["exact"] > 0.95
    assert measured["symbol_error_rate"] < 0.02
    assert measured["word_error_rate"] < 0.03
    assert measured["nats_per_symbol"] < 0.1
    assert (measured["sources"], measured["pairs"]) == (60, 60)


def test_gen_eval_measures_a_file_in_words(gen: Gen, learnt: Path) -> None:
    outcome = gen("eval", learnt, learnt.parent / "turn.csv", "--beam", "3")

    assert outcome.code == 0, outcome.err
    assert "% exact" in outcome.out
    assert "600 sources, 600 targets" in outcome.out
    assert "by a beam of 3" in outcome.out


@pytest.mark.parametrize("options", [(), ("--temperature", "0"), ("--beam", "4"), ("--seed", "3")])
def test_gen_sample_writes_the_target_of_a_source(gen: Gen, learnt: Path, options: tuple[str, ...]) -> None:
    outcome = gen("sample", learnt, "--prompt", "abcd", *options)

    assert (outcome.code, outcome.out) == (0, "D C B A\n"), outcome.err


def test_gen_sample_draws_several_targets(gen: Gen, learnt: Path) -> None:
    outcome = gen(
        "sample", learnt, "--prompt", "ab", "--temperature", "0.5", "--num-samples", 5, "--seed", 1, "--stats"
    )

    assert outcome.out.splitlines().count("B A") >= 4
    assert len(outcome.out.splitlines()) == 5
    assert "seed 1" in outcome.err


def test_the_beam_is_as_good_as_the_likeliest_symbols(gen: Gen, learnt: Path) -> None:
    greedy, beam = (json.loads(gen("eval", learnt, "valid", "--json", *more).out) for more in ((), ("--beam", "4")))

    assert (greedy["beam"], beam["beam"]) == (1, 4)
    assert beam["exact"] >= greedy["exact"] - 0.02
    assert beam["nats_per_symbol"] == greedy["nats_per_symbol"]


@pytest.mark.usefixtures("here")
def test_training_tells_what_is_read_and_what_comes_next(gen: Gen, here: Path) -> None:
    with (here / "turn.csv").open("a") as table:
        table.write(",x\nabcd,\n" + f"{'ab' * 9},{target_of('ab' * 9)}\n")

    outcome = train(gen, "--bptt", "15", steps=30)

    assert outcome.code == 0, outcome.err
    assert "rows of turn.csv, sources of column source, targets of column target" in outcome.err
    assert "2 rows without a source or a target left out; 1 with more than 15 symbols on a side are not" in outcome.err
    assert "attention  on" in outcome.err
    assert "next: gen sample turn --prompt SOURCE" in outcome.err
    assert "% exact" in outcome.err
    samples = sorted((here / "checkpoints" / "turn" / "samples").glob("*.txt"))
    assert [line.split(" -> ")[0] for line in samples[0].read_text().splitlines()]


@pytest.mark.usefixtures("here")
def test_a_run_without_attention_and_of_one_direction(gen: Gen) -> None:
    assert train(gen, "--no-attention", "--one-direction", steps=30).code == 0

    assert "has attention" not in gen("info", "turn").out
    assert len(gen("sample", "turn", "--prompt", "abc").out.splitlines()) == 1


def test_a_right_answer_is_any_target_of_its_source(gen: Gen, learnt: Path, tmp_path: Path) -> None:
    table = tmp_path / "several.csv"
    table.write_text("source,target\nab,A\nab,B A\nab,B C D\ncd,D C A\n")

    found = json.loads(gen("eval", learnt, table, "--json").out)

    assert (found["sources"], found["pairs"], found["exact"]) == (2, 4, 0.5)
    assert found["word_error_rate"] == pytest.approx(1 / 5)


def test_equal_sources_are_on_one_side(gen: Gen, here: Path) -> None:
    rows = [f"{text},{target}\n" for text in sources(40) for target in ("A", "B", "C D")]
    (here / "turn.csv").write_text("source,target\n" + "".join(rows))
    assert train(gen, "--valid", "0.3", steps=3).code == 0

    found = json.loads(gen("eval", "turn", "valid", "--json").out)

    assert (found["pairs"], found["sources"]) == (36, 12)


def test_a_batch_has_no_more_rows_than_there_are_pairs_that_are_learnt(gen: Gen, here: Path) -> None:
    (here / "turn.csv").write_text("source,target\n" + "".join(f"{text},A\n" for text in [*sources(20), "abcd" * 9]))

    options = ("--run", "turn", "--hidden", "16", "--batch-size", "64", "--bptt", "8", "--valid", "0", "--steps", "2")
    outcome = gen("train", "turn.csv", "--task", "pairs", *options)

    assert "batch size  20  64 given, but the corpus has no more sequences" in outcome.err


def test_pairs_that_all_have_one_source_are_one_line(gen: Gen, here: Path) -> None:
    (here / "turn.csv").write_text("source,target\n" + "".join(f"ab,{target}\n" for target in ("A", "B") * 20))

    assert_refused(train(gen, steps=3), "nothing to validate on, for copies are kept in one part (40 documents, 1 diff")


def test_columns_are_named_or_the_first_two(gen: Gen, here: Path) -> None:
    rows = [(str(n), text, target_of(text)) for n, text in enumerate(sources(60))]
    (here / "three.csv").write_text("n,word,turned\n" + "".join(",".join(row) + "\n" for row in rows))
    (here / "two.tsv").write_text("".join("\t".join(row[1:]) + "\n" for row in rows))
    named = ("--text-column", "word", "--target-column", "turned")

    outcome = gen("train", "three.csv", "--task", "pairs", "--run", "named", *named, *TINY)
    plain = gen("train", "two.tsv", "--task", "pairs", "--run", "plain", *TINY)

    assert "sources of column word, targets of column turned" in outcome.err
    assert "rows without a header of two.tsv, sources of column 1, targets of column 2" in plain.err
    assert gen("eval", "named", "two.tsv", "--text-column", "1", "--target-column", "2").code == 0


def test_a_stopped_run_goes_on_bit_for_bit(gen: Gen, here: Path) -> None:
    train(gen, "--dropout", "0.2", run="whole", steps=60)
    options = CorpusOptions(("turn.csv",))
    given = TrainingSettings(*("lstm", 1, 32, 8, 0.2), task="pairs", batch_size=16, learning_rate=0.01, steps=60)
    with train_session(options, given, run="parted") as session:
        for report in session.reports():
            if report.step == 40:  # in the second epoch
                session.stop()
    assert gen("train", "--run", "parted", "--resume").code == 0

    assert_same_weights(here / "checkpoints" / "whole", here / "checkpoints" / "parted")


@pytest.mark.usefixtures("here")
def test_a_killed_run_goes_on_bit_for_bit(gen: Gen, here: Path) -> None:
    train(gen, run="whole", steps=150)
    options = ("turn.csv", "--task", "pairs", "--run", "killed", *SMALL)
    with spawn(["train", *options, "--steps", "150"]) as process:
        while not (here / "checkpoints" / "killed" / "training.safetensors").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert gen("train", "--run", "killed", "--resume", "--steps", "150").code == 0

    assert_same_weights(here / "checkpoints" / "whole", here / "checkpoints" / "killed")


def assert_same_weights(one: Path, other: Path) -> None:
    (first, _), (second, _) = (read_checkpoint(run / "training.safetensors", "training") for run in (one, other))
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first if name.startswith("model."))


@pytest.mark.usefixtures("here")
def test_a_run_starts_from_another_of_pairs(gen: Gen, here: Path) -> None:
    train(gen, steps=60)
    (here / "more.csv").write_text(
        "source,target\n" + "".join(f"{text}e,E {target_of(text)}\n" for text in sources(60))
    )

    outcome = gen("train", "more.csv", "--task", "pairs", "--from", "turn", "--run", "more", "--steps", "20")

    assert outcome.code == 0, outcome.err
    assert "symbols" in outcome.err
    assert gen("sample", "more", "--prompt", "abe").code == 0


def test_a_validation_file_may_have_characters_of_its_own(gen: Gen, here: Path) -> None:
    (here / "other.csv").write_text("source,target\nzebra,Z\nab,B A\n")

    outcome = train(gen, "--valid-file", "other.csv", steps=3)

    assert outcome.code == 0, outcome.err
    assert json.loads(gen("eval", "turn", "valid", "--json").out)["pairs"] == 2
    assert gen("sample", "turn", "--prompt", "zebra").code == 0


def test_a_part_for_tests_is_kept(gen: Gen, here: Path) -> None:
    assert train(gen, "--test", "0.2", steps=3).code == 0
    assert json.loads(gen("eval", "turn", "test", "--json").out)["pairs"] == 120

    write_table(here / "turn.csv", sources(300, seed=1))
    assert_refused(gen("eval", "turn", "test"), "no longer what turn was trained on")


@pytest.mark.usefixtures("here")
def test_a_refused_change_names_a_command_that_runs(gen: Gen) -> None:
    train(gen, steps=3)

    outcome = gen("train", "--run", "turn", "--resume", "--lr", "0.5")

    assert_refused(outcome, "learning rate cannot change")
    command = outcome.err.splitlines()[1].split("a new run: gen ")[1].split()
    assert gen(*command, "--steps", "3").code == 0
    assert gen("sample", "turn-2", "--prompt", "ab").code == 0


def test_a_prepared_corpus_is_enough_to_measure(gen: Gen, here: Path) -> None:
    train(gen, steps=3)
    (here / "turn.csv").unlink()

    assert json.loads(gen("eval", "turn", "valid", "--json").out)["pairs"] == 60


@pytest.mark.usefixtures("here")
def test_a_run_takes_over_directions_and_attention_of_the_run_that_it_starts_from(gen: Gen) -> None:
    train(gen, "--no-attention", "--one-direction", steps=3)
    options = ("turn.csv", "--task", "pairs", "--from", "turn", "--steps", "3")

    outcome = gen("train", *options, "--run", "same")

    assert outcome.code == 0, outcome.err
    assert "directions  1  as in the run that it starts from" in outcome.err
    assert "attention  off  as in the run that it starts from" in outcome.err
    assert gen("train", *options, "--run", "more", "--attention").code == 0


def test_an_unknown_character_of_a_table_is_one_line(gen: Gen, learnt: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("source,target\nab,B A\na\u2603,A\n")

    outcome = gen("eval", learnt, tmp_path / "new.csv")

    assert_refused(outcome, "character not in the model's vocabulary ('\u2603', U+2603, line 3)")
    assert "hint: the alphabet has 9 characters: space A-D a-d" in outcome.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--prompt: missing"),
        (("--prompt", ""), "prompt: no source"),
        (("--prompt", "a\u2603"), "prompt: character not in the model's vocabulary ('\u2603', U+2603)"),
        (("--prompt", "ab", "--beam", "0"), "--beam: must be 1 to 256 (0)"),
        (("--prompt", "ab", "--beam", "3", "--temperature", "1"), "--temperature: not together with --beam (1.0)"),
        (("--prompt", "ab", "--roll"), "--roll: not for a run of pairs"),
        (("--prompt", "ab", "--out", "x.txt"), "--out: not for a run of pairs (x.txt)"),
        (("--prompt", "ab", "--stop", "b"), "--stop: not for a run of pairs (b)"),
        (("--prompt", "ab", "--precision", "int8"), "--precision: not for a run of pairs (int8)"),
        (("--prompt", "ab", "--num-samples", "0"), "--num-samples: must be at least 1 (0)"),
        (("--prompt", "ab", "--temperature", "-1"), "--temperature: must be at least 0"),
    ],
)
def test_options_without_a_meaning_are_one_line(gen: Gen, learnt: Path, options: tuple[str, ...], words: str) -> None:
    assert_refused(gen("sample", learnt, *options), words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--context", "64"), "--context: not for a run of pairs (64)"),
        (("--precision", "int8"), "--precision: not for a run of pairs (int8)"),
        (("--by-label",), "--by-label: not for a run of pairs"),
        (("--label-column", "x"), "--label-column: not for a run of pairs (x)"),
        (("--target-column", "target"), "--target-column: only for another corpus than valid (target)"),
        (("--unknown", "skip"), "--unknown: not for a run of pairs (skip)"),
    ],
)
def test_measures_without_a_meaning_are_one_line(gen: Gen, learnt: Path, options: tuple[str, ...], words: str) -> None:
    assert_refused(gen("eval", learnt, "valid", *options), words)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("source,target\n", (), "bad.csv: no row has a source and a target"),
        ("one\ntwo\nthree\n", (), "bad.csv: no column of targets"),
        ("a,b\nc,d\n", ("--target-column", "x"), "bad.csv: no column x (columns: 1, 2)"),
        ("source,target\na,b\n", (), "corpus: too short"),
        ("source,target\nab,cd\n", ("--codec", "byte"), "--codec: not for pairs (byte)"),
        ("source,target\nab,cd\n", ("--documents", "lines"), "--documents: not for pairs (lines)"),
        ("source,target\nab,cd\n", ("--label-column", "target"), "--label-column: not for pairs (target)"),
    ],
)
def test_a_bad_table_is_one_line(gen: Gen, here: Path, content: str, options: tuple[str, ...], words: str) -> None:
    (here / "bad.csv").write_text(content)

    assert_refused(gen("train", "bad.csv", "--task", "pairs", "--run", "bad", *options, *TINY), words)


def test_a_quotation_mark_that_is_never_closed_names_its_line(gen: Gen, here: Path) -> None:
    (here / "bad.csv").write_text('source,target\n"a","b"\n"c","d\n')

    assert_refused(gen("train", "bad.csv", "--task", "pairs", "--run", "bad", *TINY), "bad.csv: not CSV")


@pytest.mark.usefixtures("here")
def test_a_run_of_another_task_is_refused_in_one_line(gen: Gen, here: Path) -> None:
    train(gen, steps=3)
    gen("train", "turn.csv", "--text-column", "source", "--run", "writer", *TINY)

    assert_refused(gen("classify", "turn", "turn.csv"), "turn: was trained without labels")
    with pytest.raises(SettingError, match="turn: was trained on pairs"):
        load("turn")
    assert_refused(gen("sample", "writer", "--beam", "3"), "--beam: only for a run of pairs (3)")
    assert_refused(gen("eval", "writer", "valid", "--beam", "3"), "--beam: only for a run of pairs (3)")
    assert_refused(gen("eval", "writer", "turn.csv", "--target-column", "target"), "--target-column: only for a run")
    assert_refused(gen("train", "turn.csv", "--from", "turn", "--run", "x", "--steps", "3"), "turn learns pairs")
    more = ("--task", "pairs", "--run", "x", "--steps", "3")
    assert_refused(gen("train", "turn.csv", "--from", "writer", *more), "writer writes, and a run that learns pairs")
    assert_refused(
        gen("train", "turn.csv", "--text-column", "1", "--attention", "--run", "y", *TINY),
        "--attention: only for a run",
    )
    assert_refused(gen("train", "turn.csv", "--target-column", "2", "--run", "y", *TINY), "--target-column: only for")
    assert_refused(gen("train", "--run", "turn", "--resume", "--no-attention"), "attention cannot change")
    assert_refused(gen("train", "--run", "turn", "--resume", "--target-column", "1"), "target column cannot change")
    assert_refused(
        gen("train", "--run", "turn", "--resume", "--label-column", "1"), "--label-column: not for pairs (1)"
    )
    assert not (here / "checkpoints" / "x").exists()


def test_from_python_a_run_is_trained_and_asked(here: Path) -> None:
    import gen as library

    translator = library.train_translator(
        "turn.csv", run="turn", hidden_size=32, batch_size=16, learning_rate=0.01, steps=500, num_layers=1
    )

    assert library.load_translator(here / "checkpoints" / "turn").translate(["ab", " c "]) == ["B A", "C"]
    assert translator.evaluate("valid").exact > 0.8
    assert translator.translate(["abc"], beam=3) == ["C B A"]
    with pytest.raises(SettingError, match=r"sources: a text, not a list of texts \('abc'\)"):
        translator.translate("abc")
    with pytest.raises(SettingError, match=r"--label-column: not for pairs \(target\)"):
        translator.evaluate("turn.csv", label_column="target")
