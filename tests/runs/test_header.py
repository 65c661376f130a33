"""The header of a run's files: one value, read from JSON and written back to the same JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from gen.config import TrainingConfig
from gen.errors import CheckpointError, SettingError
from gen.runs.base import Base
from gen.runs.checkpoint import Kind, read_header
from gen.runs.header import RunHeader, read_run_file, read_run_header, write_run_file
from gen.runs.train import train

KINDS: tuple[Kind, ...] = ("model", "training")
OLD_RUNS = Path(__file__).parent.parent / "old_runs" / "runs"
Data = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps on two labelled texts."""
    folder = tmp_path_factory.mktemp("header")
    for name in ("a", "b"):
        (folder / "texts" / name).mkdir(parents=True)
        (folder / "texts" / name / "x.txt").write_text(f"the quick brown fox of {name}\n" * 60)
    sizes: Data = {"hidden_size": 8, "embedding_size": 4, "num_layers": 1, "batch_size": 4, "bptt": 16}
    train(folder / "texts", run="run", out=folder, steps=2, **sizes)
    return folder / "run"


def raw(folder: Path, kind: Kind) -> Data:
    return read_header(folder / f"{kind}.safetensors", kind)


def without(*path: str) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        for name in path[:-1]:
            data = data[name]
        del data[path[-1]]

    return change


