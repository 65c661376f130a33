"""The preparation of a corpus, from files to a store."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np
import pytest

import gen.data.store
from gen.codec import Part, decode
from gen.codecs import load_codec
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec
from gen.config import Reading
from gen.corpus.prepare import codec_reason, prepare
from gen.data.store import Store
from gen.errors import CorpusError, SettingError

numbers = itertools.count()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / ".cache"))
    return tmp_path


def write(name: str, data: str | bytes) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data.encode() if isinstance(data, str) else data)
    return name


def write_midi(name: str, *, channel: int = 0) -> str:
    """Writes a file of one note."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    note = mido.Message("note_on", note=60 + next(numbers) % 12, channel=channel, velocity=64)
    off = mido.Message("note_off", note=note.note, channel=channel, time=100)
    mido.MidiFile(type=0, tracks=[mido.MidiTrack([note, off])]).save(name)
    return name


def texts(store: Store) -> list[str]:
    """Returns the documents of a store."""
    codec = load_codec(store.codec_spec)
    return [decode(codec, store.ids[a:b]) for a, b in itertools.pairwise(store.starts)]


def statuses(store: Store) -> dict[str, tuple[str, str | None]]:
    return {file.name: (file.status, file.reason) for file in store.report.files}


@pytest.mark.parametrize("codec", ["auto", "char", "byte"])
def test_documents_come_back_as_they_were(codec: str, here: Path) -> None:
    write("f/a.txt", "Stra\u00dfe\n")
    write("f/b.txt", "\u8a69\r\n")
    store = prepare(["f"], codec=codec)
    assert texts(store) == ["Stra\u00dfe\n", "\u8a69\n"]
    assert store.files == ("f/a.txt", "f/b.txt")
    assert [path.name for path in store.paths] == ["a.txt", "b.txt"]
    assert store.units == len(store.ids) == store.report.units
    assert store.report.findings == {"line ends made LF": 1}


def test_a_text_of_many_parts_comes_back_as_it_was(here: Path) -> None:
    text = "".join(f"line {number} \u00e9\n" for number in range(50000))
    assert texts(prepare([write("a.txt", text)])) == [text]


@pytest.mark.parametrize("codec", ["auto", "byte"])
@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("lines", ["Stra\u00dfe", "a", "b", "\u8a69", "a"]),
        ("blank", ["Stra\u00dfe\na", "b", "\u8a69\na"]),
        ("a", ["Str", "\u00dfe\n", "\nb\n", "\u8a69\n"]),
    ],
)
def test_a_text_is_as_many_documents_as_it_is_asked_to_be(
    codec: str, documents: str, expected: list[str], here: Path
) -> None:
    write("f/x.txt", "Stra\u00dfe\r\na\r\n\r\nb\r\n")
    write("f/y.txt", "\u8a69\na")
    store = prepare(["f"], codec=codec, reading=Reading(documents=documents))
    assert texts(store) == expected
    assert store.name(0) == "f/x.txt:1"
    assert [file.documents for file in store.report.files] == np.diff(store.firsts).tolist()
    assert "\n" not in store.codec_spec.get("alphabet", "") or documents != "lines"


def test_empty_documents_are_left_out_and_counted(here: Path) -> None:
    write("f/a.txt", "one\n\n\ntwo\n")
    write("f/b.txt", "\n\n")
    store = prepare(["f"], reading=Reading(documents="lines"))
    assert texts(store) == ["one", "two"]
    assert store.report.findings == {"empty documents left out": 2}
    assert statuses(store)["f/b.txt"] == ("refused", "empty")


def test_documents_of_a_file_have_the_label_of_its_folder_and_know_their_equals(here: Path) -> None:
    write("f/x/names", "Ada\nBob\nAda")
    write("f/y/names", "Bob\nCy\n")
    store = prepare(["f"], reading=Reading(documents="lines"))
    assert store.label_names == ("x", "y")
    assert store.labels.tolist() == [1, 1, 1, 2, 2]
    assert store.twins.tolist() == [0, 1, 0, 1, 4]


def test_a_store_of_other_documents_is_another(here: Path) -> None:
    write("a.txt", "one\n\ntwo\n")
    stores = [prepare(["a.txt"], reading=Reading(documents=way)) for way in ("files", "lines", "blank", "two")]
    assert len({store.key for store in stores}) == 4
    assert [store.num_documents for store in stores] == [1, 2, 2, 1]


