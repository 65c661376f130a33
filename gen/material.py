"""What a run reads: its corpus, split into training and validation, and described so that a change is noticed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from gen.analysis.yardsticks import bz2_bits_per_char, yardsticks
from gen.codec import Codec, IdArray, decode
from gen.codecs import load_codec
from gen.config import Reading, from_json, to_json
from gen.data.corpus import Split, Stretch, split, whole
from gen.data.store import Store
from gen.errors import CheckpointError, CorpusError, SettingError
from gen.prepare import prepare
from gen.training.recipe import MIN_BPTT, Facts

VALID_FRACTION = 0.1
YARDSTICK_TOKENS = 1 << 20  # of the validation that bz2 is measured on
NAMED_DOCUMENTS = 1000  # up to here a description names every document, so that a change can be pointed at

READING_FIELDS = tuple(field.name for field in fields(Reading))

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How a corpus is read and split; kept in checkpoints, so that nothing need be said twice."""

    sources: tuple[str, ...]
    codec: str = "auto"
    reading: Reading = Reading()
    valid_fraction: float = VALID_FRACTION
    seed: int = 0  # of the split
    valid_file: str | None = None
    test_file: str | None = None
    controls: tuple[str, ...] = ()  # that the codec puts into the ids

    def __post_init__(self) -> None:
        if not 0 <= self.valid_fraction < 1:
            raise SettingError(f"--valid: must be at least 0 and below 1 ({self.valid_fraction:g})")

    def to_json(self) -> dict[str, Any]:
        """Returns the options as JSON data, those of the reading among the others."""
        options = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "reading"}
        return options | to_json(self.reading)


