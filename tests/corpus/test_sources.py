"""The files that sources stand for."""

import io
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from gen.corpus.sources import Sources, StandardInput, find_sources
from gen.errors import CorpusError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(os.fsencode(name))


def find(sources: list[str]) -> Sources:
    return find_sources(sources, StandardInput(io.BytesIO(b"piped")))


def names(found: Sources) -> list[str]:
    return [file.name for file in found.files]


def test_a_folder_is_walked_deep_and_by_name(here: Path) -> None:
    write("f/b.txt", "f/a/z.txt", "f/c/y.txt", "f/c/d/x.txt", "f/B.txt")
    assert names(find(["f"])) == ["f/B.txt", "f/a/z.txt", "f/b.txt", "f/c/d/x.txt", "f/c/y.txt"]


def test_the_label_is_the_first_folder_below_the_one_that_was_given(here: Path) -> None:
    write("f/top.txt", "f/bach/a.txt", "f/bach/late/b.txt", "f/liszt/c.txt")
    assert [file.label for file in find(["f"]).files] == ["bach", "bach", "liszt", None]
    assert [file.label for file in find(["f/bach"]).files] == [None, "late"]
    assert [file.label for file in find(["f/bach/a.txt"]).files] == [None]


def test_what_is_hidden_is_left_out_unless_it_is_given(here: Path) -> None:
    write("f/a.txt", "f/.b.txt", "f/.git/c.txt")
    assert names(find(["f"])) == ["f/a.txt"]
    assert names(find(["f/.b.txt", "f/.git"])) == ["f/.b.txt", "f/.git/c.txt"]


def test_only_what_was_named_counts_as_given(here: Path) -> None:
    write("f/a.txt", "b.txt")
    assert [file.is_given for file in find(["f", "b.txt", "*.txt"]).files] == [False, True]


@pytest.mark.parametrize("pattern", ["f/*.txt", "f/**/*.txt", "{here}/f/*.txt", "f/[ab].txt"])
def test_a_quoted_glob_is_expanded(pattern: str, here: Path) -> None:
    write("f/a.txt", "f/b.txt", "f/c.mid", "f/.d.txt")
    found = names(find([pattern.format(here=here)]))
    assert [Path(name).name for name in found] == ["a.txt", "b.txt"]


def test_a_glob_of_any_depth_finds_each_file_once(here: Path) -> None:
    write("f/a.txt", "f/g/b.txt")
    found = find(["f/**"])
    assert sorted(names(found)) == ["f/a.txt", "f/g/b.txt"]


def test_an_existing_file_wins_over_a_glob_and_a_built_in_name(here: Path) -> None:
    write("a[1].txt", "shakespeare")
    assert names(find(["a[1].txt", "shakespeare"])) == ["a[1].txt", "shakespeare"]


def test_a_built_in_corpus_goes_by_its_name(here: Path) -> None:
    (text,) = find(["shakespeare"]).files
    assert text.name == "shakespeare"
    assert text.path.is_file()
    chorales = find(["chorales"]).files
    assert len(chorales) == 363
    assert chorales[0].name.startswith("chorales/")


def test_standard_input_is_kept_until_it_is_closed(here: Path) -> None:
    stdin = StandardInput(io.BytesIO(b"piped"))
    (file,), (again,) = (find_sources(["-"], stdin).files for _ in range(2))
    assert file == again
    assert file.name == "standard input"
    assert file.path.read_bytes() == b"piped"
    stdin.close()
    assert not file.path.exists()


@pytest.mark.parametrize(
    ("head", "suffix"),
    [(b"MThd\0\0\0\6\0\1\0\1", ".mid"), (b"RIFF\x40\0\0\0RMIDdata", ".mid"), (b"RIFF\x40\0\0\0WAVE", ""), (b"MTh", "")],
)
def test_standard_input_that_begins_as_midi_is_kept_under_its_suffix(here: Path, head: bytes, suffix: str) -> None:
    with closing(StandardInput(io.BytesIO(head))) as stdin:
        assert stdin.path().suffix == suffix
        assert stdin.path().read_bytes() == head


