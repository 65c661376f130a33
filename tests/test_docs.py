import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen.cli.main import run as run_gen

REPOSITORY = Path(__file__).parents[1]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TINY = "--steps 2 --layers 1 --hidden 8 --embedding 4 --batch-size 4 --bptt 16"
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
    rows = (f"{word} {word},{number % 5}" for number, word in enumerate(words))
    (folder / "reviews.csv").write_text("text,stars\n" + "\n".join(rows), encoding="utf-8")


def tables(page: str) -> list[list[str]]:
    """Returns the tables of a page, each as its lines."""
    blocks = re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE)
    return [block.splitlines() for block in blocks]


def is_sound(table: list[str]) -> bool:
    """Returns whether the second line is a rule and all lines have as many cells as the first."""
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    return len(widths) == 1 and len(table) > 1 and bool(re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", table[1]))


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


@pytest.mark.parametrize("page", markdown_files())
def test_every_table_has_a_rule_and_rows_of_equal_width(page: str) -> None:
    assert [table[0] for table in tables(page) if not is_sound(table)] == []


def test_every_benchmark_is_in_the_table_with_a_page_of_results() -> None:
    scripts = {path.name for path in (REPOSITORY / "benchmarks").glob("*.py")}
    rows = re.findall(r"^\| \[`(\w+\.py)[^`]*`\]\(results/(\w+)\.md\)", prose("benchmarks/README.md"), re.MULTILINE)
    assert {script for script, _ in rows} == scripts
    assert all(script == f"{page}.py" for script, page in rows)


@pytest.mark.parametrize("page", sorted(path.name for path in (REPOSITORY / "benchmarks" / "results").glob("*.md")))
def test_every_page_of_results_names_machine_and_date(page: str) -> None:
    text = prose(f"benchmarks/results/{page}")
    stamp = r"^.+ \(.*\), torch \S+, \d{4}-\d\d-\d\d.*, gen \S+: `"
    assert "Nothing is measured yet" in text or re.search(stamp, text, re.MULTILINE)
