"""What was read from a corpus, what was repaired, and what was refused or skipped and why."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Status = Literal["kept", "repaired", "refused", "skipped"]
MAX_PROBLEMS = 3  # that an error names
STATUSES: tuple[Status, ...] = ("kept", "repaired", "refused", "skipped")


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of a corpus.

    Args:
        status: kept as it is; repaired: used, after something in it was mended; refused: cannot be used; skipped: not
            looked into.
        reason: why it was refused or skipped.
        findings: counts of what reading it found.
        documents: how many it gave.
        way: how they were made of it, where the options do not tell: "rows, column text".
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
        """Whether its tokens are in the corpus."""
        return self.status in ("kept", "repaired")

    @property
    def problem(self) -> str | None:
        """The reason without what it says of this file alone, in parentheses."""
        return self.reason and self.reason.split(" (", maxsplit=1)[0]


_FIELDS = tuple(field.name for field in fields(FileReport))


@dataclass(frozen=True, slots=True)
class Report:
    """All files of a corpus: first those that were read, in the order of the documents, then those skipped."""

    files: tuple[FileReport, ...]

    @property
    def tokens(self) -> int:
        """All tokens of the corpus."""
        return sum(file.tokens for file in self.files)

    @property
    def units(self) -> int:
        """All characters, bytes or notes of the corpus."""
        return sum(file.units for file in self.files)

    @property
    def findings(self) -> Counter[str]:
        """What reading all files found."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.findings)
        return total

    def way(self) -> str | None:
        """Returns how documents were made of files, where the options do not tell: "rows of a.csv, column text"."""
        ways = Counter(file.way for file in self.files if file.way is not None).most_common()
        if not ways:
            return None
        way, num_files = ways[0]
        where = f"{num_files:,} files" if num_files > 1 else next(file.name for file in self.files if file.way == way)
        num_others = sum(count for _, count in ways[1:])
        more = f"; of {num_others:,} files otherwise" if num_others else ""
        return way.replace(",", f" of {where},", 1) + more

    def count(self, status: Status) -> int:
        """Returns how many files have a status."""
        return sum(file.status == status for file in self.files)

    def reasons(self) -> Counter[str]:
        """Returns how often each problem stands for which a file was refused or skipped."""
        return Counter(file.problem for file in self.files if file.problem is not None)

    def problems(self) -> str:
        """Returns the commonest problems in a line: "2 empty, 1 binary, not text"; "" where there are none."""
        counts = self.reasons()
        most = [f"{count} {reason}" for reason, count in counts.most_common(MAX_PROBLEMS)]
        return ", ".join(most + ["..."] * (len(counts) > MAX_PROBLEMS))

    def to_json(self) -> dict[str, Any]:
        """Returns the report as JSON data for people's programs, with totals."""
        return {
            "tokens": self.tokens,
            "units": self.units,
            **{status: self.count(status) for status in STATUSES},
            "findings": dict(self.findings),
            "files": [dict(zip(_FIELDS, row, strict=True)) for row in self.rows()],
        }

    def rows(self) -> list[tuple[Any, ...]]:
        """Returns the report as JSON data that takes little room, for there may be very many files."""
        return [
            (
                file.name,
                file.status,
                file.reason,
                file.tokens,
                file.units,
                dict(file.findings),
                file.documents,
                file.way,
            )
            for file in self.files
        ]


def counted(count: int, names: str) -> str:
    """Returns how many of something there are, given its plural: "1 tempo of 0", "2 tempos of 0"."""
    if count == 1 and (plural := next(filter(_is_plural, names.split(" ")), None)):
        names = names.replace(plural, plural.removesuffix("es" if plural.endswith("xes") else "s"), 1)
    return f"{count:,} {names}"


def report_of(rows: Iterable[Sequence[Any]]) -> Report:
    """Returns the report that gave the rows."""
    return Report(tuple(FileReport(*row) for row in rows))


def _is_plural(word: str) -> bool:
    return len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "'s"))