def test_standard_input_can_be_given_once(here: Path) -> None:
    with pytest.raises(CorpusError, match="only once"):
        find(["-", "-"])


def test_a_file_that_comes_twice_is_read_once(here: Path) -> None:
    write("f/a.txt")
    Path("f/b.txt").symlink_to("a.txt")
    found = find(["f/a.txt", "f"])
    assert names(found) == ["f/a.txt"]
    assert found.skipped == (("f/a.txt", "the same file as f/a.txt"), ("f/b.txt", "the same file as f/a.txt"))


def test_a_loop_of_links_ends(here: Path) -> None:
    write("f/g/a.txt")
    Path("f/g/up").symlink_to("..")
    Path("f/self").symlink_to("self")
    found = find(["f"])
    assert names(found) == ["f/g/a.txt"]
    assert dict(found.skipped) == {
        "f/g/up": "the same folder as f",
        "f/self": "too many levels of symbolic links",
    }


def test_what_is_no_file_is_skipped_in_a_folder_with_the_reason(here: Path) -> None:
    write("f/a.txt")
    os.mkfifo("f/pipe.txt")
    Path("f/nothing.txt").symlink_to("missing")
    Path("f/null.txt").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("f/plug.txt")
    found = find(["f"])
    assert names(found) == ["f/a.txt"]
    assert dict(found.skipped) == {
        "f/pipe.txt": "a FIFO, not a file",
        "f/nothing.txt": "no such file or directory",
        "f/null.txt": "a device, not a file",
        "f/plug.txt": "a socket, not a file",
    }


def test_a_folder_named_like_a_file_is_a_folder(here: Path) -> None:
    write("f/x.mid/a.mid")
    assert names(find(["f"])) == ["f/x.mid/a.mid"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pipe", "pipe: a FIFO, not a file"),
        ("/dev/null", "/dev/null: a device, not a file"),
        ("loop", "loop: cannot be read (too many levels of symbolic links)"),
        ("broken", "broken: a symbolic link to nothing (missing)"),
        ("empty.mid", "empty.mid: no files in this folder"),
        ("*.xyz", "*.xyz: no file matches"),
        ("missing.txt", "missing.txt: no such file, folder or built-in corpus"),
        ("pipe/a.txt", "pipe/a.txt: no such file, folder or built-in corpus"),
        ("", "corpus: no such file, folder or built-in corpus"),
        ("a\nb", "a\\nb: no such file, folder or built-in corpus"),
        ("x" * 300, "x" * 300 + ": cannot be read (file name too long)"),
    ],
)
def test_a_given_name_that_cannot_be_used_is_an_error(source: str, message: str, here: Path) -> None:
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("broken").symlink_to("missing")
    Path("empty.mid").mkdir()
    with pytest.raises(CorpusError) as error:
        find([source])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("shakespear", "did you mean shakespeare?"),
        ("f/hamlt.txt", "did you mean f/hamlet.txt?"),
        ("q", "built-in corpora: shakespeare, chorales"),
    ],
)
def test_a_missing_name_gets_a_hint(source: str, hint: str, here: Path) -> None:
    write("f/hamlet.txt")
    with pytest.raises(CorpusError) as error:
        find([source])
    assert error.value.hint == hint


def test_names_that_would_break_a_line_are_written_out(here: Path) -> None:
    write("f/two\nlines.txt", os.fsdecode(b"f/caf\xe9.txt"))
    assert names(find(["f"])) == ["f/caf\\udce9.txt", "f/two\\nlines.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_cannot_be_listed_is_an_error_when_given_and_skipped_when_found(here: Path) -> None:
    write("f/a.txt", "f/shut/b.txt")
    Path("f/shut").chmod(0)
    assert find(["f"]).skipped == (("f/shut", "permission denied"),)
    with pytest.raises(CorpusError, match="permission denied"):
        find(["f/shut"])
