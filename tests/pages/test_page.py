import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from gen.errors import SettingError
from gen.pages.page import check_page, embedded_json, page_html, write_page
from tests.browser import Open

NASTY = (
    "</script><script>throw 1</script>",
    "<!-- <script>",
    "\u2028\u2029\x00\x1b[31m",
    "\ud800",  # a lone surrogate, which UTF-8 cannot write
    "\u202eabc\u202c",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "e\u0301 \U0001f469\u200d\U0001f4bb \U0001d11e",
    "&lt;b&gt; $style ${data}",
)


class _Data(HTMLParser):
    """Collects the text of the element that holds the data, as an HTML parser finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_inside, self.found, self.num_scripts = False, "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.num_scripts += tag == "script"
        self.is_inside = ("id", "data") in attrs

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - nothing stands within that element
        self.is_inside = False

    def handle_data(self, data: str) -> None:
        self.found += data if self.is_inside else ""


def parsed(html: str) -> _Data:
    parser = _Data()
    parser.feed(html)
    return parser


@pytest.mark.parametrize("text", NASTY)
def test_data_come_out_as_they_went_in_whatever_text_they_hold(text: str) -> None:
    page = parsed(page_html("a page", {text: [text]}, scripts=()))
    assert json.loads(page.found) == {text: [text]}
    assert page.num_scripts == 2


def test_embedded_json_is_ascii_without_the_sign_that_opens_markup() -> None:
    found = embedded_json({"text": "".join(NASTY)})
    assert found.isascii()
    assert "<" not in found


def test_numbers_that_json_cannot_hold_are_null() -> None:
    assert embedded_json([1.5, float("inf"), (float("nan"),)]) == "[1.5, null, [null]]"


def test_a_title_is_text() -> None:
    html = page_html("<b>\x00 & \ud800", {}, scripts=())
    assert "<title>&lt;b&gt;\ufffd &amp; \ufffd</title>" in html


def test_a_page_names_nothing_outside_itself() -> None:
    scripts = [each.name for each in (files("gen.pages") / "assets").iterdir() if each.name.endswith(".js")]
    html = page_html("a page", {}, scripts=scripts)
    assert re.findall(r"(?:https?:)?//[a-z]+\.[^\s\"]*|@import|\bfetch\(|XMLHttpRequest|\ssrc=", html) == [
        "http://www.w3.org/2000/svg"  # the name of a namespace, which is not fetched
    ]


@pytest.mark.parametrize(("name", "words"), [("x.txt", "unknown kind of page"), ("none/x.html", "no such folder")])
def test_a_page_that_cannot_be_written_is_a_setting_error(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        check_page(tmp_path / name)


def test_a_page_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("old")
    write_page(path, "new", {}, scripts=())
    assert path.read_text(encoding="utf-8") == page_html("new", {}, scripts=())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_every_symbol_of_a_nasty_text_can_be_pointed_at(tmp_path: Path, open_page: Open) -> None:
    symbols = [*"".join(NASTY), "\n", "\t", "z"]
    nats = [number / 8 + 0.123456789 for number in range(len(symbols))]
    view = {"label": "run", "is_difference": False, "figures": [["run"]], "passages": []}
    view["documents"] = [{"name": NASTY[0], "characters": symbols, "nats": nats}]
    data = {"kind": "text", "unit": "char", "remark": NASTY[0], "views": [view]}
    write_page(tmp_path / "x.html", NASTY[0], data, scripts=("text.js", "roll.js", "surprise.js"))
    page = open_page(tmp_path / "x.html")
    page.focus(".text")
    read = set()
    for _ in symbols:
        read |= set(re.findall(r"\d+\.\d+(?= bits)|nats (\d+\.\d+)", page.inner_text("#readout")))
        page.keyboard.press("ArrowRight")
    assert {str(number) for number in nats} <= read
    assert page.evaluate("document.scripts.length") == 2
