"""The interface between files and models: codecs turn files into token ids and back.

Code that knows letters or notes implements `Codec`; code that learns, samples or measures sees integers only. A model
reads a document, such as a book or a piece of music, as `begin ids... end`. `encode` returns the ids between the two,
and a store holds only these. `begin` and `end` are the last two ids of every vocabulary, so that the ids of up to 256
symbols are stored in a byte each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

IdArray = NDArray[np.unsignedinteger[Any]]
BoolArray = NDArray[np.bool_]

# Takes the seconds since the start of a piece; returns the value that a control must have then, None for any value.
Envelope = Callable[[float], float | str | None]
NOTHING_ASKED: Mapping[str, Envelope] = MappingProxyType({})

NO_ENDS: NDArray[np.int64] = np.empty(0, np.int64)
NO_ENDS.flags.writeable = False

BEGIN = "Begin"
END = "End"

Kind = Literal["text", "music"]

Whole = TypeVar("Whole")
Piece = TypeVar("Piece")
Piece_co = TypeVar("Piece_co", covariant=True)


class IdTable(NamedTuple):
    """A map from ids to ids that is applied to a segment of the corpus when training reads it."""

    table: NDArray[np.int64]  # (V,) the id that each becomes
    is_varied: bool  # whether the result is another piece than the corpus holds


# Draws the table for a segment, given the (N,) ids of the segment.
Variation = Callable[[IdArray, np.random.Generator], IdTable]


class SymbolClasses(NamedTuple):
    """The kinds of symbols of a vocabulary, such as upper case letters or NoteOn."""

    names: tuple[str, ...]
    of: NDArray[np.int64]  # (V,) the index of each id's class among the names


@dataclass(frozen=True, slots=True)
class Vocab:
    """The symbols of a codec, in the order of their ids; the last two are `Begin` and `End`.

    Args:
        symbols: distinct strings, one a token id.
    """

    symbols: tuple[str, ...]
    index: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {symbol: token for token, symbol in enumerate(self.symbols)})
        assert self.symbols[-2:] == (BEGIN, END), "a vocabulary ends with Begin and End"
        assert len(self.index) == len(self.symbols), "a symbol stands twice in the vocabulary"

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def begin(self) -> int:
        """The id that opens every document."""
        return len(self.symbols) - 2

    @property
    def end(self) -> int:
        """The id that closes every document."""
        return len(self.symbols) - 1


class Part(NamedTuple):
    """A part of an encoded file, with counts of what was found and repaired in it.

    A text comes in many parts, so that a gigabyte is never in memory at once; a MIDI file is one part. A file may hold
    several documents, such as its lines. The last of them ends with the file; `ends` has the ends of the others.
    """

    ids: IdArray
    findings: Mapping[str, int]  # additive counts: {"notes": 812, "overlaps cut": 3}
    ends: NDArray[np.int64] = NO_ENDS  # (E,) ascending indices: a document ends before ids[end]
    labels: Sequence[str | None] | None = None  # of these E documents; None: each has the file's label


class Adapted(NamedTuple, Generic[Whole]):
    """A prompt as a model reads it."""

    whole: Whole  # the prompt itself if the model knows all its symbols
    unknown: tuple[str, ...]  # a line for each thing that the model does not know, with what takes its place


class Pieces(NamedTuple, Generic[Piece]):
    """The characters or notes that a reader sees of the ids of a document, and the ids that each is made of."""

    pieces: Sequence[Piece]  # (S,) characters, or notes as NoteEvents
    owners: NDArray[np.int64]  # (N,) the index of the piece that each id belongs to; -1 for an id of no piece


class StreamDecoder(Protocol[Piece_co]):
    """Turns token ids into pieces, one id at a time."""

    def push(self, token: int) -> tuple[Piece_co, ...]:
        """Takes one id (never `begin` or `end`); returns the pieces that are now certain, in time order."""
        ...

    def finish(self) -> tuple[Piece_co, ...]:
        """Returns the pieces that were held back; the decoder cannot be used again."""
        ...


class Grammar(Protocol):
    """An automaton over token ids that allows the ids which may come next."""

    def allowed(self, budget: int | None) -> BoolArray:
        """Returns the (V,) mask of ids that may come next; at least one is allowed. Not to be modified or kept.

        Args:
            budget: how many more ids will be drawn at most, this one included (>= 1); None for no limit. The mask
                only allows ids after which the document can still be closed within the budget. `end` counts as no
                id: a document that ends with its budget is closed without it.
        """
        ...

    def advance(self, token: int) -> None:
        """Takes the id that was drawn, or one id of a prompt."""
        ...

    def tokens_to_close(self) -> int:
        """Returns how many more ids are needed until the document may stop here."""
        ...


class Controls(Protocol):
    """Control tokens: ids that state a property of the music after them, such as its density."""

    @property
    def names(self) -> tuple[str, ...]:
        """Returns at least one name, such as "density"."""
        ...

    def values(self, control: str) -> tuple[float | str, ...]:
        """Returns the values that may be asked of a control, in order; () if it is none of `names`."""
        ...

    def neutral(self) -> NDArray[np.int64]:
        """Returns (V,) the id that replaces each id where the values of the controls are unknown."""
        ...


class Codec(Protocol[Whole, Piece]):
    """Turns files of one domain into token ids, and ids back into files of that domain."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind:
        """The domain: of "text" a whole document is a string, of "music" it is a Score."""
        ...

    @property
    def unit(self) -> str:
        """The unit in which documents are measured, as in bits per unit: "char", "byte" or "note"."""
        ...

    @property
    def suffix(self) -> str:
        """Returns the suffix of the files it writes by itself: ".txt" or ".mid"."""
        ...

    @property
    def vocab(self) -> Vocab: ...
    @property
    def controls(self) -> Controls | None:
        """The controls that have ids in the vocabulary; None for none, and for every text codec."""
        ...

    def read(self, path: Path) -> Whole:
        """Reads one whole file, such as a prompt. Raises CorpusError or MidiError."""
        ...

    def write(self, path: Path, whole: Whole) -> None:
        """Writes one file; it appears whole or not at all."""
        ...

    def encode(self, whole: Whole) -> IdArray:
        """Returns the (N,) ids of a document, without begin and end. Raises SettingError on an unknown symbol."""
        ...

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Reads and encodes one file of a corpus in bounded memory. Raises CorpusError or MidiError."""
        ...

    def join(self, pieces: Iterable[Piece]) -> Whole:
        """Joins the pieces that a stream decoder returned into a whole document."""
        ...

    def decoder(self) -> StreamDecoder[Piece]: ...

    def adapted(self, prompt: Whole) -> Adapted[Whole]:
        """Returns the prompt with what the corpus lacks, such as an instrument, replaced by what the corpus has."""
        ...

    def continued(self, prompt: Whole, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Whole:
        """Returns the unchanged prompt with its continuation.

        Args:
            prompt: as the user gave it, not adapted.
            tokens: the ids that a model wrote after those of `adapted(prompt)`.
            name: the name of that model.
            with_prompt: False for the continuation alone.
        """
        ...

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> Grammar | None:
        """Returns a new automaton in its state after `begin`, or None if every sequence of ids is a valid document.

        Args:
            asked: the values over time that the codec's `controls` must have; a missing control may have any value.
        """
        ...

    def variation(self, *, is_augmented: bool) -> Variation | None:
        """Returns a function that draws the `IdTable` of a segment; None if training reads every segment unchanged.

        Args:
            is_augmented: whether a segment may be read as another plausible one, such as the same music in another key.
        """
        ...

    def fitted(self, ids: IdArray) -> "Codec[Whole, Piece]":
        """Returns the codec whose grammar is fitted to the (N,) ids of a corpus; itself if there is nothing to fit."""
        ...

    def merged_with(self, spec: Mapping[str, Any]) -> "Codec[Whole, Piece]":
        """Returns a codec with the symbols of this one and of the one of the same name that `spec` describes.

        Its grammar is fitted to the corpora of both.

        Raises CheckpointError if the spec describes no codec; SettingError if one is of drums and the other is not.
        """
        ...

    def units(self) -> NDArray[np.int64]:
        """Returns (V,) how many units each id completes: 1 for a character or a NoteOn, else 0."""
        ...

    def pieces(self, ids: IdArray) -> Pieces[Any]:
        """Returns the characters or the notes of (N,) ids of a document or a part of one, in the order of the ids.

        Ids that lead to a note or to its end, such as the time until then, belong to that note. Ids of controls, and
        those that lead to no note any more, belong to none.
        """
        ...

    def features(self, ids: IdArray) -> dict[str, NDArray[np.float32]]:
        """Returns by name what a reader of one document could keep track of, such as the position in the line.

        Args:
            ids: (N,) without begin and end.

        Returns:
            (N,) numbers each, as they are after every id.
        """
        ...

    def symbol_classes(self) -> SymbolClasses:
        """Returns the kind of each symbol."""
        ...

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data; `gen.codecs.load_codec` makes an equal codec of it."""
        ...


AnyCodec = Codec[Any, Any]


def classes_named(names: Sequence[str]) -> SymbolClasses:
    """Returns the classes of the ids of a vocabulary, given the (V,) name of each id's class."""
    distinct = tuple(dict.fromkeys(names))
    numbers = {name: number for number, name in enumerate(distinct)}
    return SymbolClasses(distinct, np.array([numbers[name] for name in names], np.int64))


def stream(codec: Codec[Any, Piece], tokens: Iterable[int]) -> Iterator[Piece]:
    """Yields the pieces that the ids decode to, each as soon as it is certain, up to the end of the document."""
    decoder = codec.decoder()
    for token in tokens:
        if token == codec.vocab.end:
            break
        if token != codec.vocab.begin:
            yield from decoder.push(token)
    yield from decoder.finish()


def decode(codec: Codec[Whole, Any], tokens: Sequence[int] | IdArray) -> Whole:
    """Decodes a whole document by joining what the stream decoder returns, so that there is only one decoder."""
    return codec.join(stream(codec, (int(token) for token in tokens)))
