"""`gen probe` as a user calls it: gates, units, equations, knock-outs, and the files that it writes."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gen as library
from gen.runs import probing
from tests.cli.conftest import Gen

OF_UNHELD = "not with --hold, because it shows the network that is not held"


def probed(gen: Gen, *arguments: object) -> dict[str, Any]:
    """Returns the JSON of a command, which is all that is on stdout."""
    outcome = gen("probe", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_the_overview_says_what_part_was_looked_at_and_counts_gates(gen: Gen, text_run: Path, text_file: Path) -> None:
    outcome = gen("probe", text_run, text_file, "--length", 500)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "fox: the first 500 of 6,030 tokens"
    assert sum("gate" in line and "shut" in line for line in lines) >= 3
    assert len(re.findall(r"^  0:\d+ ", outcome.out, re.MULTILINE)) == 8
    nats = probed(gen, text_run, text_file, "--length", 500)["nats_per_token"]
    assert lines[1] == f"{nats / math.log(2):.3f} bits per token"


def test_the_arrays_of_a_unit_obey_the_equations_of_its_cell(gen: Gen, text_run: Path, text_file: Path) -> None:
    found = probed(gen, text_run, text_file, "--length", 300, "--unit", "0:3", "--unit", "0:5")
    assert [(each["layer"], each["unit"]) for each in found["arrays"]] == [(0, 3), (0, 5)]
    arrays = {name: np.array(values) for name, values in found["arrays"][0].items() if isinstance(values, list)}
    assert all(values.shape == (300,) for values in arrays.values())
    kept = arrays["f"][1:] * arrays["c"][:-1] + arrays["i"][1:] * arrays["g"][1:]
    np.testing.assert_allclose(arrays["c"][1:], kept, atol=3e-4)  # four decimals each
    np.testing.assert_allclose(arrays["h"], arrays["o"] * np.tanh(arrays["c"]), atol=2e-4)


def test_the_json_file_holds_all_units_and_costs_of_the_run_itself(
    gen: Gen, text_run: Path, text_file: Path, tmp_path: Path
) -> None:
    assert gen("probe", text_run, text_file, "--length", 200, "--out", tmp_path / "x.json").code == 0
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    run = library.load(text_run, device="cpu")
    with torch.no_grad():
        tokens = torch.tensor([[run.codec.vocab.begin, *found["ids"][:-1]]])
        logits, _ = run.model(tokens, run.model.initial_state(torch.zeros(1, dtype=torch.long)))
    nats = -logits[0].log_softmax(1).gather(1, torch.tensor(found["ids"])[:, None])[:, 0]
    assert "".join(found["symbols"]) == text_file.read_text(encoding="utf-8")[:200]
    np.testing.assert_allclose(found["nats"], nats.numpy(), atol=1e-4)
    assert np.array(found["layers"][0]["f"]).shape == (200, run.config.hidden_size)


def test_the_json_file_holds_what_a_prediction_leans_on_as_the_gradient_of_that_token_does(
    gen: Gen, text_run: Path, text_file: Path, tmp_path: Path
) -> None:
    assert gen("probe", text_run, text_file, "--length", 60, "--out", tmp_path / "x.json").code == 0
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["leaning"]
    assert [len(norms) for norms in found] == [min(token + 1, 40) for token in range(60)]
    alone = probed(gen, text_run, text_file, "--gradient", "--at", 50, "--lags", 39)["at"]["gradient"]
    np.testing.assert_allclose(found[50], alone, atol=max(alone) * 0.006)  # three digits of the greatest


def test_a_step_is_printed_with_numbers_that_add_up(gen: Gen, text_run: Path, text_file: Path) -> None:
    outcome = gen("probe", text_run, text_file, "--unit", "0:3", "--step", 50)
    found = re.search(r"c = f \* c' \+ i \* g\s+= (.*) = (-?[\d.]+)$", outcome.out, re.MULTILINE)
    assert found is not None, outcome.out
    assert eval(found[1]) == pytest.approx(float(found[2]), abs=2e-4)  # noqa: S307 - our own text
    step = probed(gen, text_run, text_file, "--unit", "0:3", "--step", 50)["step"]
    assert (step["token"], step["symbol"]) == (50, text_file.read_text(encoding="utf-8")[50])
    assert [each["name"] for each in step["units"][0]["equations"]] == list("ifgoch")


def test_units_are_found_for_the_features_of_a_text_beside_shuffled_labels(
    gen: Gen, text_run: Path, text_file: Path
) -> None:
    found = probed(gen, text_run, text_file, "--find", "--length", 4000)["find"]
    assert found["tokens"] == 4000
    assert {"position in line", "position in word", "upper case", "blank"} <= found["features"].keys()
    best = found["features"]["position in word"][0]
    assert abs(best["held_out"]) <= 1
    assert best["shuffled"] < 1
    assert all("".join(peak["passage"]) in text_file.read_text(encoding="utf-8") for peak in best["peaks"])
    outcome = gen("probe", text_run, text_file, "--find", "--length", 4000)
    assert f"{best['layer']}:{best['unit']}" in outcome.out


@pytest.mark.parametrize(("length", "tokens"), [(1, "1 token"), (3, "3 tokens")])
@pytest.mark.filterwarnings("error")
def test_where_nothing_varies_a_line_says_that_nothing_can_be_found(
    gen: Gen, text_run: Path, text_file: Path, length: int, tokens: str
) -> None:
    outcome = gen("probe", text_run, text_file, "--find", "--length", length)
    assert (outcome.code, outcome.out) == (0, f"fox: no feature varies on both halves of {tokens}\n")


def test_music_has_features_of_its_own(gen: Gen, music_run: Path, music_folder: Path) -> None:
    found = probed(gen, music_run, music_folder / "bwv2.6.mid", "--find")["find"]["features"]
    assert {"register", "density"} <= found.keys()


def test_a_knockout_shows_its_cost_by_class_and_a_sample(gen: Gen, text_run: Path, text_file: Path) -> None:
    found = probed(gen, text_run, text_file, "--knock", "0:3", "--length", 600)["knockout"]
    assert found["others"] == 7
    assert {"letters", "spaces", "line ends"} <= {each["name"] for each in found["classes"]}
    assert sum(each["number"] for each in found["classes"]) == 600
    outcome = gen("probe", text_run, text_file, "--knock", "0:3", "--length", 600)
    assert "beside 7 other units of like activity" in outcome.out
    assert found["sample"] in outcome.out


def test_a_held_unit_has_its_value_in_the_report_and_costs_something(gen: Gen, text_run: Path, text_file: Path) -> None:
    found = probed(gen, text_run, text_file, "--hold", "0:3=2.5", "--length", 600)["knockout"]
    assert found["units"] == [{"layer": 0, "unit": 3, "value": 2.5}]
    assert math.fsum(each["added"] * each["number"] for each in found["classes"]) != 0


def test_sample_writes_otherwise_with_a_unit_held(gen: Gen, text_run: Path) -> None:
    plain, held, again = (
        gen("sample", text_run, "--seed", 1, "--length", 200, *more).out
        for more in ((), ("--hold", "0:3=50"), ("--hold", "0:3=50"))
    )
    assert held == again
    assert held != plain


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("0:3=1", "0:3=2"), "error: unit 0:3: held more than once (2)"),
        (("0:3=1e39",), "error: --hold: beyond what float32 holds (0:3=1e39)"),
    ],
)
def test_sample_refuses_units_as_probe_does(gen: Gen, text_run: Path, values: tuple[str, ...], message: str) -> None:
    outcome = gen("sample", text_run, *(word for value in values for word in ("--hold", value)))
    assert (outcome.code, outcome.out, outcome.err.splitlines()[0]) == (2, "", message)


def test_pictures_and_pages_are_written(
    gen: Gen, text_run: Path, music_run: Path, music_folder: Path, text_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    for run, corpus, name in ((text_run, text_file, "text"), (music_run, music_folder / "bwv2.6.mid", "music")):
        page, picture = tmp_path / f"{name}.html", tmp_path / f"{name}.png"
        outcome = gen("probe", run, corpus, "--length", 300, "--out", page, "--picture", picture)
        assert outcome.code == 0, outcome.err
        assert picture.read_bytes()[:4] == b"\x89PNG"
        assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_was_found_is_printed_before_a_file_that_fails(
    gen: Gen, text_run: Path, text_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    numbers, picture = tmp_path / "x.json", tmp_path / "x.svg"
    for path in (numbers, picture):
        path.symlink_to(tmp_path / "nowhere" / path.name)  # passes every check, and cannot be written
    for options in (("--out", numbers), ("--gradient", "--lags", 5, "--picture", picture)):
        outcome = gen("probe", text_run, text_file, *options)
        assert outcome.code == 2
        assert "cannot be written" in outcome.err
        assert len(outcome.out.splitlines()) > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--length", "0"), "error: --length: must be from 1 to 100000 (0)"),
        (("--unit", "3"), "error: --unit: no layer and unit (3)"),
        (("--unit", "0:8"), "error: unit 0:8: there is none (1 layer of 8 units)"),
        (("--knock", "1:0"), "error: unit 1:0: there is none (1 layer of 8 units)"),
        (("--hold", "0:3"), "error: --hold: no unit and value (0:3)"),
        (("--hold", "0:3=nan"), "error: --hold: no unit and value (0:3=nan)"),
        (("--hold", "0:3=1_0"), "error: --hold: no unit and value (0:3=1_0)"),
        (("--hold", "0:3=1e39"), "error: --hold: beyond what float32 holds (0:3=1e39)"),
        (("--hold", "0:3=-1e999"), "error: --hold: beyond what float32 holds (0:3=-1e999)"),
        (("--knock", "0:3", "--hold", "0:3=1"), "error: unit 0:3: held more than once (2)"),
        (("--knock", "0:3", "--knock", "00:3"), "error: unit 0:3: held more than once (2)"),
        (("--hold", "0:3=1", "--step", "0"), f"error: --step: {OF_UNHELD} (0)"),
        (("--hold", "0:3=1", "--find"), f"error: --find: {OF_UNHELD}"),
        (("--hold", "0:3=1", "--unit", "0:3"), f"error: --unit: {OF_UNHELD} (0:3)"),
        (("--hold", "0:3=1", "--out", "x.html"), f"error: --out: {OF_UNHELD} (x.html)"),
        (("--hold", "0:3=1", "--picture", "x.png"), f"error: --picture: {OF_UNHELD} (x.png)"),
        (("--gradient", "--step", "0"), "error: --step: not with --gradient (0)"),
        (("--step", "9999999"), "error: --step: beyond the first 2,000 tokens (9999999)"),
        (("--step", "6030", "--length", "7000"), "error: --step: no such token (6030)"),
        (("--out", "x.txt"), "error: x.txt: unknown kind of file (.txt)"),
        (("--picture", "x.html"), "error: x.html: unknown kind of picture (.html)"),
        (("--picture", "nowhere/x.png"), "error: nowhere/x.png: no such folder (nowhere)"),
        (("--out", "nowhere/x.html"), "error: nowhere/x.html: no such folder (nowhere)"),
        (("--out", "nowhere/x.json"), "error: nowhere/x.json: no such folder (nowhere)"),
        (("--gradient", "--picture", "nowhere/x.png"), "error: nowhere/x.png: no such folder (nowhere)"),
        (("--lags", "5"), "error: --lags: only with --gradient (5)"),
        (("--gradient", "--find"), "error: --find: not with --gradient"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    gen: Gen, text_run: Path, text_file: Path, options: tuple[str, ...], message: str
) -> None:
    outcome = gen("probe", text_run, text_file, *options)
    assert (outcome.code, outcome.out, outcome.err.splitlines()[0]) == (2, "", message)


@pytest.mark.parametrize("option", [(), ("--gradient", "--lags", 5)])
def test_characters_that_the_model_lacks_can_be_left_out_as_the_hint_says(
    gen: Gen, text_run: Path, tmp_path: Path, option: tuple[object, ...]
) -> None:
    (tmp_path / "a.txt").write_text("The quick \u20ac brown fox\n", encoding="utf-8")
    refused = gen("probe", text_run, tmp_path / "a.txt", *option)
    assert (refused.code, refused.out) == (2, "")
    assert "hint: --unknown skip leaves it out" in refused.err
    skipped = gen("probe", text_run, tmp_path / "a.txt", *option, "--unknown", "skip")
    assert skipped.code == 0, skipped.err
    assert "1 characters that the model lacks left out: 1 '\u20ac'" in skipped.err


def test_the_window_is_smaller_where_a_network_has_too_many_units(
    gen: Gen, text_run: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "MAX_STATES", 8 * 400)
    outcome = gen("probe", text_run, text_file, "--find")
    assert outcome.out.startswith("fox: the first 400 of 6,030 tokens\n")


def test_a_recording_is_shorter_where_a_network_has_too_many_units(
    gen: Gen, text_run: Path, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "MAX_RECORDED", 6 * 8 * 70)  # six arrays of eight units
    outcome = gen("probe", text_run, text_file, "--out", tmp_path / "x.json")
    assert outcome.out.startswith("fox: the first 70 of 6,030 tokens\n")
    assert len(json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["nats"]) == 70
    too_far = gen("probe", text_run, text_file, "--step", 70)
    assert "no more are recorded of so large a network" in too_far.err


def test_a_page_is_cut_to_its_size_and_says_so(gen: Gen, text_run: Path, text_file: Path, tmp_path: Path) -> None:
    page, units = tmp_path / "x.html", [f"--unit=0:{number % 8}" for number in range(96)]
    outcome = gen("probe", text_run, text_file, *units, "--out", page)
    told = re.search(r"which has room for (the first [\d,]+ of 6,030 tokens)", outcome.err)
    assert told is not None, outcome.err
    html = page.read_text(encoding="utf-8")
    assert told[1].removeprefix("the ") in html
    assert 1_000_000 < len(html) < 2_000_000


def test_a_single_token_is_named_as_one(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("T", encoding="utf-8")
    (tmp_path / "b.txt").write_text("The quick", encoding="utf-8")
    assert gen("probe", text_run, tmp_path / "a.txt").out.startswith("fox: the only token\n")
    assert gen("probe", text_run, tmp_path / "b.txt", "--length", 1).out.startswith("fox: the first of 9 tokens\n")
