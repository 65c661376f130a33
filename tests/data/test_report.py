"""The report of what was read."""

import json

import pytest

from gen.data.report import FileReport, Report, report_from_json

REPORT = Report(
    (
        FileReport("a.mid", "kept", tokens=10, units=4, findings={"notes": 4}),
        FileReport("b.mid", "repaired", tokens=20, units=7, findings={"notes": 7, "unisons joined": 1}),
        FileReport("c.mid", "refused", "not a MIDI file"),
        FileReport("d.txt", "skipped", "not MIDI"),
        FileReport("e.txt", "skipped", "not MIDI"),
    )
)


def test_totals_are_those_of_the_files() -> None:
    assert (REPORT.tokens, REPORT.units) == (30, 11)
    assert REPORT.findings == {"notes": 11, "unisons joined": 1}
    assert REPORT.reasons() == {"not MIDI": 2, "not a MIDI file": 1}


@pytest.mark.parametrize(("file", "is_used"), list(zip(REPORT.files, [True, True, False, False, False], strict=True)))
def test_only_what_was_kept_or_repaired_is_used(file: FileReport, is_used: bool) -> None:
    assert file.is_used == is_used


def test_it_goes_through_json_unchanged() -> None:
    data = json.loads(json.dumps(REPORT.to_json()))
    assert report_from_json(data) == REPORT
    assert (data["kept"], data["repaired"], data["refused"], data["skipped"]) == (1, 1, 1, 2)
