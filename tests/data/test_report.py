"""The report on the files of a corpus."""

import json

import pytest

from gen.data.report import FileReport, Report, report_of

REPORT = Report(
    (
        FileReport("a.mid", "kept", tokens=10, units=4, findings={"notes": 4}),
        FileReport("b.mid", "repaired", tokens=20, units=7, findings={"notes": 7, "unisons joined": 1}),
        FileReport("c.mid", "refused", "only drums (17 notes)"),
        FileReport("d.txt", "skipped", "not MIDI"),
        FileReport("e.txt", "skipped", "not MIDI"),
    )
)


def test_totals_are_those_of_the_files() -> None:
    assert (REPORT.tokens, REPORT.units) == (30, 11)
    assert REPORT.findings == {"notes": 11, "unisons joined": 1}
    assert REPORT.reasons() == {"not MIDI": 2, "only drums": 1}


@pytest.mark.parametrize(("file", "is_used"), list(zip(REPORT.files, [True, True, False, False, False], strict=True)))
def test_only_what_was_kept_or_repaired_is_used(file: FileReport, is_used: bool) -> None:
    assert file.is_used == is_used


def test_its_rows_go_through_json_unchanged() -> None:
    assert report_of(json.loads(json.dumps(REPORT.rows()))) == REPORT


def test_programs_get_totals_and_each_file_by_field() -> None:
    data = json.loads(json.dumps(REPORT.to_json()))
    assert (data["tokens"], data["units"], data["findings"]) == (30, 11, {"notes": 11, "unisons joined": 1})
    assert (data["kept"], data["repaired"], data["refused"], data["skipped"]) == (1, 1, 1, 2)
    assert data["files"][2] == {
        "name": "c.mid",
        "status": "refused",
        "reason": "only drums (17 notes)",
        "tokens": 0,
        "units": 0,
        "findings": {},
        "documents": 0,
        "way": None,
    }
