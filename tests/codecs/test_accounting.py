"""Every event of real files is kept or left out, by count, against mido."""

import tempfile
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.accounting import CODECS, Ledger, account
from tests.music.midi_bytes import saved
from tests.music.mido_files import as_bytes, mido_files, routed_files


@pytest.fixture(scope="module")
def ledgers(shared_data: Path) -> dict[str, Ledger]:
    paths = sorted(path for path in (shared_data / "midi").rglob("*.mid*") if path.is_file())[7::100]
    ledgers, refused = account(paths)
    assert len(paths) > 30
    assert not refused
    assert all(ledger.files + ledger.refused == len(paths) for ledger in ledgers.values())
    return ledgers


@given(file=st.one_of(mido_files(), routed_files()))
@settings(max_examples=200)
def test_every_event_of_random_files_is_accounted_for(file: mido.MidiFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledgers, refused = account([saved(Path(folder), as_bytes(file))])
    assert not refused
    assert not any(+ledger.off for ledger in ledgers.values())


@pytest.mark.parametrize("codec", CODECS)
def test_every_event_of_real_files_is_accounted_for(ledgers: dict[str, Ledger], codec: str) -> None:
    assert ledgers[codec].found["notes"] > 1000
    assert not +ledgers[codec].off
