"""The page of `gen probe`, in a browser."""

import json
import re
from pathlib import Path

import pytest

from gen.cli.main import run as run_gen
from gen.corpus.builtin import builtin_path
from tests.browser import Open
from tests.cli.conftest import trained

TEXT = "A </script><b>bold</b> \u05e9\u05dc\u05d5\u05dd e\u0301 \U0001d11e & more \u202eback\u202c words, and so on.\n"
COLOURS = "Array.from(document.querySelectorAll('.text .item'), item => item.style.background).join()"


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "nasty.txt").write_text(TEXT * 60, encoding="utf-8")
    return trained(folder, "nasty", folder / "nasty.txt")


def probe(run: Path, *arguments: object) -> None:
    corpus = run.parent / "nasty.txt"
    assert run_gen(["probe", str(run), str(corpus), "--length", "150", *map(str, arguments)]) == 0


def test_the_number_that_is_pointed_at_is_that_of_the_json(open_page: Open, text_run: Path, tmp_path: Path) -> None:
    probe(text_run, "--unit", "0:2", "--unit", "0:5", "--out", tmp_path / "x.html")
    probe(text_run, "--out", tmp_path / "x.json")
    arrays = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["layers"][0]
    page = open_page(tmp_path / "x.html")
    page.select_option("select[aria-label=unit]", "1")
    page.focus(".text")
    for _ in range(40):
        page.keyboard.press("ArrowRight")
        read = page.inner_text("#readout")
        token = re.search(r"token (\d+)", read)
        assert token is not None
        for name in "cifgoh":
            shown = re.search(rf"\b{name} (-?[\d.]+)\b", read)
            assert shown is not None
            assert float(shown[1]) == arrays[name][int(token[1])][5]


def test_another_unit_or_gate_colours_the_text_otherwise(open_page: Open, text_run: Path, tmp_path: Path) -> None:
    probe(text_run, "--out", tmp_path / "x.html")
    page = open_page(tmp_path / "x.html")
    colours = set()
    for unit, colour in (("0", "c"), ("1", "c"), ("0", "f"), ("0", "surprise")):
        page.select_option("select[aria-label=unit]", unit)
        page.select_option("select[aria-label=colour]", colour)
        colours.add(
            page.evaluate("Array.from(document.querySelectorAll('.text .item'), i => i.style.background).join()")
        )
    assert len(colours) == 4


def test_every_unit_has_a_dot_in_the_saturation_picture_of_each_gate(
    open_page: Open, text_run: Path, tmp_path: Path
) -> None:
    probe(text_run, "--out", tmp_path / "x.html")
    page = open_page(tmp_path / "x.html")
    assert page.locator(".saturation").count() == 3
    assert page.locator(".saturation .dot").count() == 3 * 8


def test_the_norms_of_what_a_prediction_leans_on_are_those_of_the_json(
    open_page: Open, text_run: Path, tmp_path: Path
) -> None:
    probe(text_run, "--out", tmp_path / "x.html")
    probe(text_run, "--out", tmp_path / "x.json")
    leaning = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["leaning"]
    page = open_page(tmp_path / "x.html")
    page.select_option("select[aria-label=colour]", "leaning")
    assert "40 tokens before it (lags 0 to 39)" in page.inner_text("main")
    page.focus(".text")
    assert "nothing before it" in page.inner_text("#readout")
    for _ in range(60):
        page.keyboard.press("ArrowRight")
        read = page.inner_text("#readout")
        token = re.search(r"token (\d+)", read)
        assert token is not None
        norms = leaning[int(token[1])][: int(token[1])]  # without begin
        greatest = sorted(((norm, -lag) for lag, norm in enumerate(norms) if norm), reverse=True)[:5]
        shown = re.findall(r", (\d+) back: ([\d.e-]+)", read)
        assert [(float(norm), 1 - int(back)) for back, norm in shown] == greatest


@pytest.mark.parametrize("codec", ["performance", "beat"])
def test_the_notes_that_a_note_leans_on_stand_before_it_and_are_marked(
    open_page: Open, tmp_path: Path, codec: str
) -> None:
    chorales = builtin_path("chorales")
    assert chorales is not None
    run = trained(tmp_path, "tunes", chorales / "bwv2.6.mid", "--codec", codec)
    corpus = chorales / "bwv2.6.mid"
    assert run_gen(["probe", str(run), str(corpus), "--length", "200", "--out", str(tmp_path / "x.html")]) == 0
    page = open_page(tmp_path / "x.html")
    page.select_option("select[aria-label=colour]", "leaning")
    page.focus(".roll")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    fills = page.evaluate("Array.from(document.querySelectorAll('.roll .item'), item => item.getAttribute('fill'))")
    strengths = [float(fill.rstrip(")").split("/")[1]) for fill in fills]
    assert max(strengths[:12]) == 0.8
    assert sum(strength > 0.06 for strength in strengths[:12]) > 1
    assert set(strengths[12:]) == {0.06}
    shown = re.findall(r"(\d+) back: ([\d.e-]+)", page.inner_text("#readout"))
    assert strengths[12 - int(shown[0][0])] == 0.8
    assert len(shown) == 5
