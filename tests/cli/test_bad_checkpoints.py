"""Every way in which a checkpoint can be bad: one line, exit code 2, and the file stays as it is."""

import json
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.cli.conftest import Gen, Outcome

Header = dict[str, Any]
READERS = {
    "sample": ["sample", "a", "--length", "3"],
    "eval": ["eval", "a", "valid"],
    "from": ["train", "shakespeare", "--run", "b", "--from", "a", "--steps", "0"],
}


def assert_refused(outcome: Outcome, what: str = "") -> None:
    lines = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (2, "")
    assert lines[0].startswith("error: ")
    assert what in lines[0]
    assert [line.partition(": ")[0] for line in lines[1:]] in ([], ["hint"])


def with_header(data: bytes, change: Callable[[Header], Any], *, is_signed: bool = True) -> bytes:
    """Returns a checkpoint with another header, its checksum made to fit."""
    length = int.from_bytes(data[:8], "little")
    outer = json.loads(data[8 : 8 + length])
    metadata = outer["__metadata__"]
    header = json.loads(metadata["gen"])
    changed = change(header)
    metadata["gen"] = json.dumps(header if changed is None else changed)
    if is_signed:
        metadata["header_checksum"] = str(zlib.crc32(metadata["gen"].encode()))
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def put(path: str, value: object) -> Callable[[Header], None]:
    """Returns a change that sets a place of the header such as `model.cell`."""

    def change(header: Header) -> None:
        *outer, last = path.split(".")
        for name in outer:
            header = header[name]
        header[last] = value

    return change


