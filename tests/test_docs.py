import ast
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from gen.cli.main import run as run_gen

REPOSITORY = Path(__file__).parents[1]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TINY = "--steps 2 --layers 1 --hidden 8 --embedding 4 --batch-size 4 --bptt 16"
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def markdown_files() -> list[str]:
    """Returns the Markdown files of the project, relative to its root."""
    folders = (".", "docs", "benchmarks", "benchmarks/results", "corpora", "tests/old_runs")
    paths = (path for folder in folders for path in sorted((REPOSITORY / folder).glob("*.md")))
    return [path.relative_to(REPOSITORY).as_posix() for path in paths]


def prose(page: str) -> str:
    """Returns a page without its fenced code."""
    return FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))


def anchors(page: str) -> set[str]:
    """Returns the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: str) -> Iterator[str]:
    """Yields the relative links of a page whose file or heading does not exist."""
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = ((REPOSITORY / page).parent / name).resolve() if name else REPOSITORY / page
        if not path.exists() or (anchor and anchor not in anchors(path.relative_to(REPOSITORY).as_posix())):
            yield target


def fences(page: str, language: str) -> list[str]:
    """Returns the fenced code of a page in one language."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """Returns the `gen` commands of a page, each as its arguments; what trains takes two tiny steps."""
    lines = "".join(fences(page, "console") + fences(page, "sh")).splitlines()
    found = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if re.match(r"(\$ )?gen ", line)]
    return [tiny(arguments[1:]) for arguments in found]


def tiny(arguments: list[str]) -> list[str]:
    """Returns a command that trains for two tiny steps instead of its minutes; other commands stay as they are."""
    if arguments[0] != "train":
        return arguments
    line = re.sub(r"--minutes \S+", "", shlex.join(arguments))
    return shlex.split(f"{line} {TINY}")


def write_corpora(folder: Path) -> None:
    """Writes the files that the commands of the README take for the reader's own."""
    chorales = sorted((REPOSITORY / "corpora" / "chorales").glob("*.mid"))[:40]
    (folder / "midi").mkdir()
    for path in chorales:
        shutil.copy(path, folder / "midi")
    shutil.copy(chorales[0], folder / "my.mid")
    words = [f"{first}{second}" for first in "abcdefgh" for second in "ijklmnop"]
    for name in ("novel.txt", "other.txt"):
        (folder / name).write_text(" ".join(words * 20), encoding="utf-8")
    (folder / "names.txt").write_text("\n".join(words), encoding="utf-8")
    pairs = (f"{word},{word[::-1]}" for word in words)
    (folder / "words.csv").write_text("source,target\n" + "\n".join(pairs), encoding="utf-8")
    rows = (f"{word} {word},{number % 5}" for number, word in enumerate(words))
    (folder / "tagged.tsv").write_text("".join(f"{word}\t{word[0]}\n\n" for word in words), encoding="utf-8")
    (folder / "reviews.csv").write_text("text,stars\n" + "\n".join(rows), encoding="utf-8")


def tables(page: str) -> list[list[str]]:
    """Returns the tables of a page, each as its lines."""
    blocks = re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE)
    return [block.splitlines() for block in blocks]