def having(value: object, *path: str) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        for name in path[:-1]:
            data = data[name]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_is_written_as_it_was_read(folder: Path, kind: Kind) -> None:
    data = raw(folder, kind)

    assert json.dumps(RunHeader.from_json(data, kind).to_json()) == json.dumps(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", ["beat", "byte", "char", "performance"])
def test_a_header_of_an_older_version_is_written_as_it_was_read(run: str, kind: Kind) -> None:
    data = raw(OLD_RUNS / run, kind)

    assert json.dumps(RunHeader.from_json(data, kind).to_json()) == json.dumps(data)


def test_the_run_that_a_run_starts_from_is_in_its_training_checkpoint_alone(folder: Path) -> None:
    data = raw(folder, "training")
    data["corpus"]["options"]["base"] = {"codec": {"name": "byte", "version": 1}, "labels": ["a"], "can_end": True}

    header = RunHeader.from_json(data, "training")

    assert header.corpus.options.base == Base({"name": "byte", "version": 1}, ("a",), True)
    assert json.loads(json.dumps(header.to_json())) == data
    assert "base" not in header.corpus.to_json("model")["options"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_goes_through_its_file(folder: Path, kind: Kind, tmp_path: Path) -> None:
    tensors, header = read_run_file(folder / f"{kind}.safetensors", kind)

    write_run_file(tmp_path / "copy.safetensors", tensors, header)

    assert read_run_header(tmp_path / "copy.safetensors", kind) == header


def test_a_header_has_the_types_of_its_fields(folder: Path) -> None:
    header = read_run_header(folder / "training.safetensors", "training")

    assert header.labels == ("a", "b")
    assert header.training == TrainingConfig(**raw(folder, "training")["training"])
    assert header.corpus.options.sources == (str(folder.parent / "texts"),)
    assert header.position is not None
    assert header.position.step == 2


def test_a_model_file_names_no_file_of_its_corpus(folder: Path) -> None:
    training = read_run_header(folder / "training.safetensors", "training")
    shared = training.corpus.to_json("model")

    assert training.corpus.documents is not None
    assert "documents" not in shared
    assert not {"sources", "valid_file", "test_file", "base"} & shared["options"].keys()
    assert json.loads(json.dumps(shared)) == raw(folder, "model")["corpus"]


def test_settings_that_an_older_version_did_not_have_are_at_their_defaults(folder: Path) -> None:
    data = raw(folder, "model")
    del data["training"]["patience"], data["corpus"]["options"]["controls"], data["corpus"]["num_units"]

    header = RunHeader.from_json(data, "model")

    assert (header.training.patience, header.corpus.options.controls, header.corpus.num_units) == (10, (), None)


def test_what_a_later_version_adds_beside_the_known_fields_is_passed_over(folder: Path) -> None:
    data = raw(folder, "model")

    assert RunHeader.from_json(data | {"task": "write"}, "model") == RunHeader.from_json(data, "model")


@pytest.mark.parametrize("path", [("training",), ("corpus", "options"), ("history",)])
def test_fields_that_a_later_version_adds_are_ignored_in_a_model_file(folder: Path, path: tuple[str, ...]) -> None:
    data = raw(folder, "model")
    having(1, *path, "more")(data)

    assert RunHeader.from_json(data, "model") == read_run_header(folder / "model.safetensors", "model")


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        *(
            ((name,), KINDS)
            for name in ("run", "codec", "model", "training", "labels", "corpus", "can_end", "versions")
        ),
        (("history",), KINDS),
        (("history", "best_step"), KINDS),
        (("model", "vocab_size"), KINDS),
        (("codec", "name"), KINDS),
        (("codec", "version"), KINDS),
        (("corpus", "key"), KINDS),
        (("corpus", "options", "encoding"), KINDS),
        (("corpus", "options", "sources"), ("training",)),
        (("corpus", "documents"), ("training",)),
        (("result",), ("model",)),
        (("result", "parameters"), ("model",)),
        (("place",), ("training",)),
        (("place", "step"), ("training",)),
        (("marks_passed",), ("training",)),
    ],
)
def test_a_field_that_is_missing_is_named(folder: Path, path: tuple[str, ...], kinds: tuple[Kind, ...]) -> None:
    for kind in kinds:
        data = raw(folder, kind)
        without(*path)(data)

        with pytest.raises(SettingError, match=rf"^{'.'.join(path)} is missing$"):
            RunHeader.from_json(data, kind)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (having(3, "run"), "run is 3"),
        (having("ab", "labels"), "labels is 'ab'"),
        (having([1], "labels"), r"labels is \[1\]"),
        (having("char", "codec"), "codec is 'char'"),
        (having("1", "codec", "version"), "codec.version is 1"),
        (having(None, "corpus", "key"), "corpus.key is None"),
        (having("a.txt", "corpus", "options", "sources"), "corpus.options.sources is 'a.txt'"),
        (having(8, "corpus", "options", "encoding"), "corpus.options.encoding is 8"),
        (having(8.5, "model", "hidden_size"), "model.hidden_size is 8.5"),
        (having("high", "training", "learning_rate"), "training.learning_rate is 'high'"),
        (having("low", "history", "best_nats"), "history.best_nats is 'low'"),
        (having("3", "place", "step"), "place.step is '3'"),
        (having([], "place"), "place is no object"),
        (having(1, "place", "more"), r"not its settings \(more\)"),
        (having(1, "history", "more"), r"not its settings \(more\)"),
        (having(1, "training", "more"), r"not its settings \(more\)"),
        (having(1, "corpus", "options", "more"), r"not its settings \(more\)"),
        (having(-1, "model", "hidden_size"), r"--hidden: must be at least 1 \(-1\)"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_its_value(
    folder: Path, change: Callable[[Data], None], message: str
) -> None:
    data = raw(folder, "training")
    change(data)

    with pytest.raises(SettingError, match=message):
        RunHeader.from_json(data, "training")


@pytest.mark.parametrize("scale", [0, float("inf"), "1"])
def test_a_logit_scale_that_is_no_factor_is_an_error(folder: Path, scale: object) -> None:
    data = raw(folder, "model")
    data["result"]["logit_scale"] = scale

    with pytest.raises(SettingError, match=f"result.logit_scale is {scale}"):
        RunHeader.from_json(data, "model")


def test_an_error_of_a_header_names_its_file(tmp_path: Path) -> None:
    save_file({}, tmp_path / "m.safetensors", {"format": "gen-model", "version": "1", "gen": "[1]"})

    with pytest.raises(
        CheckpointError, match=r"m\.safetensors: not a header of this format \(the header is no object\)"
    ):
        read_run_header(tmp_path / "m.safetensors", "model")


def test_an_unknown_format_version_is_an_error_with_a_hint(tmp_path: Path) -> None:
    save_file({}, tmp_path / "m.safetensors", {"format": "gen-model", "version": "2"})

    with pytest.raises(CheckpointError, match=r"format version not known to this gen \(2; known: 1\)") as caught:
        read_run_header(tmp_path / "m.safetensors", "model")
    assert "upgrade" in str(caught.value.hint)
