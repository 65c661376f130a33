"""The house as a test: rooms import downwards only, no two files import each other, and no room becomes a tower.

The rooms and their floors are those of docs/design.md.
"""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gen"
GROUND = {"errors", "files", "config", "codec", "version"}
BINDING = GROUND | {"data", "kernels", "models", "music", "codecs", "corpus", "training", "generation", "analysis"}
# The rooms that each room may import besides itself.
ALLOWED = {
    "errors": set(),
    "version": set(),
    "files": {"errors"},
    "config": {"errors"},
    "codec": {"errors"},
    "data": GROUND,
    "kernels": {"errors", "files", "config"},
    "models": GROUND | {"kernels"},
    "music": {"errors", "files"},
    "codecs": GROUND | {"music"},
    "corpus": GROUND | {"music", "codecs", "data"},
    "training": GROUND | {"data", "models", "kernels"},
    "generation": GROUND | {"data", "models", "kernels"},
    "analysis": GROUND | {"data", "models"},
    "runs": BINDING,
    "live": BINDING | {"runs"},
    "bench": BINDING | {"runs"},
    "pages": BINDING | {"runs"},
    "__init__": BINDING | {"runs"},
    "cli": BINDING | {"runs", "live", "bench", "pages"},
    "__main__": {"cli"},
}
CORE = ("kernels", "data", "models", "training", "generation", "analysis")
MAX_LOOSE_MODULES = 6  # at the top of the package, beside __init__ and __main__
MAX_FLOORS = 10  # of rooms: the longest chain of imports among them
MIN_FAMILY = 3  # files with a prefix in common, which then are a folder
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(module: str) -> Iterator[str]:
    """Yields every module that a file imports, or a name in it, wherever in the file the import stands."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """Returns the folder at the top of the package that a file stands in, or the file's own name."""
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


def rooms_imported(module: str) -> set[str]:
    """Returns the other rooms that a file imports."""
    return {name.split(".")[1] for name in imports(module) if name.startswith("gen.")} - {room(module)}


def file_of(name: str) -> str | None:
    """Returns the file of the package that holds an imported module or name."""
    parts = name.split(".")[1:]
    for path in ("/".join(parts), "/".join(parts[:-1])):
        for file in (f"{path}.py", f"{path}/__init__.py".lstrip("/")):
            if file in MODULES:
                return file
    return None


def longest_chain(graph: Mapping[str, set[str]]) -> int:
    """Returns how many nodes the longest path of an acyclic graph has."""
    heights: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():
        heights[node] = 1 + max((heights[below] for below in graph.get(node, ())), default=0)
    return max(heights.values())


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down_only(module: str) -> None:
    assert rooms_imported(module) <= ALLOWED[room(module)]


def test_no_two_files_import_each_other() -> None:
    graph = {
        module: {file for name in imports(module) if name.split(".")[0] == "gen" and (file := file_of(name))} - {module}
        for module in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        pytest.fail(" imports ".join(reversed(err.args[1])))


def test_the_house_has_few_floors() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        graph[room(module)] |= rooms_imported(module)
    assert longest_chain(graph) <= MAX_FLOORS


def test_few_modules_stand_outside_a_room() -> None:
    loose = {module for module in MODULES if "/" not in module} - {"__init__.py", "__main__.py"}
    assert len(loose) <= MAX_LOOSE_MODULES


def test_files_with_a_prefix_in_common_have_a_folder_of_their_own() -> None:
    heads = Counter(
        (path.parent, path.stem.split("_")[0])
        for path in map(Path, MODULES)
        if "_" in path.stem and not path.stem.startswith("__")
    )
    assert [head for head, count in heads.items() if count >= MIN_FAMILY] == []


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_long(module: str) -> None:
    assert len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) < MAX_FILE_LINES


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


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) in CORE])
def test_the_core_has_no_words_of_music(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    names = {node.id.lower() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"pitch", "velocity", "midi", "score", "note"}


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_long(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    # The signature of a command is its options, one a line: of the command line the bodies alone are counted.
    starts = {node.name: node.body[0].lineno if room(module) == "cli" else node.lineno for node in functions}
    long = {node.name for node in functions if (node.end_lineno or 0) - starts[node.name] >= MAX_FUNCTION_LINES}
    assert long == set()
