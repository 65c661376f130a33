"""The filters between a model's logits and a draw: each takes (B, V) logits and returns new ones.

A filter sets the logits of tokens that must not be drawn to -inf, or changes the differences between logits. From
temperature on, no filter removes the likeliest token. A filter that keeps only some of several equal logits keeps those
of the lowest ids. Rows do not depend on each other. `gen.generation.sampling.weigh` applies the filters in order.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gen.codec import BoolArray
from gen.kernels.drawing import MIN_TEMPERATURE, FloatArray


def ban(logits: FloatArray, tokens: Sequence[int]) -> FloatArray:
    """Removes the given ids from every row."""
    kept = logits.copy()
    for token in tokens:
        kept[:, token] = -np.inf
    return kept


def grammar_mask(logits: FloatArray, allowed: BoolArray) -> FloatArray:
    """Removes the ids that a row's grammar does not allow next; allowed: (B, V)."""
    return np.where(allowed, logits, -np.inf)


def repetition_penalty(logits: FloatArray, recent: BoolArray, penalty: float) -> FloatArray:
    """Makes recent tokens less likely: divides positive logits by the penalty and multiplies negative ones by it.

    Keskar et al. 2019, "CTRL: A Conditional Transformer Language Model for Controllable Generation", section 4.1. There
    every logit is divided, which would make a token with a negative logit likelier.

    Args:
        logits: (B, V).
        recent: (B, V) the ids among each row's last tokens.
        penalty: 1 changes nothing; a value below 1 makes recent tokens likelier.
    """
    return np.where(recent, np.where(logits > 0, logits / penalty, logits * penalty), logits)


def temperature(logits: FloatArray, value: float) -> FloatArray:
    """Divides each logit's distance from the row's greatest by the temperature, so that the greatest becomes 0.

    Ackley, Hinton & Sejnowski 1985, "A Learning Algorithm for Boltzmann Machines": probabilities are
    proportional to exp(logit / temperature). At 0 only the likeliest token stays, of equal ones the lowest id.
    """
    distance: FloatArray = logits - logits.max(axis=1, keepdims=True)
    if value == 0:
        is_likeliest = np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, None]
        return np.where(is_likeliest, distance, -np.inf)
    return distance if value == 1 else distance / max(value, MIN_TEMPERATURE)


def top_k(logits: FloatArray, k: int) -> FloatArray:
    """Keeps the k likeliest tokens of each row (Fan, Lewis & Dauphin 2018, "Hierarchical Neural Story Generation")."""
    if k >= logits.shape[1]:
        return logits
    index = logits.shape[1] - k
    return _keep_largest(logits, np.partition(logits, index, axis=1)[:, index], k)


def top_p(logits: FloatArray, p: float) -> FloatArray:
    """Keeps as few tokens as have at least the share p of a row's probability together, the likeliest first.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration" (nucleus sampling). A p of 1
    keeps all tokens, even those that are too unlikely to change a sum in float64.
    """
    if p == 1:
        return logits
    ascending = np.sort(logits, axis=1)
    cumulative = np.exp(ascending - ascending[:, -1:])[:, ::-1].cumsum(axis=1)  # (B, V), the likeliest first
    count = (cumulative < p * cumulative[:, -1:]).sum(axis=1) + 1  # (B,)
    return _keep_largest(logits, ascending[np.arange(len(logits)), logits.shape[1] - count], count)


def min_p(logits: FloatArray, share: float) -> FloatArray:
    """Keeps the tokens that are at least `share` times as likely as the row's likeliest.

    Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs".
    """
    if share == 0:
        return logits
    return np.where(logits < logits.max(axis=1, keepdims=True) + math.log(share), -np.inf, logits)


def _keep_largest(logits: FloatArray, least: FloatArray, count: NDArray[np.int64] | int) -> FloatArray:
    """Keeps the `count` largest logits of each row; least: (B,) the smallest of these."""
    is_kept = logits >= least[:, None]
    surplus = is_kept.sum(axis=1) - count
    if surplus.any():
        is_equal = logits == least[:, None]
        num_equal_kept = is_equal.sum(axis=1) - surplus
        is_kept ^= is_equal & (is_equal.cumsum(axis=1) > num_equal_kept[:, None])
    return np.where(is_kept, logits, -np.inf)
