"""The choice between the texts and the MIDI files of a corpus."""

import gzip
from pathlib import Path

import pytest

from gen.corpus.prepare import prepare
from gen.data.store import Store
from gen.errors import CorpusError
from tests.corpus.test_prepare import statuses, write, write_midi


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / ".cache"))
    return tmp_path


def used(store: Store) -> set[str]:
    return {file.name for file in store.report.files if file.is_used}


def reasons(store: Store) -> dict[str, int]:
    return dict(store.report.reasons())


def test_fifty_texts_and_one_stray_midi_file_are_texts(here: Path) -> None:
    for number in range(50):
        write(f"f/t{number}.txt", f"text {number}")
    write_midi("f/jingle.mid")
    store = prepare(["f"])
    assert store.codec_spec["name"] == "char"
    assert len(used(store)) == 50
    assert statuses(store)["f/jingle.mid"] == (
        "skipped",
        "MIDI, while most files are text (--codec beat reads it)",
    )


def test_a_binary_file_beside_midi_is_not_called_a_text(here: Path) -> None:
    write_midi("f/a.mid")
    write("f/model.bin", b"\2" + bytes(7) + b"{}")
    assert reasons(prepare(["f"])) == {"neither text nor MIDI": 1}


def test_three_midi_files_beside_one_large_text_are_midi(here: Path) -> None:
    for number in range(3):
        write_midi(f"f/{number}.mid")
    write("f/book.txt", "word " * 10000)
    store = prepare(["f"])
    assert store.codec_spec["name"] == "beat"
    assert reasons(store) == {"text, while most files are MIDI": 1}


@pytest.mark.parametrize(
    "texts",
    [
        ["README.md", "LICENSE", "license.txt", "CREDITS-MUSIC"],  # about the files
        ["a_chords.txt", "a_beats.txt", "a.txt", "a-annotations.csv"],  # named after one of them
    ],
)
def test_what_is_about_midi_files_does_not_outvote_them(texts: list[str], here: Path) -> None:
    write_midi("f/a.mid")
    for name in texts:
        write(f"f/{name}", "text")
    assert prepare(["f"]).codec_spec["name"] == "beat"


def test_texts_of_one_name_in_each_folder_of_midi_count_once(here: Path) -> None:
    for number in range(6):
        write_midi(f"f/{number}/tune.mid")
        for name in ("beat", "chord", "key"):
            write(f"f/{number}/{name}_midi.txt", "text")
    assert prepare(["f"]).codec_spec["name"] == "beat"


def test_texts_of_one_name_count_each_where_there_is_no_midi_beside_them(here: Path) -> None:
    for number in range(6):
        write(f"f/{number}/text.txt", "text")
    write_midi("f/a.mid")
    assert prepare(["f"]).codec_spec["name"] == "char"


def test_as_many_of_both_are_midi(here: Path) -> None:
    write_midi("f/a.mid")
    write("f/b.txt", "text")
    assert prepare(["f"]).codec_spec["name"] == "beat"


def test_a_file_that_is_named_counts_more_than_those_that_are_found(here: Path) -> None:
    for number in range(3):
        write(f"f/{number}.txt", "text")
    assert prepare(["f", write_midi("a.mid")]).codec_spec["name"] == "beat"
    assert prepare(["f", "f/0.txt"]).codec_spec["name"] == "char"


def test_files_of_no_use_do_not_count(here: Path) -> None:
    write_midi("f/a.mid")
    write("f/1.txt", "")
    write("f/2.txt", "")
    write("f/3.bin", b"\1\0\0\0\2")
    write("f/4.png", b"\x89PNG\r\n\x1a\n\0")
    store = prepare(["f"])
    assert store.codec_spec["name"] == "beat"
    assert statuses(store)["f/4.png"][0] == "refused"


@pytest.mark.parametrize(
    ("codec", "kept", "reason"), [("char", "f/a.txt", "MIDI, not text"), ("beat", "f/b.mid", "text, not MIDI")]
)
def test_the_other_kind_is_skipped_when_a_codec_is_named(codec: str, kept: str, reason: str, here: Path) -> None:
    write("f/a.txt", "text")
    write_midi("f/b.mid")
    store = prepare(["f"], codec=codec)
    assert used(store) == {kept}
    assert reasons(store) == {reason: 1}


def test_an_error_says_what_was_left_out(here: Path) -> None:
    write_midi("f/a.mid")
    write_midi("f/b.mid")
    write("f/c.txt", b"\xff\xfe\xff")
    with pytest.raises(CorpusError, match=r"f: nothing usable \(2 MIDI, not text, 1 not utf-16\)"):
        prepare(["f"], codec="char")
    with pytest.raises(CorpusError, match=r"^f/a.mid: MIDI, not text$"):
        prepare(["f/a.mid"], codec="byte")


def test_midi_is_known_by_its_first_bytes(here: Path) -> None:
    write_midi("f/tune")
    assert prepare(["f"]).codec_spec["name"] == "beat"


@pytest.mark.parametrize("name", ["tune.mid.gz", "tune.gz", "tune"])
def test_compressed_midi_is_midi_whatever_its_name(name: str, here: Path) -> None:
    write_midi("a.mid")
    write(f"f/{name}", gzip.compress(Path("a.mid").read_bytes()))
    plain, unpacked = prepare(["a.mid"]), prepare(["f"])
    assert unpacked.ids.tolist() == plain.ids.tolist()


def test_a_store_of_texts_is_found_by_the_key_that_it_had_before(here: Path) -> None:
    write("f/a.txt", "text")
    write("f/b.png", b"\x89PNG\r\n\x1a\n\0")
    assert prepare(["f"]).key == "fdd71e3f4bf68b892458acaa99facbd94cae46b2419bd42fd46ad34d9ba331b0"