@pytest.mark.parametrize("codec", ["auto", "beat"])
def test_music_is_never_parted_into_documents(codec: str, here: Path) -> None:
    write_midi("a.mid")
    with pytest.raises(SettingError, match=r"--documents: only for text \(lines\)"):
        prepare(["a.mid"], codec=codec, reading=Reading(documents="lines"))


@pytest.mark.parametrize(("num_characters", "codec"), [(8192, "char"), (8193, "byte")])
def test_auto_takes_characters_up_to_8192_different_ones(num_characters: int, codec: str, here: Path) -> None:
    write("a.txt", "".join(map(chr, range(0x4E00, 0x4E00 + num_characters))))
    assert prepare(["a.txt"]).codec_spec["name"] == codec
    assert prepare(["a.txt"], codec="char").codec_spec["name"] == "char"


def test_auto_takes_music_when_there_is_any_and_skips_the_rest(here: Path) -> None:
    write_midi("f/a.MID")
    write("f/README.txt", "about")
    store = prepare(["f"])
    assert store.codec_spec["name"] == "beat"
    assert store.units == 1
    assert statuses(store) == {
        "f/a.MID": ("kept", None),
        "f/README.txt": ("skipped", "text, and the corpus is taken for MIDI (--codec char reads it)"),
    }


def test_auto_says_why_it_took_a_music_codec_also_when_the_store_was_there(here: Path) -> None:
    write_midi("f/a.mid")
    for _ in range(2):
        store = prepare(["f"])
        assert (store.codec_spec["name"], codec_reason(store)) == ("beat", "all onsets are on the grid")
        assert load_codec(store.codec_spec) == BeatCodec()
    assert codec_reason(prepare(["f"], codec="beat")) is None
    assert codec_reason(prepare([write("a.txt", "text")])) is None


def test_music_is_prepared_apart_for_each_codec(here: Path) -> None:
    write_midi("f/a.mid")
    codecs = ("auto", "beat", "performance", BeatCodec(longest_note=24))
    assert len({prepare(["f"], codec=codec).key for codec in codecs}) == len(codecs)


def test_music_that_cannot_be_used_is_refused_and_the_run_goes_on(here: Path) -> None:
    write_midi("f/a.mid")
    write("f/b.mid", "no MIDI")
    store = prepare(["f", write("c.mid", b"")])
    found = statuses(store)
    assert found["f/a.mid"] == ("kept", None)
    assert found["f/b.mid"][0] == found["c.mid"][0] == "refused"
    assert "b.mid" not in str(found["f/b.mid"][1])
    assert store.files == ("f/a.mid",)


def test_a_corpus_of_drums_keeps_them(here: Path) -> None:
    write_midi("f/a.mid", channel=9)
    assert prepare(["f"]).units == 1


def test_a_file_given_to_a_music_codec_is_tried_whatever_its_name(here: Path) -> None:
    assert prepare([write_midi("tune")], codec="performance").units == 1


def test_the_first_folders_are_labels(here: Path) -> None:
    for name in ("f/bach/a.txt", "f/liszt/b.txt", "f/top.txt"):
        write(name, name)
    store = prepare(["f"])
    assert store.label_names == ("bach", "liszt")
    assert store.labels.tolist() == [1, 2, 0]
    assert prepare(["f"], reading=Reading(labels="none")).label_names == ()


def test_a_folder_with_nothing_usable_is_no_label(here: Path) -> None:
    write("f/bach/a.txt", "a")
    write("f/images/b.png", b"\x89PNG\0\0")
    store = prepare(["f"])
    assert store.label_names == ()
    assert not store.labels.any()


def test_bad_texts_are_refused_in_a_folder_with_the_reason(here: Path) -> None:
    write("f/a.txt", "fine")
    write("f/b.txt", b"caf\xe9")
    write("f/c.bin", b"\0\1\2")
    write("f/d.txt", "")
    write("f/e.txt", b"\xef\xbb\xbf")
    for codec in ("char", "byte"):
        store = prepare(["f"], codec=codec)
        assert texts(store) == ["fine"]
        assert statuses(store) == {
            "f/a.txt": ("kept", None),
            "f/b.txt": (
                "refused",
                'not utf-8 (0xe9 at byte 3, line 1, column 4, in "caf\\xe9"; looks like latin-1)',
            ),
            "f/c.bin": ("refused", "binary, not text (NUL on line 1)"),
            "f/d.txt": ("refused", "empty"),
            "f/e.txt": ("refused", "empty"),
        }


