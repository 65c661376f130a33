"""The comparison of a corpus with the one that a run was trained on."""

from pathlib import Path
from typing import Literal

import numpy as np

from gen.errors import CheckpointError
from gen.runs.checkpoint import TRAINING_FILE
from gen.runs.header import CorpusDescription, RunHeader, read_run_header
from gen.runs.prepared import PreparedCorpus, StoredExcerpt

MAX_NAMED_DOCUMENTS = 1000  # of a description: a corpus of more is described without the names of its documents
PartName = Literal["valid", "test"]
_READ_OTHERWISE = "this version of gen reads MIDI otherwise"


def describe(material: PreparedCorpus) -> CorpusDescription:
    """Returns the description of a corpus."""
    store = material.store
    names = map(store.name, range(store.num_documents)) if store.num_documents <= MAX_NAMED_DOCUMENTS else None
    return CorpusDescription(
        options=material.options,
        key=store.key,
        valid_key=material.valid_store.key,
        num_tokens=len(store.ids),
        num_units=store.units,
        num_documents=store.num_documents,
        documents=dict(zip(names, np.diff(store.starts).tolist(), strict=True)) if names else None,
        num_train_targets=material.train.num_targets,
        num_valid_targets=material.valid.num_targets,
        num_test_targets=material.test.num_targets if material.options.test_fraction else None,
    )


def recorded_corpus(model_file: Path, header: RunHeader) -> CorpusDescription:
    """Returns all that is known of a model's corpus: from the training checkpoint beside its file, else from its file.

    A training checkpoint that is of another corpus, or cannot be read, is passed over.
    """
    own = header.corpus
    try:
        found = read_run_header(model_file.with_name(TRAINING_FILE), "training").corpus
    except CheckpointError:
        return own
    return found if (found.key, found.valid_key) == (own.key, own.valid_key) else own


def check_trained_on(material: PreparedCorpus, recorded: CorpusDescription, *, instead: str) -> None:
    """Raises CheckpointError if a run was trained on other ids than a corpus has now.

    Args:
        instead: the command that the hint names.
    """
    found = describe(material)
    changed = [
        (key, store)
        for key, store in ((recorded.key, material.store), (recorded.valid_key, material.valid_store))
        if key != store.key
    ]
    if not changed:
        return
    if all(key in store.older_keys for key, store in changed):
        if (what := _recount(recorded, found)) is None:
            return
        what = f"{_READ_OTHERWISE} ({what})"
    else:
        what = f"the corpus has changed ({_change(recorded, found)})"
    raise CheckpointError(f"--resume: {what}", hint=f"bring the old one back, or begin a new run: {instead}")


def part_difference(part: PartName, found: StoredExcerpt, recorded: CorpusDescription) -> str | None:
    """Returns the difference between a part of a corpus now and when a run was trained on it, or None."""
    store = found.store
    key, then = (
        (recorded.valid_key, recorded.num_valid_targets)
        if part == "valid"
        else (recorded.key, recorded.num_test_targets)
    )
    if store.key == key:
        return None
    if key not in store.older_keys:
        return "its contents have changed"
    now = found.excerpt.num_targets
    return None if then == now else f"{_READ_OTHERWISE}: {then} tokens to measure on then, {now} now"


def _recount(then: CorpusDescription, now: CorpusDescription) -> str | None:
    """Returns the first count that differs between two readings of the same files, or None."""
    old, new = then.documents or {}, now.documents or {}
    for name, num_tokens, num_now in zip(new, old.values(), new.values(), strict=False):
        if num_tokens != num_now:
            return f"{name}: {num_tokens} tokens then, {num_now} now"
    counts_now = now.counts()
    for name, count in then.counts().items():
        if count != counts_now[name]:
            return f"{count} {name.removeprefix('num_').replace('_', ' ')} then, {counts_now[name]} now"
    return None


def _change(then: CorpusDescription, now: CorpusDescription) -> str:
    """Returns the difference between two corpora: a document by name where there is one."""
    old, new = then.documents or {}, now.documents or {}
    for what, names in (("gone", old.keys() - new.keys()), ("new", new.keys() - old.keys())):
        if names and old and new:
            return f"{what}: {min(names)}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            return f"{name}: {old[name]} tokens then, {new[name]} now"
    if then.num_tokens != now.num_tokens:
        return f"{then.num_tokens} tokens then, {now.num_tokens} now"
    return "its contents differ"
