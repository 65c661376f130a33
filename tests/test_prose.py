"""The conventions of prose and names that a program can check."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gen

ROOT = Path(gen.__file__).parent
MODULES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))
NO_OPENINGS = frozenset(
    ["What", "How", "Where", "Whether", "Which", "Who", "Whoever", "Why", "When", "If", "Of", "So", "That", "As"]
)
NO_BOUND = re.compile(r"_?(MOST|LEAST|LONGEST|SHORTEST|HIGHEST|LOWEST|LARGEST|SMALLEST)(_|$)")


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield text


def constants(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id.isupper():
            yield node.id


def read(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_a_docstring_opens_with_a_noun_or_a_verb(module: str) -> None:
    assert not [text.splitlines()[0] for text in docstrings(read(module)) if text.split()[0] in NO_OPENINGS]


@pytest.mark.parametrize("module", MODULES)
def test_a_bound_is_named_max_or_min(module: str) -> None:
    assert not [name for name in constants(read(module)) if NO_BOUND.match(name)]
