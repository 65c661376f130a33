"""Controls: tokens that give the density and the key of the music that follows.

    density   notes a second, in half octaves: Density_0 is one in two seconds, Density_14 64 a second
    key       by `gen.music.keys`: Key_C to Key_B, then Key_Cm to Key_Bm

A codec computes them from the music and puts them before the notes that they describe. Each control has one more
symbol, `any`. In training a part of the segments has it in place of all values (control dropout), so that a model also
writes music of which nothing is asked; in evaluation all have it, so that models with and without controls compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, Envelope
from gen.codecs.envelope import CONTROLS
from gen.errors import SettingError
from gen.music.keys import KEY_NAMES, NUM_KEYS, key_number, moved_key

NUM_DENSITIES: Final = 15
DROPOUT: Final = 0.25  # of the segments, for each control by itself
OFTEN: Final = 0.02  # of all densities in a corpus: a rarer one is hardly learnt
_MIN_DENSITY = 0.5  # notes a second

_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "density": tuple(str(level) for level in range(NUM_DENSITIES)),
    "key": KEY_NAMES,
}


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """The ids of a codec's controls, a `gen.codec.Controls`: of each control `any`, then its values.

    They stand in the vocabulary right before Begin and End.

    Args:
        names: in the order of `CONTROLS`, which is that of the tokens.
        first: the id of the first symbol.
        levels: the densities that a model knows; () for all.
    """

    names: tuple[str, ...]
    first: int
    levels: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def any_of(self, index: int) -> int:
        """Returns the id that stands for any value of a control, by its index among the names."""
        return self.first + sum(len(_VALUES[name]) + 1 for name in self.names[:index])

    def ids_of(self, values: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Returns the (N, C) ids of (N,) values of each control; a value of -1 is `any`."""
        columns = [self.any_of(index) + 1 + values[name] for index, name in enumerate(self.names)]
        return np.stack(columns, axis=-1)

    def drop_(self, table: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Makes a (V,) table read all values of a control as `any`, for each control by chance."""
        for index, chance in enumerate(rng.random(len(self)).tolist()):
            if chance < DROPOUT:
                self._forget_(table, index)

    def transpose_(self, table: NDArray[np.int64], semitones: int) -> None:
        """Makes a (V,) table read each key as the one that is some semitones above."""
        if "key" in self.names:
            first = self.any_of(self.names.index("key")) + 1
            table[first : first + NUM_KEYS] = first + np.array([moved_key(key, semitones) for key in range(NUM_KEYS)])

    def neutral(self) -> NDArray[np.int64]:
        """Returns the (V,) table that reads every control as `any`."""
        table = np.arange(self.any_of(len(self)) + len((BEGIN, END)))
        for index in range(len(self)):
            self._forget_(table, index)
        return table

    def values(self, control: str) -> tuple[float | str, ...]:
        """Returns the keys, or the densities in notes a second, that may be asked for; () if not among the names."""
        if control not in self.names:
            return ()
        if control == "key":
            return KEY_NAMES
        return tuple(_MIN_DENSITY * 2 ** (level / 2) for level in self._known_levels())

    def levels_in(self, counts: NDArray[np.int64]) -> tuple[int, ...]:
        """Returns the densities that stand often enough in a corpus for a model to learn them; () without that control.

        Args:
            counts: (V,) how often each id stands in the corpus.
        """
        if "density" not in self.names:
            return ()
        first = self.any_of(self.names.index("density")) + 1
        found = counts[first : first + NUM_DENSITIES]
        return tuple(np.flatnonzero((found > 0) & (found >= OFTEN * found.sum())).tolist())

    def choosers(self, asked: Mapping[str, Envelope]) -> tuple[Callable[[float], int], ...]:
        """Returns for each control a function from the time in seconds to the id that is asked for.

        Args:
            asked: `any` is asked of a control that is missing. Of the densities that a model knows, the nearest is.
        """
        levels = self._known_levels()
        return tuple(
            _chooser(name, self.any_of(index), asked.get(name), levels) for index, name in enumerate(self.names)
        )

    def _known_levels(self) -> tuple[int, ...]:
        return self.levels or tuple(range(NUM_DENSITIES))

    def _forget_(self, table: NDArray[np.int64], index: int) -> None:
        any_value = self.any_of(index)
        table[any_value : any_value + len(_VALUES[self.names[index]]) + 1] = any_value


def ordered_controls(names: tuple[str, ...], *, has_key: bool = True) -> tuple[str, ...]:
    """Returns the controls in the order of their tokens. Raises SettingError if one is unknown, or drums have none."""
    for name in names:
        if name not in CONTROLS:
            raise SettingError(f"--controls: unknown ({name})", hint=f"choose of {', '.join(CONTROLS)}")
        if name == "key" and not has_key:
            raise SettingError("--controls: drums have no key (key)", hint="--controls density")
    return tuple(name for name in CONTROLS if name in names)


def control_symbols(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the symbols of controls, in the order of their ids."""
    return tuple(f"{name.capitalize()}_{value}" for name in names for value in ("any", *_VALUES[name]))


def density_levels(notes_a_second: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the nearest level of each of (N,) densities; 0 also for a density of 0."""
    levels = _level(np.maximum(notes_a_second, _MIN_DENSITY))
    return np.minimum(np.rint(levels), NUM_DENSITIES - 1).astype(np.int64)


def _level(notes_a_second: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2 * np.log2(notes_a_second / _MIN_DENSITY))


def _chooser(name: str, any_value: int, envelope: Envelope | None, levels: tuple[int, ...]) -> Callable[[float], int]:
    def chosen(seconds: float) -> int:
        value = None if envelope is None else envelope(seconds)
        if value is None:
            return any_value
        if name == "key":
            return any_value + 1 + key_number(str(value))
        wanted = float(_level(np.array(max(float(value), 1e-9))))
        return any_value + 1 + min(levels, key=lambda level: abs(level - wanted))

    return chosen
