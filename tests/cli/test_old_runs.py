"""Runs of an older version: they load, sample the same bytes, measure the same and go on the same."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Gen

OLD = Path(__file__).parents[1] / "old_runs"
NATS = json.loads((OLD / "expected" / "nats.json").read_text(encoding="utf-8"))
PRIMER = "corpus/tunes/minor/bwv101.7.mid"
PRINTED = {
    "char_label": ("char", "--label", "tragedy", "--temperature", 0.7, "--top-k", 20),
    "char_prompt": (
        *("char", "--prompt", "Good night", "--num-samples", 3),
        *("--top-p", 0.9, "--repetition-penalty", 1.1),
    ),
    "char_stop": ("char", "--stop", "e"),
    "byte_prompt": ("byte", "--prompt", "Ann", "--num-samples", 2),
    "performance_lines": ("performance",),
    "beat_lines": ("beat", "--num-samples", 2),
}
WRITTEN = {
    "char_ids.json": ("char", "--num-samples", 2, "--min-p", 0.05),
    "byte_ids.json": ("byte", "--min-length", 150),
    "performance_density.json": ("performance", "--density", "0:2 3s:8"),
    "performance_primer.mid": ("performance", "--prompt-file", PRIMER),
    "beat_label.json": ("beat", "--label", "minor", "--key", "Am", "--density", 4),
    "beat_bar.mid": ("beat", "--prompt-file", PRIMER, "--from-bar", 4),
}
MEASURED = {
    **{f"{name}.valid": (name, "valid") for name in ("char", "byte", "performance", "beat")},
    **{f"{name}.ctx": (name, "valid", "--context", 32) for name in ("char", "byte", "performance", "beat")},
    "char.test": ("char", "test"),
    "char.other": ("char", "corpus/names.txt", "--unknown", "skip"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the runs and of their corpora, where the commands run: the runs name their corpora from there."""
    copy = shutil.copytree(OLD, tmp_path / "old_runs")
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.parametrize("case", PRINTED)
def test_an_old_run_prints_the_same(gen: Gen, folder: Path, case: str) -> None:
    run, *options = PRINTED[case]
    code, out, _ = gen("sample", f"runs/{run}", "--length", 200, "--seed", 5, *options)
    assert (code, out.encode()) == (0, (folder / "expected" / f"{case}.txt").read_bytes())


@pytest.mark.parametrize("case", WRITTEN)
def test_an_old_run_writes_the_same_files(gen: Gen, folder: Path, case: str) -> None:
    run, *options = WRITTEN[case]
    assert gen("sample", f"runs/{run}", "--length", 200, "--seed", 5, *options, "--out", case).code == 0
    expected = sorted((folder / "expected").glob(f"{Path(case).stem}*"))
    assert expected
    assert [(folder / path.name).read_bytes() for path in expected] == [path.read_bytes() for path in expected]


@pytest.mark.parametrize("case", MEASURED)
def test_an_old_run_measures_the_same(gen: Gen, folder: Path, case: str) -> None:
    run, *options = MEASURED[case]
    code, out, _ = gen("eval", f"runs/{run}", *options, "--json")
    assert code == 0
    assert json.loads(out)["nats_per_token"] == pytest.approx(NATS["eval"][case], abs=1e-6)


@pytest.mark.parametrize("run", NATS["resume"])
def test_an_old_run_resumes(gen: Gen, folder: Path, run: str) -> None:
    code, out, _ = gen("train", "--run", run, "--out", "runs", "--resume", "--steps", 45, "--json")
    result = json.loads(out)
    expected = NATS["resume"][run]
    assert code == 0
    assert (result["steps"], result["tokens"]) == (expected["steps"], expected["tokens"])
    # On the same machine the weights are the same bit for bit; another adds up sums in another order.
    assert result["valid_nats"] == pytest.approx(expected["valid_nats"], abs=1e-5)
    assert result["logit_scale"] == pytest.approx(expected["logit_scale"])
