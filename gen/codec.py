"""The seam between domains and models: what turns files into token ids and back.

Everything that knows letters or notes implements `Codec`; everything that learns, samples or measures sees integers.
A document is `begin ids... end`; `encode` gives the ids between the two, which are also the only ids that a store
holds. `begin` and `end` are the last two ids of every vocabulary, so that 256 symbols still fit one byte.
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

# The value that is asked of a control at a time in seconds from the start: a number, a name, or None for any value.
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
    """A map of ids to ids, through which a segment is read in training."""

    table: NDArray[np.int64]  # (V,) the id that each becomes
    is_varied: bool  # whether the result is another piece than the corpus holds


# Draws a table for a segment, by its (N,) ids.
Variation = Callable[[IdArray, np.random.Generator], IdTable]


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
    """A part of an encoded file, with the findings of reading it.

    A text comes in many parts, so that a gigabyte is never in memory at once; a MIDI file is one part. The end of a
    file ends its last document; `ends` are those of the others.
    """

    ids: IdArray
    findings: Mapping[str, int]  # additive counts: {"notes": 812, "overlaps cut": 3}
    ends: NDArray[np.int64] = NO_ENDS  # (E,) ascending: ids[:end] are of documents that end here or before
    labels: Sequence[str | None] | None = None  # of these E documents; None for that of the file


class Adapted(NamedTuple, Generic[Whole]):
    """A prompt as a model reads it."""

    whole: Whole  # the prompt itself if the model knows all of it
    unknown: tuple[str, ...]  # a line for each thing that the model does not know, with what takes its place


class StreamDecoder(Protocol[Piece_co]):
    """Turns token ids into pieces, one id at a time."""

    def push(self, token: int) -> tuple[Piece_co, ...]:
        """Takes one id (never `begin` or `end`); returns the pieces that are now certain, in time order."""
        ...

    def finish(self) -> tuple[Piece_co, ...]:
        """Returns what was still held back; the decoder is spent."""
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
    """Tokens among the ids that say of the music that follows how dense it is, say."""

    @property
    def names(self) -> tuple[str, ...]:
        """Returns at least one name, such as "density"."""
        ...

    def values(self, control: str) -> tuple[float | str, ...]:
        """Returns the values that may be asked of a control, in order; () if it is none of `names`."""
        ...

    def neutral(self) -> NDArray[np.int64]:
        """Returns (V,) what each id becomes where nothing is known of the controls."""
        ...


class Codec(Protocol[Whole, Piece]):
    """Turns files of one domain into token ids, and ids back into files of that domain."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind:
        """The domain of its files: `Whole` is a string, or a Score."""
        ...

    @property
    def unit(self) -> str:
        """The unit of lengths, by which bits are divided: "char", "byte" or "note"."""
        ...

    @property
    def suffix(self) -> str:
        """Returns the suffix of the files it writes by itself: ".txt" or ".mid"."""
        ...

    @property
    def vocab(self) -> Vocab: ...
    @property
    def controls(self) -> Controls | None:
        """The controls that stand in its ids; None for none, and always of a text."""
        ...

    def read(self, path: Path) -> Whole:
        """Reads one file whole (a prompt, a primer). Raises CorpusError or MidiError."""
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
        """Joins decoded pieces; `join` over a stream decoder is how a whole document is decoded."""
        ...

    def decoder(self) -> StreamDecoder[Piece]: ...

    def adapted(self, prompt: Whole) -> Adapted[Whole]:
        """Returns a prompt in which something that the corpus had replaces what the corpus had not."""
        ...

    def continued(self, prompt: Whole, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Whole:
        """Returns the unchanged prompt with its continuation.

        Args:
            prompt: not adapted.
            tokens: the ids after those of `adapted(prompt)`.
            name: of the model that wrote them.
            with_prompt: False for the continuation alone.
        """
        ...

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> Grammar | None:
        """Returns a fresh automaton that stands after `begin`, or None when every sequence of ids is a document.

        Args:
            asked: the values of the codec's `controls` over time; those that are missing may have any.
        """
        ...

    def variation(self, *, is_augmented: bool) -> Variation | None:
        """Returns a function that draws how a segment is read in training; None if each is read unchanged.

        Args:
            is_augmented: whether a segment may become another that the corpus could as well hold, in another key, say.
        """
        ...

    def fitted(self, ids: IdArray) -> "Codec[Whole, Piece]":
        """Returns the codec whose grammar is fitted to the (N,) ids of a corpus; itself if there is nothing to fit."""
        ...

    def merged_with(self, spec: Mapping[str, Any]) -> "Codec[Whole, Piece]":
        """Returns the codec with the symbols of both, fitted to the corpora of both; the other has the same name.

        Raises CheckpointError if the spec describes none; SettingError if the two are of different music.
        """
        ...

    def units(self) -> NDArray[np.int64]:
        """Returns (V,) how many units each id completes: 1 for a character or a NoteOn, else 0."""
        ...

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data; `gen.codecs.load_codec` makes an equal codec of it."""
        ...


AnyCodec = Codec[Any, Any]


def stream(codec: Codec[Any, Piece], tokens: Iterable[int]) -> Iterator[Piece]:
    """Yields the pieces of ids one by one, up to the end of the document."""
    decoder = codec.decoder()
    for token in tokens:
        if token == codec.vocab.end:
            break
        if token != codec.vocab.begin:
            yield from decoder.push(token)
    yield from decoder.finish()


def decode(codec: Codec[Whole, Any], tokens: Sequence[int] | IdArray) -> Whole:
    """Decodes a whole document: the stream decoder, joined, so the two cannot drift apart."""
    return codec.join(stream(codec, (int(token) for token in tokens)))
