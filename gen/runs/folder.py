"""The folder of a run that is trained: its name, and the lock on it.

A run may be copied to any machine, so a new run gets no name that Windows reserves for a device or cannot store.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gen.errors import CheckpointError, GenError, SettingError
from gen.files.disk import FolderLock, reason, remove_leftovers
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE
from gen.runs.files import METRICS_FILE, SAMPLES

NAME = re.compile(r"[\w][\w.+-]*")
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE)


@contextmanager
def claimed(out: Path, run: str, *, resume: bool) -> Iterator[FolderLock]:
    """Makes the run's folder and holds its lock; if the block fails, removes the folder if it is new and empty.

    The folder is made at once, so that a run that is killed early can be resumed.

    Raises:
        SettingError: the name is not allowed, the run exists already, or another process trains it.
        CheckpointError: the run to resume does not exist.
    """
    folder = out / run
    is_made = _make(folder, run, resume=resume)
    lock = FolderLock(folder)
    try:
        if not resume:
            _check_new(folder)  # under the lock: no other process can finish one meanwhile
        if lock.is_held:  # without it these may be files that another process is writing
            remove_leftovers(folder, MODEL_FILE, TRAINING_FILE, METRICS_FILE)
            remove_leftovers(folder / SAMPLES, "step-*")
        yield lock
    except GenError:
        lock.release()
        if is_made:
            with suppress(OSError):  # not empty: something was written
                folder.rmdir()
        raise
    finally:
        lock.release()


def _make(folder: Path, run: str, *, resume: bool) -> bool:
    """Makes the folder unless it is there; returns whether it was made."""
    if not NAME.fullmatch(run):
        raise SettingError(f"--run: not a name ({run})", hint="letters, digits, '-', '_' and '.'; --out DIR says where")
    if folder.is_dir():
        return False
    if resume:
        raise CheckpointError(f"{folder}: no such run", hint="leave out --resume to begin it")
    if RESERVED.fullmatch(run) or run.endswith("."):
        raise SettingError(f"--run: not a name on Windows ({run})", hint="another name can be used on every machine")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise SettingError(f"{folder}: cannot be made ({reason(err)})") from err
    return True


def _check_new(folder: Path) -> None:
    if (folder / TRAINING_FILE).exists() or (folder / MODEL_FILE).exists():
        raise SettingError(
            f"--run: there already ({folder})", hint="--resume goes on with it; another name begins anew"
        )