def is_sound(table: list[str]) -> bool:
    """Returns whether the second line is a rule and all lines have as many cells as the first."""
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    return len(widths) == 1 and len(table) > 1 and bool(re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", table[1]))


@cache
def module(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def code_lines(path: str) -> set[int]:
    """Returns the numbers of the lines of a file that hold code: no blank lines, comments or docstrings."""
    source = (REPOSITORY / path).read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {n for token in tokens if token.type not in NO_CODE for n in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(module(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def lines_of(path: str, name: str) -> set[int]:
    """Returns the numbers of the lines of a function, class or method: `Trainer.run`; none if it does not exist."""
    body, found = module(path).body, None
    for part in name.split("."):
        defined = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part]
        if not defined:
            return set()
        found = defined[-1]
        body = found.body
    assert found is not None
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    return set(range(first, (found.end_lineno or first) + 1))


def missing_code(page: str) -> Iterator[str]:
    """Yields what a page names in backquotes that does not exist: files, folders, and names `in` a file."""
    text = prose(page)
    roots = ("gen/", "tests/", "docs/", "benchmarks/", "corpora/")
    for path in re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text):
        if path.startswith(roots) and not (REPOSITORY / path).exists():
            yield path
    for names, path in re.findall(r"((?:`\w+`, )*`\w+`) in `([\w/]+\.py)`", text):
        source = (REPOSITORY / path).read_text(encoding="utf-8")
        yield from (name for name in re.findall(r"\w+", names) if not re.search(rf"\b{name}\b", source))


def stops() -> list[str]:
    """Returns the stops of the tour."""
    text = (REPOSITORY / "docs" / "tour.md").read_text(encoding="utf-8")
    return [part for part in re.split(r"^(?=## )", text, flags=re.MULTILINE) if re.match(r"## \d", part)]


def reading(stop: str) -> Iterator[tuple[str, str]]:
    """Yields what a stop of the tour names to read: files, and functions in them, or "" for the whole file."""
    for path, names in re.findall(r"^- `(gen/[\w/]+\.py)`: (.*(?:\n  .*)*)", stop, re.MULTILINE):
        for name in [""] if names.startswith("the whole file") else re.findall(r"`([\w.]+)`", names):
            yield path, name


def lines_to_read(stop: str) -> set[tuple[str, int]]:
    """Returns the lines of code that a stop of the tour names."""
    named = ((path, lines_of(path, name) if name else code_lines(path)) for path, name in reading(stop))
    return {(path, line) for path, lines in named for line in lines & code_lines(path)}


@pytest.mark.parametrize("stop", stops(), ids=lambda stop: stop[3:4])
def test_a_stop_of_the_tour_names_code_of_the_length_that_it_says(stop: str) -> None:
    stated = int(re.findall(r"^Read \((\d+) lines\):$", stop, re.MULTILINE)[0])
    assert {(path, name) for path, name in reading(stop) if name and not lines_of(path, name)} == set()
    assert len(lines_to_read(stop)) == pytest.approx(stated, rel=0.15)


def test_the_tour_has_eight_stops_of_1000_to_1400_lines_together() -> None:
    assert len(stops()) == 8
    assert 1000 <= len(set(chain.from_iterable(map(lines_to_read, stops())))) <= 1400


@pytest.mark.parametrize("stop", stops(), ids=lambda stop: stop[3:4])
def test_a_script_of_the_tour_prints_what_stands_below_it(
    stop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"^```python\n(.*?)^```", stop, re.MULTILINE | re.DOTALL)
    (printed,) = re.findall(r"^```text\n(.*?)^```", stop, re.MULTILINE | re.DOTALL)
    Path("script.py").write_text(script, encoding="utf-8")
    runpy.run_path("script.py")
    assert capsys.readouterr().out == printed


@pytest.mark.slow
def test_the_commands_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpora(tmp_path)
    monkeypatch.chdir(tmp_path)
    failed = [command for command in commands("README.md") if run_gen(command) != 0]
    (snippet,) = fences("README.md", "python")
    script = tmp_path / "script.py"
    script.write_text(snippet.replace("temperature=0.8", "temperature=0.8, length=20"), encoding="utf-8")
    runpy.run_path(str(script))
    assert failed == [], capsys.readouterr().err


def test_the_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, str(REPOSITORY / "docs" / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (REPOSITORY / "docs").glob("*.md")}
    assert {page for page in pages if f"(docs/{page})" not in readme} == set()


@pytest.mark.parametrize("page", markdown_files())
def test_every_relative_link_leads_to_a_file_and_a_heading(page: str) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", [page for page in markdown_files() if page != "CHANGELOG.md"])
def test_every_file_and_name_of_the_code_on_a_page_exists(page: str) -> None:
    assert list(missing_code(page)) == []


@pytest.mark.parametrize("page", markdown_files())
def test_every_table_has_a_rule_and_rows_of_equal_width(page: str) -> None:
    assert [table[0] for table in tables(page) if not is_sound(table)] == []


def test_every_benchmark_is_in_the_table_with_a_page_of_results() -> None:
    files = (REPOSITORY / "benchmarks").glob("*.py")
    scripts = {path.name for path in files if "__main__" in path.read_text(encoding="utf-8")}
    rows = re.findall(r"^\| \[`(\w+\.py)[^`]*`\]\(results/(\w+)\.md\)", prose("benchmarks/README.md"), re.MULTILINE)
    assert {script for script, _ in rows} == scripts
    assert all(script == f"{page}.py" for script, page in rows)


@pytest.mark.parametrize("page", sorted(path.name for path in (REPOSITORY / "benchmarks" / "results").glob("*.md")))
def test_every_page_of_results_names_machine_and_date(page: str) -> None:
    text = prose(f"benchmarks/results/{page}")
    stamp = r"^.+ \(.*\), torch \S+, \d{4}-\d\d-\d\d.*, gen \S+: `"
    assert "Nothing is measured yet" in text or re.search(stamp, text, re.MULTILINE)
