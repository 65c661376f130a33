"""The cost of each character and note, as a user asks for it: on the screen, as JSON and as a page."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gen.cli import console
from tests.browser import Open
from tests.cli.conftest import Gen

ESCAPE = re.compile(r"\x1b\[[\d;]*m")
# Markup, a combining accent, a joined emoji, Hebrew, and characters that would steer a terminal.
NASTY = "</script>\u2028 e\u0301 \U0001f469\u200d\U0001f4bb\n\u05e9\u05dc\u05d5\u05dd abc\n\x01\t\x1b[31m\u202eabc\n"


@pytest.fixture
def fox(tmp_path: Path) -> Path:
    """A text of two lines, all of whose characters the runs know."""
    path = tmp_path / "a fox.txt"
    path.write_text("The lazy dog\njumps over the quick dog.\n", encoding="utf-8")
    return path


def data_of(page: Path) -> Any:
    """Returns the data of a page as an HTML parser finds them."""

    class Parser(HTMLParser):
        is_data, found = False, ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
            self.is_data = ("id", "data") in attrs

        def handle_data(self, data: str) -> None:
            self.found += data if self.is_data else ""

    parser = Parser()
    parser.feed(page.read_text(encoding="utf-8"))
    return json.loads(parser.found)


def corpus_of(codec: str, fox: Path, music_folder: Path) -> Path:
    return fox if codec in ("char", "byte") else music_folder / "bwv3.6.mid"


every_codec = pytest.mark.parametrize("codec", ["char", "byte", "performance", "beat", "density"])


@every_codec
@pytest.mark.parametrize("context", ["carry", "10"])
def test_what_is_shown_adds_up_to_the_evaluation(
    gen: Gen, writing_runs: Path, fox: Path, music_folder: Path, codec: str, context: str
) -> None:
    corpus = corpus_of(codec, fox, music_folder)
    plain = json.loads(gen("eval", writing_runs / codec, corpus, "--context", context, "--json").out)
    found = json.loads(gen("eval", writing_runs / codec, corpus, "--context", context, "--show", "--json").out)
    total = plain["nats_per_token"] * plain["tokens"]
    shown = math.fsum(nats for document in found["documents"] for nats in document["nats"])
    assert {name: found[name] for name in plain} == pytest.approx(plain)
    assert len(found["surprise_nats"]) == plain["tokens"]
    assert math.fsum(found["surprise_nats"]) == pytest.approx(total, abs=1e-4)
    assert shown + found["other_nats"] == pytest.approx(total, abs=1e-4)
    assert math.fsum(kind["nats"] for kind in found["kinds"]) == pytest.approx(total, abs=1e-4)
    assert sum(kind["tokens"] for kind in found["kinds"]) == plain["tokens"]


@every_codec
def test_a_page_holds_the_numbers_of_the_json(
    gen: Gen, writing_runs: Path, fox: Path, music_folder: Path, tmp_path: Path, codec: str
) -> None:
    corpus, page = corpus_of(codec, fox, music_folder), tmp_path / "x.html"
    outcome = gen("eval", writing_runs / codec, corpus, "--show", "--out", page, "--json")
    found, data = json.loads(outcome.out), data_of(page)
    assert outcome.err == f"wrote {page}\n"
    assert data["views"][0]["documents"] == found["documents"]
    assert data["views"][0]["passages"] == found["passages"]


def test_each_character_is_in_its_order_and_the_end_is_told(gen: Gen, writing_runs: Path, fox: Path) -> None:
    found = json.loads(gen("eval", writing_runs / "char", fox, "--show", "--json").out)
    (document,) = found["documents"]
    assert "".join(document["characters"]) == fox.read_text()
    assert document["nats"] == found["surprise_nats"][:-1]
    assert {kind["kind"]: kind["tokens"] for kind in found["kinds"]} == {"char": 39, "End": 1}
    assert found["other_nats"] == pytest.approx(found["surprise_nats"][-1], abs=1e-5)


def test_a_passage_has_its_line_and_column(gen: Gen, writing_runs: Path, fox: Path) -> None:
    found = json.loads(gen("eval", writing_runs / "char", fox, "--show", "--json").out)
    text = fox.read_text()
    for passage in found["passages"]:
        before = text[: passage["start"]].split("\n")
        assert passage["place"] == f"line {len(before)}, column {len(before[-1]) + 1}"
        assert passage["text"] == text[passage["start"] : passage["stop"]]


def test_notes_of_the_beat_have_bars_and_those_of_a_performance_seconds(
    gen: Gen, writing_runs: Path, music_folder: Path
) -> None:
    places = {
        codec: json.loads(gen("eval", writing_runs / codec, music_folder / "bwv3.6.mid", "--show", "--json").out)
        for codec in ("beat", "performance")
    }
    first = {codec: found["documents"][0]["notes"][0]["place"] for codec, found in places.items()}
    assert first == {"beat": "bar 1, beat 1", "performance": "0.00 s"}


def test_on_a_terminal_the_text_is_coloured_and_elsewhere_it_has_digits(
    gen: Gen, writing_runs: Path, fox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = gen("eval", writing_runs / "char", fox, "--show").out
    with monkeypatch.context() as patch:
        patch.setattr("gen.cli.measuring.has_colour", lambda _stream: True)
        coloured = gen("eval", writing_runs / "char", fox, "--show").out
    assert not ESCAPE.search(plain)
    assert re.search(r"^The lazy dog\u23ce\n[\d ]+\njumps over", plain, re.MULTILINE)
    assert re.search(r"\x1b\[38;2;0;0;0;48;2;\d+;\d+;\d+mT\x1b\[0m", coloured)
    assert "The lazy dog\u23ce\njumps over" in ESCAPE.sub("", coloured)
    assert "most surprising passages" in plain


def test_nothing_in_a_text_reaches_the_terminal_as_a_command(
    gen: Gen, writing_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nasty.txt"
    path.write_text(NASTY, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("gen.cli.measuring.has_colour", lambda _stream: True)
        coloured = gen("eval", writing_runs / "byte", path, "--show").out
    for out in (
        gen("eval", writing_runs / "byte", path, "--show").out,
        re.sub(r"\x1b\[(0|38;2;[\d;]+)m", "", coloured),
    ):
        assert all(character.isprintable() or character == "\n" for character in out)


def test_characters_that_the_model_lacks_are_counted(gen: Gen, writing_runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("The \u017elut\u00fd dog\n", encoding="utf-8")
    assert gen("eval", writing_runs / "char", path, "--show").code == 2
    found = gen("eval", writing_runs / "char", path, "--show", "--unknown", "skip")
    assert "2 characters that the model lacks left out" in found.out


def test_a_passage_of_several_files_names_its_own(gen: Gen, writing_runs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("The lazy dog.\n", encoding="utf-8")
    found = json.loads(gen("eval", writing_runs / "char", tmp_path, "--show", "--json").out)
    places = {passage["place"] for passage in found["passages"]}
    assert places == {f"{document['name']}, line 1, column 1" for document in found["documents"]}


def test_only_a_part_of_a_long_file_is_shown_and_that_is_said(
    gen: Gen, writing_runs: Path, fox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = json.loads(gen("eval", writing_runs / "char", fox, "--json").out)
    monkeypatch.setattr("gen.runs.surprise.MAX_TOKENS", 10)
    monkeypatch.setattr("gen.pages.surprise.MAX_PIECES", {"text": 5})
    outcome = gen("eval", writing_runs / "char", fox, "--show", "--out", tmp_path / "x.html")
    found = json.loads(gen("eval", writing_runs / "char", fox, "--show", "--json").out)
    assert "Shown are the first 10 of 40 tokens." in outcome.err
    assert re.search(r"^not shown +30 ", outcome.out, re.MULTILINE)
    assert (len(found["surprise_nats"]), found["tokens"], found["shown_tokens"]) == (10, 40, 10)
    assert found["nats_per_token"] == pytest.approx(plain["nats_per_token"])
    data = data_of(tmp_path / "x.html")
    assert data["views"][0]["documents"][0]["characters"] == list("The l")
    assert "the first 5 characters" in data["remark"]


def test_runs_beside_each_other_are_compared_character_by_character(
    gen: Gen, writing_runs: Path, fox: Path, tmp_path: Path
) -> None:
    page = tmp_path / "x.html"
    command = ("eval", writing_runs / "char", fox, "--beside", writing_runs / "byte", "--show", "--out", page, "--json")
    found = json.loads(gen(*command).out)
    (other,) = found["beside"]
    differences = data_of(page)["views"][2]["documents"][0]["nats"]
    (ours,), (theirs,) = (each["documents"] for each in (found, other))
    assert (found["run"], other["run"]) == ("char", "byte")
    expected = [b - a for a, b in zip(ours["nats"], theirs["nats"], strict=True)]
    assert differences == pytest.approx(expected, abs=2e-6)
    assert "passages that differ most: byte less char" in gen("eval", *command[1:5]).out


def test_a_character_that_one_run_lacks_has_no_difference(gen: Gen, writing_runs: Path, tmp_path: Path) -> None:
    path, page = tmp_path / "x.txt", tmp_path / "x.html"
    path.write_text("The \u017elut\u00fd dog\n", encoding="utf-8")
    command = (writing_runs / "byte", path, "--beside", writing_runs / "char", "--unknown", "skip", "--out", page)
    assert gen("eval", *command).code == 0
    document = data_of(page)["views"][2]["documents"][0]
    lacking = [symbol for symbol, nats in zip(document["characters"], document["nats"], strict=True) if nats is None]
    assert lacking == ["\u017e", "\u00fd"]


def test_adapting_is_reported_apart(gen: Gen, writing_runs: Path, text_file: Path) -> None:
    static = json.loads(gen("eval", writing_runs / "char", text_file, "--json").out)
    found = json.loads(gen("eval", writing_runs / "char", text_file, "--adapt", "--adapt-rate", 1, "--json").out)
    adapted = found.pop("adapted")
    assert found == static
    assert (adapted["segment"], adapted["rate"], adapted["tokens"]) == (32, 1.0, static["tokens"])
    assert adapted["nats_per_token"] < 0.9 * static["nats_per_token"]
    assert json.loads(gen("eval", writing_runs / "char", text_file, "--json").out) == static


@pytest.mark.parametrize("codec", ["char", "beat"])
def test_what_a_run_costs_while_it_adapts_can_be_shown_beside_it(
    gen: Gen, writing_runs: Path, fox: Path, music_folder: Path, tmp_path: Path, codec: str
) -> None:
    page = tmp_path / "x.html"
    outcome = gen("eval", writing_runs / codec, corpus_of(codec, fox, music_folder), "--adapt", "--out", page)
    labels = [view["label"] for view in data_of(page)["views"]]
    assert labels == [codec, f"{codec}, adapting", f"{codec}, adapting less {codec}"]
    assert "adapting, by a step of rate 0.1 after each 32 tokens:" in outcome.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "x.txt"), "x.txt: unknown kind of page (.txt)"),
        (("--adapt", "--precision", "int8"), "--adapt: learns in fp32 only (int8)"),
        (("--adapt", "--context", "5"), "--adapt: carries its state (--context 5)"),
        (("--adapt-rate", "0.5"), "--adapt-rate: only with --adapt (0.5)"),
        (("--adapt", "--adapt-segment", "0"), "--adapt-segment: must be 1 to 65536 (0)"),
    ],
)
def test_options_that_cannot_be_are_refused(
    gen: Gen, writing_runs: Path, fox: Path, options: tuple[str], words: str
) -> None:
    outcome = gen("eval", writing_runs / "char", fox, *options)
    assert (outcome.code, outcome.out) == (console.MENDABLE, "")
    assert words in outcome.err


@pytest.mark.parametrize("option", ["--adapt", "--beside"])
def test_standard_input_cannot_be_measured_twice(gen: Gen, writing_runs: Path, option: str) -> None:
    value = [writing_runs / "byte"] * (option == "--beside")
    outcome = gen("eval", writing_runs / "char", "-", option, *value)
    assert f"{option}: standard input can be read only once" in outcome.err


def test_a_run_beside_must_write_the_same_and_needs_a_corpus(gen: Gen, writing_runs: Path, fox: Path) -> None:
    assert (
        "beat writes music, char text" in gen("eval", writing_runs / "char", fox, "--beside", writing_runs / "beat").err
    )
    assert (
        "--beside: valid is another text"
        in gen("eval", writing_runs / "char", "valid", "--beside", writing_runs / "byte").err
    )


@pytest.mark.slow
@every_codec
def test_what_is_pointed_at_on_a_page_is_the_number_of_the_json(
    gen: Gen,
    writing_runs: Path,
    fox: Path,
    music_folder: Path,
    tmp_path: Path,
    open_page: Open,
    codec: str,
) -> None:
    path = tmp_path / "x.html"
    outcome = gen("eval", writing_runs / codec, corpus_of(codec, fox, music_folder), "--show", "--out", path, "--json")
    (document,) = json.loads(outcome.out)["documents"]
    page = open_page(path)
    for number in (0, 5, 30):
        page.locator(".item").nth(number).hover()
        read = re.search(r"nats (\S+)", page.inner_text("#readout"))
        assert read is not None
        assert float(read[1]) == document["nats"][number]


@pytest.mark.slow
def test_a_page_of_a_nasty_text_shows_all_of_it_and_runs_nothing(
    gen: Gen,
    writing_runs: Path,
    tmp_path: Path,
    open_page: Open,
) -> None:
    path = tmp_path / "nasty.txt"
    path.write_text(NASTY, encoding="utf-8")
    gen("eval", writing_runs / "byte", path, "--out", tmp_path / "x.html")
    page = open_page(tmp_path / "x.html")
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.locator(".text div").count() == 3
    assert page.locator(".text div").nth(0).inner_text().startswith("</script>")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.locator("li button").first.click()
    assert page.locator(".chosen").count() > 0