def drop(path: str) -> Callable[[Header], None]:
    """Returns a change that removes a place of the header."""

    def change(header: Header) -> None:
        *outer, last = path.split(".")
        for name in outer:
            header = header[name]
        del header[last]

    return change


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "damaged, or not a safetensors file"),
    "text": (lambda _: b"To be, or not to be" * 99, "damaged, or not a safetensors file"),
    "half": (lambda data: data[: len(data) // 2], "damaged, or not a safetensors file"),
    "a byte short": (lambda data: data[:-1], "damaged, or not a safetensors file"),
    "a byte long": (lambda data: data + b"\0", "damaged, or not a safetensors file"),
    "a header of gigabytes": (lambda data: (1 << 40).to_bytes(8, "little") + data[8:], "damaged"),
    "a bit of a weight": (lambda data: flipped(data, len(data) - 3), "damaged (its checksum does not fit)"),
    "a letter of the alphabet": (
        lambda data: data.replace(b"Tabcdefghij", b"Uabcdefghij"),
        "damaged (its header's checksum does not fit)",
    ),
    "a pickle": (lambda _: pickle.dumps({"a": 1}), "a pickle, not a safetensors file; pickles are never loaded"),
}
HEADERS: dict[str, Callable[[Header], Any]] = {
    "is a list": lambda _: [1],
    "is empty": lambda _: {},
    "has no codec": drop("codec"),
    "has no labels": drop("labels"),
    "has no corpus": drop("corpus"),
    "has no options": drop("corpus.options"),
    "has no hidden size": put("model", {}),
    "names labels with numbers": put("labels", [1]),
    "has a codec of text": put("codec", "char"),
    "has an unknown codec": put("codec.name", "words"),
    "has a newer codec": put("codec.version", 9),
    "has no alphabet": drop("codec.alphabet"),
    "has a shorter alphabet": put("codec.alphabet", "abc"),
    "has a longer alphabet": put("codec.alphabet", "".join(map(chr, range(32, 127)))),
    "has another codec": put("codec", {"name": "byte", "version": 1}),
    "has labels without weights": put("labels", ["a", "b"]),
    "has an unknown cell": put("model.cell", "transformer"),
    "has a negative size": put("model.hidden_size", -1),
    "has half a unit": put("model.hidden_size", 8.5),
    "has a size of text": put("model.hidden_size", "8"),
    "has a false size": put("model.hidden_size", 9),
    "has a giant size": put("model.hidden_size", 65536),
    "has another vocabulary": put("model.vocab_size", 99),
    "has an unknown setting": put("model.heads", 8),
}


@pytest.fixture
def run(text_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a run, to be found by the name `a`; the corpus of the built-in name is never read."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(text_run, tmp_path / "checkpoints" / "a")
    return tmp_path / "checkpoints" / "a"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_model_is_one_line(gen: Gen, run: Path, case: str, reader: str) -> None:
    damage, what = DAMAGE[case]
    path = run / "model.safetensors"
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    assert_refused(gen(*READERS[reader]), what)
    assert path.read_bytes() == damaged
    assert not (run.parent / "b").exists()


@pytest.mark.parametrize("reader", ["sample", "eval"])
@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_does_not_fit_is_one_line(gen: Gen, run: Path, case: str, reader: str) -> None:
    path = run / "model.safetensors"
    path.write_bytes(with_header(path.read_bytes(), HEADERS[case]))

    assert_refused(gen(*READERS[reader]))


@pytest.mark.parametrize("field", ["run", "codec", "labels", "corpus.options.encoding", "history", "result.parameters"])
def test_info_of_a_header_that_lacks_a_field_names_it(gen: Gen, run: Path, field: str) -> None:
    path = run / "model.safetensors"
    path.write_bytes(with_header(path.read_bytes(), drop(field)))

    assert_refused(gen("info", "a"), f"not a header of this format ({field} is missing)")


def test_a_header_that_was_edited_is_damaged(gen: Gen, run: Path) -> None:
    path = run / "model.safetensors"
    path.write_bytes(with_header(path.read_bytes(), put("run", "b"), is_signed=False))

    assert_refused(gen("info", "a"), "damaged (its header's checksum does not fit)")


def test_weights_that_are_missing_or_of_another_shape_are_named(gen: Gen, run: Path) -> None:
    path = run / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    for tensors, what in (
        ({}, "weights are missing (embedding.weight)"),
        ({"embedding.weight": torch.zeros(3, 3)}, "(embedding.weight: (3, 3), not (32, 4))"),
    ):
        checksum = 0
        for name, tensor in tensors.items():
            checksum = zlib.crc32(tensor.numpy().tobytes(), zlib.crc32(name.encode()))
        save_file(tensors, path, metadata | {"checksum": str(checksum)})

        assert_refused(gen("sample", "a"), what)


def test_a_newer_format_is_one_line_with_a_hint(gen: Gen, run: Path) -> None:
    save_file({}, run / "model.safetensors", {"format": "gen-model", "version": "2"})

    outcome = gen("sample", "a")

    assert_refused(outcome, "format version not known to this gen (2; known: 1)")
    assert "upgrade" in outcome.err


@pytest.mark.parametrize("name", ["foreign", "training", "zipped"])
def test_what_is_no_model_is_one_line(gen: Gen, run: Path, name: str) -> None:
    path = run / "model.safetensors"
    if name == "foreign":
        save_file({"w": torch.zeros(2)}, path)
    elif name == "training":
        shutil.copy(run / "training.safetensors", path)
    else:
        torch.save({"w": torch.zeros(2)}, path)

    what = "a pickle" if name == "zipped" else "not a model checkpoint of gen"
    assert_refused(gen("sample", "a"), what)


RESUME = ["train", "--run", "a", "--resume", "--steps", "9"]


@pytest.mark.parametrize("case", [name for name in DAMAGE if name != "a letter of the alphabet"])
def test_a_damaged_training_checkpoint_is_not_resumed(gen: Gen, run: Path, case: str) -> None:
    damage, what = DAMAGE[case]
    path = run / "training.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    model = (run / "model.safetensors").read_bytes()

    assert_refused(gen(*RESUME), what)
    assert (run / "model.safetensors").read_bytes() == model


@pytest.mark.parametrize(
    "change",
    [
        drop("place"),
        drop("place.step"),
        put("place.step", "3"),
        put("place.more", 1),
        put("history.best_nats", "low"),
        drop("history.best_step"),
        put("history.more", 1),
        drop("marks_passed"),
        put("training.learning_rate", "high"),
        put("training.batch_size", 5),
        put("training.bptt", 0),
        put("model.hidden_size", 9),
        put("corpus.options.sources", "text"),
        put("corpus.options.more", 1),
        put("corpus.key", None),
    ],
)
def test_a_training_header_that_does_not_fit_is_not_resumed(
    gen: Gen, run: Path, change: Callable[[Header], None]
) -> None:
    path = run / "training.safetensors"
    path.write_bytes(with_header(path.read_bytes(), change))

    assert_refused(gen(*RESUME))


def test_a_model_in_the_place_of_a_training_checkpoint_is_not_resumed(gen: Gen, run: Path) -> None:
    shutil.copy(run / "model.safetensors", run / "training.safetensors")

    assert_refused(gen(*RESUME), "not a training checkpoint of gen (gen-model)")