class Excerpt(NamedTuple):
    """Stretches of one store, to measure on: of what is to come its controls say nothing."""

    store: Store
    stretches: Sequence[Stretch]
    ids: IdArray  # (N,) those of the store, with all controls neutral

    @property
    def num_targets(self) -> int:
        """How many tokens there are to predict, the ends of documents among them."""
        return sum(stretch.stop - stretch.start + stretch.is_closed for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Material:
    """A corpus ready to train on; `valid` may hold no stretch."""

    options: CorpusOptions
    codec: Codec[Any, Any]
    train: Excerpt
    valid: Excerpt

    @property
    def store(self) -> Store:
        """The store that is trained on."""
        return self.train.store


def open_material(options: CorpusOptions, on_progress: OnProgress | None = None) -> Material:
    """Prepares and splits a corpus. Raises CorpusError or SettingError."""
    store = _prepared(options, options.codec, on_progress)
    if options.controls:  # which codec suits the corpus is known now
        codec = load_codec(store.codec_spec).with_controls(options.controls)
        store = _prepared(options, codec, on_progress)
    codec = load_codec(store.codec_spec).fitted(store.ids)
    ids = neutral_ids(codec, store.ids)
    if options.valid_file is not None:
        valid = other_excerpt([options.valid_file], codec, options, store.label_names, on_progress)
        return Material(options, codec, Excerpt(store, whole(store.starts, store.labels), ids), valid)
    parts = split(
        store.starts, store.labels, valid_fraction=options.valid_fraction, seed=options.seed, twins=store.twins
    )
    return Material(options, codec, Excerpt(store, parts.train, ids), Excerpt(store, parts.valid, ids))


def other_excerpt(
    sources: Sequence[str],
    codec: Codec[Any, Any],
    options: CorpusOptions,
    label_names: Sequence[str],
    on_progress: OnProgress | None = None,
) -> Excerpt:
    """Prepares another corpus with a model's codec; its labels are matched to the model's by name."""
    store = prepare(sources, codec=codec, reading=options.reading, on_progress=on_progress)
    known = {name: number for number, name in enumerate(label_names, 1)}
    numbers = np.array([0, *(known.get(name, 0) for name in store.label_names)], dtype=np.int32)
    return Excerpt(store, whole(store.starts, numbers[store.labels]), neutral_ids(codec, store.ids))


def neutral_ids(codec: Codec[Any, Any], ids: IdArray) -> IdArray:
    """Returns (N,) ids with all controls as if nothing were known of them."""
    table = codec.neutral()
    return ids if table is None else table.astype(ids.dtype)[ids]


def _prepared(options: CorpusOptions, codec: str | Codec[Any, Any], on_progress: OnProgress | None) -> Store:
    return prepare(options.sources, codec=codec, reading=options.reading, on_progress=on_progress)


def facts(material: Material) -> Facts:
    """Returns what a recipe must know. Raises CorpusError if there is nothing to train on."""
    place = ", ".join(material.options.sources)
    lengths = [stretch.stop - stretch.start for stretch in material.train.stretches]
    if not lengths:
        raise CorpusError(
            f"{place}: too short to train on and validate (0 tokens to train on, at least {MIN_BPTT} needed)",
            hint="give more, or --valid 0",
        )
    return Facts(
        num_tokens=material.train.num_targets,
        num_documents=len(lengths),
        typical_length=int(np.quantile(lengths, 0.75)),
        vocab_size=len(material.codec.vocab),
        num_labels=len(material.store.label_names),
        can_augment=material.codec.variation(is_augmented=True) is not None,
    )


def bits_of(material: Material) -> dict[str, float]:
    """Returns yardsticks in bits per unit on the validation part: what simpler models of the same split pay."""
    excerpt, codec = material.valid, material.codec
    if material.options.valid_file is not None or not excerpt.stretches:
        return {}
    parts = Split(tuple(material.train.stretches), tuple(excerpt.stretches))
    num_units = sum(int(codec.units()[excerpt.ids[s.start : s.stop]].sum()) for s in excerpt.stretches)
    if num_units == 0:
        return {}
    scale = excerpt.num_targets / num_units / np.log(2)
    nats = yardsticks(excerpt.ids, parts, vocab_size=len(codec.vocab))
    bits = {name: value * scale for name, value in nats.items()}
    if codec.unit != "note":
        first = excerpt.stretches[0]
        sample = decode(codec, excerpt.ids[first.start : min(first.stop, first.start + YARDSTICK_TOKENS)])
        bits["bz2 -9"] = bz2_bits_per_char(sample)
    return bits


def describe(material: Material) -> dict[str, Any]:
    """Returns what a checkpoint keeps of a corpus: the options, and enough to notice and name a change."""
    store = material.store
    is_small = len(store.names) <= NAMED_DOCUMENTS
    return {
        "options": material.options.to_json(),
        "key": store.key,
        "valid_key": material.valid.store.key,
        "num_tokens": len(store.ids),
        "num_units": store.units,
        "num_documents": len(store.names),
        "documents": dict(zip(store.names, np.diff(store.starts).tolist(), strict=True)) if is_small else None,
        "num_train_targets": material.train.num_targets,
        "num_valid_targets": material.valid.num_targets,
    }


def check_unchanged(material: Material, recorded: Mapping[str, Any]) -> None:
    """Raises CheckpointError, saying what changed, if a run was trained on another corpus."""
    found = describe(material)
    if found["key"] == recorded["key"] and found["valid_key"] == recorded["valid_key"]:
        return
    raise CheckpointError(
        f"--resume: the corpus has changed ({_difference(recorded, found)})",
        hint="bring the old corpus back, or start from these weights: --from RUN --run ANOTHER",
    )


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = then["documents"] or {}, now["documents"] or {}
    for what, names in (("gone", old.keys() - new.keys()), ("new", new.keys() - old.keys())):
        if names and old and new:
            return f"{what}: {min(names)}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            return f"{name}: {old[name]} tokens then, {new[name]} now"
    if then["num_tokens"] != now["num_tokens"]:
        return f"{then['num_tokens']} tokens then, {now['num_tokens']} now"
    return "its contents differ"


def options_from_json(data: Mapping[str, Any]) -> CorpusOptions:
    """Returns the options that `describe` kept. Raises CheckpointError if there are others among them."""
    try:
        lists = {name: tuple(data.get(name, ())) for name in ("sources", "controls")}
        reading = {name: data[name] for name in READING_FIELDS if name in data}
        others = {name: value for name, value in data.items() if name not in reading}
        return CorpusOptions(**{**others, **lists}, reading=from_json(Reading, reading))
    except (TypeError, SettingError) as err:
        raise CheckpointError(f"checkpoint: options of its corpus that this gen does not know ({err})") from err
