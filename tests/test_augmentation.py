"""Runs on music that is read in variations: seeded, resumed bit for bit, and measured as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gen
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.config import TrainingSettings
from gen.data.batches import Batches
from gen.errors import SettingError
from gen.runs.checkpoint import read_checkpoint
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions
from gen.runs.prepared import PreparedCorpus, open_corpus, summary
from gen.runs.session import Session

SMALL: dict[str, Any] = {"hidden_size": 8, "embedding_size": 4, "batch_size": 4, "bptt": 16, "augment": True}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve tunes, in C and in G."""
    folder = tmp_path / "tunes"
    folder.mkdir()
    for number in range(12):
        steps = (0, 2, 4, 5, 7, 9, 11, 12) * 5
        notes = [
            gen.Note(400 * place, 300, 60 + 7 * (number % 2) + step, 64 + number) for place, step in enumerate(steps)
        ]
        performance = gen.Score((gen.Track(notes),), ticks_per_beat=500)
        PerformanceCodec().write(folder / f"{number}.mid", performance)
    return folder


def open_run(corpus: Path, out: Path, run: str, *, resume: bool = False, **changes: Any) -> Session:
    settings = TrainingSettings(**SMALL | {"steps": 30} | changes)
    options = CorpusOptions((str(corpus),), codec="performance", valid_fraction=0.2)
    return train_session(options, settings, run=run, out=out, resume=resume)


def finish(session: Session, *, after: int | None = None) -> None:
    with session:
        for report in session.reports():
            if report.step == after:
                session.stop()


def weights(folder: Path) -> dict[str, np.ndarray]:
    tensors, _ = read_checkpoint(folder / "training.safetensors", "training")
    return {name: tensor.numpy().copy() for name, tensor in tensors.items()}


def are_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("after", [13, 110], ids=["among variations", "after them"])
def test_a_resumed_augmented_run_equals_the_uninterrupted_one(corpus: Path, tmp_path: Path, after: int) -> None:
    finish(open_run(corpus, tmp_path, "straight", steps=120))
    finish(open_run(corpus, tmp_path, "stopped", steps=120), after=after)
    _, header = read_checkpoint(tmp_path / "stopped" / "training.safetensors", "training")
    assert header["place"]["is_plain"] == (after == 110)
    finish(train_session(CorpusOptions(()), run="stopped", out=tmp_path, resume=True))

    assert are_equal(weights(tmp_path / "straight"), weights(tmp_path / "stopped"))


def test_augmentation_changes_what_is_learnt_and_cannot_change_on_resume(corpus: Path, tmp_path: Path) -> None:
    finish(open_run(corpus, tmp_path, "varied"))
    finish(open_run(corpus, tmp_path, "plain", augment=False))

    assert not are_equal(weights(tmp_path / "varied"), weights(tmp_path / "plain"))
    with pytest.raises(SettingError, match=r"--resume: augment cannot change \(False then, True now\)"):
        open_run(corpus, tmp_path, "plain", resume=True)


def opened(corpus: Path, *controls: str) -> PreparedCorpus:
    return open_corpus(CorpusOptions((str(corpus),), codec="performance", controls=controls))


def windows(material: PreparedCorpus, *, augment: bool) -> list[np.ndarray]:
    batches = Batches(
        material.train,
        batch_size=2,
        bptt=32,
        reset_rate=0.0,
        seed=0,
        vary=material.codec.variation(is_augmented=augment),
    )
    return [batches.batch(epoch, n).targets for epoch in range(6) for n in range(batches.num_windows(epoch))]


def test_what_is_read_in_training_is_music_of_the_range_that_the_corpus_has(corpus: Path) -> None:
    read = np.concatenate([window.ravel() for window in windows(opened(corpus), augment=True)])
    pitches = np.unique(read[(read >= 0) & (read < 128)])
    assert (pitches.min(), pitches.max()) == (60, 79)
    assert len(pitches) == 20, "the scales of C and G alone have 12 of them"


def test_what_is_measured_on_has_no_control_but_any(corpus: Path) -> None:
    material = opened(corpus, "key", "density")
    symbols = material.codec.vocab.symbols

    def controls(ids: np.ndarray) -> set[str]:
        return {symbols[token] for token in ids.ravel().tolist() if symbols[token].startswith(("Key", "Density"))}

    assert material.codec.controls is not None
    assert material.codec.controls.names == ("density", "key")
    assert controls(material.valid.ids) == {"Density_any", "Key_any"}
    assert {"Key_C", "Key_G"} <= controls(np.asarray(material.store.ids))
    read = controls(np.concatenate([window.ravel() for window in windows(material, augment=False)]))
    assert {"Key_C", "Key_G", "Key_any", "Density_any"} <= read
    assert summary(material).can_augment


@pytest.mark.parametrize("codec", [PerformanceCodec(), BeatCodec()], ids=lambda codec: codec.name)
def test_a_quarter_of_the_segments_stay_as_they_are_and_the_others_are_told_apart(
    codec: PerformanceCodec | BeatCodec,
) -> None:
    variation = codec.variation(is_augmented=True)
    assert variation is not None
    ids = codec.encode(gen.Score((gen.Track([gen.Note(0, 96, 60, 64)]),)))
    readings = [variation(ids, np.random.default_rng(seed)) for seed in range(400)]

    untouched = [table for table, is_varied in readings if not is_varied]
    assert all(np.array_equal(table, np.arange(len(codec.vocab))) for table in untouched)
    assert 70 < len(untouched) < 130


def test_a_text_is_not_augmented(tmp_path: Path) -> None:
    path = tmp_path / "cats.txt"
    path.write_text("the cat sat on the mat\n" * 100, encoding="utf-8")
    with pytest.raises(SettingError, match="--augment: only for music"):
        train_session(CorpusOptions((str(path),)), TrainingSettings(**SMALL, steps=1), run="r", out=tmp_path)
    with pytest.raises(SettingError, match=r"--controls: only for music \(key\)"):
        open_corpus(CorpusOptions((str(path),), controls=("key",)))
