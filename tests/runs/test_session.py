"""A whole run on a little text: its files, its resume, its end under SIGKILL."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import gen
from gen.analysis.calibrate import evaluate_calibrated
from gen.config import Reading, SamplingConfig, TrainingSettings
from gen.errors import CheckpointError, SettingError
from gen.runs.checkpoint import read_checkpoint, read_header, write_checkpoint
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions
from gen.runs.session import Session

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_layers": 2,
    "embedding_size": 8,
    "batch_size": 4,
    "bptt": 16,
    "dropout": 0.1,
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    draw = random.Random(0)  # noqa: S311 - words, not secrets
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "rain"]
    path = tmp_path / "cats.txt"
    path.write_text("\n".join(" ".join(draw.choices(words, k=8)) for _ in range(120)), encoding="utf-8")
    return path


def open_run(corpus: Path, out: Path, run: str = "r", **changes: Any) -> Session:
    settings = TrainingSettings(**SMALL | {"steps": 80} | changes.pop("settings", {}))
    return train_session(CorpusOptions((str(corpus),)), settings, run=run, out=out, **changes)


def finished(session: Session) -> dict[str, Any]:
    with session:
        for _ in session.reports():
            pass
        return session.result()


def test_a_run_leaves_model_training_metrics_and_samples(corpus: Path, tmp_path: Path) -> None:
    result = finished(open_run(corpus, tmp_path))

    folder = tmp_path / "r"
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "training.safetensors",
        "metrics.jsonl",
        "samples",
    }
    assert result["steps"] == 80
    assert result["unit"] == "char"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    best = min(line["valid_nats"] for line in lines if line["valid_nats"])
    assert best == pytest.approx(result["valid_nats"], abs=0.02)
    assert list((folder / "samples").iterdir())


def test_reported_validation_is_what_eval_says_of_the_saved_model(corpus: Path, tmp_path: Path) -> None:
    result = finished(open_run(corpus, tmp_path, settings={"precision": "fp32"}))

    measured = gen.load(tmp_path / "r").evaluate("valid", context=1024)

    assert measured.nats_per_token == pytest.approx(result["valid_nats"], abs=2e-4)


def test_a_loaded_model_is_calibrated_and_its_file_holds_the_weights_as_trained(corpus: Path, tmp_path: Path) -> None:
    result = finished(open_run(corpus, tmp_path, settings={"precision": "fp32", "steps": 200}))
    run = gen.load(tmp_path / "r")

    _, again = evaluate_calibrated(
        run.model,
        run.excerpt("valid"),
        units=run.codec.units(),
        unit="char",
        context=1024,
    )

    assert result["logit_scale"] != 1.0
    assert again == pytest.approx(1.0, abs=0.01)
    tensors, header = read_checkpoint(tmp_path / "r" / "model.safetensors", "model")
    assert header["result"]["logit_scale"] == result["logit_scale"]
    torch.testing.assert_close(tensors["output.weight"] * result["logit_scale"], run.model.output.weight.detach())


@pytest.mark.parametrize(("scale", "temperature"), [(0.5, 1.0), (2.0, 0.5)], ids=["less sure", "surer"])
def test_samples_are_as_sure_as_the_network_was_trained_to_be_or_surer(
    corpus: Path, tmp_path: Path, scale: float, temperature: float
) -> None:
    finished(open_run(corpus, tmp_path, settings={"steps": 20}))
    path = tmp_path / "r" / "model.safetensors"
    tensors, header = read_checkpoint(path, "model")

    def run_of(logit_scale: float) -> gen.Run:  # powers of two, which change no bit of a product but its exponent
        result = header["result"] | {"logit_scale": logit_scale}
        write_checkpoint(path, "model", tensors, header | {"result": result})
        return gen.load(path)

    wanted = run_of(1.0).sample(length=200, seed=1, sampling=SamplingConfig(temperature))
    run = run_of(scale)
    steered = "".join(
        run.prompt(None).pieces(item.token for item in run.generate(length=200, seed=1, sampling=SamplingConfig))
    )

    assert run.sample(length=200, seed=1) == wanted
    assert [steered] == wanted
    assert wanted != run_of(1.0).sample(length=200, seed=1, sampling=SamplingConfig(temperature / 2))


@pytest.mark.parametrize("scale", ["1", 0, -1.0, float("inf"), float("nan"), None])
def test_a_scale_that_is_no_factor_makes_a_damaged_file(corpus: Path, tmp_path: Path, scale: Any) -> None:
    finished(open_run(corpus, tmp_path, settings={"steps": 2}))
    path = tmp_path / "r" / "model.safetensors"
    tensors, header = read_checkpoint(path, "model")
    write_checkpoint(path, "model", tensors, header | {"result": header["result"] | {"logit_scale": scale}})

    with pytest.raises(CheckpointError, match="logit_scale"):
        gen.load(tmp_path / "r")


def stopped_at(corpus: Path, out: Path, step: int) -> None:
    session = open_run(corpus, out)
    with session:
        for report in session.reports():
            if report.step == step:
                session.stop()


@pytest.mark.parametrize("step", [1, 30, 79])
def test_a_stopped_run_resumes_bit_for_bit(corpus: Path, tmp_path: Path, step: int) -> None:
    straight = finished(open_run(corpus, tmp_path / "straight"))
    stopped_at(corpus, tmp_path / "stopped", step)

    resumed = finished(open_run(corpus, tmp_path / "stopped", resume=True))

    assert_same_weights(tmp_path / "straight" / "r", tmp_path / "stopped" / "r")
    assert resumed["valid_nats"] == straight["valid_nats"]


def test_a_stopped_run_on_lines_resumes_bit_for_bit(corpus: Path, tmp_path: Path) -> None:
    options = CorpusOptions((str(corpus),), reading=Reading(documents="lines"), test_fraction=0.1)
    for name in ("straight", "stopped"):
        session = train_session(options, TrainingSettings(**SMALL, steps=40), run=name, out=tmp_path)
        with session:
            for report in session.reports():
                if name == "stopped" and report.step == 13:
                    session.stop()
    finished(train_session(CorpusOptions(()), run="stopped", out=tmp_path, resume=True))

    assert_same_weights(tmp_path / "straight", tmp_path / "stopped")


def assert_same_weights(one: Path, other: Path) -> None:
    for name, kind in (("model.safetensors", "model"), ("training.safetensors", "training")):
        ours, _ = read_checkpoint(one / name, kind)  # type: ignore[arg-type]
        theirs, _ = read_checkpoint(other / name, kind)  # type: ignore[arg-type]
        assert ours.keys() == theirs.keys()
        assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


def test_a_run_by_minutes_records_the_speed_that_was_measured(corpus: Path, tmp_path: Path) -> None:
    session = open_run(corpus, tmp_path, settings={"steps": None, "minutes": 0.01, "dropout": None})
    shown = {choice.name: choice.reason for choice in session.choices}
    finished(session)

    training = read_header(tmp_path / "r" / "model.safetensors", "model")["training"]
    assert training["measured_speed"] > 0
    assert shown["dropout"].startswith(f"{round(training['measured_speed'], -2):,.0f} tokens/s measured: about ")


def test_a_dropout_that_no_longer_suits_the_readings_changes_and_is_kept(corpus: Path, tmp_path: Path) -> None:
    by_time = {"steps": None, "dropout": None}
    with open_run(corpus, tmp_path, settings=by_time | {"minutes": 60.0}) as session:
        for report in session.reports():
            if report.epoch >= 1.0:
                session.stop()
    seconds = report.seconds
    before = read_header(tmp_path / "r" / "training.safetensors", "training")

    fewer = TrainingSettings(minutes=3 * seconds / 60)
    finished(train_session(CorpusOptions(()), fewer, run="r", out=tmp_path, resume=True))

    after = read_header(tmp_path / "r" / "training.safetensors", "training")
    remarks = [line["remark"] for line in metrics(tmp_path / "r") if "remark" in line]
    assert before["model"]["dropout"] > after["place"]["dropout"]
    assert remarks[-1].endswith(f"dropout is now {after['place']['dropout']:g}")


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def command(corpus: Path, out: Path, *more: str) -> list[str]:
    sizes = "--hidden 16 --embedding 8 --layers 2 --batch-size 4 --bptt 16 --dropout 0.1 --steps 400"
    return [sys.executable, "-m", "gen", "train", str(corpus), "--run", "r", "--out", str(out), *sizes.split(), *more]


@pytest.mark.slow
def test_a_killed_run_resumes_bit_for_bit(corpus: Path, tmp_path: Path) -> None:
    subprocess.run(command(corpus, tmp_path / "straight"), check=True, capture_output=True)
    draw = random.Random(1)  # noqa: S311 - moments, not secrets

    for attempt in range(3):
        more = ["--resume"] if attempt else []
        process = subprocess.Popen(command(corpus, tmp_path / "killed", *more), stderr=subprocess.DEVNULL)
        while not (tmp_path / "killed" / "r" / "training.safetensors").exists():
            time.sleep(0.05)
        time.sleep(draw.uniform(0.0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(corpus, tmp_path / "killed", "--resume"), check=True, capture_output=True)

    assert_same_weights(tmp_path / "straight" / "r", tmp_path / "killed" / "r")


def test_resume_needs_no_corpus_and_may_go_on_for_longer(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path))

    session = train_session(CorpusOptions(()), TrainingSettings(steps=100), run="r", out=tmp_path, resume=True)

    assert finished(session)["steps"] == 100


def test_resume_refuses_a_changed_corpus_and_says_what_changed(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path))
    corpus.write_text(corpus.read_text() + "x")

    with pytest.raises(CheckpointError, match=r"the corpus has changed \(.*cats.txt: \d+ tokens then, \d+ now\)"):
        open_run(corpus, tmp_path, resume=True)


def test_resume_refuses_another_size(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path))

    with pytest.raises(SettingError, match=r"hidden size cannot change \(16 then, 32 now\)"):
        open_run(corpus, tmp_path, resume=True, settings={"hidden_size": 32})


def test_resume_of_a_run_that_does_not_exist_is_an_error(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run"):
        open_run(corpus, tmp_path, resume=True)
    assert not (tmp_path / "r").exists()


def test_a_run_that_was_killed_before_its_first_save_begins_anew_on_resume(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()

    assert finished(open_run(corpus, tmp_path, resume=True))["steps"] == 80


def test_an_existing_run_is_never_overwritten(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path))
    before = (tmp_path / "r" / "model.safetensors").read_bytes()

    with pytest.raises(SettingError, match="there already"):
        open_run(corpus, tmp_path)

    assert (tmp_path / "r" / "model.safetensors").read_bytes() == before


def test_fine_tuning_starts_from_what_the_other_run_knew(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path, run="old", settings={"steps": 400, "learning_rate": 0.01}))
    other = tmp_path / "other.txt"
    other.write_text(corpus.read_text().replace("rain", "rain!"), encoding="utf-8")

    options = CorpusOptions((str(other),))
    tuned = train_session(options, TrainingSettings(steps=0), run="new", out=tmp_path, from_run=str(tmp_path / "old"))
    fresh = train_session(options, TrainingSettings(**SMALL, steps=0), run="fresh", out=tmp_path)

    reasons = {choice.name: choice.reason for choice in tuned.choices}
    assert reasons["hidden size"] == "as in the run that it starts from"
    assert reasons["steps"] == "given"
    assert finished(tuned)["valid_nats"] < finished(fresh)["valid_nats"] - 0.3
    assert "!" in gen.load(tmp_path / "new").codec.vocab.index


def test_patience_ends_a_run_that_no_longer_improves(corpus: Path, tmp_path: Path) -> None:
    session = open_run(corpus, tmp_path, settings={"steps": 4000, "learning_rate": 1e-9, "patience": 2})

    with session:
        reports = list(session.reports())

    assert reports[-1].remark is not None
    assert "no better validation in 2" in reports[-1].remark
    assert reports[-1].step < 4000


def test_an_untrained_model_can_be_made_and_sampled(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path, settings={"steps": 0}))

    text = gen.load(tmp_path / "r").sample("the", length=50, seed=0)[0]

    assert text.startswith("the")
    assert len(text) == 53


def test_labels_come_from_folders_and_can_be_asked_for(tmp_path: Path) -> None:
    for name, word in (("high", "HIGH "), ("low", "low ")):
        (tmp_path / "corpus" / name).mkdir(parents=True)
        (tmp_path / "corpus" / name / "a.txt").write_text(word * 300, encoding="utf-8")

    finished(open_run(tmp_path / "corpus", tmp_path, settings={"steps": 300, "learning_rate": 0.01}))
    run = gen.load(tmp_path / "r")

    assert run.label_names == ("high", "low")
    surely = SamplingConfig(temperature=0.3)
    assert run.sample(length=60, seed=0, label="high", sampling=surely)[0].isupper()
    assert run.sample(length=60, seed=0, label="low", sampling=surely)[0].islower()
    with pytest.raises(SettingError, match=r"unknown to r \(middle\)"):
        run.sample(label="middle")


def test_a_sample_is_the_same_alone_and_among_others(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path))
    run = gen.load(tmp_path / "r")

    assert run.sample("the", length=200, seed=0, num_samples=9)[0] == run.sample("the", length=200, seed=0)[0]


def test_a_prompt_of_the_wrong_kind_is_an_error(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path, settings={"steps": 0}))

    with pytest.raises(SettingError, match=r"goes on from a text \(int\)"):
        gen.load(tmp_path / "r").stream(7)


def test_streaming_gives_the_sample_without_its_prompt(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path))
    run = gen.load(tmp_path / "r")

    streamed = "".join(run.stream("the", length=80, seed=3))

    assert "the" + streamed == run.sample("the", length=80, seed=3)[0]
    assert len(streamed) == 80


def test_evaluation_of_a_corpus_with_an_unknown_character_names_it(corpus: Path, tmp_path: Path) -> None:
    finished(open_run(corpus, tmp_path, settings={"steps": 1}))
    (tmp_path / "new.txt").write_text("the cat saw a \u00e9", encoding="utf-8")

    with pytest.raises(gen.GenError, match="00E9"):
        gen.load(tmp_path / "r").evaluate(str(tmp_path / "new.txt"))
