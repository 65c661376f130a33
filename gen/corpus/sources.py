"""Finds the files of a corpus, given files, folders, globs, standard input and built-in names, in a fixed order.

    an existing path  takes precedence over a glob or a built-in corpus of the same name
    a folder          is walked with its sub-folders in the order of names; hidden files are left out, and every folder
                      is entered once, so that a loop of symbolic links ends
    a label           is the first sub-folder below the given folder
    a file that is    found a second time, through a link or an overlapping glob, is skipped

If a file that the user named cannot be used, that is an error; a file that was found is skipped, with the reason.
"""

import difflib
import glob
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gen.corpus.builtin import builtin_path, builtins
from gen.errors import CorpusError
from gen.files.disk import cache_root, reason, special_file
from gen.music.midi.recognise import begins_as_midi

STDIN_NAME = "standard input"
_BLOCK_BYTES = 1 << 20


class SourceFile(NamedTuple):
    """A regular file of a corpus."""

    path: Path
    name: str  # relative to the path that the user gave
    label: str | None  # the first sub-folder below the given folder
    is_given: bool  # whether the user named the file; False for a file found in a folder or by a glob
    size: int  # in bytes, when the file was found


class Skipped(NamedTuple):
    """A path that was found and is not read."""

    name: str
    reason: str


class StandardInput:
    """Standard input, copied into a file on first use because it can be read only once.

    Args:
        stream: the stream to read; by default the standard input of this process.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream
        self._copy: Path | None = None

    def path(self) -> Path:
        """Returns the path of the copy. Raises CorpusError if it cannot be read or written."""
        if self._copy is None:
            self._copy = spool(self._stream or standard_input())
        return self._copy

    def close(self) -> None:
        """Removes the copy, if it exists."""
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a corpus."""

    files: tuple[SourceFile, ...]
    skipped: tuple[Skipped, ...]


