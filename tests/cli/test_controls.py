"""`--controls` of gen train, and `--density` and `--key` of gen sample."""

import json
from pathlib import Path

import pytest

from gen.codecs.envelope import read_envelope
from gen.config import SamplingConfig
from tests.cli.conftest import Gen, trained

MUSIC = ("--codec", "performance")


@pytest.fixture(scope="module")
def density_run(tmp_path_factory: pytest.TempPathFactory, music_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return trained(folder, "dense", music_folder, *MUSIC, "--controls", "density")


def test_what_is_asked_stands_in_the_tokens_span_by_span(gen: Gen, density_run: Path, tmp_path: Path) -> None:
    options = ("--density", "0:1 30:any", "--length", "60", "--seed", "1", "--out", tmp_path / "x.json")
    assert gen("sample", density_run, *options).code == 0

    symbols = gen_symbols(density_run)
    found = {symbols[token] for token in json.loads((tmp_path / "x.json").read_text())["tokens"]}
    assert {symbol for symbol in found if symbol.startswith("Density")} == {"Density_6"}, (
        "the nearest that the chorales have"
    )


def gen_symbols(run: Path) -> tuple[str, ...]:
    from gen.runs.run import load

    return load(run).codec.vocab.symbols


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--density", "0:2 3"), "error: --density: point 2 is not TIME:VALUE (3)"),
        (("--key", "C"), "error: --key: the model was not trained with it (its controls: density)"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(
    gen: Gen, density_run: Path, options: tuple[str, ...], error: str
) -> None:
    outcome = gen("sample", density_run, *options)
    assert outcome.code == 2
    assert outcome.err.startswith(error)
    assert not outcome.out


def test_a_text_model_has_no_density(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--density", "3")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --density: the model was not trained with it (its controls: none)")


@pytest.mark.parametrize(
    ("controls", "error"),
    [("loudness", "error: --controls: unknown (loudness)"), ("", "error: --controls: unknown ()")],
)
def test_an_unknown_control_is_told_before_anything_is_read(
    gen: Gen, tmp_path: Path, music_folder: Path, controls: str, error: str
) -> None:
    outcome = gen("train", music_folder, "--run", "r", "--out", tmp_path, "--controls", controls)
    assert outcome.code == 2
    assert outcome.err.startswith(error)


def test_controls_are_kept_on_resume_and_cannot_change(gen: Gen, density_run: Path, music_folder: Path) -> None:
    resume = ("train", "--run", density_run.name, "--out", density_run.parent, "--resume", "--steps", "3")
    assert gen(*resume).code == 0
    assert gen(*resume, "--controls", "density").code == 0
    outcome = gen(*resume, "--controls", "density,key")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --resume: controls cannot change")


def test_a_run_with_controls_is_measured(gen: Gen, density_run: Path, music_folder: Path) -> None:
    outcome = gen("eval", density_run, music_folder / "bwv2.6.mid", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["unit"] == "note"


def test_what_is_asked_for_is_leant_towards_by_default(density_run: Path) -> None:
    from gen.generation.generate import generate
    from gen.generation.guidance import GuidedStepper
    from gen.runs.run import load

    run = load(density_run)
    controls = run.codec.controls
    assert controls is not None
    asked = {"density": read_envelope("density", "4")}
    guided = generate(
        GuidedStepper(run.stepper(), controls.neutral()),
        prompt=[],
        begin=run.codec.vocab.begin,
        end=None,
        length=50,
        sampling=SamplingConfig(min(1.0, run.header.logit_scale)),
        seed=1,
        new_grammar=lambda: run.codec.grammar(asked),
    )
    assert list(run.generate(length=50, seed=1, controls={"density": 4})) == list(guided)
