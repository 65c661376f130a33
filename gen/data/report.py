"""Reports on the files of a corpus: which were read, repaired, refused or skipped, and for what reason."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Status = Literal["kept", "repaired", "refused", "skipped"]
MAX_PROBLEMS = 3  # in an error message
STATUSES: tuple[Status, ...] = ("kept", "repaired", "refused", "skipped")


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of a corpus.

    Args:
        status: kept: used unchanged; repaired: used with repairs; refused: cannot be used; skipped: not read.
        reason: that of a refused or skipped file.
        findings: the counts of findings in the file.
        documents: the number of documents in the file.
        way: the way in which the file was divided into documents, if the options do not determine it: "rows, column
            text".
    """

    name: str
    status: Status
    reason: str | None = None
    tokens: int = 0
    units: int = 0
    findings: Mapping[str, int] = field(default_factory=dict)
    documents: int = 0
    way: str | None = None

    @property
    def is_used(self) -> bool:
        """True if the tokens of the file are in the corpus."""
        return self.status in ("kept", "repaired")

    @property
    def problem(self) -> str | None:
        """The reason without details of this file, which are in parentheses."""
        return self.reason and self.reason.split(" (", maxsplit=1)[0]


_FIELDS = tuple(field.name for field in fields(FileReport))


@dataclass(frozen=True, slots=True)
class Report:
    """The reports of all files of a corpus: first the files read, in the order of the documents, then the others."""

    files: tuple[FileReport, ...]

    @property
    def tokens(self) -> int:
        """The number of tokens of the corpus."""
        return sum(file.tokens for file in self.files)

    @property
    def units(self) -> int:
        """The number of characters, bytes or notes of the corpus."""
        return sum(file.units for file in self.files)

    @property
    def findings(self) -> Counter[str]:
        """The findings of all files."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.findings)
        return total

    def way(self) -> str | None:
        """Returns the way in which files were divided into documents, such as "rows of a.csv, column text", or None."""
        ways = Counter(file.way for file in self.files if file.way is not None).most_common()
        if not ways:
            return None
        way, num_files = ways[0]
        where = f"{num_files:,} files" if num_files > 1 else next(file.name for file in self.files if file.way == way)
        num_others = sum(count for _, count in ways[1:])
        more = f"; of {num_others:,} files otherwise" if num_others else ""
        return way.replace(",", f" of {where},", 1) + more

    def count(self, status: Status) -> int:
        """Returns the number of files with a status."""
        return sum(file.status == status for file in self.files)

    def reasons(self) -> Counter[str]:
        """Returns the number of files that were refused or skipped because of each problem."""
        return Counter(file.problem for file in self.files if file.problem is not None)

    def problems(self) -> str:
        """Returns the commonest problems: "2 empty, 1 binary, not text"; "" without problems."""
        counts = self.reasons()
        most = [f"{count} {reason}" for reason, count in counts.most_common(MAX_PROBLEMS)]
        return ", ".join(most + ["..."] * (len(counts) > MAX_PROBLEMS))

    def to_json(self) -> dict[str, Any]:
        """Returns the report with totals as JSON data, for the output of commands."""
        return {
            "tokens": self.tokens,
            "units": self.units,
            **{status: self.count(status) for status in STATUSES},
            "findings": dict(self.findings),
            "files": [dict(zip(_FIELDS, row, strict=True)) for row in self.rows()],
        }

    def rows(self) -> list[tuple[Any, ...]]:
        """Returns the report as compact JSON data, because there may be very many files; `report_of` reads it."""
        return [tuple(getattr(file, name) for name in _FIELDS) for file in self.files]


def counted(count: int, names: str) -> str:
    """Returns a count with a noun, given in the plural: "1 tempo of 0", "2 tempos of 0"."""
    if count == 1 and (plural := next(filter(_is_plural, names.split(" ")), None)):
        names = names.replace(plural, plural.removesuffix("es" if plural.endswith("xes") else "s"), 1)
    return f"{count:,} {names}"


def report_of(rows: Iterable[Sequence[Any]]) -> Report:
    """Returns the report of which `Report.rows` are given."""
    return Report(tuple(FileReport(*row) for row in rows))


def _is_plural(word: str) -> bool:
    return len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "'s"))
