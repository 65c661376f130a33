"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from gen.errors import SettingError
from gen.files.disk import write_atomically


def write_new(path: Path) -> None:
    path.write_text("new")


def test_file_appears_with_its_contents_and_usual_rights(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", write_new)
    plain = tmp_path / "b.txt"
    plain.touch()

    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "a.txt").stat().st_mode == plain.stat().st_mode


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SettingError, match=r"cannot be written \(no space left on device\)"):
        write_atomically(target, fail)

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be written"):
        write_atomically(tmp_path / "none" / "a.txt", lambda path: path.touch())
