import json
import re
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import pytest
import torch

from gen.kernels.stepping import has_step_kernel
from gen.music.excerpt import before_bar
from gen.music.midi.read import read_midi
from gen.music.midi.write import write_midi
from gen.music.score import Note, Score, TimeSignature, Track
from gen.runs.checkpoint import read_checkpoint, write_checkpoint
from tests.cli.conftest import Gen, trained

needs_kernels = pytest.mark.skipif(not has_step_kernel(), reason="no C compiler, or a processor without bf16 or VNNI")


def test_the_prompt_comes_first_and_length_counts_what_follows(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--prompt", "The fox", "--length", "20", "--seed", "0")
    assert outcome.code == 0
    assert outcome.out.startswith("The fox")
    assert len(outcome.out) == len("The fox") + 20


def test_the_same_seed_writes_the_same_and_another_does_not(gen: Gen, text_run: Path) -> None:
    first, second, other = (gen("sample", text_run, "--length", "80", "--seed", seed).out for seed in (0, 0, 1))
    assert first == second != other


def test_the_first_of_several_samples_is_the_one_that_is_drawn_alone(gen: Gen, text_run: Path) -> None:
    alone = gen("sample", text_run, "--length", "40", "--seed", "5").out
    several = gen("sample", text_run, "--length", "40", "--seed", "5", "--num-samples", "3").out
    parts = re.split(r"\n?==> \d of 3 <==\n", several)
    assert parts[1] == alone
    assert [len(part) for part in parts[1:]] == [40, 40, 40]


def test_stats_are_one_line_on_stderr_with_the_seed_that_repeats_it(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--length", "30", "--stats")
    match = re.fullmatch(r"30 tokens, [\d.]+ s, \d+ tokens/s, [\d.]+ bits per token, seed (\d+)\n", outcome.err)
    assert match is not None
    assert gen("sample", text_run, "--length", "30", "--seed", match[1]).out == outcome.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_half_precision_without_a_gpu_is_refused(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--precision", "fp16")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == "error: --precision: only on a GPU (fp16)"


def test_a_sample_ends_before_the_stop_text_in_what_was_drawn(gen: Gen, text_run: Path) -> None:
    whole = gen("sample", text_run, "--prompt", "fox", "--length", "200", "--seed", "2").out
    stop = whole[60:63]
    expected = "fox" + whole[3:].partition(stop)[0]
    assert gen("sample", text_run, "--prompt", "fox", "--length", "200", "--seed", "2", "--stop", stop).out == expected


def test_a_sample_ends_before_whichever_stop_text_comes_first(gen: Gen, text_run: Path) -> None:
    arguments = ("sample", text_run, "--length", "200", "--seed", "2")
    whole = gen(*arguments).out
    early, late = whole[40:43], whole[90:94]
    for stops in ((early, late), (late, early)):
        stopped = gen(*arguments, "--stop", stops[0], "--stop", stops[1]).out
        assert stopped == whole[: min(whole.find(early), whole.find(late))]


@pytest.mark.parametrize(
    ("stop", "what", "hint"),
    [
        ("\\n", "'\\\\', U+005C", "for the character that \\n stands for, write --stop $'\\n'"),
        ("\\x1b", "'\\\\', U+005C", "for the character that \\x1b stands for, write --stop $'\\x1b'"),
        ("fox\u00e9", "'\u00e9', U+00E9", "the alphabet has 30 characters: \\n space . T a-z"),
    ],
)
def test_a_stop_text_that_never_comes_is_refused(gen: Gen, text_run: Path, stop: str, what: str, hint: str) -> None:
    outcome = gen("sample", text_run, "--length", "5", "--stop", "dog", "--stop", stop)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: --stop: character not in the model's vocabulary ({what})\nhint: {hint}\n"


@needs_kernels
def test_int8_writes_a_text_that_its_seed_repeats(gen: Gen, text_run: Path) -> None:
    first, second = (gen("sample", text_run, "--length", "80", "--seed", "0", "--precision", "int8") for _ in range(2))
    assert (first.code, len(first.out)) == (0, 80)
    assert first == second


@needs_kernels
def test_eval_tells_what_int8_costs(gen: Gen, text_run: Path) -> None:
    exact, rounded = (
        json.loads(gen("eval", text_run, "valid", "--precision", precision, "--json").out)
        for precision in ("fp32", "int8")
    )
    assert rounded["tokens"] == exact["tokens"]
    assert 0 < abs(rounded["nats_per_token"] - exact["nats_per_token"]) < 0.01


@pytest.mark.parametrize("command", [["sample", "--length", "5"], ["eval", "valid"]])
def test_int8_without_compiled_kernels_is_one_line(
    gen: Gen, text_run: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr("gen.models.stepper.has_step_kernel", lambda: False)
    code, out, err = gen(command[0], text_run, *command[1:], "--precision", "int8")
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: --precision: needs the compiled kernels (int8)"


def test_a_text_is_written_to_a_file(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    shown = gen("sample", text_run, "--length", "50", "--seed", "3").out
    outcome = gen("sample", text_run, "--length", "50", "--seed", "3", "--out", tmp_path / "a.txt")
    assert (outcome.code, outcome.out) == (0, "")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == shown


def test_token_ids_are_written_and_exported_to_the_same_text(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    shown = gen("sample", text_run, "--length", "50", "--seed", "3").out
    gen("sample", text_run, "--length", "50", "--seed", "3", "--out", tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (data["format"], data["version"], len(data["tokens"])) == ("gen-tokens", 1, 50)
    assert gen("export", tmp_path / "a.json", "--out", tmp_path / "b.txt").code == 0
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == shown


def test_several_samples_get_numbers_before_the_suffix(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    gen("sample", text_run, "--length", "9", "--num-samples", "3", "--out", tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.txt", "a-2.txt", "a-3.txt"]


def test_music_without_a_file_is_a_line_a_note(gen: Gen, music_run: Path) -> None:
    outcome = gen("sample", music_run, "--length", "200", "--seed", "1")
    assert outcome.code == 0
    told = r"metre \d+/\d+$|tempo \d+ beats a minute$"  # before the notes that they hold for
    assert all(re.match(rf" *\d+\.\d\d s  [A-G]#?-?\d |{told}", line) for line in outcome.out.splitlines())


def test_music_scrolls_as_a_roll_with_as_many_notes_as_lines_without(gen: Gen, music_run: Path) -> None:
    notes = gen("sample", music_run, "--length", "200", "--seed", "1").out.splitlines()
    outcome = gen("sample", music_run, "--length", "200", "--seed", "1", "--roll")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert "piano" in outcome.out
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in outcome.out  # no terminal, no colours
    assert 0 < sum(mark in "\u2591\u2592\u2593\u2588" for mark in outcome.out) <= len(notes)


def test_music_is_written_as_sound(gen: Gen, music_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    pytest.importorskip("pretty_midi")
    outcome = gen("sample", music_run, "--length", "60", "--seed", "1", "--out", tmp_path / "a.wav")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", f"wrote {tmp_path / 'a.wav'}\n")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (44_100, 2)
        assert file.getnframes() > 1000


def test_music_in_a_file_has_no_hanging_note(gen: Gen, music_run: Path, tmp_path: Path) -> None:
    assert gen("sample", music_run, "--length", "300", "--seed", "1", "--out", tmp_path / "a.mid").code == 0
    sounding = set()
    for message in mido.MidiFile(tmp_path / "a.mid"):
        if message.type == "note_on" and message.velocity:
            assert message.note not in sounding
            sounding.add(message.note)
        elif message.type in ("note_on", "note_off"):
            sounding.remove(message.note)
    assert not sounding


def test_a_primer_comes_before_what_is_drawn(gen: Gen, music_run: Path, music_folder: Path, tmp_path: Path) -> None:
    primer = music_folder / "bwv2.6.mid"
    gen("sample", music_run, "--prompt-file", primer, "--length", "0", "--out", tmp_path / "0.json")
    gen("sample", music_run, "--prompt-file", primer, "--length", "60", "--out", tmp_path / "60.json")
    start, whole = (json.loads((tmp_path / name).read_text())["tokens"] for name in ("0.json", "60.json"))
    assert len(start) > 100
    assert whole[: len(start)] == start
    assert 0 < len(whole) - len(start) <= 60


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--prompt", "caf\u00e9"], "\u00e9"),
        (["--label", "bass"], "--label: unknown"),
        (["--out", "a.mid"], "a.mid: text cannot be written as .mid"),
        (["--soundfont", "a.sf2"], "--soundfont: only with --out FILE.wav"),
        (["--soundfont", "a.sf2", "--out", "a.mid"], "--soundfont: only for .wav (a.mid)"),
        (["--roll"], "--roll: fox writes text, not music"),
        (["--roll", "--out", "a.txt"], "--roll: not together with --out (a.txt)"),
        (["--prompt", "a", "--prompt-file", "b"], "--prompt-file: --prompt is given too"),
        (["--prompt-file", "none.txt"], "none.txt"),
        (["--stop", ""], "--stop: must not be empty"),
    ],
)
def test_a_text_run_refuses(
    gen: Gen, text_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = gen("sample", text_run, "--length", "5", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert line in outcome.err.splitlines()[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [(["--prompt", "Ah"], "--prompt: tunes writes music, not text (Ah)"), (["--stop", "x"], "--stop: only for text")],
)
def test_a_music_run_refuses_text(gen: Gen, music_run: Path, arguments: list[str], line: str) -> None:
    outcome = gen("sample", music_run, *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {line}")


@pytest.mark.parametrize("suffix", [".wav", ".png"])
def test_text_is_not_written_as_sound_or_picture(gen: Gen, text_run: Path, tmp_path: Path, suffix: str) -> None:
    outcome = gen("sample", text_run, "--length", "5", "--out", tmp_path / f"a{suffix}")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_text_run_refuses_a_midi_primer(gen: Gen, text_run: Path, music_folder: Path) -> None:
    outcome = gen("sample", text_run, "--prompt-file", music_folder / "bwv2.6.mid")
    assert outcome.code == 2
    assert "fox writes text, not music" in outcome.err


def test_a_primer_goes_on_from_one_of_its_bars(gen: Gen, music_run: Path, music_folder: Path, tmp_path: Path) -> None:
    primer = music_folder / "bwv2.6.mid"
    arguments = ("--prompt-file", primer, "--from-bar", "3", "--length", "50", "--seed", "1")
    gen("sample", music_run, *arguments, "--out", tmp_path / "a.mid")

    before, after = (sounds(read_midi(path)[0]) for path in (primer, tmp_path / "a.mid"))
    opening = {sound for sound in sounds(before_bar(read_midi(primer)[0], 3)) if sound in before}
    assert len(opening) > 10
    assert opening <= after
    assert after - opening
    assert min(after - opening) >= max(opening)


@pytest.mark.parametrize("codec", ["beat", "performance"])
@pytest.mark.parametrize("bar", [3, 5])
def test_nothing_is_drawn_before_the_bar_that_is_gone_on_from(
    codec: str, bar: int, gen: Gen, music_folder: Path, tmp_path: Path
) -> None:
    # In 3/4, two quarters of notes a bar: a third of each bar has room.
    notes = tuple(Note(480 * quarter, 480, 60 + quarter % 5, 64) for quarter in range(30) if quarter % 3 < 2)
    write_midi(tmp_path / "x.mid", Score((Track(notes),), 480, time_signatures=(TimeSignature(0, 3, 4),)))
    run = trained(tmp_path, codec, music_folder, "--codec", codec)
    arguments = ("--prompt-file", tmp_path / "x.mid", "--from-bar", bar, "--length", 40, "--min-length", 40)
    gen("sample", run, *arguments, "--num-samples", 8, "--seed", 1, "--out", tmp_path / "on.mid")

    start = 3 * (bar - 1)
    for path in tmp_path.glob("on-*.mid"):
        onsets = [onset for onset, _ in sounds(read_midi(path)[0])]
        assert sum(onset < start for onset in onsets) == 2 * (bar - 1)
        assert any(onset >= start for onset in onsets)


def test_a_bar_of_a_primer_is_the_one_that_a_picture_numbers(gen: Gen, music_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    notes = tuple(Note(480 * quarter, 480, 60 + quarter % 5, 64) for quarter in range(36))
    write_midi(tmp_path / "x.mid", Score((Track(notes),), 480, time_signatures=(TimeSignature(0, 12, 4),)))
    gen("export", tmp_path / "x.mid", "--out", tmp_path / "x.svg")
    numbers = re.findall(r">(\d+)</text>", (tmp_path / "x.svg").read_text())
    assert numbers == ["1", "2", "3"]
    drawn = gen("sample", music_run, "--prompt-file", tmp_path / "x.mid", "--length", "1", "--roll")
    assert [number for line in drawn.out.splitlines() if (number := line[:6].strip()).isdigit()][:3] == numbers
    outcome = gen("sample", music_run, "--prompt-file", tmp_path / "x.mid", "--from-bar", "4")
    assert (outcome.code, outcome.err) == (2, "error: --from-bar: must be 1 to 3, the bars of the primer (4)\n")


def sounds(score: Score) -> set[tuple[Fraction, int]]:
    """Onsets in beats, and pitches."""
    per_beat = score.ticks_per_beat
    return {(Fraction(note.onset_ticks, per_beat), note.pitch) for track in score.tracks for note in track.notes}


def test_a_bar_needs_a_primer(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--from-bar", "3")
    assert outcome.code == 2
    assert outcome.err == "error: --from-bar: only with --prompt-file FILE.mid\n"


def ending(run: Path, folder: Path) -> Path:
    """Returns a copy of a run whose model ends wherever it may."""
    tensors, header = read_checkpoint(run / "model.safetensors", "model")
    tensors["output.bias"][-1] = 1000.0
    (folder / run.name).mkdir()
    write_checkpoint(folder / run.name / "model.safetensors", "model", tensors, header | {"can_end": True})
    return folder / run.name


def test_a_text_to_which_nothing_is_added_is_said_and_comes_back(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    run = ending(text_run, tmp_path)
    line = "nothing was added: the model ended at once; --min-length N forbids that\n"
    assert gen("sample", run, "--prompt", "The fox ") == (0, "The fox ", line)
    assert gen("sample", run, "--prompt", "The fox ", "--no-prompt") == (0, "", line)
    assert gen("sample", run).err == line.replace("added", "drawn")
    several = gen("sample", run, "--prompt", "The", "--num-samples", "2")
    assert several.err == f"sample 1 of 2: {line}sample 2 of 2: {line}"
    path = tmp_path / "on.txt"
    assert gen("sample", run, "--prompt", "The", "--out", path).err == f"{path}: {line}wrote {path}\n"
    assert path.read_text() == "The"


def test_a_least_length_forbids_the_end_until_then(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    outcome = gen("sample", ending(text_run, tmp_path), "--prompt", "The", "--min-length", "7")
    assert (outcome.code, len(outcome.out), outcome.err) == (0, 10, "")


def test_a_least_length_above_the_length_is_refused(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--min-length", "8", "--length", "7")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: --min-length: must be at most --length, 7 (8)\n"


def test_a_complete_piece_to_which_nothing_is_added_comes_back(
    gen: Gen, music_run: Path, music_folder: Path, tmp_path: Path
) -> None:
    run, primer, path = ending(music_run, tmp_path), music_folder / "bwv2.6.mid", tmp_path / "on.mid"
    outcome = gen("sample", run, "--prompt-file", primer, "--out", path)
    assert "nothing was added: the model ended at once" in outcome.err
    assert read_midi(path)[0] == read_midi(primer)[0]
    gen("sample", run, "--prompt-file", primer, "--min-length", "40", "--out", path)
    assert read_midi(path)[0].num_notes > read_midi(primer)[0].num_notes


def test_without_the_prompt_what_was_drawn_is_written_alone(
    gen: Gen, text_run: Path, music_run: Path, music_folder: Path, tmp_path: Path
) -> None:
    text = ("sample", text_run, "--prompt", "The fox", "--length", "20", "--seed", "0")
    assert "The fox" + gen(*text, "--no-prompt").out == gen(*text).out
    music = ("sample", music_run, "--prompt-file", music_folder / "bwv2.6.mid", "--length", "40", "--seed", "0")
    for name in ("whole", "alone"):
        for suffix in (".json", ".mid"):
            gen(*music, "--out", tmp_path / f"{name}{suffix}", *["--no-prompt"] * (name == "alone"))
    whole, alone = (json.loads((tmp_path / f"{name}.json").read_text())["tokens"] for name in ("whole", "alone"))
    assert 0 < len(alone) <= 40
    assert whole[-len(alone) :] == alone
    score, added = (read_midi(tmp_path / f"{name}.mid")[0] for name in ("whole", "alone"))
    assert min(note.onset_ticks for track in added.tracks for note in track.notes) == 0
    assert 0 < added.num_notes < score.num_notes
    lines = gen(*music, "--no-prompt").out.splitlines()
    assert len([line for line in lines if " velocity " in line]) == added.num_notes
    assert any(line.startswith("     0.00 s") for line in lines)


def test_an_unknown_instrument_of_a_primer_is_said(
    gen: Gen, music_run: Path, music_folder: Path, tmp_path: Path
) -> None:
    primer = read_midi(music_folder / "bwv2.6.mid")[0]
    choir = replace(primer, tracks=tuple(replace(track, program=52) for track in primer.tracks))
    write_midi(tmp_path / "choir.mid", choir)
    outcome = gen("sample", music_run, "--prompt-file", tmp_path / "choir.mid", "--out", tmp_path / "on.mid")
    assert outcome.err.splitlines()[0] == ("tunes does not know choir aahs: acoustic grand piano goes on in its place")
    whole = read_midi(tmp_path / "on.mid")[0]
    assert whole.tracks[: len(choir.tracks)] == choir.tracks
    assert {track.program for track in whole.tracks[len(choir.tracks) :]} <= {0}
