"""The prepared corpus of a run, split into training, validation and test."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.analysis.yardsticks import bz2_bits_per_char, yardsticks
from gen.codec import AnyCodec, Codec, IdArray, decode
from gen.codecs import load_codec
from gen.codecs.music_codec import with_controls
from gen.codecs.text.char import UnknownCharacterError
from gen.codecs.text.pairs import PairsCodec
from gen.codecs.text.tables.parts import has_table_suffix
from gen.codecs.text.tagged import TaggedCodec
from gen.corpus.encoding import OnProgress
from gen.corpus.prepare import prepare
from gen.corpus.sources import StandardInput, is_gone, printable
from gen.data.indices import IndexArray
from gen.data.pairs import source_twins
from gen.data.split import Excerpt, split, whole
from gen.data.store import Store, open_store, stores_folder
from gen.errors import CorpusError
from gen.runs.options import CorpusOptions
from gen.training.recipe import MIN_BPTT, CorpusSummary

MAX_LABELS = 4096  # each is a row of weights; a column with more holds numbers or texts instead
MIN_ENDS = 2  # documents that end within the training data: from fewer a model cannot learn to end one
MAX_BZ2_TOKENS = 1 << 20  # of the validation part, that bz2 compresses

Prepare = Callable[..., Store]  # `prepare`, perhaps with the progress and the standard input of a whole corpus


class Recorded(NamedTuple):
    """The corpus of a run that is resumed or measured, as its checkpoint keeps it.

    Args:
        key: of the corpus's store.
        valid_key: of the store of the validation part.
        is_corpus_named: whether the user names the files again; then they are read, else the store may be enough.
        is_valid_file_named: the same for the validation file.
    """

    codec: AnyCodec
    label_names: tuple[str, ...]
    key: str
    valid_key: str
    is_corpus_named: bool = False
    is_valid_file_named: bool = False


class StoredExcerpt(NamedTuple):
    """An excerpt to measure on, and the store that it is taken from; its controls are neutral."""

    store: Store
    excerpt: Excerpt


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """A corpus ready to train on.

    Args:
        store: of the corpus.
        valid_store: the one that `valid` is taken from: that of the validation file, else that of the corpus.
        train: the training part.
        valid: the validation part, its controls neutral; it may have no stretch.
        test: the test part, its controls neutral; it has stretches only with a `test_fraction`.
    """

    options: CorpusOptions
    codec: AnyCodec
    label_names: tuple[str, ...]
    store: Store
    valid_store: Store
    train: Excerpt
    valid: Excerpt
    test: Excerpt

    @property
    def is_from_cache(self) -> bool:
        """True if only the store exists, and no longer the files that it was made of."""
        return not self.store.paths


def open_corpus(
    options: CorpusOptions, on_progress: OnProgress | None = None, *, recorded: Recorded | None = None
) -> PreparedCorpus:
    """Prepares and splits a corpus.

    Args:
        recorded: of a run that is resumed or measured: its codec is used again, and a store whose files cannot be read
            again is taken from the cache.

    Raises CorpusError or SettingError.
    """
    with closing(StandardInput()) as stdin:
        return _open_corpus(options, recorded, partial(prepare, on_progress=on_progress, stdin=stdin))


def _open_corpus(options: CorpusOptions, recorded: Recorded | None, read: Prepare) -> PreparedCorpus:
    key = recorded and recorded.key
    kept = kept_store(options.sources, key) if recorded is not None and not recorded.is_corpus_named else None
    store = kept or _prepared(options, recorded, read)
    codec, label_names = _learnt(options, store, recorded)
    valid = None
    if options.valid_file is not None:
        try:
            valid = validation_file(options, codec, label_names, recorded=recorded, read=read)
        except UnknownCharacterError:
            store = _prepared(options, recorded, read, alphabet=_alphabet_of_validation(options, read))
            codec, label_names = _learnt(options, store, recorded)
            valid = validation_file(options, codec, label_names, recorded=recorded, read=read)
    train, own_valid, test = _parts(options, store, codec, label_names)
    valid_store, measured = valid or StoredExcerpt(store, own_valid)
    return PreparedCorpus(options, codec, label_names, store, valid_store, train, measured, test)


def validation_file(
    options: CorpusOptions,
    codec: AnyCodec,
    label_names: Sequence[str],
    *,
    recorded: Recorded | None,
    read: Prepare = prepare,
) -> StoredExcerpt:
    """Prepares the validation file of a corpus, or takes its store from the cache if it cannot be read again."""
    sources = [] if options.valid_file is None else [options.valid_file]
    key = recorded and recorded.valid_key
    kept = kept_store(sources, key) if recorded is not None and not recorded.is_valid_file_named else None
    store = kept or read(sources, codec=codec, reading=options.reading, known_key=key)
    found = _excerpt(store, codec, label_names)
    if options.task != "classify":
        return found
    return found._replace(excerpt=replace(found.excerpt, stretches=found.excerpt.stretches.labelled()))


def other_excerpt(
    sources: Sequence[str],
    codec: AnyCodec,
    options: CorpusOptions,
    label_names: Sequence[str],
) -> StoredExcerpt:
    """Prepares another corpus with a model's codec; its labels are matched to the model's by name.

    The columns of the model's own corpus apply to tables, and to sources that may hold tables.
    """
    reading, are_pairs = options.reading, isinstance(codec, PairsCodec)
    if not are_pairs and not any(
        source == "-" or Path(source).is_dir() or has_table_suffix(Path(source)) for source in sources
    ):
        reading = replace(reading, text_column=None, label_column=None)
    return _excerpt(prepare(sources, codec=codec, reading=reading), codec, label_names)


def kept_store(sources: Sequence[str], key: str | None) -> Store | None:
    """Returns the store of a corpus whose files cannot be read again; None if they can.

    Raises CorpusError if the cache does not hold it.
    """
    gone = [name for name in sources if is_gone(name)]
    if sources and not gone:
        return None
    try:
        return open_store(stores_folder() / str(key))
    except CorpusError as err:
        place = {"": "corpus", "-": "standard input"}.get(name := gone[0] if gone else "", printable(name))
        what = f"{'cannot be read again' if gone[:1] == ['-'] else 'no such file'}, and its store is not in the cache"
        hint = "give it again: gen train FILE --run RUN --resume, with - where it is piped in; or gen eval RUN FILE"
        raise CorpusError(f"{place}: {what}", hint=hint) from err


def neutral_ids(codec: AnyCodec, ids: IdArray) -> IdArray:
    """Returns (N,) ids with neutral controls, which say nothing of the music that follows."""
    return ids if codec.controls is None else codec.controls.neutral().astype(ids.dtype)[ids]


def _prepared(options: CorpusOptions, recorded: Recorded | None, read: Prepare, *, alphabet: str = "") -> Store:
    """Prepares the corpus; where controls are asked for, once more with them, when the codec that suits it is known."""
    read = partial(read, options.sources, reading=options.reading, auto_reads=recorded and recorded.codec.kind)
    codec: str | AnyCodec = options.codec_name
    if options.controls:
        codec = with_controls(load_codec(read(codec=codec).codec_spec), options.controls)
    known = options.base.alphabet if options.base is not None else ""
    alphabet = "".join(sorted({*known, *alphabet}))
    return read(codec=codec, known_key=recorded and recorded.key, alphabet=alphabet)


def _alphabet_of_validation(options: CorpusOptions, read: Prepare) -> str:
    """Returns the characters of the validation file, which a model must know to be measured on it."""
    codec = "pairs" if options.task == "pairs" else "char"
    alphabet: str = read([str(options.valid_file)], codec=codec, reading=options.reading).codec_spec["alphabet"]
    return alphabet


def _learnt(options: CorpusOptions, store: Store, recorded: Recorded | None) -> tuple[AnyCodec, tuple[str, ...]]:
    """Returns the codec and the labels of a run: the recorded ones, or else those of its corpus and of its base."""
    if recorded is not None and recorded.key in (store.key, *store.older_keys):
        return recorded.codec, recorded.label_names
    codec = load_codec(store.codec_spec).fitted(store.ids)
    if isinstance(codec, TaggedCodec):
        return codec, codec.tags
    if options.base is None:
        return codec, store.label_names
    is_labelled_alike = options.task == options.base.task
    labels = options.base.all_labels(store.label_names) if is_labelled_alike else store.label_names
    return codec.merged_with(options.base.codec), labels


def _parts(
    options: CorpusOptions, store: Store, codec: AnyCodec, label_names: Sequence[str]
) -> tuple[Excerpt, Excerpt, Excerpt]:
    """Returns the parts of a store. Raises CorpusError if a test part is wanted and would be empty."""
    parts = split(
        store.starts,
        _matched_labels(store, label_names),
        valid_fraction=options.valid_share,
        test_fraction=options.test_fraction,
        seed=options.seed,
        twins=_twins(store, codec),
        is_stratified=options.task == "classify",
        is_of_whole_documents=options.task in ("tag", "pairs"),
    )
    begin, end, neutral = codec.vocab.begin, codec.vocab.end, neutral_ids(codec, store.ids)
    needs_labels = options.task == "classify"
    train, valid, test = (
        Excerpt(ids, part.labelled() if needs_labels else part, begin, end)
        for ids, part in ((store.ids, parts.train), (neutral, parts.valid), (neutral, parts.test))
    )
    if options.test_fraction and not test.stretches:
        raise CorpusError(
            f"{', '.join(options.sources)}: too short for a test part (0 tokens)",
            hint="give more; copies are in one part",
        )
    return train, valid, test


def _twins(store: Store, codec: AnyCodec) -> IndexArray:
    """Returns (D,) the first document that each document equals: as a whole, or a pair in its source."""
    return source_twins(store, codec.separator) if isinstance(codec, PairsCodec) else store.twins


def _excerpt(store: Store, codec: AnyCodec, label_names: Sequence[str]) -> StoredExcerpt:
    """Returns all documents of a store; their labels are matched to the model's by name."""
    labels = _matched_labels(store, label_names)
    ids, stretches = neutral_ids(codec, store.ids), whole(store.starts, labels)
    return StoredExcerpt(store, Excerpt(ids, stretches, codec.vocab.begin, codec.vocab.end))


