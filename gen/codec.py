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

# What is asked of a control, by the seconds from the start of a document: a number, a name, None for no matter what.
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


class Reading(NamedTuple):
    """How a segment is read in training."""

    table: NDArray[np.int64]  # (V,) what each id becomes
    is_varied: bool  # whether that is another piece than the corpus holds


# Draws how a segment is read, from its (N,) ids and a source of chance.
Variation = Callable[[IdArray, np.random.Generator], Reading]


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
    """A stretch of one encoded file, and what reading it found.

    A text comes in many parts, so that a gigabyte never stands in memory; a MIDI file in one. The end of a file ends
    its last document; a file of several documents says where the others end.
    """

    ids: IdArray
    findings: Mapping[str, int]  # additive counts: {"notes": 812, "overlaps cut": 3}; {} when nothing to say
    ends: NDArray[np.int64] = NO_ENDS  # (E,) ascending: ids[:end] are of documents that end here or before
    labels: Sequence[str | None] | None = None  # of these E documents; None for that of the file


class Known(NamedTuple, Generic[Whole]):
    """A prompt as a model knows it."""

    whole: Whole  # the prompt itself where it knows all of it
    unknown: tuple[str, ...]  # a line for what it does not know, and what goes on in place of that


class StreamDecoder(Protocol[Piece_co]):
    """Turns token ids into pieces as they come."""

    def push(self, token: int) -> tuple[Piece_co, ...]:
        """Takes one id (never `begin` or `end`); returns the pieces that are now certain, in time order."""
        ...

    def finish(self) -> tuple[Piece_co, ...]:
        """Returns what was still held back; the decoder is spent."""
        ...


class Grammar(Protocol):
    """An automaton over token ids that knows which id may come next."""

    def allowed(self, budget: int | None) -> BoolArray:
        """Returns the (V,) mask of ids that may come next; at least one is allowed. Not to be modified or kept.

        Args:
            budget: how many more ids will be drawn at most, this one included (>= 1); None for no limit. The mask
                only allows ids after which the document can still be closed within the budget. `end` counts as no
                id: a document cut by the budget is closed without it.
        """
        ...

    def advance(self, token: int) -> None:
        """Takes the id that was drawn, or one id of a prompt."""
        ...

    def tokens_to_close(self) -> int:
        """Returns how many more ids are needed until the document may stop here."""
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
        """What bits are divided by: "char", "byte" or "note"."""
        ...

    @property
    def suffix(self) -> str:
        """Returns the suffix of the files it writes by itself: ".txt" or ".mid"."""
        ...

    @property
    def vocab(self) -> Vocab: ...
    @property
    def controls(self) -> tuple[str, ...]:
        """Returns the names of what stands in its ids about what is to come, such as "density"; () for nothing."""
        ...

    def known_values(self, control: str) -> tuple[float | str, ...]:
        """Returns what may be asked of a control, in order; () if it is none of `controls`."""
        ...

    def with_controls(self, names: tuple[str, ...]) -> "Codec[Whole, Piece]":
        """Returns the codec with these controls in its ids and its vocabulary. Raises SettingError if it lacks one."""
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

    def known(self, prompt: Whole) -> Known[Whole]:
        """Returns a prompt as a model of this codec reads it: with what the corpus had in place of what it had not."""
        ...

    def gone_on(self, prompt: Whole, tokens: Sequence[int], *, name: str, with_prompt: bool = True) -> Whole:
        """Returns a prompt, just as it is, and what ids that go on from `known(prompt)` add to it.

        Args:
            prompt: what was gone on from.
            tokens: ids beyond those of the prompt.
            name: who wrote them.
            with_prompt: False for what they add alone.
        """
        ...

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> Grammar | None:
        """Returns a fresh automaton that stands after `begin`, or None when every sequence of ids is a document.

        Args:
            asked: what each of the codec's `controls` shall be over time; of those that are missing, anything.
        """
        ...

    def variation(self, *, is_augmented: bool) -> Variation | None:
        """Returns what draws how each segment is read in training, or None where all are read as they are.

        Args:
            is_augmented: whether a segment may become another that the corpus could as well hold, in another key, say.
        """
        ...

    def neutral(self) -> NDArray[np.int64] | None:
        """Returns (V,) what each id becomes where nothing is known of the controls; None if no id changes."""
        ...

    def fitted(self, ids: IdArray) -> "Codec[Whole, Piece]":
        """Returns the codec with what its grammar may learn of a corpus: (N,) its ids; itself if nothing."""
        ...

    def knowing(self, spec: Mapping[str, Any]) -> "Codec[Whole, Piece]":
        """Returns the codec that also knows what another of its name does: its symbols, and what that was fitted to.

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
    """Decodes ids as they come, up to the end of the document."""
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
