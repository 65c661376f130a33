"""The part of the recipe that is for translators of pairs.

All of it stands on runs of some minutes on one corpus, spelling and pronunciation (docs/lab-notes.md).
"""

from typing import Any

MAX_LENGTH, MIN_LENGTH = 256, 8  # tokens of a source or a target
MAX_ROWS, MIN_BATCHES = 64, 50  # pairs of a batch, and batches of an epoch
LEARNING_RATE = 4e-3
WIDTH, SMALL_WIDTH, SMALL_CORPUS = 256, 128, 500_000  # units, units, tokens
DROPOUT, FEW_READINGS = 0.2, 2  # of a corpus that is read more often than that


def translator_choices(longest: int, num_pairs: int) -> dict[str, tuple[Any, str]]:
    """Returns settings with the reasons for them.

    Args:
        longest: tokens of the longest pair.
        num_pairs: of the training part.
    """
    length = min(MAX_LENGTH, max(MIN_LENGTH, longest))
    reason = "symbols of a source or a target at most" if longest > MAX_LENGTH else "no pair is longer"
    rows = max(1, min(MAX_ROWS, num_pairs // MIN_BATCHES))
    return {
        "is_bidirectional": (True, "sources are read from both ends"),
        "has_attention": (True, "the decoder looks back at the source"),
        "bptt": (length, reason),
        "batch_size": (rows, "pairs side by side"),
        "learning_rate": (LEARNING_RATE, ""),
        "reset_rate": (0.0, "every pair is read from its first token"),
    }


def translator_width(num_tokens: int) -> tuple[int, str]:
    """Returns the units of each layer, with the reason; num_tokens: of the training part."""
    return (SMALL_WIDTH, "a small corpus") if num_tokens < SMALL_CORPUS else (WIDTH, "units of each layer")


def translator_dropout(readings: float) -> float:
    """Returns the rate of dropout of a translator that reads its corpus so often."""
    return DROPOUT if readings > FEW_READINGS else 0.0
