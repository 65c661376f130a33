"""Worker processes that encode the files of a corpus."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import gen.data.store
from gen.codecs.performance.codec import PerformanceCodec
from gen.corpus.hashing import HashedFile, hash_files
from gen.corpus.prepare import prepare
from gen.corpus.resource_limits import ResourceLimits
from gen.corpus.sources import StandardInput, find_sources
from gen.corpus.workers import Workers, file_encoder
from gen.data.report import FileReport
from gen.data.store import Store
from gen.errors import GenError, MidiError, SettingError
from tests.music.midi_bytes import midi

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

# A corpus whose ids do not fit the pipes, so that the workers are alive, and wait, until nearly all of it is read.
LARGE_FILES, LARGE_NOTES = 160, 4000
PREPARE = """
import sys
from gen.corpus.prepare import prepare
prepare(["large"], num_workers=2, on_progress=lambda done, total: print(done, flush=True))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / ".cache"))
    return tmp_path


def tune(num_notes: int, *, seed: int) -> bytes:
    """Returns a MIDI file of random notes, one after another."""
    rows = np.random.default_rng(seed).integers(128, size=(num_notes, 2)).tolist()
    return midi("".join(f"00 90 {pitch:02x} 40 {ticks:02x} 80 {pitch:02x} 00" for pitch, ticks in rows))


def write_mixed(folder: Path) -> None:
    """Writes files of very different sizes, and some that cannot be used."""
    folder.mkdir()
    for number in range(24):
        (folder / f"{number:02}.mid").write_bytes(tune(1 + 40 * (number % 7) ** 2, seed=number))
    (folder / "03.mid").write_bytes(b"no MIDI")
    (folder / "11.mid").write_bytes(b"")
    (folder / "17.mid").write_bytes(midi("00 99 24 40 60 89 24 00"))
    (folder / "read me.txt").write_text("about")


def write_large(folder: Path) -> None:
    folder.mkdir()
    data = tune(LARGE_NOTES, seed=0)
    for number in range(LARGE_FILES):
        (folder / f"{number:03}.mid").write_bytes(data)


def hashed(name: str) -> list[HashedFile]:
    return hash_files(find_sources([name], StandardInput()).files, on_bytes=lambda _: None)[0]


