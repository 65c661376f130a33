"""The grammar of UTF-8: an automaton that allows the bytes after which a text can still be valid.

Exact by Unicode 15.0, table 3-7: no overlong form, no surrogate, nothing above U+10FFFF. One state is
between characters; the others hold the number of missing continuation bytes and the range of the next one.
"""

from typing import NamedTuple

import numpy as np

from gen.codec import BoolArray

BEGIN_ID, END_ID, VOCAB_SIZE = 256, 257, 258


class _State(NamedTuple):
    missing: int  # continuation bytes until the character is whole
    first: int = 0x80  # the range of the next one
    last: int = 0xBF


_BETWEEN = _State(0)
_LEADS = (
    (0x00, 0x7F, _BETWEEN),
    (0xC2, 0xDF, _State(1)),
    (0xE0, 0xE0, _State(2, first=0xA0)),  # below: overlong
    (0xE1, 0xEC, _State(2)),
    (0xED, 0xED, _State(2, last=0x9F)),  # above: surrogates
    (0xEE, 0xEF, _State(2)),
    (0xF0, 0xF0, _State(3, first=0x90)),  # below: overlong
    (0xF1, 0xF3, _State(3)),
    (0xF4, 0xF4, _State(3, last=0x8F)),  # above: beyond U+10FFFF
)
_MAX_BYTES = 4
_AFTER_LEAD = {byte: state for first, last, state in _LEADS for byte in range(first, last + 1)}


def _lead_masks() -> BoolArray:
    """Returns (5, V): row b allows the characters of at most b bytes, and the end."""
    masks = np.zeros((_MAX_BYTES + 1, VOCAB_SIZE), np.bool_)
    masks[:, END_ID] = True
    for byte, state in _AFTER_LEAD.items():
        masks[state.missing + 1 :, byte] = True
    return masks


def _range_mask(state: _State) -> BoolArray:
    mask = np.zeros(VOCAB_SIZE, np.bool_)
    mask[state.first : state.last + 1] = True
    return mask


_LEAD_MASKS = _lead_masks()
_PLAIN_STATES = tuple(_State(missing) for missing in range(1, _MAX_BYTES))
_RANGE_MASKS = {state: _range_mask(state) for state in {*_AFTER_LEAD.values(), *_PLAIN_STATES} - {_BETWEEN}}


class Utf8Grammar:
    """Accepts valid UTF-8 and nothing else, over 256 byte ids, begin and end; it stands between characters at first."""

    def __init__(self) -> None:
        self._state = _BETWEEN

    def allowed(self, budget: int | None) -> BoolArray:
        """Returns the (258,) mask of ids that may come next; shared, not to be modified.

        Within a character only its continuation is allowed, so the mask never leads into one that the budget cannot
        finish; if a prompt did, the character is finished all the same.
        """
        if self._state.missing:
            return _RANGE_MASKS[self._state]
        row: BoolArray = _LEAD_MASKS[_MAX_BYTES if budget is None else min(budget, _MAX_BYTES)]
        return row

    def advance(self, token: int) -> None:
        """Takes one id; it must be an allowed one."""
        state = self._state
        if state.missing:
            assert state.first <= token <= state.last, "not a continuation byte that fits"
            self._state = _State(state.missing - 1)
        elif token != END_ID:
            self._state = _AFTER_LEAD[token]

    def tokens_to_close(self) -> int:
        """Returns how many continuation bytes the character still needs."""
        return self._state.missing
