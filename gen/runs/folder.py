"""The folder of a run that is to be trained: its name, and the right to write into it.

A run may be copied to any machine, so a name that Windows reserves for a device, or cannot keep, names no new run.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gen.errors import CheckpointError, GenError, SettingError
from gen.files import FolderLock, reason, remove_leftovers
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE
from gen.runs.files import METRICS_FILE, SAMPLES

NAME = re.compile(r"[\w][\w.+-]*")
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE)


@contextmanager
def claimed(out: Path, run: str, *, resume: bool) -> Iterator[FolderLock]:
    """Makes the run's folder and holds its lock; if the block fails, a new folder that is still empty vanishes.

    The folder is made at once, so that a run that is killed early can be resumed.

    Raises:
        SettingError: it is no name, there is such a run already, or another process trains it.
        CheckpointError: there is no such run to resume.
    """
    folder = out / run
    is_made = _make(folder, run, resume=resume)
    lock = FolderLock(folder)
    try:
        if not resume:
            _check_new(folder)  # now that no other process can finish one meanwhile
        if lock.is_held:  # or else what looks left over may be what another process is writing
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
