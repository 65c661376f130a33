"""Confusion tables for the terminal."""

from gen.analysis.classification import Classification
from gen.cli.screen.confusion import confusion_lines


def new_result(labels: tuple[str, ...], confusion: tuple[tuple[int, ...], ...]) -> Classification:
    return Classification(0.1, 0.5, 0.5, 10, 0.5, labels, confusion)


def test_a_small_table_has_a_row_for_each_label_and_a_column_for_each_answer() -> None:
    result = new_result(("cold", "never", "warm"), ((1200, 0, 3), (0, 0, 0), (4, 0, 50)))

    assert list(confusion_lines(result)) == [
        "label  answers:   cold  warm",
        "cold             1,200     3",
        "warm                 4    50",
    ]


def test_of_many_labels_the_commonest_confusions_are_listed() -> None:
    labels = tuple(f"author {n}" for n in range(20))
    confusion = tuple(tuple(9 if a == b else a * (b == 0) for b in range(20)) for a in range(20))

    lines = list(confusion_lines(new_result(labels, confusion)))

    assert lines[0] == "    19  author 19, taken for author 0"
    assert len(lines) == 10


def test_every_line_of_a_table_fits_a_narrow_terminal() -> None:
    labels = ("a label of a length that no column bears", "b")

    lines = list(confusion_lines(new_result(labels, ((1, 2), (3, 4)))))

    assert max(map(len, lines)) < 80
    assert lines[1].startswith("a label of ...")
