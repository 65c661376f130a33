"""The cost of each character or note of a corpus for a run, and the passages that cost most.

What is kept adds up: the nats of all tokens are those of the evaluation, and those of the characters or notes are the
nats of all tokens but the few that belong to none, such as the end of a document.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.analysis.adapting import Adapting, adapting_costs
from gen.analysis.evaluate import Evaluation, OnProgress, num_targets
from gen.analysis.surprise import Passage, Share, collect, passages, shares, static_costs
from gen.codec import AnyCodec, decode
from gen.codecs.text.char import unknown_of
from gen.data.split import Excerpt
from gen.data.store import Store
from gen.data.stretches import Stretch
from gen.models.stepper import StepPrecision
from gen.music.metre import bars_of
from gen.music.score import NoteEvent, Score, pitch_name
from gen.runs.run import Run

MAX_TOKENS = 1 << 20  # whose nats are kept
MAX_PASSAGES = 10
PASSAGE_LENGTH = {"text": 24, "music": 8}  # characters, notes

Nats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CostedDocument:
    """A document, or the part of one that was measured.

    Args:
        name: that of its file; with a number if the file has several.
        pieces: (S,) its characters, or its notes as NoteEvents.
        nats: (S,) of each.
        note_places: (S,) of music, the bar and beat of each note, or its seconds; () of text.
    """

    name: str
    pieces: Sequence[Any]
    nats: Nats
    note_places: Sequence[str] = ()

    def place(self, piece: int) -> str:
        """Returns the place of a piece: its line and column, both from 1, or its bar and beat, or its seconds."""
        if self.note_places:
            return self.note_places[piece]
        before = "".join(self.pieces[:piece])
        return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"

    def text(self, start: int, stop: int) -> str:
        """Returns the characters of some pieces, or the names of their pitches."""
        found = self.pieces[start:stop]
        if not self.note_places:
            return "".join(found)
        return " ".join(f"drum {note.pitch}" if note.is_drum else pitch_name(note.pitch) for note in found)


@dataclass(frozen=True, slots=True)
class CorpusCosts:
    """The cost of a corpus for a run.

    Args:
        run: its name.
        evaluation: of the whole corpus.
        tokens: (N,) the first tokens of the corpus, with the `End` of each document.
        nats: (N,) of each.
        documents: those of these tokens; the last may be cut.
        adapting: the settings with which the run learnt on the way; None for fixed weights.
    """

    run: str
    codec: AnyCodec
    evaluation: Evaluation
    tokens: NDArray[np.int64]
    nats: NDArray[np.float32]
    documents: tuple[CostedDocument, ...]
    adapting: Adapting | None = None

    @property
    def piece(self) -> str:
        """The word for what a cost belongs to: "character", which may be several bytes, or "note"."""
        return "note" if self.codec.kind == "music" else "character"

    @property
    def remark(self) -> str:
        """A sentence that says that only a part is shown; "" if all is."""
        num_shown, num_all = len(self.tokens), self.evaluation.tokens
        return "" if num_shown == num_all else f"Shown are the first {num_shown:,} of {num_all:,} tokens."

    @property
    def other_nats(self) -> float:
        """The nats of the tokens that belong to no character and no note."""
        return float(self.nats.sum(dtype=np.float64)) - sum(float(document.nats.sum()) for document in self.documents)

    def shares(self) -> Sequence[Share]:
        """Returns the tokens by kind: of music, what their names begin with; of text, characters and `End`."""
        vocab, is_text, unit = self.codec.vocab, self.codec.kind == "text", self.codec.unit

        def kind_of(token: int) -> str:
            return unit if is_text and token < vocab.begin else vocab.symbols[token].partition("_")[0]

        return shares(self.tokens, self.nats, kind_of)


class LocatedPassage(NamedTuple):
    """A passage of one of several documents."""

    document: int
    start: int
    stop: int
    nats: float  # a character or note, on average


def corpus_costs(
    run: Run,
    corpus: str | Path | Sequence[str | Path],
    *,
    context: int | None = None,
    precision: StepPrecision = "fp32",
    adapting: Adapting | None = None,
    unknown: Literal["error", "skip"] = "error",
    max_tokens: int | None = None,
    on_progress: OnProgress | None = None,
    **reading: Any,
) -> CorpusCosts:
    """Measures what each character or note of a corpus costs.

    Args:
        adapting: a copy of the weights learns from each segment after it was predicted; only with the context and the
            precision that are the default. None for fixed weights.
        max_tokens: the number of tokens whose costs are kept; all are measured. None for MAX_TOKENS.

    The other arguments, and the errors, are those of `Run.evaluate`.
    """
    store, excerpt = run.stored_excerpt(corpus, unknown=unknown, **reading)
    units = run.codec.units()
    if adapting is not None:
        costs = adapting_costs(run.copied().model, excerpt, adapting)
    else:
        costs = static_costs(run.measured_model(precision), excerpt, context=context, vocab_size=len(units))
    found = collect(
        costs,
        excerpt,
        units=units,
        unit=run.codec.unit,
        context=context,
        max_tokens=MAX_TOKENS if max_tokens is None else max_tokens,
        on_progress=on_progress,
    )
    evaluation = found.evaluation
    if unknown == "skip":
        evaluation = replace(evaluation, unknown=unknown_of(store.report.findings))
    parts = list(_parts(excerpt, len(found.nats)))
    tokens = np.concatenate([np.empty(0, np.int64), *(_tokens(excerpt, *part) for part in parts)])
    documents = _documents(run.codec, store, excerpt, parts, found.nats)
    name = run.name if adapting is None else f"{run.name}, adapting"
    return CorpusCosts(name, run.codec, evaluation, tokens, found.nats, tuple(documents), adapting)


def most_surprising(documents: Sequence[CostedDocument], nats: Sequence[Nats] | None = None) -> list[LocatedPassage]:
    """Returns the passages that cost most, the costliest first.

    Args:
        documents: they are cut into passages; none goes beyond a document.
        nats: other numbers for the pieces of each document; None for their costs.
    """
    found = (
        LocatedPassage(number, *passage)
        for number, document in enumerate(documents)
        for passage in _passages(document, document.nats if nats is None else nats[number])
    )
    return sorted(found, key=lambda passage: -passage.nats)[:MAX_PASSAGES]


def _passages(document: CostedDocument, nats: Nats) -> list[Passage]:
    return passages(nats, length=PASSAGE_LENGTH["music" if document.note_places else "text"], most=MAX_PASSAGES)


def _parts(excerpt: Excerpt, num_tokens: int) -> Iterator[tuple[Stretch, int]]:
    """Yields the stretches of the first tokens of an excerpt, each with the number of its targets among them."""
    for stretch in excerpt.stretches:
        if num_tokens <= 0:
            return
        yield stretch, min(num_targets(stretch), num_tokens)
        num_tokens -= num_targets(stretch)


def _tokens(excerpt: Excerpt, stretch: Stretch, count: int) -> NDArray[np.int64]:
    """Returns (count,) the first targets of a stretch."""
    ids = excerpt.ids[stretch.start : min(stretch.start + count, stretch.stop)].astype(np.int64)
    return np.append(ids, excerpt.end) if count > len(ids) else ids


def _documents(
    codec: AnyCodec, store: Store, excerpt: Excerpt, parts: Sequence[tuple[Stretch, int]], nats: NDArray[np.float32]
) -> Iterator[CostedDocument]:
    start = 0
    for stretch, count in parts:
        ids = excerpt.ids[stretch.start : min(stretch.start + count, stretch.stop)]
        costs = nats[start : start + len(ids)]
        pieces, owners = codec.pieces(ids)
        is_owned = owners >= 0
        of_pieces = np.bincount(owners[is_owned], weights=costs[is_owned], minlength=len(pieces)).astype(np.float64)
        places = () if codec.kind == "text" else _note_places(decode(codec, ids), pieces)
        yield CostedDocument(_name(store, stretch), pieces, of_pieces, places)
        start += count


def _name(store: Store, stretch: Stretch) -> str:
    """Returns the name of the document of a stretch; of a part of one, also where the part begins."""
    document = min(int(np.searchsorted(store.starts, stretch.start, side="right")), store.num_documents) - 1
    first, last = store.starts[document : document + 2].tolist()
    name = store.name(document)
    if stretch.start == first:
        return name
    return f"{name}, from {100 * (stretch.start - first) / (last - first):.0f} % on"


def _note_places(score: Score, notes: Sequence[NoteEvent]) -> list[str]:
    """Returns bar and beat of each note, both from 1, or its seconds where the score has no metre."""
    onsets = [note.onset_seconds for note in notes]
    if not score.time_signatures:
        return [f"{onset:.2f} s" for onset in onsets]
    ticks, starts = score.ticks(onsets), bars_of(score).starts()
    bars = np.searchsorted(starts, ticks, side="right")
    beats = 1 + (ticks - starts[bars - 1]) / score.ticks_per_beat
    return [f"bar {bar}, beat {round(beat, 2):g}" for bar, beat in zip(bars.tolist(), beats.tolist(), strict=True)]
