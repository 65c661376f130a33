"""Imports run down only: the diagram of docs/design.md as a test."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gen"
CORE = ("kernels", "data", "models", "training", "generation", "analysis")
GROUND = {"errors", "config", "codec", "files", "compressed", "version"}
# The rooms that each room may import besides itself; what is not named here may import everything but the command line.
ALLOWED = {
    "errors": set(),
    "version": set(),
    "files": {"errors"},
    "compressed": {"errors", "files"},
    "config": {"errors"},
    "codec": {"errors"},
    "data": GROUND,
    "kernels": {"errors", "files"},
    "models": GROUND | {"kernels"},
    "training": GROUND | {"data", "models", "kernels"},
    "generation": GROUND | {"data", "models", "kernels"},
    "analysis": GROUND | {"data", "models"},
    "music": {"errors", "files", "compressed"},
    "codecs": GROUND | {"music"},
    "corpus": GROUND | {"music", "codecs", "data"},
    "runs": GROUND | {*CORE, "music", "codecs", "corpus"},
}
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(module: str) -> Iterator[str]:
    """Yields every module that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(module: str) -> str:
    """Returns the room of a file, or the module itself where it stands alone."""
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down_only(module: str) -> None:
    rooms = {name.split(".")[1] for name in imports(module) if name.startswith("gen.")} - {part(module), "__version__"}
    if part(module) in ALLOWED:
        assert rooms <= ALLOWED[part(module)]
    elif part(module) not in ("cli", "web", "__main__"):
        assert not rooms & {"cli", "web"}


def file_of(name: str) -> str | None:
    """Returns the file that a dotted name stands for, or stands in; None if it is no file of this program."""
    parts = name.split(".")[1:]
    for stem in ("/".join(parts), "/".join(parts[:-1])):
        for path in (f"{stem}.py", f"{stem}/__init__.py".lstrip("/")):
            if path in MODULES:
                return path
    return None


def test_no_two_files_import_each_other() -> None:
    names = {module: [name for name in imports(module) if name.startswith("gen.")] for module in MODULES}
    graph = {module: {file_of(name) for name in found} - {None, module} for module, found in names.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        pytest.fail(f"a circle of files: {err.args[1]}")


def test_few_modules_stand_outside_the_rooms() -> None:
    assert len([module for module in MODULES if "/" not in module and not module.startswith("__")]) <= 6


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_unpickled(module: str) -> None:
    used = {name.split(".")[0] for name in imports(module)}
    assert not used & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    source = (PACKAGE / module).read_text(encoding="utf-8")
    assert "torch.load(" not in source
    assert "allow_pickle" not in source


def test_mido_is_where_midi_is_written_and_played() -> None:
    users = {module for module in MODULES if any(name.split(".")[0] == "mido" for name in imports(module))}
    assert users == {"music/midi/write.py", "live/player.py", "live/ports.py"}


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) in CORE])
def test_the_core_has_no_words_of_music(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    names = {node.id.lower() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"pitch", "velocity", "midi", "score", "note"}