def children(process: int) -> list[int]:
    """Returns the running child processes of a process."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline, "a worker outlived what started it"
        time.sleep(0.02)


def contents(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


def test_the_store_is_the_same_whatever_the_number_of_workers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mixed(here / "mixed")
    stores = []
    for num_workers in (0, 1, 2, 5):
        monkeypatch.setenv("GEN_CACHE", str(here / f"cache{num_workers}"))
        stores.append(prepare(["mixed"], num_workers=num_workers))
    assert len(stores[0].files) == 21
    for store in stores[1:]:
        assert store.report == stores[0].report
        assert contents(store) == contents(stores[0])


def test_files_that_cannot_be_used_are_refused_found_or_named(here: Path) -> None:
    write_mixed(here / "mixed")
    store = prepare(["mixed/03.mid", "mixed"], codec="performance", num_workers=2)
    refused = [file for file in store.report.files if file.status == "refused"]
    assert refused == [
        FileReport("mixed/03.mid", "refused", "not a MIDI file (no MThd header)"),
        FileReport("mixed/11.mid", "refused", "not a MIDI file (no MThd header)"),
        FileReport("mixed/17.mid", "refused", "only drums (1 notes)"),
    ]


def test_drums_are_encoded_as_drums(here: Path) -> None:
    (here / "a.mid").write_bytes(midi("00 99 24 40 60 89 24 00"))
    assert prepare(["a.mid"], codec="performance", num_workers=1).codec_spec["is_drums"] is True


@pytest.mark.parametrize("num_workers", [0, 2])
def test_progress_rises_to_the_size_of_the_corpus(num_workers: int, here: Path) -> None:
    write_mixed(here / "mixed")
    size = sum(path.stat().st_size for path in (here / "mixed").glob("*.mid"))
    calls: list[tuple[int, int]] = []
    prepare(["mixed"], num_workers=num_workers, on_progress=lambda *call: calls.append(call))
    assert {total for _, total in calls} == {size}
    done = [done for done, _ in calls]
    assert done == sorted(done)
    assert done[-1] == size
    assert len(set(done)) > 5


@on_linux
def test_even_a_few_small_files_are_read_in_a_process_of_their_own(here: Path) -> None:
    write_mixed(here / "mixed")
    with file_encoder(PerformanceCodec(), hashed("mixed"), num_workers=None):
        assert len(children(os.getpid())) == 1


@on_linux
def test_workers_are_gone_at_the_end(here: Path) -> None:
    write_mixed(here / "mixed")
    with Workers(PerformanceCodec(), hashed("mixed"), num_workers=3):
        started = children(os.getpid())
        assert len(started) == 3
    assert not any(map(is_running, started))


def test_a_worker_that_cannot_work_leaves_it_to_its_parent(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mixed(here / "mixed")
    expected = prepare(["mixed"], num_workers=0)
    monkeypatch.setenv("GEN_CACHE", str(here / "other"))
    monkeypatch.setattr("sys.executable", "/bin/true")
    assert contents(prepare(["mixed"], num_workers=2)) == contents(expected)
    monkeypatch.setenv("GEN_CACHE", str(here / "third"))
    monkeypatch.setattr("sys.executable", str(here / "missing"))
    assert contents(prepare(["mixed"], num_workers=2)) == contents(expected)


def test_a_negative_number_of_workers_is_an_error(here: Path) -> None:
    with pytest.raises(SettingError, match=r"num_workers: must not be negative \(-1\)"):
        prepare(["missing"], num_workers=-1)


def test_a_refusal_comes_through_the_pipe_as_it_is(here: Path) -> None:
    (here / "a.mid").write_bytes(midi("00 90 3c"))
    path = here / "a.mid"
    with pytest.raises(MidiError) as alone:
        list(PerformanceCodec().encode_file(path))
    with Workers(PerformanceCodec(), hashed(str(path)), num_workers=1) as workers, pytest.raises(MidiError) as error:
        list(workers.encode_file(path))
    assert str(error.value) == str(alone.value)


@on_linux
def test_a_killed_worker_is_replaced_and_the_store_is_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_large(here / "large")
    expected = prepare(["large"], num_workers=0)
    monkeypatch.setenv("GEN_CACHE", str(here / "other"))
    started: list[int] = []

    def kill_one(_done: int, _total: int) -> None:
        if not started and (found := children(os.getpid())):
            started.extend(found)
            os.kill(found[0], signal.SIGKILL)

    store = prepare(["large"], num_workers=2, on_progress=kill_one)
    assert len(started) == 2
    assert contents(store) == contents(expected)
    assert not any(map(is_running, started))
    assert not children(os.getpid())


def pile(size: int) -> bytes:
    """Returns a MIDI file of about `size` bytes, all of them notes that never end."""
    return midi("00 90 3c 40" + "00 3c 40" * (size // 3))


def reasons(folder: str, limits: ResourceLimits) -> list[str | None]:
    """Returns the reason for which one worker refuses each file of a folder under the given limits, or None."""
    files = hashed(folder)
    found: list[str | None] = []
    with Workers(PerformanceCodec(), files, num_workers=1, limits=limits) as workers:
        for file in files:
            try:
                list(workers.encode_file(file.file.path))
                found.append(None)
            except MidiError as err:
                found.append(str(err).removeprefix(f"{file.file.path}: "))
    return found


def write_between(folder: Path, bad: bytes) -> None:
    """Writes the same bad file twice in a row between sound ones."""
    folder.mkdir()
    for number, data in enumerate((tune(9, seed=0), bad, bad, tune(9, seed=1))):
        (folder / f"{number}.mid").write_bytes(data)


@on_linux
def test_a_file_that_takes_too_long_is_refused_and_the_run_goes_on(here: Path) -> None:
    write_between(here / "mixed", pile(6 << 20))  # seconds, against milliseconds
    late = "takes more than 0.3 s of processor time"
    assert reasons("mixed", ResourceLimits(seconds=0.3)) == [None, late, late, None]


@on_linux
def test_a_file_that_takes_too_much_memory_is_refused_and_the_run_goes_on(here: Path) -> None:
    write_between(here / "mixed", pile(6 << 20))  # 400 MiB
    large = "takes more than 0.0625 GiB of memory"
    assert reasons("mixed", ResourceLimits(memory_bytes=64 << 20)) == [None, large, large, None]


VOICES = "00 90 3c 40 01 3c 00"
# What would take minutes if each of 4096 voices looked at what it shares with the others.
CROWDS = {
    "notes without an end": lambda: pile((8 << 20) - 100),
    "changes of program": lambda: midi("00 c0 05" + "01 05 01 06" * 500_000, *[VOICES] * 4096),
    "pedal": lambda: midi("00 b0 40 7f" + "01 40 00 01 40 7f" * 300_000, *[VOICES] * 4096),
    "tempos": lambda: midi("01 ff 51 03 07 a1 20" * 500_000, *[VOICES] * 4096),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_crowds_stay_within_the_limits(here: Path, crowd: str) -> None:
    (here / "a.mid").write_bytes(CROWDS[crowd]())
    assert reasons("a.mid", ResourceLimits()) == [None]


@on_linux
def test_a_file_whose_workers_are_killed_is_refused_and_the_run_goes_on(here: Path) -> None:
    write_between(here / "mixed", pile(6 << 20))
    files = hashed("mixed")
    with Workers(PerformanceCodec(), files, num_workers=1) as workers:
        list(workers.encode_file(files[0].file.path))
        killer = Thread(target=kill_twice)  # while it reads a file that takes seconds
        killer.start()
        with pytest.raises(MidiError, match=r"1\.mid: the process that read it was killed 2 times \(signal 9\)"):
            list(workers.encode_file(files[1].file.path))
        killer.join()
        assert [len(list(workers.encode_file(file.file.path))) for file in files[2:]] == [1, 1]


def kill_twice() -> None:
    """Kills the one worker of this process, then its replacement."""
    killed: list[int] = []
    while len(killed) < 2:
        for child in children(os.getpid()):
            if child not in killed:
                os.kill(child, signal.SIGKILL)
                killed.append(child)


@on_linux
def test_where_no_worker_can_be_started_anew_it_is_one_clear_error_and_nothing_stays(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_large(here / "large")
    started: list[int] = []

    def kill_one(_done: int, _total: int) -> None:
        if not started and (found := children(os.getpid())):
            started.extend(found)
            os.kill(found[0], signal.SIGKILL)
            monkeypatch.setattr("sys.executable", str(here / "missing"))

    with pytest.raises(GenError, match=r"large/\d+\.mid: the process that read it was killed \(signal 9\)"):
        prepare(["large"], num_workers=2, on_progress=kill_one)
    assert not any(map(is_running, started))
    assert not list(gen.data.store.stores_folder().iterdir())


@on_linux
@pytest.mark.parametrize(("number", "is_clean"), [(signal.SIGINT, True), (signal.SIGKILL, False)])
def test_workers_end_with_what_started_them(number: signal.Signals, is_clean: bool, here: Path) -> None:
    write_large(here / "large")
    with subprocess.Popen([sys.executable, "-c", PREPARE], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        while not (workers := children(parent.pid)):
            assert parent.stdout.readline(), "it ended before its workers were seen"
        parent.send_signal(number)
        parent.communicate(timeout=60)
    assert parent.returncode == -number
    wait_until_gone(workers)
    stores = list(gen.data.store.stores_folder().iterdir())
    assert not [folder for folder in stores if not folder.name.startswith(".unfinished-")]
    assert not (is_clean and stores)
    assert len(prepare(["large"], num_workers=0).files) == LARGE_FILES
