"""What a checkpoint file holds, and every way in which one can be bad."""

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gen.errors import CheckpointError, SettingError
from gen.runs.checkpoint import read_checkpoint, read_header, write_checkpoint

TENSORS = {
    "a": torch.randn(3, 4),
    "b": torch.tensor(2.0),
    "c": torch.zeros(0),
    "generator": torch.Generator().get_state(),
}
HEADER = {
    "run": "\u00e9\u4e2d\udcff",
    "codec": {"name": "byte", "version": 1},
    "model": {},
    "training": {},
    "labels": ["\u00e9"],
    "corpus": {
        "options": {
            "sources": ["a.txt"],
            "codec": "auto",
            "encoding": "utf-8",
            "labels": "folders",
            "valid_fraction": 0.1,
            "seed": 0,
            "valid_file": None,
            "test_file": None,
        },
        "key": "k",
        "valid_key": "k",
        "num_tokens": 3,
        "documents": {"a.txt": 3},
    },
    "can_end": True,
    "history": {
        "num_validations": 0,
        "last_step": 0,
        "best_nats": None,
        "best_bits_per_unit": None,
        "best_step": 0,
        "num_since_best": 0,
    },
    "versions": {},
    "result": {"parameters": 1},
}


def written(folder: Path) -> Path:
    path = folder / "model.safetensors"
    write_checkpoint(path, "model", TENSORS, HEADER)
    return path


def test_tensors_and_header_come_back_as_they_were(tmp_path: Path) -> None:
    tensors, header = read_checkpoint(written(tmp_path), "model")

    assert header == HEADER
    assert read_header(tmp_path / "model.safetensors") == HEADER
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_file_is_plain_safetensors_that_others_can_read(tmp_path: Path) -> None:
    data = written(tmp_path).read_bytes()

    length = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + length])["__metadata__"]["format"] == "gen-model"


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_truncated_file_is_an_error(tmp_path: Path, size: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(CheckpointError, match="damaged, or not a safetensors file"):
        read_checkpoint(path, "model")


def test_a_flipped_bit_in_a_weight_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)

    with pytest.raises(CheckpointError, match="its checksum does not fit"):
        read_checkpoint(path, "model")


def test_a_pickle_posing_as_a_checkpoint_is_never_loaded(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain.safetensors", tmp_path / "zipped.safetensors"
    plain.write_bytes(pickle.dumps({"a": 1}))
    torch.save({"a": torch.zeros(1)}, zipped)

    for path in (plain, zipped):
        with pytest.raises(CheckpointError, match="a pickle, not a safetensors file; pickles are never loaded"):
            read_checkpoint(path, "model")
    assert zipfile.is_zipfile(zipped)


def test_a_truncated_file_whose_header_is_as_long_as_a_pickle_begins_is_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for padding in range(256):  # until the low byte of the header's length is that of a pickle's first opcode
        save_file({"a": torch.zeros(64)}, path, {"x": "y" * padding})
        if path.read_bytes()[0] == 0x80:
            break
    path.write_bytes(path.read_bytes()[:-1])
    assert path.read_bytes()[0] == 0x80
    with pytest.raises(CheckpointError, match="damaged, or not a safetensors file"):
        read_checkpoint(path, "model")


def test_a_foreign_safetensors_file_is_an_error(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "foreign.safetensors")

    with pytest.raises(CheckpointError, match="not a model checkpoint of gen"):
        read_checkpoint(tmp_path / "foreign.safetensors", "model")


def test_a_checkpoint_of_the_other_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"not a training checkpoint of gen \(gen-model\)"):
        read_checkpoint(written(tmp_path), "training")


def test_a_newer_format_is_an_error_that_says_so(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "new.safetensors", {"format": "gen-model", "version": "2"})

    with pytest.raises(CheckpointError, match="2; known: 1"):
        read_checkpoint(tmp_path / "new.safetensors", "model")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none", "model")


def test_a_disk_that_is_full_keeps_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    (tmp_path / "gone").mkdir()

    with pytest.raises(SettingError, match="cannot be written"):
        write_checkpoint(tmp_path / "gone" / "deeper" / "m.safetensors", "model", TENSORS, HEADER)

    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gone", "model.safetensors"]