def _matched_labels(store: Store, label_names: Sequence[str]) -> NDArray[np.int32]:
    """Returns (D,) the numbers that the labels of a store's documents have in a model; 0 for those that it lacks."""
    if not store.label_names or tuple(label_names) == store.label_names:
        return store.labels
    known = {name: number for number, name in enumerate(label_names, 1)}
    numbers = np.array([0, *(known.get(name, 0) for name in store.label_names)], dtype=np.int32)
    return numbers[store.labels]


def can_end(corpus: PreparedCorpus) -> bool:
    """Tells whether a model can learn from a corpus to end documents, or knows it from the run that it starts from."""
    base = corpus.options.base
    return (base is not None and base.can_end) or corpus.train.stretches.num_closed >= MIN_ENDS


def summary(corpus: PreparedCorpus) -> CorpusSummary:
    """Returns the numbers that a recipe depends on. Raises CorpusError if there is nothing to train on."""
    place = ", ".join(corpus.options.sources)
    problems = corpus.store.report.problems()
    unused = f"; not used: {problems}" if problems else ""
    stretches = corpus.train.stretches
    if not stretches:
        raise CorpusError(
            f"{place}: too short to train on and validate (0 tokens to train on, at least {MIN_BPTT} needed{unused})",
            hint="give more, or --valid 0",
        )
    if len(corpus.label_names) > MAX_LABELS:
        what, hint = "labels", "another --label-column, or --labels none"
        if corpus.options.task == "tag":
            what, hint = "tags", "the last column of a line is its tag"
        raise CorpusError(f"{place}: too many different {what} ({len(corpus.label_names)}; at most {MAX_LABELS})", hint)
    _check_copies(corpus)
    lengths = stretches.lengths
    return CorpusSummary(
        num_tokens=corpus.train.num_targets,
        num_documents=len(stretches),
        typical_length=int(np.quantile(lengths, 0.75)),
        longest=int(lengths.max()),
        vocab_size=len(corpus.codec.vocab),
        num_labels=len(corpus.label_names),
        can_augment=corpus.codec.variation(is_augmented=True) is not None,
        unused=unused,
    )