@dataclass(slots=True)
class _Search:
    """The files found so far."""

    stdin: StandardInput
    files: list[SourceFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    seen: dict[tuple[int, int], str] = field(default_factory=dict)  # (device, inode) of files and folders

    def enter(self, status: os.stat_result, name: str) -> str | None:
        """Returns the name under which a file or folder was found before; None the first time, and stores its name."""
        inode = (status.st_dev, status.st_ino)
        first = self.seen.get(inode)
        self.seen.setdefault(inode, name)
        return first


def find_sources(sources: Sequence[str], stdin: StandardInput) -> Sources:
    """Returns the files of the given sources, in order.

    Args:
        sources: files, folders, globs, "-" or names of built-in corpora.
        stdin: the standard input that "-" reads.

    Raises:
        CorpusError: a source is missing, unreadable, a device, or a folder or glob without files.
    """
    if list(sources).count("-") > 1:
        raise CorpusError("-: standard input can be given only once")
    found = _Search(stdin)
    for source in sources:
        _find(source, found)
    return Sources(tuple(found.files), tuple(found.skipped))


def standard_input() -> BinaryIO:
    """Returns standard input. Raises CorpusError if it is closed."""
    if sys.stdin is None or sys.stdin.closed:
        raise CorpusError(f"{STDIN_NAME}: closed")
    announce_terminal(sys.stdin.buffer)
    return sys.stdin.buffer


def announce_terminal(stream: BinaryIO) -> None:
    """Writes to stderr how to end the input, if the stream is a terminal."""
    if stream.isatty():
        end = "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D"
        print(f"reading {STDIN_NAME}; end it with {end}", file=sys.stderr, flush=True)


def spool(stream: BinaryIO) -> Path:
    """Copies a stream into a file in the cache, with suffix .mid if it begins as MIDI does; the caller removes it.

    Raises CorpusError if the stream cannot be read or the file cannot be written.
    """
    folder = cache_root() / "spool"
    copy: Path | None = None
    try:
        block = stream.read(_BLOCK_BYTES)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = ".mid" if begins_as_midi(block) else ""
        with tempfile.NamedTemporaryFile(dir=folder, suffix=suffix, delete=False) as file:
            copy = Path(file.name)
            file.write(block)
            while len(block) == _BLOCK_BYTES:  # a shorter block is the last: at a terminal another read would wait
                block = stream.read(_BLOCK_BYTES)
                file.write(block)
    except BaseException as err:
        if copy is not None:
            copy.unlink(missing_ok=True)
        if isinstance(err, OSError):
            raise CorpusError(f"{folder}: cannot keep standard input ({reason(err)})") from err
        raise
    return copy


def is_gone(source: str) -> bool:
    """Returns whether a source cannot be read again: standard input, or a name that no longer exists."""
    try:
        return source == "-" or (
            _status(Path(source)) is None
            and builtin_path(source) is None
            and not (glob.has_magic(source) and glob.glob(source, recursive=True))  # noqa: PTH207 - as in _add_glob
        )
    except CorpusError:  # it exists; `find_sources` gives the error
        return False


def printable(name: str | Path) -> str:
    """Returns a file's name with unprintable characters and undecodable bytes escaped."""
    text = str(name)
    if text.isprintable():  # a fast path, because there may be very many names
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _find(source: str, found: _Search) -> None:
    if source == "-":
        path = found.stdin.path()
        found.files.append(SourceFile(path, STDIN_NAME, None, True, path.stat().st_size))
        return
    path = Path(source)
    status = _status(path) if source else None
    if status is not None:
        _add_given(path, path, status, found)
    elif glob.has_magic(source):
        _add_glob(source, found)
    elif (built_in := builtin_path(source)) is not None:
        _add_given(built_in, Path(source), built_in.stat(), found)
    else:
        raise _missing(source)


def _add_given(path: Path, shown: Path, status: os.stat_result, found: _Search) -> None:
    """Adds a file or folder that the user named, under the name `shown`."""
    if stat.S_ISDIR(status.st_mode):
        num_before = len(found.files) + len(found.skipped)
        _add_folder(path, shown, found)
        if len(found.files) + len(found.skipped) == num_before:
            raise CorpusError(f"{printable(shown)}: no files in this folder", hint="hidden files are left out")
    elif kind := _kind(status):
        hint = "pipe it in and give - as the corpus" if stat.S_ISFIFO(status.st_mode) else None
        raise CorpusError(f"{printable(shown)}: {kind}", hint=hint)
    else:
        _add_file(SourceFile(path, printable(shown), None, True, status.st_size), status, found)


def _add_file(file: SourceFile, status: os.stat_result, found: _Search) -> None:
    if (first := found.enter(status, file.name)) is None:
        found.files.append(file)
    else:
        found.skipped.append(Skipped(file.name, f"the same file as {first}"))


def _add_folder(folder: Path, shown: Path, found: _Search) -> None:
    waiting: list[tuple[Path, str, str | None]] = [(folder, printable(shown), None)]
    while waiting:
        path, name, label = waiting.pop()
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                if (first := found.enter(status, name)) is None:
                    label_below = label if path == folder or label is not None else printable(path.name)
                    waiting += ((entry, below, label_below) for entry, below in _entries(path, name))
                else:
                    found.skipped.append(Skipped(name, f"the same folder as {first}"))
                continue
        except OSError as err:
            if path == folder:
                raise CorpusError(f"{name}: cannot be read ({reason(err)})") from err
            found.skipped.append(Skipped(name, reason(err)))
            continue
        if kind := _kind(status):
            found.skipped.append(Skipped(name, kind))
        else:
            _add_file(SourceFile(path, name, label, False, status.st_size), status, found)


def _entries(folder: Path, name: str) -> list[tuple[Path, str]]:
    """Returns the paths in a folder with the names to show, in descending order of names."""
    prefix = "" if name == "." else name.removesuffix(os.sep) + os.sep
    named = sorted(((entry.name, entry) for entry in folder.iterdir()), reverse=True)
    return [(entry, prefix + printable(name)) for name, entry in named if not name.startswith(".")]


def _add_glob(pattern: str, found: _Search) -> None:
    num_before = len(found.files) + len(found.skipped)
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    for match in sorted(matches, key=lambda match: match.replace(os.sep, "/")):  # the same order on every system
        path = Path(match)
        try:
            status = path.stat()
        except OSError as err:
            found.skipped.append(Skipped(printable(path), reason(err)))
            continue
        if stat.S_ISDIR(status.st_mode):
            _add_folder(path, path, found)
        elif kind := _kind(status):
            found.skipped.append(Skipped(printable(path), kind))
        else:
            _add_file(SourceFile(path, printable(path), None, False, status.st_size), status, found)
    if len(found.files) + len(found.skipped) == num_before:
        raise CorpusError(f"{printable(pattern)}: no file matches", hint="** stands for any depth of folders")


def _status(path: Path) -> os.stat_result | None:
    """Returns a path's status, or None if there is no such path. Raises CorpusError if it cannot be read."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError) as err:
        if path.is_symlink():
            raise CorpusError(f"{printable(path)}: a symbolic link to nothing ({path.readlink()})") from err
        return None
    except OSError as err:
        raise CorpusError(f"{printable(path)}: cannot be read ({reason(err)})") from err
    except ValueError:  # a NUL in the name
        return None


def _kind(status: os.stat_result) -> str | None:
    """Returns the kind of a path that is neither a regular file nor a folder, else None."""
    kind = None if stat.S_ISDIR(status.st_mode) else special_file(status.st_mode)
    return kind and f"{kind}, not a file"


def _missing(source: str) -> CorpusError:
    names = [builtin.name for builtin in builtins()]
    near = difflib.get_close_matches(source, [*_neighbours(source), *names], n=1)
    hint = f"did you mean {near[0]}?" if near else f"built-in corpora: {', '.join(names)}"
    return CorpusError(f"{printable(source) or 'corpus'}: no such file, folder or built-in corpus", hint=hint)


def _neighbours(source: str) -> Iterable[str]:
    try:
        return [printable(entry) for entry in Path(source).parent.iterdir()]
    except (OSError, ValueError):
        return []
