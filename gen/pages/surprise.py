"""The page of what each character or note of a file costs one run, or several beside each other."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.score import NoteEvent
from gen.pages.page import write_page
from gen.runs.beside import differences, largest_differences
from gen.runs.surprise import CorpusCosts, CostedDocument, LocatedPassage, Nats, most_surprising

# Characters or notes of a page, all views together: a browser draws as many characters in a second. A note takes 150
# bytes.
MAX_PIECES = {"text": 50_000, "music": 12_000}
SCRIPTS = ("text.js", "roll.js", "surprise.js")


class _View(NamedTuple):
    """Something that the page can show: the costs of a run, or how they differ from those of the first."""

    label: str
    is_difference: bool
    figures: list[list[str]]
    documents: Sequence[CostedDocument]
    nats: Sequence[Nats]
    passages: Sequence[LocatedPassage]


def write_surprise(path: Path, title: str, costs: Sequence[CorpusCosts]) -> None:
    """Writes the page; the file appears whole or not at all.

    Args:
        path: of a kind that `check_page` allows.
        costs: of the runs, for the same corpus. The others are compared with the first.

    Raises SettingError if the file cannot be written.
    """
    write_page(path, title, page_data(costs), scripts=SCRIPTS)


def page_data(costs: Sequence[CorpusCosts]) -> dict[str, Any]:
    """Returns the data of the page; see `write_surprise`."""
    first = costs[0]
    compared = [(each, found) for each in costs[1:] if (found := differences(first, each)) is not None]
    room = MAX_PIECES[first.codec.kind] // (len(costs) + len(compared))
    views = [_of_run(each, room) for each in costs] + [_of_difference(first, *each, room) for each in compared]
    num_shown = sum(len(nats) for nats in views[0].nats)
    return {
        "kind": first.codec.kind,
        "piece": first.piece,
        "remark": _remark(first, num_shown),
        "views": [_view_data(view) for view in views],
    }


def _of_run(costs: CorpusCosts, room: int) -> _View:
    documents = _cut(costs.documents, room)
    nats = [document.nats for document in documents]
    return _View(costs.run, False, figures(costs), documents, nats, most_surprising(documents))


def _of_difference(first: CorpusCosts, other: CorpusCosts, found: Sequence[Nats], room: int) -> _View:
    documents = _cut(first.documents, room)
    nats = [each[: len(document.nats)] for each, document in zip(found, documents, strict=False)]
    label = f"{other.run} less {first.run}"
    table = [[label, "nats"], ["all that is shown", f"{sum(float(np.nansum(each)) for each in nats):.1f}"]]
    return _View(label, True, table, documents, nats, largest_differences(documents, nats))


def figures(costs: CorpusCosts) -> list[list[str]]:
    """Returns a table of the tokens by kind, below its head and the totals of the evaluation."""
    evaluation = costs.evaluation
    rows = [["", "tokens", "bits", "bits a token"]]
    total = evaluation.bits_per_token * evaluation.tokens
    rows.append(["whole file", f"{evaluation.tokens:,}", f"{total:,.1f}", f"{evaluation.bits_per_token:.4f}"])
    for share in costs.shares():
        bits = share.nats / math.log(2)
        rows.append([share.kind, f"{share.tokens:,}", f"{bits:,.1f}", f"{bits / share.tokens:.4f}"])
    num_hidden = evaluation.tokens - len(costs.tokens)
    if num_hidden:
        bits = total - float(costs.nats.sum(dtype=np.float64)) / math.log(2)
        rows.append(["not shown", f"{num_hidden:,}", f"{bits:,.1f}", f"{bits / num_hidden:.4f}"])
    return rows


def _cut(documents: Sequence[CostedDocument], room: int) -> list[CostedDocument]:
    """Returns the first documents, of at most `room` pieces together; the last may be cut."""
    found = []
    for name, pieces, nats, places in ((d.name, d.pieces, d.nats, d.note_places) for d in documents):
        if room <= 0:
            break
        found.append(CostedDocument(name, pieces[:room], nats[:room], places[:room]))
        room -= len(pieces)
    return found


def _remark(first: CorpusCosts, num_shown: int) -> str:
    num_pieces = sum(len(document.pieces) for document in first.documents)
    if num_shown < num_pieces or first.remark:
        return f"Shown are the first {num_shown:,} {first.piece}s; the totals are of the whole file."
    return ""


def _view_data(view: _View) -> dict[str, Any]:
    return {
        "label": view.label,
        "is_difference": view.is_difference,
        "figures": view.figures,
        "documents": [document_data(*each) for each in zip(view.documents, view.nats, strict=True)],
        "passages": [passage_data(view.documents, passage) for passage in view.passages],
    }


def passage_data(documents: Sequence[CostedDocument], passage: LocatedPassage) -> dict[str, Any]:
    """Returns a passage as JSON data, with its text and its place, which names its document if there are several."""
    document = documents[passage.document]
    place, text = document.place(passage.start), document.text(passage.start, passage.stop)
    if len(documents) > 1:
        place = f"{document.name}, {place}"
    return passage._asdict() | {"place": place, "text": text}


def document_data(document: CostedDocument, nats: Nats) -> dict[str, Any]:
    """Returns a document as JSON data, with a number for each of its characters or notes."""
    data: dict[str, Any] = {"name": document.name, "nats": rounded(nats)}
    if document.note_places:
        notes = zip(document.pieces, document.note_places, strict=True)
        return data | {"notes": [note_data(note) | {"place": place} for note, place in notes]}
    return data | {"characters": list(document.pieces)}


def rounded(nats: NDArray[np.floating[Any]]) -> list[float | None]:
    """Returns numbers with six decimals, since float32 holds no more; None for NaN."""
    return [None if math.isnan(each) else each for each in np.round(nats.astype(np.float64), 6).tolist()]


def note_data(note: NoteEvent) -> dict[str, Any]:
    """Returns a note as JSON data; its times with six decimals."""
    data = note._asdict()
    return data | {name: round(data[name], 6) for name in ("onset_seconds", "duration_seconds")}
