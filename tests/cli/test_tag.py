"""Tags of words, as a user trains, asks and measures them."""

import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import gen as library
from gen.runs.checkpoint import read_checkpoint, write_checkpoint
from tests.cli.conftest import TINY, Gen, Outcome, spawn
from tests.cli.test_given_again import Pipe, assert_refused, pipe  # noqa: F401 - a fixture

WORDS = {"DET": ("the", "a"), "ADJ": ("old", "red", "big"), "NOUN": ("man", "dog", "boat"), "VERB": ("sees", "mans")}
SMALL = ("--hidden", "16", "--embedding", "8", "--batch-size", "8", "--lr", "0.01")
Sentence = list[tuple[str, str]]
split = str.split


def sentences(count: int, *, seed: int = 0) -> list[Sentence]:
    """Returns sentences in which "man" is a verb after a noun, and a noun elsewhere."""
    draw = random.Random(seed)  # noqa: S311 - words, not secrets
    found = []
    for _ in range(count):
        tags = ["DET", *["ADJ"] * draw.randrange(3), "NOUN", "VERB", "DET", "NOUN"]
        words = [draw.choice(WORDS[tag]) for tag in tags]
        words[tags.index("VERB")] = draw.choice(("man", "sees"))
        found.append([*zip(words, tags, strict=True), (".", ".")])
    return found


