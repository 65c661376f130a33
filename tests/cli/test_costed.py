"""Samples whose characters are shown with their costs, and samples in the manner of a file."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Gen

ESCAPE = re.compile(r"\x1b\[[\d;]*m")


def test_a_sample_shows_what_its_characters_cost(gen: Gen, writing_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("sample", writing_runs / "char", "--prompt", "The ", "--length", 30, "--seed", 1, "--stats")
    plain = gen(*command)
    digits = gen(*command, "--surprise")
    with monkeypatch.context() as patch:
        patch.setattr("gen.cli.sampling.has_colour", lambda _stream: True)
        coloured = gen(*command, "--surprise", "--num-samples", 2)
    lines = digits.out.split("\n")
    shown = "".join(line.replace("\u23ce", "\n") for line in lines[::2])
    bits = [float(re.findall(r"([\d.]+) bits per token", each.err)[0]) for each in (plain, digits)]
    assert shown == plain.out
    assert bits[0] == bits[1]
    assert sum(map(int, re.findall(r"\d", "".join(lines[1::2])))) <= 30 * bits[0]
    assert ESCAPE.sub("", coloured.out).replace("\u23ce", "").startswith(f"==> 1 of 2 <==\n{plain.out}")


def test_the_cost_of_a_character_depends_on_no_filter_and_a_stop_ends_it(gen: Gen, writing_runs: Path) -> None:
    command = ("sample", writing_runs / "byte", "--length", 40, "--temperature", 0, "--surprise")
    whole = gen(*command).out.split("\n")
    text = whole[0]
    stopped = gen(*command, "--stop", text[7:9]).out.split("\n")
    assert any(digit != " " for digit in whole[1])  # not 0 bits, as at temperature 0
    assert stopped[0] == text[: text.index(text[7:9])]
    assert whole[1].startswith(stopped[1])


def test_music_is_sampled_without_costs_and_that_is_said(gen: Gen, writing_runs: Path, tmp_path: Path) -> None:
    assert "--surprise: beat writes music, not text" in gen("sample", writing_runs / "beat", "--surprise").err
    outcome = gen("sample", writing_runs / "char", "--surprise", "--out", tmp_path / "x.txt")
    assert "--surprise: not together with --out" in outcome.err


@pytest.mark.parametrize("codec", ["char", "performance"])
def test_a_sample_takes_on_the_manner_of_a_file_and_the_run_stays(
    gen: Gen, writing_runs: Path, text_file: Path, music_folder: Path, codec: str
) -> None:
    model = (writing_runs / codec / "model.safetensors").read_bytes()
    corpus = text_file if codec == "char" else music_folder / "bwv3.6.mid"
    command = ("sample", writing_runs / codec, "--length", 60, "--seed", 1)
    outcome = gen(*command, "--adapt", corpus)
    assert outcome.code == 0
    assert f"adapted to {corpus}" in outcome.err
    assert outcome.out != gen(*command).out
    assert (writing_runs / codec / "model.safetensors").read_bytes() == model
