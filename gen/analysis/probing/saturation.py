"""Gates that are shut or open: the saturation picture of Karpathy, Johnson and Li 2015.

A gate of a unit is shut at a token if it is below 0.1, and open if it is above 0.9. A forget gate that is nearly always
open belongs to a unit that remembers; an input gate that is nearly always shut, to one that seldom learns anything new.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHUT, OPEN = 0.1, 0.9
GATE_NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
}

Floats = NDArray[np.float32]


class Saturation(NamedTuple):
    """The share of the tokens at which a gate of each unit is shut, and open; each (H,)."""

    shut: NDArray[np.float64]
    open: NDArray[np.float64]


def saturation(arrays: Mapping[str, Floats]) -> dict[str, Saturation]:
    """Returns the saturation of each gate of a layer, by its name in the equations; candidates are no gates.

    Args:
        arrays: (N, H) of a layer by name.
    """
    return {
        name: Saturation((values < SHUT).mean(0), (values > OPEN).mean(0))
        for name, values in arrays.items()
        if name in GATE_NAMES
    }
