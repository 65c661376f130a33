"""Every event of real files is kept or left out, by count, against mido."""

from pathlib import Path

import pytest

from tests.codecs.accounting import CODECS, Ledger, account


@pytest.fixture(scope="module")
def ledgers(shared_data: Path) -> dict[str, Ledger]:
    paths = sorted(path for path in (shared_data / "midi").rglob("*.mid*") if path.is_file())[7::100]
    ledgers, refused = account(paths)
    assert len(paths) > 30
    assert not refused
    assert all(ledger.files + ledger.refused == len(paths) for ledger in ledgers.values())
    return ledgers


@pytest.mark.parametrize("codec", CODECS)
def test_every_event_of_real_files_is_accounted_for(ledgers: dict[str, Ledger], codec: str) -> None:
    assert ledgers[codec].found["notes"] > 1000
    assert not +ledgers[codec].off
