"""The corpora that come with gen: in `corpora/` of a checkout, in `gen/corpora/` of an installed wheel."""

from pathlib import Path
from typing import NamedTuple

from gen.errors import CorpusError


class Builtin(NamedTuple):
    """A corpus that comes with gen."""

    name: str
    file: str  # a file or a folder in corpora/
    description: str


_PACKAGE = Path(__file__).parents[1]
_BUILTINS = (
    Builtin("shakespeare", "shakespeare.txt", "nine plays by William Shakespeare, 1.1 MB of text"),
    Builtin("chorales", "chorales", "363 four-part chorales by Johann Sebastian Bach, MIDI"),
)


def builtins() -> tuple[Builtin, ...]:
    """Returns the built-in corpora."""
    return _BUILTINS


def builtin_path(name: str) -> Path | None:
    """Returns the file or folder of a built-in corpus, or None if no built-in corpus has the name.

    Raises:
        CorpusError: the installation lacks its files.
    """
    for builtin in _BUILTINS:
        if builtin.name == name:
            for folder in (_PACKAGE / "corpora", _PACKAGE.parent / "corpora"):
                if (folder / builtin.file).exists():
                    return folder / builtin.file
            raise CorpusError(f"{name}: not in this installation ({_PACKAGE / 'corpora'})", hint="install gen again")
    return None
