"""The built-in corpora are the ones that corpora/README.md tells of."""

import hashlib
import zipfile
from pathlib import Path

from gen.corpus.builtin import builtin_path

CORPORA = Path(__file__).parents[1] / "corpora"
SHA256 = "47d3cc0bd8cdeddc61e8bb5745edbe07bf38bb72c861e821db878c9e63d9e0ae"


def test_shakespeare_is_the_built_text() -> None:
    assert hashlib.sha256((CORPORA / "shakespeare.txt").read_bytes()).hexdigest() == SHA256


def test_there_are_363_chorales() -> None:
    assert len(list((CORPORA / "chorales").glob("*.mid"))) == 363


def test_both_are_found_by_name() -> None:
    assert builtin_path("shakespeare") == CORPORA / "shakespeare.txt"
    assert builtin_path("chorales") == CORPORA / "chorales"


def test_both_equal_the_candidates_that_they_were_rebuilt_from(shared_data: Path) -> None:
    assert (shared_data / "builtin" / "shakespeare.txt").read_bytes() == (CORPORA / "shakespeare.txt").read_bytes()
    with zipfile.ZipFile(shared_data / "builtin" / "bach_chorales.zip") as archive:
        wanted = {name: archive.read(name) for name in archive.namelist()}
    assert {path.name: path.read_bytes() for path in (CORPORA / "chorales").iterdir()} == wanted
