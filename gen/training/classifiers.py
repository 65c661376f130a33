"""The part of the recipe that is for classifiers.

Width, dropout and pooling stand on a few runs of some minutes on one corpus of short texts (docs/lab-notes.md), where
"last" was worse than the other poolings, and these were alike.
"""

from typing import Any

SMALL_CORPUS = 2_000_000  # tokens
NARROW, WIDE = 128, 256  # units of a direction
MAX_PASSAGE, MIN_PASSAGE = 256, 16  # tokens
DROPOUT, FEW_READINGS = 0.2, 2  # of a corpus that is read more often than that


def classifier_choices(typical_length: int) -> dict[str, tuple[Any, str]]:
    """Returns settings with the reasons for them.

    Args:
        typical_length: three documents of four are at most this long, in tokens.
    """
    length = min(MAX_PASSAGE, max(MIN_PASSAGE, typical_length))
    reason = "tokens of a passage" if typical_length > MAX_PASSAGE else "three documents of four are no longer"
    return {
        "is_bidirectional": (True, "passages are read from both ends"),
        "pooling": ("max", "the largest value of each unit over all tokens"),
        "has_ngrams": (True, "they answer beside the layers"),
        "bptt": (length, reason),
        "reset_rate": (0.0, "every passage is read from its first token"),
    }


def classifier_width(num_tokens: int) -> tuple[int, str]:
    """Returns the units of each direction, with the reason; num_tokens: of the training part."""
    return (NARROW, "a small corpus") if num_tokens < SMALL_CORPUS else (WIDE, "units of each direction")


def classifier_dropout(readings: float) -> float:
    """Returns the rate of dropout of a classifier that reads its corpus so often."""
    return DROPOUT if readings > FEW_READINGS else 0.0
