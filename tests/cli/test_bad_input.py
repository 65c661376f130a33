"""Whatever is wrong with what the user gives: one line, exit code 2, and nothing lost or left behind."""

import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gen.files.disk import FolderLock
from tests.cli.conftest import TINY, Gen, Outcome
from tests.music.midi_bytes import hexdump, midi

NOTE = """
00 90 3c 40   # at once: middle C on, velocity 64
60 80 3c 40   # 96 ticks later: off
"""
NOBODY = 65534

TEXTS = {
    "empty": (b"", "a.txt: empty"),
    "nothing but a byte order mark": (b"\xef\xbb\xbf", "a.txt: empty"),
    "binary": (b"\x7f\x02\x01\x01\0\0\0" * 99, "a.txt: binary, not text (NUL on line 1)"),
    "a program": (b"\x7fELF\x02\x01\x01\0\0\0" * 99, "a.txt: a program, neither text nor MIDI"),
    "latin-1": ("caf\u00e9 au lait\n".encode("latin-1") * 99, "a.txt: not utf-8 (0xe9 at byte 3, line 1, column 4, in"),
    "cut in a character": (
        "\u00e9".encode() * 500 + b"\xc3",
        "a.txt: not utf-8 (0xc3 at byte 1000, line 1, column 501",
    ),
    "utf-16 without a mark": (
        "hello\n".encode("utf-16-le") * 99,
        "a.txt: not utf-8 (NUL on line 1; looks like utf-16-le)",
    ),
    "too short to validate": (
        b"a",
        "a.txt: too short to train on and validate (0 tokens to train on, at least 8 needed)",
    ),
    "too short for a window": (b"abc\n", "too short for one window (3 tokens to train on, at least 16 needed)"),
}
MIDIS = {
    "text": (b"MIDI, or so it says", "not a MIDI file (no MThd header)"),
    "empty": (b"", "not a MIDI file (no MThd header)"),
    "cut in the header": (midi(NOTE)[:10], "truncated"),
    "cut in its first event": (midi(NOTE)[:24], "damaged (truncated inside a track)"),
    "division 0": (midi(NOTE, division=0), "division 0"),
    "smpte division": (midi(NOTE, division=0xE700), "no SMPTE time (0 ticks in each of 25 frames a second)"),
    "no tracks": (midi(), "no tracks"),
    "no notes": (midi("00 ff 51 03 07 a1 20"), "no notes"),
    "header of gigabytes": (hexdump("4d 54 68 64  ff ff ff ff  00 01 00 01 01 e0"), "truncated"),
    "track of gigabytes": (midi(NOTE)[:14] + hexdump("4d 54 72 6b  ff ff ff f0  00"), "truncated"),
    "65535 tracks that are not there": (midi(promised=0xFFFF), "no tracks (65535 promised)"),
    "one note": (midi(NOTE), "too short for one window"),
}
TRAIN_OPTIONS = """
--hidden 0; --hidden -1; --hidden 65537; --hidden many; --hidden 1e3; --hidden
--layers 0; --layers 65; --embedding 0; --dropout 1; --dropout -0.1; --dropout nan
--bptt 0; --bptt -1; --bptt 9999999; --batch-size 0; --batch-size 65537
--lr 0; --lr -1; --lr nan; --lr inf; --seed -1; --seed 99999999999999999999; --seed x
--minutes -1; --minutes nan; --minutes inf; --epochs -1; --epochs inf; --steps -1; --steps 1.5; --steps 9999999999
--patience -1; --valid 1; --valid -0.1; --valid nan; --device tpu; --device cuda:99; --precision fp8; --precision fp16
--codec words; --cell transformer; --labels yes; --encoding klingon; --encoding base64; --from none; --nonsense
--valid-file none.txt; --test-file none.txt
"""
SAMPLE_OPTIONS = """
--length -1; --length nan; --length 1.5; --length; --temperature -1; --temperature nan; --temperature inf
--top-k 0; --top-k 1.5; --top-p 0; --top-p 1.1; --top-p nan; --min-p -1; --min-p nan; --repetition-penalty 0
--repetition-penalty nan; --seed -1; --seed x; --num-samples 0; --num-samples 1000000000; --label bass
--prompt-file none.txt; --out a.pdf; --out a; --out a.wav; --out a.mid; --out none/a.txt; --stop=; --nonsense
--length inf --num-samples 2; --length inf --out a.txt
"""


