"""A confusion table for the terminal, or in plain text."""

from collections.abc import Iterator, Sequence

from gen.analysis.classification import HasConfusion

MAX_WIDTH = 80  # of a table; of one that is wider, only the commonest confusions are listed
MAX_PAIRS = 10
NAME_WIDTH = 14


def confusion_lines(result: HasConfusion) -> Iterator[str]:
    """Yields the table of right labels and answers, or the commonest confusions where the table would be wide."""
    occurring = [k for k, row in enumerate(result.confusion) if sum(row) or any(r[k] for r in result.confusion)]
    table = list(_table(result, occurring))
    yield from table if max(map(len, table)) <= MAX_WIDTH else _pairs(result)


def _table(result: HasConfusion, labels: Sequence[int]) -> Iterator[str]:
    names = [_short(result.labels[k]) for k in labels]
    rows = [[f"{result.confusion[right][answer]:,}" for answer in labels] for right in labels]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    first = max(len("label"), *map(len, names))
    for name, cells in zip(("label", *names), (names, *rows), strict=True):
        lead = "  answers:  " if cells is names else " " * 12
        yield f"{name:{first}}{lead}" + "  ".join(f"{c:>{width}}" for c, width in zip(cells, widths, strict=True))


def _pairs(result: HasConfusion) -> Iterator[str]:
    wrong = [
        (count, result.labels[right], result.labels[answer])
        for right, row in enumerate(result.confusion)
        for answer, count in enumerate(row)
        if count and right != answer
    ]
    for count, right, answer in sorted(wrong, key=lambda pair: -pair[0])[:MAX_PAIRS]:
        yield f"{count:>6,}  {right}, taken for {answer}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 3] + "..."