def test_a_refused_text_adds_no_characters(here: Path) -> None:
    write("f/a.txt", "ab")
    write("f/b.txt", b"xyz" * 50000 + b"\xff")
    assert prepare(["f"]).codec_spec["alphabet"] == "ab"


@pytest.mark.parametrize("codec", ["auto", "byte"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.txt: empty"),
        (b"ab\0", "a.txt: binary, not text (NUL on line 1)"),
        (b"a\xff", 'a.txt: not utf-8 (0xff at byte 1, line 1, column 2, in "a\\xff")'),
    ],
)
def test_a_bad_text_that_was_given_is_an_error(data: bytes, message: str, codec: str, here: Path) -> None:
    write("good.txt", "good")
    with pytest.raises(CorpusError) as error:
        prepare(["good.txt", write("a.txt", data)], codec=codec)
    assert str(error.value) == message


def test_a_bad_text_that_was_given_is_an_error_though_it_was_refused_before(here: Path) -> None:
    write("f/a.txt", "fine")
    write("f/b.txt", b"caf\xe9")
    prepare(["f"])
    with pytest.raises(CorpusError, match=r"f/b\.txt: not utf-8"):
        prepare(["f/a.txt", "f/b.txt"])


def test_nothing_usable_is_an_error_with_the_reasons(here: Path) -> None:
    write("f/a.txt", "")
    write("f/b.txt", "")
    write("f/c.txt", b"\0")
    with pytest.raises(CorpusError) as error:
        prepare(["f"])
    assert str(error.value) == "f: nothing usable (2 empty, 1 binary, not text)"


def test_an_only_file_that_is_unusable_is_named(here: Path) -> None:
    with pytest.raises(CorpusError, match=r"^x\.mid: "):
        prepare([write("x.mid", "no MIDI")])


def test_another_encoding_is_read_when_it_is_named(here: Path) -> None:
    write("a.txt", b"caf\xe9")
    with pytest.raises(CorpusError) as error:
        prepare(["a.txt"])
    assert error.value.hint is not None
    assert "--encoding latin-1" in error.value.hint
    assert texts(prepare(["a.txt"], reading=Reading(encoding="latin-1"))) == ["caf\u00e9"]
    assert texts(prepare(["a.txt"], reading=Reading(encoding="koi8-r"))) == ["caf\u0418"]
    assert texts(prepare(["a.txt"], reading=Reading(encoding="latin-1"), codec=ByteCodec())) == ["caf\u00e9"]


def test_an_unknown_codec_is_an_error(here: Path) -> None:
    with pytest.raises(SettingError, match=r"--codec: unknown \(word\)"):
        prepare([write("a.txt", "a")], codec="word")


def test_a_given_codec_keeps_its_vocabulary(here: Path) -> None:
    store = prepare([write("a.txt", "abba")], codec=CharCodec("abcdef"))
    assert store.codec_spec == CharCodec("abcdef").spec()
    assert store.ids.tolist() == [0, 1, 1, 0]


def test_a_character_that_a_given_codec_lacks_is_an_error_even_in_a_folder(here: Path) -> None:
    write("f/a.txt", "ab")
    write("f/b.txt", "ab\nac")
    with pytest.raises(CorpusError, match=r"^f/b\.txt: character not in .*\('c', U\+0063, line 2\)"):
        prepare(["f"], codec=CharCodec("\nab"))


def made_at(store: Store) -> int:
    """Returns a number that changes if the store is made again."""
    return (store.folder / "ids.bin").stat().st_ino