def lines_of(options: str) -> list[str]:
    return [option.strip() for line in options.strip().splitlines() for option in line.split(";")]


def assert_refused(outcome: Outcome, what: str = "") -> None:
    """One line that says where and what, perhaps a hint, nothing on stdout, exit code 2."""
    lines = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (2, "")
    assert re.match(r"error: \S.*: \S", lines[0])
    assert what in lines[0]
    assert [line.partition(": ")[0] for line in lines[1:]] in ([], ["hint"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(gen: Gen, *arguments: object) -> Outcome:
    return gen("train", *arguments, "--run", "a", "--out", "runs", *TINY)


def assert_no_run_is_left(here: Path) -> None:
    assert list((here / "runs").glob("*")) == []


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_that_cannot_be_used_is_one_line(gen: Gen, here: Path, case: str) -> None:
    data, what = TEXTS[case]
    (here / "a.txt").write_bytes(data)

    assert_refused(train(gen, "a.txt"), what)
    assert_no_run_is_left(here)


@pytest.mark.parametrize("case", MIDIS)
def test_a_midi_file_that_cannot_be_used_is_one_line(gen: Gen, here: Path, case: str) -> None:
    data, what = MIDIS[case]
    (here / "a.mid").write_bytes(data)

    assert_refused(train(gen, "a.mid"), what)
    assert_no_run_is_left(here)


def test_midi_files_that_cannot_be_used_stop_no_run(gen: Gen, here: Path, music_folder: Path) -> None:
    shutil.copytree(music_folder, here / "tunes")
    for number, (data, _) in enumerate(MIDIS.values()):
        (here / "tunes" / f"{number}.mid").write_bytes(data)
    (here / "tunes" / "folder.mid").mkdir()
    os.mkfifo(here / "tunes" / "fifo.mid")
    (here / "tunes" / "loop.mid").symlink_to("loop.mid")

    outcome = train(gen, "tunes")

    assert outcome.code == 0
    assert "14 files not used" in outcome.err


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("none.txt", "no such file"),
        ("", "no such file"),
        ("*.none", "no file matches"),
        ("folder.mid", "no files in this folder"),
        ("fifo.mid", "a FIFO, not a file"),
        ("/dev/zero", "a device, not a file"),
        ("loop", "cannot be read (too many levels of symbolic links)"),
        ("dangling", "a symbolic link to nothing (nowhere)"),
        ("x" * 300, "cannot be read (file name too long)"),
    ],
)
@pytest.mark.parametrize("command", ["train", "corpus"])
def test_a_corpus_that_is_no_file_is_one_line(gen: Gen, here: Path, command: str, source: str, what: str) -> None:
    (here / "folder.mid").mkdir()
    os.mkfifo(here / "fifo.mid")
    (here / "loop").symlink_to("loop")
    (here / "dangling").symlink_to("nowhere")

    assert_refused(train(gen, source) if command == "train" else gen("corpus", source), what)
    assert_no_run_is_left(here)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Gives up the rights of root, who may read everything; what the body imports must be imported already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_or_written_is_one_line(gen: Gen, text_run: Path) -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        folder.chmod(0o755)
        (folder / "secret.txt").write_text("secret " * 99)
        shutil.copytree(text_run, folder / "run")
        gen("train", folder / "secret.txt", "--run", "a", "--out", folder / "warm", *TINY)
        for path in (folder / "secret.txt", folder / "run" / "model.safetensors", folder / "run" / "samples"):
            path.chmod(0)
        with as_nobody():
            folder_is_closed = gen("train", folder / "run", "--run", "a", "--out", folder, *TINY)
            outcomes = [
                gen("corpus", folder / "secret.txt"),
                gen("info", folder / "run"),
                gen("sample", folder / "run"),
            ]
        assert_refused(folder_is_closed)
        for outcome in outcomes:
            assert_refused(outcome, "ermission denied")
        assert not (folder / "a").exists()
    finally:
        (folder / "run" / "samples").chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def disk_full_after(num_bytes: int) -> Iterator[None]:
    """Lets no file grow past a size: the system then refuses to write as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("num_bytes", [1500, 9000])
def test_a_disk_that_fills_up_while_training_leaves_the_old_checkpoint(
    gen: Gen, here: Path, text_file: Path, num_bytes: int
) -> None:
    train(gen, text_file)
    before = contents(here / "runs" / "a")
    assert len(before["model.safetensors"]) < 9000 < len(before["training.safetensors"])

    with disk_full_after(num_bytes):
        outcome = gen("train", "--run", "a", "--out", "runs", "--resume", "--steps", "9")

    assert (outcome.code, outcome.out) == (2, "")
    assert re.match(
        r"error: runs/a/\w+\.safetensors: cannot be written \(.*file too large", outcome.err.splitlines()[-1]
    )
    after = contents(here / "runs" / "a")
    assert after.keys() == before.keys()
    assert after["training.safetensors"] == before["training.safetensors"]
    assert gen("train", "--run", "a", "--out", "runs", "--resume", "--steps", "9").code == 0


@pytest.mark.parametrize("name", ["a.txt", "a.json"])
def test_a_disk_that_fills_up_while_sampling_leaves_the_old_file(
    gen: Gen, here: Path, text_run: Path, name: str
) -> None:
    (here / name).write_text("old")

    with disk_full_after(100):
        outcome = gen("sample", text_run, "--length", "500", "--out", name)

    assert_refused(outcome, f"{name}: cannot be written")
    assert contents(here) == {name: b"old"}


def test_a_disk_that_fills_up_while_music_is_written_leaves_nothing(gen: Gen, here: Path, music_run: Path) -> None:
    with disk_full_after(20):
        outcome = gen("sample", music_run, "--length", "200", "--seed", "1", "--out", "a.mid")

    assert_refused(outcome, "a.mid: cannot be written")
    assert contents(here) == {}


@pytest.mark.parametrize("options", lines_of(TRAIN_OPTIONS))
def test_an_option_of_training_out_of_range_is_one_line(gen: Gen, here: Path, text_file: Path, options: str) -> None:
    outcome = gen("train", text_file, "--run", "a", "--out", "runs", *TINY, *options.split())

    assert_refused(outcome)
    assert_no_run_is_left(here)


@pytest.mark.parametrize("options", lines_of(SAMPLE_OPTIONS))
def test_an_option_of_sampling_out_of_range_is_one_line(gen: Gen, here: Path, text_run: Path, options: str) -> None:
    assert_refused(gen("sample", text_run, *options.split()))
    assert contents(here) == {}


@pytest.mark.parametrize("name", ["", ".", "..", "../b", "a/b", ".hidden", "a b", "x" * 300])
def test_a_run_name_that_is_none_is_one_line(gen: Gen, here: Path, text_file: Path, name: str) -> None:
    assert_refused(gen("train", text_file, "--run", name, "--out", "runs", *TINY))
    assert_no_run_is_left(here)


@pytest.mark.parametrize("context", ["0", "-1", "abc", "1.5", "nan"])
def test_a_context_out_of_range_is_one_line(gen: Gen, text_run: Path, context: str) -> None:
    assert_refused(gen("eval", text_run, "valid", "--context", context), f"({context})")


@pytest.mark.parametrize("command", [["sample"], ["info"], ["eval", "valid"]])
@pytest.mark.parametrize("run", ["none", "", "..", "folder", "fifo", "/dev/zero"])
def test_an_unknown_run_is_one_line(gen: Gen, here: Path, command: list[str], run: str) -> None:
    (here / "folder").mkdir()
    os.mkfifo(here / "fifo")

    assert_refused(gen(command[0], run, *command[1:]))


@pytest.mark.parametrize("prompt", ["folder", "/dev/zero", "binary"])
def test_a_prompt_file_that_is_no_text_is_one_line(gen: Gen, here: Path, text_run: Path, prompt: str) -> None:
    (here / "folder").mkdir()
    (here / "binary").write_bytes(b"\0" * 99)

    assert_refused(gen("sample", text_run, "--prompt-file", prompt), prompt)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--prompt", "Ah"], "--prompt: tunes writes music, not text (Ah)"),
        (["--prompt-file", "a.txt"], "a.txt: not a MIDI file"),
        (["--prompt-file", "a.mid"], "a.mid: damaged (truncated inside a track)"),
    ],
)
def test_a_prompt_of_the_wrong_kind_for_music_is_one_line(
    gen: Gen, here: Path, music_run: Path, arguments: list[str], what: str
) -> None:
    (here / "a.txt").write_text("Ah")
    (here / "a.mid").write_bytes(midi(NOTE)[:24])

    assert_refused(gen("sample", music_run, *arguments), what)


def test_a_closed_standard_input_is_one_line(gen: Gen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    assert_refused(gen("corpus", "-"), "standard input: closed")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("more\n", "the corpus has changed (a.txt: 6030 tokens then, 6035 now)"),
        ("other letters", "the corpus has changed (its contents differ)"),
        ("", "a.txt: empty"),
        (None, "a.txt: no such file, and its store is not in the cache"),
    ],
)
def test_a_changed_corpus_is_not_resumed(
    gen: Gen, here: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch, change: str | None, what: str
) -> None:
    corpus = here / "a.txt"
    shutil.copy(text_file, corpus)
    train(gen, "a.txt")
    before = contents(here / "runs" / "a")
    text = corpus.read_text()
    if change is None:
        corpus.unlink()
        monkeypatch.setenv("GEN_CACHE", str(here / "another cache"))
    elif change == "other letters":
        corpus.write_text(text.replace("fox", "cat"))
    else:
        corpus.write_text(text + change if change else "")

    assert_refused(gen("train", "--run", "a", "--out", "runs", "--resume", "--steps", "9"), what)
    assert contents(here / "runs" / "a") == before


@pytest.mark.parametrize(
    "options", ["--codec byte", "--encoding latin-1", "--labels none", "--valid 0.5", "--hidden 9", "--bptt 0"]
)
def test_what_cannot_change_on_resume_is_refused(gen: Gen, text_run: Path, options: str) -> None:
    before = contents(text_run)

    outcome = gen("train", "--run", text_run.name, "--out", text_run.parent, "--resume", *options.split())

    assert_refused(outcome, "cannot change (")
    assert contents(text_run) == before


def test_a_run_that_another_process_trains_is_refused(gen: Gen, text_run: Path) -> None:
    lock = FolderLock(text_run)
    try:
        outcome = gen("train", "--run", text_run.name, "--out", text_run.parent, "--resume", "--steps", "9")
    finally:
        lock.release()
    assert_refused(outcome, "another process is training this run")


def test_what_a_killed_process_was_writing_is_removed_on_resume(gen: Gen, here: Path, text_file: Path) -> None:
    train(gen, text_file)
    before = contents(here / "runs" / "a").keys()
    for name in (
        ".model.safetensors.abc.safetensors",
        ".tmpAbC123",
        ".metrics.jsonl.xyz.jsonl",
        "samples/.step-0000003.txt.a_b.txt",
    ):
        (here / "runs" / "a" / name).write_bytes(b"half")

    gen("train", "--run", "a", "--out", "runs", "--resume", "--steps", "4")

    assert contents(here / "runs" / "a").keys() == before
    assert not list((here / "runs" / "a" / "samples").glob(".*"))


def test_a_corpus_whose_name_is_no_utf8_trains_and_resumes(gen: Gen, here: Path, text_file: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    shutil.copy(text_file, here / name)

    assert train(gen, name).code == 0
    assert gen("train", "--run", "a", "--out", "runs", "--resume", "--steps", "4").code == 0
    assert gen("info", "runs/a").code == 0
