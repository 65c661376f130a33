"""The nats that a token costs models which only count: yardsticks for a trained model.

They are counted on the training stretches and measured on the validation stretches, on the same targets as an
evaluation's: the ids of a stretch, and `end` where its document really ends there. `begin` is never a target.

    uniform   ln(V - 1) for every target
    unigram   the number of times that each id was a target, plus one
    trigram   interpolated by Witten & Bell 1991: with c(h) targets seen after h and t(h) different ones among them,
              P(w | h) = (c(h w) + t(h) P(w | shorter h)) / (c(h) + t(h)), from two ids before w down to none and then
              to 1 / (V - 1); before a stretch's first id stands `begin`, twice

Each context and each n-gram is one integer, so counting is sorting and looking up is bisection: all numpy.
"""

import bz2
import math

import numpy as np
from numpy.typing import NDArray

from gen.data.split import Excerpt
from gen.data.stretches import Columns, Stretches
from gen.errors import CorpusError

MAX_TRAIN_TOKENS = 4_000_000  # of a larger corpus every n-th stretch is read, up to this number of tokens
MAX_VALID_TOKENS = 1_000_000
MAX_VOCAB_SIZE = 2_000_000  # its cube is the largest below 2^63

CodeArray = NDArray[np.int64]


def yardsticks(train: Excerpt, valid: Excerpt, *, vocab_size: int) -> dict[str, float]:
    """Returns nats per token on the validation part: "uniform", "unigram" and "trigram".

    Args:
        train: where the models count, in the first `MAX_TRAIN_TOKENS` tokens of every n-th stretch.
        valid: where they are measured, likewise on `MAX_VALID_TOKENS`.
        vocab_size: V; above `MAX_VOCAB_SIZE` there is no "trigram".

    Raises CorpusError if a part has no token.
    """
    counted, measured = _histories(train, MAX_TRAIN_TOKENS), _histories(valid, MAX_VALID_TOKENS)
    for name, targets in (("training", counted[2]), ("validation", measured[2])):
        if len(targets) == 0:
            raise CorpusError(f"yardsticks: the {name} part has no token (0)")
    num_choices = vocab_size - 1
    found = {"uniform": math.log(num_choices)}
    counts = np.bincount(counted[2], minlength=vocab_size)
    found["unigram"] = _mean_nats((counts[measured[2]] + 1) / (len(counted[2]) + num_choices))
    if vocab_size <= MAX_VOCAB_SIZE:
        share = np.full(len(measured[2]), 1 / num_choices)
        for order in (1, 2, 3):
            share = _interpolated(share, counted[3 - order :], measured[3 - order :], vocab_size=vocab_size)
        found["trigram"] = _mean_nats(share)
    return found


def bz2_bits_per_char(text: str) -> float:
    """Returns the bits a character of the text (not empty) takes in UTF-8 after `bzip2 -9`.

    Of a longer text the first `MAX_TRAIN_TOKENS` characters stand for all.
    """
    head = text[:MAX_TRAIN_TOKENS]
    return 8 * len(bz2.compress(head.encode("utf-8", errors="surrogatepass"), 9)) / len(head)


def _histories(excerpt: Excerpt, max_tokens: int) -> tuple[CodeArray, CodeArray, CodeArray]:
    """Returns (N,) the ids two before each target, one before it, and the targets."""
    columns = _at_most(excerpt.stretches, max_tokens)
    sizes = columns.num_targets + 2  # of each stretch with what opens it
    firsts = np.cumsum(sizes) - sizes
    padded = np.full(sizes.sum(), excerpt.begin, np.int64)
    is_target = np.ones(len(padded), np.bool_)
    is_target[firsts] = is_target[firsts + 1] = False
    padded[(firsts + sizes - 1)[columns.is_closed]] = excerpt.end
    lengths = columns.stops - columns.starts
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # of ids in their stretches
    padded[np.repeat(firsts + 2, lengths) + offsets] = np.concatenate(
        [np.empty(0, excerpt.ids.dtype), *Stretches(columns).read(excerpt.ids)]
    )
    targets = np.flatnonzero(is_target)
    return padded[targets - 2], padded[targets - 1], padded[targets]


def _at_most(stretches: Stretches, max_tokens: int) -> Columns:
    """Returns the first `max_tokens` ids of every n-th stretch; n is the least for which these hold about that many."""
    columns = stretches[:: max(1, math.ceil(stretches.num_tokens / max_tokens))].columns()
    ends = np.cumsum(columns.stops - columns.starts)
    num_whole = int(np.searchsorted(ends, max_tokens, side="right"))
    if num_whole == len(ends):
        return columns
    stops, is_closed = columns.stops[: num_whole + 1].copy(), columns.is_closed[: num_whole + 1].copy()
    stops[-1] -= ends[num_whole] - max_tokens
    is_closed[-1] = False
    return Columns(columns.starts[: num_whole + 1], stops, columns.labels[: num_whole + 1], is_closed)


def _interpolated(
    shorter: NDArray[np.float64], counted: tuple[CodeArray, ...], measured: tuple[CodeArray, ...], *, vocab_size: int
) -> NDArray[np.float64]:
    """Returns (N,) the Witten-Bell shares of the validation targets.

    Args:
        shorter: (N,) their shares given one id less.
        counted: the ids of each n-gram of the training part by column, the targets last.
        measured: (N,) each, those of the validation part.
        vocab_size: V, the base in which an n-gram is one integer.
    """
    grams, gram_counts = np.unique(_codes(counted, vocab_size), return_counts=True)
    firsts = np.flatnonzero(np.diff(grams // vocab_size, prepend=-1))  # grams are sorted: a context's stand together
    contexts = grams[firsts] // vocab_size
    totals = np.add.reduceat(gram_counts, firsts)
    kinds = np.diff(firsts, append=len(grams))
    codes = _codes(measured, vocab_size)
    count = _looked_up(grams, gram_counts, codes)
    total = _looked_up(contexts, totals, codes // vocab_size)
    kind = _looked_up(contexts, kinds, codes // vocab_size)
    is_known = total > 0
    return np.where(is_known, (count + kind * shorter) / np.where(is_known, total + kind, 1), shorter)


def _codes(columns: tuple[CodeArray, ...], vocab_size: int) -> CodeArray:
    """Returns (N,) each n-gram as one integer in base V."""
    codes = columns[0]
    for column in columns[1:]:
        codes = codes * vocab_size + column
    return codes


def _looked_up(keys: CodeArray, values: NDArray[np.int64], wanted: CodeArray) -> NDArray[np.int64]:
    """Returns the values of the wanted keys, 0 where there is none; keys are sorted."""
    indices = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[indices] == wanted, values[indices], 0)


def _mean_nats(shares: NDArray[np.float64]) -> float:
    return float(-np.log(shares).mean())
