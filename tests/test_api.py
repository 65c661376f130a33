import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gen
from gen.codec import IdArray
from gen.codecs.text.char import CharCodec
from gen.errors import SettingError


def test_importing_gen_imports_no_torch() -> None:
    code = "import sys, gen; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", gen.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(gen, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gen.nonsense


def test_a_run_is_trained_loaded_and_streamed_from_python(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be, that is the question\n" * 60, encoding="utf-8")
    gen.train(tmp_path / "a.txt", run="a", out=tmp_path, steps=2, hidden_size=8, num_layers=1, batch_size=2, bptt=16)
    run = gen.load(tmp_path / "a")
    pieces = run.stream(prompt="to be", length=12, temperature=0.8, seed=0)
    assert isinstance(pieces, Iterator)
    assert len("".join(pieces)) == 12


def test_columns_of_tables_may_be_integers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,said,mood\n" + "1,to be or not,sad\n2,that is it,glad\n" * 40, encoding="utf-8")
    run = gen.train(tmp_path / "a.csv", run="a", out=tmp_path, text_column=2, label_column=3, steps=2, hidden_size=8)
    assert run.label_names == ("glad", "sad")
    moods = run.evaluate(tmp_path / "a.csv", text_column=3, label_column=1, unknown="skip")
    assert moods.unknown == {"d": 80, "g": 40, "l": 40}


def test_a_stream_stops_before_the_first_of_several_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be, that is the question\n" * 60, encoding="utf-8")
    gen.train(tmp_path / "a.txt", run="a", out=tmp_path, steps=2, hidden_size=8, num_layers=1, batch_size=2, bptt=16)
    run = gen.load(tmp_path / "a")
    whole = "".join(run.stream(length=200, seed=0))
    stops = [whole[50:53], whole[20:23]]
    assert "".join(run.stream(length=200, seed=0, stop=stops)) == whole[: min(map(whole.find, stops))]
    with pytest.raises(SettingError, match=r"^--stop: character not in the model's vocabulary \('z', U\+007A\)$"):
        run.stream(stop=["be", "z"])


def test_loading_and_sampling_imports_no_compiler(tmp_path: Path) -> None:
    """torch's compiler takes as long to import as all of torch; a first character must not wait for it."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("what is read is written, " * 40, encoding="utf-8")
    gen.train(corpus, run="r", out=tmp_path, steps=0, hidden_size=8)
    program = f"""
import sys, gen
next(iter(gen.load({str(tmp_path / "r")!r}).stream(length=3)))
print([name for name in sys.modules if name in ("torch._dynamo", "sympy", "matplotlib")])
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def tiny_run(corpus: str | Path, folder: Path) -> gen.Run:
    """Returns a run of no step."""
    return gen.train(corpus, run="tiny", out=folder, steps=0, hidden_size=8, num_layers=1, batch_size=2, bptt=16)


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> gen.Run:
    return tiny_run("chorales", tmp_path_factory.mktemp("tunes"))


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> gen.Run:
    folder = tmp_path_factory.mktemp("plays")
    (folder / "a.txt").write_text("to be or not to be, that is the question\n" * 60, encoding="utf-8")
    return tiny_run(folder / "a.txt", folder)


@pytest.mark.parametrize(
    ("suffix", "first"), [(".mid", "MThd"), (".kar", "MThd"), (".rmi", "RIFF"), (".json", '{"format"'), (".txt", "")]
)
def test_a_score_is_written_in_the_format_of_the_suffix(
    tunes: gen.Run, tmp_path: Path, suffix: str, first: str
) -> None:
    (tune,) = tunes.sample(length=60, seed=1)
    tunes.write(tmp_path / f"a{suffix}", tune)
    assert (tmp_path / f"a{suffix}").read_bytes().startswith(first.encode())


def test_a_text_is_written_as_it_is_and_as_its_ids(plays: gen.Run, tmp_path: Path) -> None:
    request = plays.request("to be", length=20)
    drawn = [item.token for item in plays.draw(request)]
    (text,) = plays.sample("to be", length=20, seed=request.seed)
    for suffix in (".txt", ".json"):
        plays.write(tmp_path / f"a{suffix}", text)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == text
    tokens = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["tokens"]
    assert tokens == [*request.prompt.ids, *drawn]


@pytest.mark.parametrize(
    ("name", "sample", "line"),
    [
        ("a.mid", "to be", "a.mid: text cannot be written as .mid"),
        ("a.doc", "to be", "a.doc: unknown suffix (.doc)"),
        ("none/a.txt", "to be", "none/a.txt: no such folder (none)"),
        ("a.txt", 7, "a.txt: tiny writes a text (int)"),
    ],
)
def test_a_sample_that_cannot_be_written_is_one_error_that_names_the_file(
    plays: gen.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sample: object, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gen.GenError, match=f"^{re.escape(line)}$"):
        plays.write(name, sample)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_one_sample(plays: gen.Run) -> None:
    with pytest.raises(TypeError, match="num_samples"):
        plays.stream("to be", num_samples=2)  # type: ignore[call-arg]


def test_a_request_draws_the_same_tokens_each_time(tunes: gen.Run) -> None:
    request = tunes.request(length=30, num_samples=2)
    assert list(tunes.draw(request)) == list(tunes.draw(request))


def test_a_prompt_is_encoded_once(plays: gen.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = CharCodec.encode

    def kept(codec: CharCodec, whole: str) -> IdArray:
        encoded.append(whole)
        return encode(codec, whole)

    monkeypatch.setattr(CharCodec, "encode", kept)
    "".join(plays.stream("to be", length=5))
    plays.sample("or not", length=5, num_samples=3)
    assert encoded == ["to be", "or not"]
