"""What a run's files keep of its corpus, and whether a corpus is still that one.

The training checkpoint keeps where the corpus is and what its documents are called, so that a run goes on without being
told. The model file is there to be shared: it keeps how the corpus was read, counts, and a hash of the contents.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gen.errors import CheckpointError
from gen.runs.checkpoint import TRAINING_FILE, read_header
from gen.runs.material import Excerpt, Material

NAMED_DOCUMENTS = 1000  # up to here a description names every document, so that a change can be pointed at
OWN = ("sources", "valid_file", "test_file", "base")  # options that name files of this machine, or only serve to go on
PartName = Literal["valid", "test"]
_READ_OTHERWISE = "this version of gen reads MIDI otherwise"
_COUNTS = ("num_tokens", "num_units", "num_documents", "num_train_targets", "num_valid_targets", "num_test_targets")


def describe(material: Material) -> dict[str, Any]:
    """Returns what a training checkpoint keeps of a corpus: the options, and enough to notice and name a change."""
    store = material.store
    names = map(store.name, range(store.num_documents)) if store.num_documents <= NAMED_DOCUMENTS else None
    return {
        "options": material.options.to_json(),
        "key": store.key,
        "valid_key": material.valid.store.key,
        "num_tokens": len(store.ids),
        "num_units": store.units,
        "num_documents": store.num_documents,
        "documents": dict(zip(names, np.diff(store.starts).tolist(), strict=True)) if names else None,
        "num_train_targets": material.train.num_targets,
        "num_valid_targets": material.valid.num_targets,
        **({"num_test_targets": material.test.num_targets} if material.options.test_fraction else {}),
    }


def to_share(description: Mapping[str, Any]) -> dict[str, Any]:
    """Returns of a description what a model file keeps: nothing that names a file or a folder."""
    options = {name: value for name, value in description["options"].items() if name not in OWN}
    return {name: value for name, value in description.items() if name != "documents"} | {"options": options}


def recorded_corpus(model_file: Path, header: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns all that is known of the corpus of a model: by the training checkpoint beside it, else by its own file.

    A training checkpoint that is of another corpus, or cannot be read, tells nothing.
    """
    own: Mapping[str, Any] = header["corpus"]
    try:
        found: Mapping[str, Any] = read_header(model_file.with_name(TRAINING_FILE), "training")["corpus"]
    except CheckpointError:
        return own
    return found if (found["key"], found["valid_key"]) == (own["key"], own["valid_key"]) else own


def check_unchanged(material: Material, recorded: Mapping[str, Any], *, instead: str) -> None:
    """Raises CheckpointError, saying what changed, if a run was trained on other ids; `instead` is what may be done."""
    found = describe(material)
    stores = {"key": material.store, "valid_key": material.valid.store}
    changed = {name: store for name, store in stores.items() if recorded[name] != store.key}
    if not changed:
        return
    if all(recorded[name] in store.older_keys for name, store in changed.items()):
        if (what := _recount(recorded, found)) is None:
            return
        what = f"{_READ_OTHERWISE} ({what})"
    else:
        what = f"the corpus has changed ({_change(recorded, found)})"
    raise CheckpointError(f"--resume: {what}", hint=f"bring the old one back, or begin a new run: {instead}")


def part_difference(part: PartName, excerpt: Excerpt, recorded: Mapping[str, Any]) -> str | None:
    """Returns what tells a part of a corpus from that part when a run was trained, or None if nothing does."""
    store, key = excerpt.store, recorded["valid_key" if part == "valid" else "key"]
    if store.key == key:
        return None
    if key not in store.older_keys:
        return "its contents have changed"
    then, now = recorded.get(f"num_{part}_targets"), excerpt.num_targets
    return None if then == now else f"{_READ_OTHERWISE}: {then} tokens to measure on then, {now} now"


def _recount(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Returns which counts of the same files differ, or None if all are the same."""
    old, new = then.get("documents") or {}, now["documents"] or {}
    for name, num_tokens, num_now in zip(new, old.values(), new.values(), strict=False):
        if num_tokens != num_now:
            return f"{name}: {num_tokens} tokens then, {num_now} now"
    for count in _COUNTS:
        if count in then and then[count] != now[count]:
            return f"{then[count]} {count.removeprefix('num_').replace('_', ' ')} then, {now[count]} now"
    return None


def _change(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = then.get("documents") or {}, now["documents"] or {}
    for what, names in (("gone", old.keys() - new.keys()), ("new", new.keys() - old.keys())):
        if names and old and new:
            return f"{what}: {min(names)}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            return f"{name}: {old[name]} tokens then, {new[name]} now"
    if then["num_tokens"] != now["num_tokens"]:
        return f"{then['num_tokens']} tokens then, {now['num_tokens']} now"
    return "its contents differ"
