"""The part of the recipe that is for classifiers.

Width, dropout and pooling stand on a few runs of some minutes on one corpus of short texts (docs/lab-notes.md), where
"last" was worse than the other poolings, and these were alike. N-grams and width were tried on two more.
"""

from typing import Any

WIDTH = 128  # units of a direction
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


def classifier_width(num_tokens: int) -> tuple[int, str]:  # noqa: ARG001 - the same for every corpus
    """Returns the units of each direction, with the reason; num_tokens: of the training part.

    More read the corpus less often: of 36 presidents 128 units knew 41.7 % after three minutes of one core, 256 units
    35.3 % (docs/lab-notes.md).
    """
    return WIDTH, "units of each direction"


def classifier_dropout(readings: float) -> float:
    """Returns the rate of dropout of a classifier that reads its corpus so often."""
    return DROPOUT if readings > FEW_READINGS else 0.0