def test_equal_contents_under_other_names_are_not_prepared_again(here: Path) -> None:
    write("f/b/1.txt", "one")
    write("f/c/2.txt", b"t\xff")
    write("f/c/3.txt", "three")
    first = prepare(["f"])
    shutil.copytree("f", "g")
    Path("g/c/2.txt").rename("g/c/2.text")
    os.mkfifo("g/pipe")
    second = prepare(["g"])
    assert (second.key, made_at(second)) == (first.key, made_at(first))
    assert second.files == ("g/b/1.txt", "g/c/3.txt")
    assert statuses(second) == {
        "g/b/1.txt": ("kept", None),
        "g/c/2.text": ("refused", 'not utf-8 (0xff at byte 1, line 1, column 2, in "t\\xff")'),
        "g/c/3.txt": ("kept", None),
        "g/pipe": ("skipped", "a FIFO, not a file"),
    }


def test_changed_contents_are_prepared_again_though_size_and_date_are_the_same(here: Path) -> None:
    first = prepare([write("a.txt", "old")])
    status = Path("a.txt").stat()
    write("a.txt", "new")
    os.utime("a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    second = prepare(["a.txt"])
    assert texts(second) == ["new"]
    assert texts(first) == ["old"]


def test_other_options_and_another_order_are_prepared_apart(here: Path) -> None:
    one, two = write("1.txt", "one"), write("2.txt", "two")
    stores = [
        prepare([one, two]),
        prepare([two, one]),
        prepare([one, two], codec="byte"),
        prepare([one, two], codec=CharCodec("enotw")),
        prepare([one, two], reading=Reading(encoding="latin-1")),
    ]
    assert len({store.key for store in stores}) == len(stores)


def test_a_damaged_store_is_made_again(here: Path) -> None:
    first = prepare([write("a.txt", "text")])
    os.truncate(first.folder / "ids.bin", 2)
    assert texts(prepare(["a.txt"])) == ["text"]


def test_an_error_leaves_nothing_in_the_cache(here: Path) -> None:
    with pytest.raises(CorpusError):
        prepare([write("a.txt", "good" * 30000), write("b.txt", b"bad\xff")], codec="byte")
    assert not list(gen.data.store.stores_folder().iterdir())


class MeddlingCodec(CharCodec):
    """A codec that changes or removes the file that it reads."""

    def encode_file(self, path: Path) -> Iterator[Part]:
        yield from super().encode_file(path)
        if path.name == "changes.txt":
            path.write_text("another text")
        else:
            path.unlink()


@pytest.mark.parametrize(("name", "what"), [("changes.txt", "changed"), ("goes.txt", "vanished")])
@pytest.mark.parametrize("text", ["ab", "abc"])  # usable or not, this is what is said first
def test_a_file_that_does_not_stay_as_it_was_is_an_error(name: str, what: str, text: str, here: Path) -> None:
    with pytest.raises(CorpusError, match=rf"^{name}: {what} while the corpus was read"):
        prepare([write(name, text)], codec=MeddlingCodec("abc"))
    assert not list(gen.data.store.stores_folder().iterdir())


@pytest.mark.parametrize("codec", ["auto", "byte"])
def test_progress_rises_to_the_size_of_the_corpus(codec: str, here: Path) -> None:
    size = 3_000_000
    calls: list[tuple[int, int]] = []
    prepare([write("a.txt", "x" * size)], codec=codec, on_progress=lambda *call: calls.append(call))
    assert {total for _, total in calls} == {size}
    done = [done for done, _ in calls]
    assert done == sorted(done)
    assert done[-1] == size
    assert len(set(done)) > 5


def test_standard_input_goes_by_that_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(write("piped", b"a\xff")).open(encoding="utf-8") as file, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", file)
        with pytest.raises(CorpusError, match=r"^standard input: not utf-8"):
            prepare(["-"])
    assert not list((here / ".cache" / "spool").iterdir())


@pytest.mark.parametrize("name", ["tinyshakespeare.txt", "war_and_peace.en.txt", "chinese_classics.zh.txt"])
def test_real_texts_come_back_as_they_are(name: str, here: Path, shared_data: Path) -> None:
    path = shared_data / "text" / name
    store = prepare([str(path)])
    assert store.codec_spec["name"] == "char"
    assert texts(store) == [path.read_text(encoding="utf-8")]


def test_music_that_was_prepared_by_other_rules_is_prepared_anew(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_midi("a.mid")
    before = prepare(["a.mid"])
    assert prepare(["a.mid"]).key == before.key
    monkeypatch.setattr("gen.music.midi.rules.VERSION", 0)
    assert prepare(["a.mid"]).key != before.key