def _check_copies(corpus: PreparedCorpus) -> None:
    """Raises CorpusError if there is no validation part because documents are copies, which are all in one part."""
    if not corpus.options.valid_share or corpus.valid.stretches:
        return
    firsts = _twins(corpus.store, corpus.codec)
    if corpus.options.task == "classify":
        firsts = firsts[corpus.store.labels > 0]
    if (num_different := len(np.unique(firsts))) < len(firsts):
        raise CorpusError(
            f"{', '.join(corpus.options.sources)}: nothing to validate on, for copies are kept in one part "
            f"({len(firsts):,} documents, {num_different:,} different)",
            hint="give others, or --valid 0",
        )


def bits_of(corpus: PreparedCorpus) -> dict[str, float]:
    """Returns yardsticks in bits per unit on the validation part: the costs of simpler models of the same split."""
    excerpt, codec = corpus.valid, corpus.codec
    if corpus.options.valid_file is not None or not excerpt.stretches:
        return {}
    num_units = _num_units(excerpt, codec)
    if num_units == 0:
        return {}
    scale = excerpt.num_targets / num_units / np.log(2)
    nats = yardsticks(replace(corpus.train, ids=excerpt.ids), excerpt, vocab_size=len(codec.vocab))
    bits = {name: value * scale for name, value in nats.items()}
    if codec.kind == "text":
        bits["bz2 -9"] = bz2_bits_per_char(_beginning(excerpt, codec))
    return bits


def _num_units(excerpt: Excerpt, codec: AnyCodec) -> int:
    units = codec.units()
    if units[:-2].min() == units[:-2].max():  # a character each, a byte each: nothing to look up
        return excerpt.stretches.num_tokens * int(units[0])
    return sum(int(units[ids].sum()) for ids in excerpt.stretches.read(excerpt.ids))


def _beginning(excerpt: Excerpt, codec: Codec[str, Any]) -> str:
    """Returns the first texts of an excerpt, each on lines of its own."""
    texts, room = [], MAX_BZ2_TOKENS
    for stretch in excerpt.stretches:
        texts.append(decode(codec, excerpt.ids[stretch.start : min(stretch.stop, stretch.start + room)]))
        room -= stretch.stop - stretch.start
        if room <= 0:
            break
    return "\n".join(texts)
