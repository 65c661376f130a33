"""`gen probe --gradient`, as a user runs it."""

import json
from pathlib import Path

import pytest

import gen as library
from gen.analysis.gradient_flow import gradient_flow
from tests.cli.conftest import Gen

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_table_gives_mean_and_quartiles_by_lag(gen: Gen, text_run: Path) -> None:
    outcome = gen("probe", text_run, "--gradient", "--lags", 12)

    assert outcome.code == 0, outcome.err
    first, _, header, *rows = outcome.out.splitlines()
    assert first.startswith(f"{text_run}: 256 tokens of valid, ")
    assert header.split() == ["lag", "mean", "25", "%", "median", "75", "%"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2", "5", "10", "12"]
    assert all(float(row.split()[2]) <= float(row.split()[3]) <= float(row.split()[4]) for row in rows)


def test_fewer_tokens_at_many_lags_are_named(gen: Gen, text_run: Path, text_file: Path) -> None:
    outcome = gen("probe", text_run, text_file, "--gradient", "--lags", 2000)
    expected = f"{text_run}: 25 tokens of {text_file}, "  # 256 * 401 // 4001
    assert outcome.out.startswith(expected), outcome.out
    assert "; up to lag 200 there would be at most 256\n" in outcome.out


def test_json_has_the_numbers_of_the_library(gen: Gen, text_run: Path, text_file: Path) -> None:
    outcome = gen("probe", text_run, text_file, "--gradient", "--lags", 30, "--json")

    run = library.load(text_run)
    expected = gradient_flow(run.model, run.excerpt(text_file), lags=30)
    (found,) = json.loads(outcome.out)["runs"].values()
    assert found["mean"] == pytest.approx(expected.mean.tolist(), rel=1e-6)
    assert found["nats"] == pytest.approx(run.evaluate(text_file).nats_per_token, rel=0.05)  # of 256 of its tokens


def test_at_gives_the_tokens_before_one_and_their_gradient(gen: Gen, text_run: Path, text_file: Path) -> None:
    text = text_file.read_text(encoding="utf-8")
    command = ("probe", text_run, text_file, "--gradient", "--lags", 50, "--at", 20)

    found = json.loads(gen(*command, "--json").out)["at"]
    shown = gen(*command).out

    assert found["target"] == text[20]
    assert found["inputs"] == [*text[:20][::-1], "Begin"]
    assert len(found["gradient"]) == 21
    strongest = max(range(21), key=found["gradient"].__getitem__)
    heading, _, first = shown.split("\n\n")[1].splitlines()[:3]
    assert heading.startswith(f'token 20, "{text[20]}", cost ')
    assert first.split() == [str(strongest), f"{found['gradient'][strongest]:.1e}", f'"{found["inputs"][strongest]}"']


def test_several_runs_stand_side_by_side(gen: Gen, text_run: Path, music_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "gradient.png"

    outcome = gen("probe", text_run, "--gradient", "--beside", music_run, "--lags", 5, "--picture", picture)

    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[3].split() == ["lag", str(text_run), str(music_run)]
    assert picture.read_bytes().startswith(PNG)


def test_without_a_run_the_cells_are_trained_on_the_recall_task(gen: Gen, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "recall.svg"

    outcome = gen("probe", "--gradient", "--lags", 4, "--clip", "inf", "--picture", picture, "--json")

    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["delay"], found["clip"], found["forget_bias"]) == (4, None, 1.0)
    assert {cell: len(recall["after"]["mean"]) for cell, recall in found["cells"].items()} == dict.fromkeys(
        ("rnn", "lstm", "gru"), 5
    )
    assert all(recall["recalled"] > 0.9 for recall in found["cells"].values())  # each learns a delay of four
    assert "before training" in picture.read_text(encoding="utf-8")


def test_the_recall_task_is_shown_as_tables(gen: Gen) -> None:
    outcome = gen("probe", "--gradient", "--lags", 2, "--forget-bias", 3)

    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("recall task: repeat the first of 4 symbols after 2 tokens of distraction\n")
    assert "clip 1, forget bias 3" in outcome.out
    assert "rnn untrained  lstm untrained  gru untrained" in outcome.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "error: RUN: missing"),
        (("--gradient", "--lags", "0"), "error: --lags: must be from 1 to 4096 (0)"),
        (("--gradient", "--at", "3"), "error: --at: only for a RUN (3)"),
        (("--gradient", "--beside", "x"), "error: --beside: only for a RUN (x)"),
        (("--gradient", "--picture", "x.gif"), "error: x.gif: unknown kind of picture (.gif)"),
        (("--gradient", "--picture", "nowhere/x.png"), "error: nowhere/x.png: no such folder (nowhere)"),
        (("--gradient", "--forget-bias", "inf"), "error: --forget-bias: must be from -100 to 100 (inf)"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(gen: Gen, options: tuple[str, ...], message: str) -> None:
    outcome = gen("probe", *options)
    assert (outcome.code, outcome.out, outcome.err.splitlines()[0]) == (2, "", message)


def test_settings_of_training_are_refused_for_a_trained_run(gen: Gen, text_run: Path) -> None:
    outcome = gen("probe", text_run, "--gradient", "--clip", "2")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --clip: only without a RUN, which is already trained (2.0)\n")
