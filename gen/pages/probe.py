"""The page of what the units of a network do at each character or note of a file, and what predictions lean on."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gen.analysis.probing.gates import Recording
from gen.analysis.probing.leaning import NUM_INPUTS, Leaning
from gen.analysis.probing.saturation import saturation
from gen.pages.page import write_page
from gen.runs.probing import Probe, Unit

SCRIPTS = ("text.js", "roll.js", "leaning.js", "probe.js")
DECIMALS = 4  # of a number on the page, as in the JSON of `gen probe`
MAX_BYTES = 1_600_000  # of what is known of the tokens; scripts and saturation are the rest of a page below 2 MB
_MAX_INT16 = 32_767
_PIECE_BYTES = 60  # of a token's character or share of a note, and of its places, as JSON


def write_probe(
    path: Path,
    probe: Probe,
    recording: Recording,
    leaning: Leaning,
    *,
    units: Sequence[Unit],
    names: Mapping[Unit, str],
) -> None:
    """Writes the page; the file appears whole or not at all.

    Args:
        path: of a kind that `check_page` allows.
        probe: the run, and the corpus.
        recording: of the first tokens of the corpus.
        leaning: of the predictions of these tokens.
        units: whose arrays the page holds, in the order of its menu.
        names: of units that follow a feature, what they follow.

    Raises SettingError if the file cannot be written.
    """
    title = f"Inside {probe.run.name}: gates and states"
    write_page(path, title, page_data(probe, recording, leaning, units=units, names=names), scripts=SCRIPTS)


def page_tokens(recording: Recording, num_units: int) -> int:
    """Returns how many of the recorded tokens a page has room for, which are all or the first."""
    numbers = num_units * (len(recording.layers[0]) + 1) + NUM_INPUTS + 3  # 16 bits each; 32 of a state and a cost
    room = MAX_BYTES // (numbers * 2 * 4 // 3 + _PIECE_BYTES)
    return min(len(recording.ids), max(1, room))


def page_data(
    probe: Probe, recording: Recording, leaning: Leaning, *, units: Sequence[Unit], names: Mapping[Unit, str]
) -> dict[str, Any]:
    """Returns the data of the page; arguments as in `write_probe`."""
    shown = len(recording.ids)
    part = probe.part(shown)
    return {
        "kind": probe.run.codec.kind,
        "cell": probe.run.config.cell,
        "remark": f"{part[0].upper()}{part[1:]}.",
        "documents": _documents(probe, shown),
        "nats": packed(recording.nats),
        "leaning": {
            "num_inputs": leaning.numbers.shape[1],
            "numbers": packed(leaning.numbers.ravel(), decimals=0),
            "decimals": packed(leaning.decimals, decimals=0),
        },
        "units": [
            {
                "layer": layer,
                "unit": unit,
                "follows": names.get((layer, unit), ""),
                "arrays": {name: packed(values[:, unit]) for name, values in recording.layers[layer].items()},
            }
            for layer, unit in units
        ],
        "saturation": [
            {
                name: {"shut": of.shut.round(DECIMALS).tolist(), "open": of.open.round(DECIMALS).tolist()}
                for name, of in saturation(arrays).items()
            }
            for arrays in recording.layers
        ],
    }


def packed(values: NDArray[Any], *, decimals: int = DECIMALS) -> dict[str, Any]:
    """Returns (N,) rounded numbers as little-endian integers in base64, in units of 10**-decimals.

    That is a tenth of their size as text.
    """
    scaled = np.round(values.astype(np.float64) * 10**decimals)
    bits = 16 if np.abs(scaled).max(initial=0) <= _MAX_INT16 else 32
    return {
        "bits": bits,
        "decimals": decimals,
        "data": base64.b64encode(scaled.astype(f"<i{bits // 8}").tobytes()).decode(),
    }


def _documents(probe: Probe, num_tokens: int) -> list[dict[str, Any]]:
    """Returns for each document its characters or notes, and the number of the token that completes each of them.

    With them stand the number of its first token, and for each of its tokens the character or note that it belongs to.
    """
    found, start = [], 0
    for ids in probe.documents(num_tokens):
        pieces, owners = probe.run.codec.pieces(ids)
        last = np.zeros(len(pieces), np.int64)
        np.maximum.at(last, owners[owners >= 0], np.flatnonzero(owners >= 0))
        document: dict[str, Any] = {"start": start, "owners": owners.tolist(), "tokens": (last + start).tolist()}
        if probe.run.codec.kind == "text":
            document["symbols"] = list(pieces)
        else:
            document["notes"] = [note._asdict() for note in pieces]
        found.append(document)
        start += len(ids)
    return found
