import gzip
import json
from pathlib import Path

import pytest

from gen.music.midi.write import write_midi
from gen.music.score import Note, Score, Tempo, Track
from tests.cli.conftest import Gen
from tests.music.midi_bytes import midi, saved

NOTE = "00 90 3c 40  60 80 3c 00"


def test_eval_reports_what_the_contract_names(gen: Gen, text_run: Path) -> None:
    result = json.loads(gen("eval", text_run, "valid", "--json").out)
    assert list(result) == ["nats_per_token", "bits_per_token", "bits_per_unit", "unit", "tokens", "units", "context"]
    assert (result["unit"], result["context"]) == ("char", "carry")


def test_eval_takes_a_corpus_and_a_window(gen: Gen, text_run: Path, text_file: Path) -> None:
    result = json.loads(gen("eval", text_run, text_file, "--context", "64", "--json").out)
    assert (result["context"], result["units"]) == (64, len(text_file.read_text()))


def test_eval_speaks_to_people_without_json(gen: Gen, text_run: Path) -> None:
    assert "nats per token" in gen("eval", text_run, "valid").out


def test_eval_of_an_unknown_character_is_an_error(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ae\u00e9", encoding="utf-8")
    outcome = gen("eval", text_run, tmp_path / "a.txt")
    assert outcome.code == 2
    assert "\u00e9" in outcome.err


def test_info_tells_cell_codec_labels_history_and_versions(gen: Gen, text_run: Path) -> None:
    facts = json.loads(gen("info", text_run, "--json").out)
    assert facts["model"]["cell"] == "lstm"
    assert facts["codec"]["unit"] == "char"
    assert facts["labels"] == []
    assert facts["history"]["num_validations"] >= 1
    assert "torch" in facts["versions"]
    shown = gen("info", text_run / "model.safetensors").out
    assert f"{facts['parameters']:,}" in shown


def test_the_built_in_corpora_are_listed(gen: Gen) -> None:
    lines = gen("corpus").out.splitlines()
    assert [line.split()[0] for line in lines] == ["shakespeare", "chorales"]


def test_corpus_tells_why_a_file_was_refused(gen: Gen, music_folder: Path) -> None:
    outcome = gen("corpus", music_folder)
    assert outcome.code == 0
    assert "3 kept, 0 repaired, 1 refused, 0 skipped" in outcome.out
    assert "false.mid: " in outcome.out
    assert "no MThd header" in outcome.out


def test_corpus_measures_the_round_trip_of_music(gen: Gen, music_folder: Path) -> None:
    facts = json.loads(gen("corpus", music_folder, "--json").out)
    assert facts["round_trip"]["notes"] >= facts["round_trip"]["kept"] == facts["units"]
    assert facts["round_trip"]["exact"] == facts["round_trip"]["exact_lengths"] == facts["units"]
    assert 0 < facts["round_trip"]["onset_error_ms_max"] < 500  # the tempo is rounded
    assert facts["round_trip"]["velocity_error_max"] <= 2


def test_corpus_tells_people_by_how_much_a_tempo_is_off(gen: Gen, tmp_path: Path) -> None:
    """121 quarters a minute come back as 120, so that 240 quarters last 120 s and not 119.008."""
    notes = tuple(Note(480 * quarter, 480, 60 + quarter % 12, 66) for quarter in range(240))
    write_midi(tmp_path / "x.mid", Score((Track(notes),), 480, (Tempo(0, 495_868),)))
    lines = gen("corpus", tmp_path / "x.mid", "--codec", "beat").out.splitlines()
    assert lines[6:11] == [
        "round trip 240 of 240 notes come back, 240 at their very tick;",
        "           240 of 240 have their very length",
        "time off   onsets 493.77 ms (at most 987.55), lengths 4.13 ms (at most 4.13),",
        "           ends of pieces 0.99 s (at most 0.99)",
        "velocity   off by 0 (at most 0)",
    ]


def test_corpus_names_one_event_in_the_singular(gen: Gen, tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 ff 21 01 00  00 e0 00 40  00 ff 06 01 41  00 ff 06 01 41" + NOTE))
    shown = gen("corpus", path).out
    assert "kept:\n         1  note\n         1  port prefix\n" in shown
    assert "left out:\n         2  markers\n         1  pitch bend\n" in shown


@pytest.mark.parametrize("name", ["x.mid.gz", "tune"])
def test_export_knows_midi_by_what_a_file_holds(gen: Gen, tmp_path: Path, name: str) -> None:
    data = midi(NOTE)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    for suffix in (".mid", ".json", ".svg"):
        assert gen("export", tmp_path / name, "--out", tmp_path / f"y{suffix}").code == 0
    assert (tmp_path / "y.mid").read_bytes() == data


def test_a_compressed_primer_of_music_is_refused_by_a_model_of_text(gen: Gen, tmp_path: Path, text_run: Path) -> None:
    (tmp_path / "x.mid.gz").write_bytes(gzip.compress(midi(NOTE)))
    outcome = gen("sample", text_run, "--prompt-file", tmp_path / "x.mid.gz")
    assert (outcome.code, "writes text, not music" in outcome.err) == (2, True)


def test_export_says_what_was_mended(gen: Gen, tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 ff 51 03 00 00 00" + NOTE))
    assert gen("export", path, "--out", tmp_path / "y.mid").err.startswith("mended 1 tempo of 0\n")


def test_export_to_ids_says_what_they_do_not_have(gen: Gen, tmp_path: Path) -> None:
    programs = "".join(f"00 c0 {program:02x} {NOTE}" for program in range(17))
    path = saved(tmp_path, midi("00 b0 07 40 00 e0 00 40 00 ff 06 01 41 00 ff 05 01 41" + programs))
    outcome = gen("export", path, "--out", tmp_path / "y.json")
    assert outcome.code == 0
    assert outcome.err.startswith("left out 2 notes of further programs, 1 ")
    assert f" and 2 more kinds; gen corpus {path} counts all\n" in outcome.err
    assert "left out" not in gen("export", path, "--out", tmp_path / "y.png").err


def test_corpus_of_text_tells_alphabet_and_sizes(gen: Gen, text_file: Path) -> None:
    facts = json.loads(gen("corpus", text_file, "--json").out)  # a-z, T, full stop, space, line end; Begin, End
    size = len(text_file.read_text())
    assert (facts["codec"], facts["symbols"], facts["tokens"], facts["documents"]) == (
        "char",
        32,
        size,
        1,
    )
    assert facts["round_trip"] is None


def test_export_turns_midi_into_ids_and_back(gen: Gen, music_folder: Path, tmp_path: Path) -> None:
    assert gen("export", music_folder / "bwv2.6.mid", "--out", tmp_path / "a.json").code == 0
    assert gen("export", tmp_path / "a.json", "--out", tmp_path / "b.mid").code == 0
    assert gen("export", tmp_path / "b.mid", "--out", tmp_path / "b.json").code == 0
    first, second = (json.loads((tmp_path / name).read_text())["tokens"] for name in ("a.json", "b.json"))
    assert first == second


def test_export_draws_a_piano_roll(gen: Gen, music_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert gen("export", music_folder / "bwv2.6.mid", "--out", tmp_path / "a.png").code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_export_plays_a_soundfont(gen: Gen, music_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    pretty_midi = pytest.importorskip("pretty_midi")
    font = next(Path(pretty_midi.__file__).parent.glob("*.sf2"))
    assert gen("export", music_folder / "bwv2.6.mid", "--out", tmp_path / "a.wav", "--soundfont", font).code == 0
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"


@pytest.mark.parametrize(
    ("out", "what"),
    [("a.wav", "none.sf2: no such SoundFont"), ("a.mid", "--soundfont: only for .wav (")],
)
def test_export_refuses_a_font_that_it_cannot_use(
    gen: Gen, music_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, what: str
) -> None:
    pytest.importorskip("tinysoundfont")
    monkeypatch.chdir(tmp_path)
    outcome = gen("export", music_folder / "bwv2.6.mid", "--out", out, "--soundfont", "none.sf2")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {what}")
    assert list(tmp_path.iterdir()) == []


def test_export_writes_notes_as_lines(gen: Gen, music_folder: Path, tmp_path: Path) -> None:
    gen("export", music_folder / "bwv2.6.mid", "--out", tmp_path / "a.txt")
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["metre", "tempo"]
    assert lines[2].split()[:2] == ["0.00", "s"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "not JSON"),
        ("[]", "not a file of token ids"),
        ('{"format": "gen-tokens", "version": 9}', "unknown version (9)"),
        ('{"format": "gen-tokens", "version": 1}', "codec or tokens missing"),
        (
            '{"format": "gen-tokens", "version": 1, "codec": {"name": "byte", "version": 1}, "tokens": [999]}',
            "not a token of its codec (999)",
        ),
        ('{"format": "gen-tokens", "version": 1, "codec": {"name": "words"}, "tokens": []}', "words"),
    ],
)
def test_export_refuses_what_is_no_file_of_ids(gen: Gen, tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "a.json").write_text(content)
    outcome = gen("export", tmp_path / "a.json", "--out", tmp_path / "a.mid")
    assert outcome.code == 2
    assert what in outcome.err.splitlines()[0]
    assert not (tmp_path / "a.mid").exists()
