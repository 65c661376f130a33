"""The comparison of a corpus with the corpus that a run was trained on."""

from typing import Literal

import numpy as np

from gen.errors import CheckpointError
from gen.runs.header import CorpusDescription
from gen.runs.prepared import PreparedCorpus, StoredExcerpt

MAX_NAMED_DOCUMENTS = 1000  # a corpus of more documents is described without their names
PartName = Literal["valid", "test"]
_READ_OTHERWISE = "this version of gen reads MIDI otherwise"


def describe(corpus: PreparedCorpus) -> CorpusDescription:
    """Returns the description of a corpus."""
    store = corpus.store
    names = map(store.name, range(store.num_documents)) if store.num_documents <= MAX_NAMED_DOCUMENTS else None
    return CorpusDescription(
        options=corpus.options,
        key=store.key,
        valid_key=corpus.valid_store.key,
        num_tokens=len(store.ids),
        num_units=store.units,
        num_documents=store.num_documents,
        documents=dict(zip(names, np.diff(store.starts).tolist(), strict=True)) if names else None,
        num_train_targets=corpus.train.num_targets,
        num_valid_targets=corpus.valid.num_targets,
        num_test_targets=corpus.test.num_targets if corpus.options.test_fraction else None,
    )


def check_trained_on(corpus: PreparedCorpus, recorded: CorpusDescription, *, instead: str) -> None:
    """Raises CheckpointError if a run was trained on other ids than the corpus has now.

    A corpus that this version reads by other rules is accepted if every count is as it was.

    Args:
        instead: the command that the hint names.
    """
    found = describe(corpus)
    changed = [
        (key, store)
        for key, store in ((recorded.key, corpus.store), (recorded.valid_key, corpus.valid_store))
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
