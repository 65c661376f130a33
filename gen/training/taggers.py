"""The part of the recipe that is for taggers.

Width, rows and learning rate stand on runs of two to four minutes of one core on the Brown corpus (docs/lab-notes.md).
The dropout is that of classifiers, and was not compared with others.
"""

from typing import Any

MAX_SENTENCE, MIN_SENTENCE = 512, 32  # symbols
MAX_ROWS = 32
STEPS_AN_EPOCH = 16  # at least, of a small corpus
WIDTH = 128  # units of a direction; of the Brown corpus 256 learnt less in the same time
DROPOUT, FEW_READINGS = 0.2, 2  # of a corpus that is read more often than that


def tagger_choices(num_documents: int, typical_length: int, longest: int) -> dict[str, tuple[Any, str]]:
    """Returns settings with the reasons for them.

    Args:
        num_documents: sentences that are trained on.
        typical_length: three sentences of four are at most this long, in symbols.
        longest: sentence, in symbols.
    """
    length = min(MAX_SENTENCE, max(MIN_SENTENCE, 2 * typical_length))
    reason = "symbols at once; longer sentences are cut between words" if longest > length else "no sentence is longer"
    rows = max(1, min(MAX_ROWS, num_documents // STEPS_AN_EPOCH))
    return {
        "num_layers": (2, "one reads characters, one reads words"),
        "is_bidirectional": (True, "sentences are read from both ends"),
        "bptt": (length, reason),
        "batch_size": (rows, "sentences"),
        "reset_rate": (0.0, "every sentence is read from its first character"),
    }


def tagger_width(_num_tokens: int) -> tuple[int, str]:
    """Returns the units of each direction, with the reason: the same for a corpus of any size."""
    return WIDTH, "units of each direction"


def tagger_dropout(readings: float) -> float:
    """Returns the rate of dropout of a tagger that reads its corpus so often."""
    return DROPOUT if readings > FEW_READINGS else 0.0
