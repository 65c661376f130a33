"""One HTML file of a title, data and the packaged scripts that draw the data.

The folder assets/ holds the template, the style, and scripts. `page.js` comes first: it reads the data, and has what
all pages share. `text.js` draws a coloured text and `roll.js` a coloured piano roll. The last script of a page draws
the page itself.

The data are in the page as JSON, with `<` escaped: no text in them, such as `</script>`, can end the element. Scripts
show texts by `textContent` alone, so no text becomes markup. The page's own security policy forbids it the network.
"""

from collections.abc import Sequence
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from gen.errors import SettingError
from gen.files.disk import check_place, write_atomically
from gen.files.json_text import json_text

SUFFIXES = (".html", ".htm")
_ASSETS = files("gen.pages") / "assets"


def check_page(path: Path) -> None:
    """Raises SettingError unless the path has the suffix of a page and stands in a folder that exists."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingError(f"{path}: unknown kind of page ({suffix or 'no suffix'})", hint="use .html")
    check_place(path)


def write_page(path: Path, title: str, data: Any, *, scripts: Sequence[str]) -> None:
    """Writes a page; the file appears whole or not at all.

    Args:
        path: of a kind that `check_page` allows.
        title: of the window, and the page's heading.
        data: JSON data, which the scripts find as `page.data`; numbers that are not finite become null.
        scripts: names of files in assets/ that follow `page.js`, in their order.

    Raises SettingError if the file cannot be written.
    """
    check_page(path)
    html = page_html(title, data, scripts=scripts)
    write_atomically(path, partial(Path.write_text, data=html, encoding="utf-8", newline="\n"))


def page_html(title: str, data: Any, *, scripts: Sequence[str]) -> str:
    """Returns the HTML of a page; arguments as in `write_page`."""
    script = "\n".join(_asset(name) for name in ("page.js", *scripts))
    shown = "".join(character if character.isprintable() else "\ufffd" for character in title)
    return Template(_asset("page.html")).substitute(
        title=escape(shown), style=_asset("page.css"), data=embedded_json(data), script=script
    )


def embedded_json(data: Any) -> str:
    """Returns JSON for a script element of HTML: ASCII without `<`, so that no text in it ends the element."""
    return json_text(data, is_ascii=True).replace("<", r"\u003c")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