def write_columns(path: Path, tagged: list[Sentence]) -> Path:
    lines = ("".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in tagged)
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of 200 tagged sentences."""
    monkeypatch.chdir(tmp_path)
    write_columns(tmp_path / "words.txt", sentences(200))
    return tmp_path


def train(gen: Gen, *options: str, run: str = "words", task: str = "tag", steps: int = 150) -> Outcome:
    return gen("train", "words.txt", "--task", task, "--run", run, *SMALL, "--steps", steps, *options)


def answers(out: str) -> list[Sentence]:
    """Returns the sentences of lines of a word, a tab and a tag."""
    lines = [[line.partition("\t") for line in block.splitlines()] for block in out.split("\n\n")]
    return [[(word, tag) for word, _, tag in block] for block in lines]


@pytest.mark.usefixtures("here")
def test_a_tagger_learns_the_tags_of_words_by_their_place(gen: Gen) -> None:
    trained = train(gen)

    assert trained.code == 0, trained.err
    assert "5  ., ADJ, DET, NOUN, VERB; the commonest has " in trained.err
    assert "(100.0 % right) best" in trained.err
    assert "validation 100.0 % right" in trained.err
    assert "next: gen tag words FILE" in trained.err
    measured = gen("eval", "words", "valid")
    assert measured.out.startswith("100.00 % right, macro F1 1.000")
    assert "0 of them not in the training part" in measured.out
    assert "always the commonest tag of the word would be " in measured.out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("options", [("--one-direction",), ("--layers", "1"), ("--cell", "gru"), ("--layers", "3")])
def test_every_shape_of_a_tagger_learns(gen: Gen, options: tuple[str, ...]) -> None:
    trained = train(gen, *options)

    assert trained.code == 0, trained.err
    assert "validation 100.0 % right" in trained.err


def test_gen_tag_answers_a_line_a_word(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "a.txt").write_text("the old man man a boat .\n\na red dog sees the man .\n")
    (here / "b.txt").write_text("a man sees the dog .")

    outcome = gen("tag", "words", "a.txt", "b.txt")

    assert answers(outcome.out) == [
        [*zip(split("the old man man a boat ."), split("DET ADJ NOUN VERB DET NOUN ."), strict=True)],
        [*zip(split("a red dog sees the man ."), split("DET ADJ NOUN VERB DET NOUN ."), strict=True)],
        [*zip(split("a man sees the dog ."), split("DET NOUN VERB DET NOUN ."), strict=True)],
    ]


def test_gen_tag_gives_probabilities_in_json(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "a.txt").write_text("the old man man a boat .\na dog\n")

    first, second = map(json.loads, gen("tag", "words", "a.txt", "--json").out.splitlines())

    assert first["tokens"] == split("the old man man a boat .")
    assert first["tags"] == split("DET ADJ NOUN VERB DET NOUN .")
    assert len(first["probabilities"]) == 7
    assert all(0.5 < chance <= 1 for chance in first["probabilities"])
    assert (second["tokens"], second["tags"]) == (["a", "dog"], ["DET", "NOUN"])


def test_gen_tag_keeps_words_of_characters_that_the_model_has_never_seen(gen: Gen, here: Path) -> None:
    train(gen)
    (here / "a.txt").write_text("\u2603 \u0416\u0416\u0416 dog sees a m\u00e4n .\n")

    (sentence,) = answers(gen("tag", "words", "a.txt").out)

    assert [word for word, _ in sentence] == ["\u2603", "\u0416\u0416\u0416", "dog", "sees", "a", "m\u00e4n", "."]
    assert dict(sentence)["sees"] == "VERB"


def test_gen_tag_reads_a_sentence_longer_than_those_of_training_in_parts(gen: Gen, here: Path) -> None:
    train(gen)
    words = split("the old man sees a boat .") * 50
    (here / "a.txt").write_text(" ".join([*words, "x" * 2000]))

    (sentence,) = answers(gen("tag", "words", "a.txt").out)

    assert [word for word, _ in sentence[:-1]] == words
    assert sum(tag == "VERB" for word, tag in sentence if word == "sees") > 35


@pytest.mark.usefixtures("here", "pipe")
def test_gen_tag_reads_standard_input(gen: Gen, pipe: Pipe) -> None:  # noqa: F811 - the fixture
    train(gen)
    pipe("the dog sees a man .\r\na dog")

    assert [[tag for _, tag in sentence] for sentence in answers(gen("tag", "words", "-").out)] == [
        split("DET NOUN VERB DET NOUN ."),
        split("DET NOUN"),
    ]


@pytest.mark.usefixtures("here")
def test_gen_tag_answers_each_line_of_a_pipe_before_the_next_comes(gen: Gen) -> None:
    train(gen)
    command = [sys.executable, "-m", "gen", "tag", "words", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"a dog\n")
        process.stdin.flush()
        first = [process.stdout.readline() for _ in range(2)]  # the pipe is still open
        process.stdin.write(b"the man\n")
        process.stdin.close()
        rest = process.stdout.read()

    assert first == [b"a\tDET\n", b"dog\tNOUN\n"]
    assert rest == b"\nthe\tDET\nman\tNOUN\n"


@pytest.mark.parametrize(
    "content",
    [
        b"a m\xe4n\n",
        b"the dog\na man\r\n a m\xe4n and on",
        b"a\0b\n",
        b"a dog\n" * 2000 + b"a \0 b",
        "\ufeffa dog\r\nthe man".encode(),
        "a dog\rthe man\n".encode("utf-16"),
        b"",
    ],
)
@pytest.mark.parametrize("options", [(), ("--encoding", "latin-1"), ("--errors", "replace"), ("--errors", "skip")])
def test_standard_input_is_read_as_a_file_is(
    gen: Gen, here: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, options: tuple[str, ...]
) -> None:
    train(gen, steps=2)
    (here / "a.txt").write_bytes(content)
    of_file = gen("tag", "words", "a.txt", *options)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    of_stdin = gen("tag", "words", "-", *options)

    assert of_stdin.code == of_file.code
    assert of_stdin.out == of_file.out
    assert of_stdin.err == of_file.err.replace("< a.txt", "< FILE").replace("a.txt", "standard input")


@pytest.mark.usefixtures("here")
def test_a_bad_byte_of_a_pipe_is_told_while_the_pipe_is_open(gen: Gen) -> None:
    train(gen, steps=2)
    command = [sys.executable, "-m", "gen", "tag", "words", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"a dog\na m\xe4n\n")
        process.stdin.flush()
        error = process.stderr.readline()  # the pipe is still open

    assert error.startswith(b"error: standard input: not utf-8 (0xe4 at byte 9, line 2, column 4")
    assert process.returncode == 2


@pytest.mark.usefixtures("here")
def test_a_missing_file_is_one_line(gen: Gen) -> None:
    train(gen, steps=2)
    assert_refused(gen("tag", "words", "missing.txt"), "missing.txt: ")


def test_words_with_blanks_inside_come_back_as_they_were_learnt(gen: Gen, here: Path) -> None:
    tagged = [[("New York", "LOC"), ("10\u00a0000", "NUM"), (word, "O"), ("#", "O")] for word in ("a", "b", "c d") * 20]
    columns = write_columns(here / "words.txt", tagged).read_text()
    train(gen, steps=200)
    (here / "plain.txt").write_text("".join("\t".join(word for word, _ in sentence) + "\n" for sentence in tagged))

    outcome = gen("tag", "words", "plain.txt")

    assert outcome.out == columns


def test_gen_eval_measures_words_that_training_lacks_and_the_baseline(gen: Gen, here: Path) -> None:
    train(gen)
    tagged = [[("the", "DET"), ("cat", "NOUN"), ("man", "VERB"), ("a", "DET"), ("dog", "NOUN"), (".", ".")]] * 4
    write_columns(here / "new.txt", tagged)

    found = json.loads(gen("eval", "words", "new.txt", "--json", "--picture", "confusion.png").out)

    assert (found["words"], found["unknown_words"]) == (24, 4)
    assert found["accuracy"] >= 20 / 24
    assert found["baseline_accuracy"] < found["accuracy"]  # "man" is a noun more often
    assert sum(map(sum, found["confusion"])) == 24
    assert found["labels"] == [".", "ADJ", "DET", "NOUN", "VERB"]
    assert (here / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_gen_eval_counts_spans_of_tags_by_the_scheme_iob(gen: Gen, here: Path) -> None:
    names = {"DET": "O", "ADJ": "B-thing", "NOUN": "I-thing", "VERB": "O", ".": "O"}
    write_columns(here / "words.txt", [[(word, names[tag]) for word, tag in each] for each in sentences(200)])
    train(gen)

    outcome = gen("eval", "words", "valid")

    assert "spans: precision 100.00 %, recall 100.00 %, F1 100.00 %" in outcome.out
    assert json.loads(gen("eval", "words", "words.txt", "--json").out)["span_f1"] == 1.0


def test_a_tag_that_the_model_does_not_know_is_never_right(gen: Gen, here: Path) -> None:
    train(gen)
    write_columns(here / "new.txt", [[("the", "DET"), ("dog", "ANIMAL")]] * 3)

    found = json.loads(gen("eval", "words", "new.txt", "--json").out)
    assert (found["accuracy"], found["words_of_unknown_tags"]) == (0.5, 3)
    assert found["macro_f1"] <= 1.0
    assert "3 words have a tag that the model does not know" in gen("eval", "words", "new.txt").out


def test_a_model_file_alone_says_that_the_training_part_is_not_there(
    gen: Gen, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(gen)
    (here / "checkpoints" / "words" / "model.safetensors").rename(here / "model.safetensors")
    monkeypatch.setenv("GEN_CACHE", str(here / "empty"))

    outcome = gen("eval", "model.safetensors", "words.txt")

    assert "the training part is not here" in outcome.out
    assert json.loads(gen("eval", "model.safetensors", "words.txt", "--json").out)["unknown_accuracy"] is None


@pytest.mark.usefixtures("here")
def test_a_killed_tagger_is_resumed_bit_for_bit(gen: Gen, here: Path) -> None:
    train(gen, run="whole", steps=250)
    options = ("words.txt", "--task", "tag", "--run", "killed", *SMALL)
    with spawn(["train", *options, "--steps", "250"]) as process:
        while not (here / "checkpoints" / "killed" / "training.safetensors").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert gen("train", "--run", "killed", "--resume", "--steps", "250").code == 0

    assert_same(here, "whole", "killed")


@pytest.mark.usefixtures("here")
def test_a_tagger_that_was_stopped_by_ctrl_c_is_resumed_bit_for_bit(gen: Gen, here: Path) -> None:
    train(gen, run="whole", steps=250)
    options = ("words.txt", "--task", "tag", "--run", "stopped", *SMALL)
    with spawn(["train", *options, "--steps", "250"]) as process:
        metrics = here / "checkpoints" / "stopped" / "metrics.jsonl"
        while not metrics.exists() or not metrics.read_text():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    _, header = read_checkpoint(here / "checkpoints" / "stopped" / "training.safetensors", "training")
    assert 25 <= header["place"]["step"] < 250
    assert gen("train", "--run", "stopped", "--resume", "--task", "tag", "--steps", "250").code == 0

    assert_same(here, "whole", "stopped")


def assert_same(folder: Path, *runs: str) -> None:
    """Asserts that two runs have the same training checkpoint, but for times."""
    (first, one), (second, other) = (
        read_checkpoint(folder / "checkpoints" / run / "training.safetensors", "training") for run in runs
    )
    assert one["place"]["step"] == other["place"]["step"]
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("the\tDET\ndog\n", "bad.txt: a token without a tag (dog, line 2)"),
        ("It was a dark night\nand it rained\n", "bad.txt: not as many columns as on other lines"),
        ("the\tX\ndog\tX\n\n" * 30, "bad.txt: no two tags to learn (X)"),
        ("# nothing\n\n", "bad.txt: empty"),
    ],
)
def test_a_file_that_cannot_be_learnt_is_one_line(gen: Gen, here: Path, text: str, what: str) -> None:
    (here / "bad.txt").write_text(text)

    assert_refused(gen("train", "bad.txt", "--task", "tag", "--run", "bad", *TINY), what)


@pytest.mark.usefixtures("here")
def test_options_of_other_tasks_are_refused_in_one_line(gen: Gen) -> None:
    train(gen, steps=3)
    tag = ("train", "words.txt", "--task", "tag", "--run", "x", *TINY)

    for options, what in (
        (("--codec", "char"), "--codec: not for a run that tags (char)"),
        (("--documents", "lines"), "--documents: not for a run that tags (lines)"),
        (("--label-column", "2"), "--label-column: not for a run that tags (2)"),
        (("--balance-labels",), "--balance-labels: only for a run that finds labels"),
        (("--controls", "key"), "--controls: only for a run that writes"),
    ):
        assert_refused(gen(*tag, *options), what)
    for options, what in (
        (("--context", "64"), "--context: not where tags are found (64)"),
        (("--by-label",), "--by-label: not where tags are found"),
        (("--unknown", "skip"), "--unknown: not where tags are found (skip)"),
        (("--text-column", "2"), "--text-column: not where tags are found (2)"),
    ):
        assert_refused(gen("eval", "words", "valid", *options), what)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--ngrams",), "--ngrams: only for a run that finds labels"),
        (("--balance-labels",), "--balance-labels: only for a run that finds labels"),
        (("--attention",), "--attention: only for a run that learns pairs"),
        (("--label-column", "2"), "--label-column: not for a run that tags (2)"),
        (("--target-column", "2"), "--target-column: only for pairs (2)"),
        (("--controls", "key"), "--controls: only for a run that writes (key)"),
        (("--codec", "byte", "--task", "tag"), "--codec: not for a run that tags (byte)"),
    ],
)
def test_resuming_with_an_option_of_another_task_says_so_and_names_no_new_run(
    gen: Gen, options: tuple[str, ...], what: str
) -> None:
    train(gen, steps=2)

    outcome = gen("train", "--run", "words", "--resume", *options)

    assert_refused(outcome, what)
    assert "new run" not in outcome.err


@pytest.mark.usefixtures("here")
def test_a_run_of_another_task_is_refused_in_one_line(gen: Gen, here: Path) -> None:
    train(gen, steps=3)
    gen("train", "words.txt", "--run", "writer", *TINY)

    assert_refused(gen("tag", "writer", "words.txt"), "writer: was trained for another task (write)")
    assert_refused(gen("sample", "words"), "words: tags words, and does not write")
    assert_refused(gen("classify", "words", "words.txt"), "words: tags words, and finds no labels of documents")
    assert_refused(gen("train", "words.txt", "--from", "words", "--run", "x", "--steps", "3"), "words tags, and a run")
    assert_refused(gen("train", "--run", "words", "--resume", "--task", "write"), "task cannot change")
    assert not (here / "checkpoints" / "x").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("layers", ["1", "2"])
def test_a_tagger_starts_from_a_run_that_writes(gen: Gen, layers: str) -> None:
    train(gen, "--bptt", "32", "--layers", layers, run="writer", task="write", steps=50)

    outcome = gen("train", "words.txt", "--task", "tag", "--run", "tagger", "--from", "writer", "--steps", "0")

    assert outcome.code == 0, outcome.err
    assert "hidden size  16  as in the run that it starts from" in outcome.err
    assert "layers  2  one reads characters, one reads words" in outcome.err
    (old, _), (new, _) = (
        read_checkpoint(Path("checkpoints") / run / "model.safetensors", "model") for run in ("writer", "tagger")
    )
    assert all((old[name] == new[name]).all() for name in old if name.startswith("layers.0."))
    assert (
        old.get("layers.1.weight_hh_l0") is None or (old["layers.1.weight_hh_l0"] != new["layers.1.weight_hh_l0"]).any()
    )


def test_a_tagger_starts_from_another_with_more_tags(gen: Gen, here: Path) -> None:
    train(gen)
    write_columns(here / "more.txt", [[*sentence, ("so", "ADV")] for sentence in sentences(100, seed=1)])

    outcome = gen("train", "more.txt", "--task", "tag", "--run", "more", "--from", "words", "--steps", "150")

    assert outcome.code == 0, outcome.err
    assert "validation 100.0 % right" in outcome.err


def test_a_file_named_like_a_table_is_read_by_lines(gen: Gen, here: Path) -> None:
    (here / "words.txt").rename(here / "words.tsv")

    outcome = gen("train", "words.tsv", "--task", "tag", "--run", "words", *SMALL, "--steps", "3")

    assert outcome.code == 0, outcome.err
    assert "in 200 documents" in outcome.err
    assert gen("eval", "words", "words.tsv").code == 0


def test_a_few_sentences_are_enough_and_are_not_cut(gen: Gen, here: Path) -> None:
    write_columns(here / "words.txt", sentences(3))

    trained = train(gen, steps=3)

    assert trained.code == 0, trained.err
    assert json.loads(gen("eval", "words", "valid", "--json").out)["words"] >= 6


def test_too_many_different_tags_are_one_line_about_tags(gen: Gen, here: Path) -> None:
    write_columns(here / "words.txt", [[(f"w{n}", f"T{n}")] for n in range(5000)])

    outcome = train(gen, steps=2)

    assert_refused(outcome, "words.txt: too many different tags (5000; at most 4096)")
    assert "hint: the last column of a line is its tag" in outcome.err


@pytest.mark.usefixtures("here")
def test_sentences_that_are_cut_are_counted(gen: Gen) -> None:
    long = sum(sum(len(word) + 1 for word, _ in sentence) > 30 for sentence in sentences(200))

    outcome = train(gen, "--bptt", "30", "--valid", "0", steps=2)

    assert f"; {long} sentences with more than 30 symbols are cut between words" in outcome.err


@pytest.mark.usefixtures("here")
def test_a_batch_has_no_more_rows_than_there_are_sentences_also_when_it_is_given_again(gen: Gen) -> None:
    options = ("words.txt", "--task", "tag", "--run", "words", "--hidden", "16", "--batch-size")

    first = gen("train", *options, "5000", "--steps", "2")
    again = gen("train", *options, "5000", "--steps", "3", "--resume")
    fewer = gen("train", *options, "5", "--steps", "3", "--resume")

    assert "batch size  180  5,000 given, but the corpus has no more sequences" in first.err
    assert again.code == 0, again.err
    assert_refused(fewer, "batch size cannot change (180 then, 5 now)")


def test_sentences_that_are_all_copies_of_one_are_one_line(gen: Gen, here: Path) -> None:
    write_columns(here / "words.txt", sentences(1) * 30)

    assert_refused(train(gen, steps=2), "words.txt: nothing to validate on, for copies are kept in one part (30 doc")
    assert train(gen, "--valid", "0", steps=2).code == 0


def test_a_tagger_is_trained_and_asked_from_python(here: Path) -> None:
    sizes: dict[str, Any] = {"hidden_size": 16, "embedding_size": 8, "batch_size": 8, "learning_rate": 0.01}
    tagger = library.train_tagger("words.txt", run="words", out=here, steps=150, **sizes)

    (found,) = tagger.tag([split("the old man sees a boat ."), []])

    assert found.tags == ("DET", "ADJ", "NOUN", "VERB", "DET", "NOUN", ".")
    assert tagger.evaluate().accuracy == 1.0
    assert list(library.load_tagger(here / "words").tag([])) == []
    for sentence, what in (("the dog", "a text, not a list of words"), (["the", ""], "an empty word")):
        with pytest.raises(library.SettingError, match=f"sentences: {what}"):
            next(tagger.tag([sentence]))
    with pytest.raises(library.SettingError, match=r"--label-column: not for a run that tags \(2\)"):
        tagger.evaluate("words.txt", label_column=2)


def test_a_validation_file_may_have_words_and_tags_of_its_own(gen: Gen, here: Path) -> None:
    write_columns(here / "valid.txt", [[("the", "DET"), ("w\u00f6rd", "NOUN"), ("so", "ADV")]] * 5)
    write_columns(here / "foreign.txt", [[("so", "ADV")]] * 5)

    outcome = train(gen, "--valid-file", "valid.txt")

    assert outcome.code == 0, outcome.err
    assert json.loads(gen("eval", "words", "valid", "--json").out)["accuracy"] <= 2 / 3
    refused = train(gen, "--valid-file", "foreign.txt", run="other")
    assert_refused(refused, "foreign.txt: no tag of the corpus to validate on")


@pytest.mark.usefixtures("here")
def test_a_tagger_is_trained_on_standard_input(gen: Gen, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("words.txt").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    assert gen("train", "-", "--task", "tag", "--run", "piped", *SMALL, "--steps", "3").code == 0
    assert json.loads(gen("eval", "piped", "valid", "--json").out)["unknown_words"] == 0


@pytest.mark.usefixtures("here")
def test_the_hint_for_a_change_that_needs_a_new_run_is_a_command_that_runs(gen: Gen) -> None:
    train(gen, steps=3)

    refused = gen("train", "--run", "words", "--resume", "--seed", "5", "--steps", "4")

    (command,) = [line.partition("a new run: ")[2] for line in refused.err.splitlines() if "a new run" in line]
    assert "--task tag" in command
    assert gen(*split(command)[1:], "--steps", "3").code == 0


@pytest.mark.usefixtures("here")
def test_a_model_file_whose_tags_are_not_those_of_its_codec_is_refused(gen: Gen) -> None:
    train(gen, steps=3)
    path = Path("checkpoints/words/model.safetensors")
    tensors, header = read_checkpoint(path, "model")
    header["labels"] = [*header["labels"][1:], "X"]
    write_checkpoint(path, "model", tensors, header)

    assert_refused(gen("tag", "words", "words.txt"), "its tags are not those of its codec")


def test_a_number_sign_with_a_tag_is_a_token_and_one_before_a_sentence_a_comment(gen: Gen, here: Path) -> None:
    (here / "signs.txt").write_text("".join("# a comment\nthe DT\n# #\n5 CD\n\n" for _ in range(60)))
    trained = gen("train", "signs.txt", "--task", "tag", "--run", "signs", *SMALL, "--steps", 2, "--valid", 0)
    assert "180 words" in trained.err
    assert "#, CD, DT" in trained.err


@pytest.mark.usefixtures("here")
def test_an_empty_file_is_one_line(gen: Gen, here: Path) -> None:
    train(gen, steps=2)
    (here / "empty.txt").write_text("")
    assert_refused(gen("tag", "words", "empty.txt"), "empty.txt: empty")


@pytest.mark.usefixtures("here")
def test_resuming_for_another_task_names_a_command_that_runs(gen: Gen) -> None:
    train(gen, steps=2)
    outcome = gen("train", "--run", "words", "--resume", "--task", "write")
    assert_refused(outcome, "--resume: task cannot change")
    command = outcome.err.partition("a new run: ")[2].splitlines()[0]
    assert gen(*split(command)[1:], *SMALL, "--steps", "2").code == 0


@pytest.mark.usefixtures("here")
def test_a_run_without_its_training_state_is_not_begun_anew(gen: Gen, here: Path) -> None:
    train(gen, steps=3)
    kept = (here / "checkpoints/words/model.safetensors").read_bytes()
    (here / "checkpoints/words/training.safetensors").unlink()

    assert_refused(train(gen, "--resume", steps=5), "nothing to resume (training.safetensors is missing)")

    assert (here / "checkpoints/words/model.safetensors").read_bytes() == kept


@pytest.mark.usefixtures("here")
def test_a_damaged_model_file_is_told_before_training_and_may_be_moved_away(gen: Gen, here: Path) -> None:
    train(gen, steps=3)
    model = here / "checkpoints/words/model.safetensors"
    model.write_bytes(model.read_bytes()[:1000])

    outcome = train(gen, "--resume", steps=5)

    assert_refused(outcome, "model.safetensors")
    assert "move it away" in outcome.err
    model.unlink()
    assert train(gen, "--resume", steps=30).code == 0
    assert gen("eval", "words", "valid").code == 0
