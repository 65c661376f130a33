"""How the next token of each row is drawn from the model's logits.

The filters, in this order; each sees what the one before it left over, and the likeliest candidate always stays:

    mask                 the grammar's; `begin`, and `end` where it must not be drawn, are always out
    repetition penalty   Keskar et al. 2019 (CTRL): the logits of the row's last 64 tokens, prompt included, are divided
                         by the penalty where positive and multiplied by it where negative
    temperature          logits / temperature; 0 leaves the likeliest candidate alone, the lowest id of equal ones
    top-k                Fan et al. 2018: the k likeliest
    top-p                Holtzman et al. 2020 (nucleus): the fewest likeliest whose share, of what top-k left, reaches p
    min-p                Nguyen et al. 2024: those at least min-p times as likely as the likeliest

Of equals at the edge of top-k and top-p the lowest ids stay. Then one uniform number picks a token by the inverse of
the cumulative distribution, in the order of the ids.

A row's tokens depend on nothing but its own logits and its own stream of uniforms: one number a token, drawn in blocks
from the row's own `torch.Generator`. The compiled kernel draws where there is one, in one call; numpy elsewhere, whose
calls cost less than torch's: measured on a Zen 5 core at V = 390, a draw takes 15 us without filters and 47 with all of
them; among 64 rows 3 and 10 us a row. Both are in float64, add in one order however many rows there are, and differ in
the last bits of an exponential at most. gen.generation.cuda.drawing is the same for a model on a GPU.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.codec import BoolArray
from gen.config import SamplingConfig
from gen.errors import CheckpointError
from gen.kernels.drawing import DrawKernel, Drawn, FloatArray, Recent, TokenArray, has_draw_kernel

REPETITION_WINDOW = 64  # tokens
UNIFORM_BLOCK = 256  # tokens
MIN_TEMPERATURE = 1e-200  # below it no quotient changes a draw any more, but one may overflow

Steering = Callable[[], SamplingConfig]  # asked before every token: what a hand on a knob wants now


class Writer(Protocol):
    """Rows of a model that go on by themselves, many tokens a call, with filters of their own."""

    @property
    def logits(self) -> Tensor:
        """Returns (B, V) the logits that could not be drawn from, where `write` has returned no tokens."""
        ...

    def most_tokens(self) -> int:
        """Returns how many tokens of every row a call should take at most."""
        ...

    def write(self, tokens: TokenArray, uniforms: FloatArray) -> Drawn:
        """Takes (B,) the last tokens and (N, B) uniforms; returns at most N tokens of every row, whatever follows the
        end of a row meaning nothing; none if logits cannot be drawn from."""
        ...

    def ban(self, tokens: tuple[int, ...]) -> None:
        """Draws none of these ids from now on, and any other."""
        ...

    def keep(self, places: list[int]) -> None:
        """Goes on with the rows at these places; the others have ended."""
        ...


class Sampler:
    """Draws the next tokens of B rows, each row with its own stream of uniforms.

    Args:
        config: the filters, or what tells them before every token; equal filters draw equal tokens either way.
        vocab_size: V.
        seed: with a row's number it decides the row's stream.
        num_rows: B; the rows are numbered from 0.
        banned: ids that are never drawn.
        late: ids that are drawn only after the first `num_without_late` tokens of a row.
        prompt: the ids that the repetition penalty has seen when the first token is drawn.
    """

    def __init__(
        self,
        config: SamplingConfig | Steering,
        *,
        vocab_size: int,
        seed: int,
        num_rows: int,
        banned: Sequence[int] = (),
        late: Sequence[int] = (),
        num_without_late: int = 0,
        prompt: Sequence[int] = (),
    ) -> None:
        self._steering = None if isinstance(config, SamplingConfig) else config
        self.config = config if isinstance(config, SamplingConfig) else config()
        self._vocab_size = vocab_size
        self._uniforms = _Uniforms(seed, num_rows)
        self._always_banned = tuple(banned)
        self._num_without_late = num_without_late  # tokens that are still to be drawn so
        self.banned = (*banned, *late) if num_without_late else self._always_banned
        self._recent = None
        if self.is_steered or self.config.repetition_penalty != 1.0:
            self._recent = _RecentTokens(num_rows, vocab_size)
            for token in prompt[-REPETITION_WINDOW:]:
                self._recent.push(np.full(num_rows, token))
        self.kernel = self._new_kernel()

    @property
    def is_steered(self) -> bool:
        """Whether the filters may change from one token to the next."""
        return self._steering is not None

    def draw(self, logits: Tensor, allowed: BoolArray | None = None) -> Drawn:
        """Draws one token a row.

        Args:
            logits: (B, V) float32, on any device.
            allowed: (B, V) the ids that each row's grammar allows, or None for all.

        Raises CheckpointError if a logit is NaN or infinite, or no permitted token has any probability.
        """
        self._steer()
        uniforms = self._uniforms.peek(1)[0]
        if self.kernel is not None:
            drawn = self.kernel.draw(logits.cpu(), uniforms, allowed=allowed, recent=self.recent())
            if drawn is not None:
                self._took(1)
                if self._recent is not None:
                    self._recent.num_seen += 1  # the kernel has put the tokens in
                return drawn
        raw = logits.numpy(force=True).astype(np.float64)  # (B, V)
        top, log_total = _normaliser(raw)
        recent = None if self._recent is None else self._recent.mask()
        weights = weigh(raw, self.config, banned=self.banned, allowed=allowed, recent=recent)
        tokens = pick(weights, uniforms)
        self._took(1)
        if self._recent is not None:
            self._recent.push(tokens)
        surprise_nats = top - raw[np.arange(len(tokens)), tokens] + log_total
        return Drawn(tokens[None], surprise_nats[None])

    def write(self, writer: Writer, tokens: TokenArray, *, limit: int | None) -> Drawn:
        """Lets a writer step and draw some tokens of every row, at least one; what follows an end means nothing.

        Args:
            writer: made for this sampler's filters and `recent`; it alone draws from then on.
            tokens: (B,) the last token of every row.
            limit: the most tokens of a row; None for no limit.

        Raises CheckpointError as `draw` does.
        """
        count = writer.most_tokens() if limit is None else min(limit, writer.most_tokens())
        drawn = writer.write(tokens, self._uniforms.peek(min(count, self._num_without_late or count)))
        if self._took(len(drawn.tokens)):
            writer.ban(self.banned)
        return drawn if len(drawn.tokens) else self.draw(writer.logits)  # which says what is wrong with them

    def recent(self) -> Recent | None:
        """Returns what the repetition penalty has seen by now, not a copy; None without one."""
        return None if self._recent is None else self._recent.handed_over()

    def keep(self, places: Sequence[int]) -> None:
        """Goes on with the rows that now stand at these places, in this order; the others have ended."""
        self._uniforms.keep(places)
        if self._recent is not None:
            self._recent.keep(places)

    def _took(self, count: int) -> bool:
        """Counts tokens of every row that were drawn; returns whether from now on the late ids are drawn too."""
        self._uniforms.skip(count)
        is_time = 0 < self._num_without_late <= count
        self._num_without_late = max(0, self._num_without_late - count)
        if is_time:
            self.banned = self._always_banned
            if self.kernel is not None:
                self.kernel.ban(self.banned)
        return is_time

    def _steer(self) -> None:
        """Takes up the filters that are wanted now."""
        if self._steering is not None and (config := self._steering()) != self.config:
            self.config = config
            self.kernel = self._new_kernel()

    def _new_kernel(self) -> DrawKernel | None:
        return _draw_kernel(self.config, self._vocab_size, self.banned) if has_draw_kernel() else None


def weigh(
    logits: FloatArray,
    config: SamplingConfig,
    *,
    banned: Sequence[int] = (),
    allowed: BoolArray | None = None,
    recent: BoolArray | None = None,
) -> FloatArray:
    """Returns what the filters leave: (B, V) weights, 1 for a row's likeliest candidate, 0 for what is filtered out.

    Args:
        logits: (B, V), not NaN.
        config: the filters.
        banned: ids that may not be drawn.
        allowed: (B, V) ids that may be drawn; None for all.
        recent: (B, V) ids that the repetition penalty applies to; None for none.

    Raises CheckpointError if a row has no candidate of any probability.
    """
    x = logits.copy()
    for token in banned:
        x[:, token] = -np.inf
    if allowed is not None:
        np.copyto(x, -np.inf, where=~allowed)
    if recent is not None:
        penalty = config.repetition_penalty
        np.copyto(x, np.where(x > 0, x / penalty, x * penalty), where=recent)
    top = x.max(axis=1, keepdims=True)  # (B, 1)
    if not math.isfinite(top.sum()):
        raise CheckpointError(
            "model: gives no permitted token any probability (all logits -inf)",
            hint="its weights are damaged; use another checkpoint",
        )
    if config.temperature == 0:
        weights = np.zeros_like(x)
        weights[np.arange(len(x)), x.argmax(axis=1)] = 1.0
        return weights
    x -= top
    if config.temperature != 1:
        x /= max(config.temperature, MIN_TEMPERATURE)
    if config.top_k is not None and config.top_k < x.shape[1]:
        _top_k_(x, config.top_k)
    if config.top_p is not None and config.top_p < 1:
        _top_p_(x, config.top_p)
    if config.min_p:
        np.copyto(x, -np.inf, where=x < math.log(config.min_p))
    return np.exp(x, out=x)


def pick(weights: FloatArray, uniforms: FloatArray) -> TokenArray:
    """Returns (B,) the tokens at which the cumulative weights pass the uniforms' share of the total.

    Args:
        weights: (B, V), not negative, some above 0 in every row; they need not sum to 1.
        uniforms: (B,) in [0, 1) with at most 53 bits, so that its product with the total stays below the total.
    """
    cumulative = weights.cumsum(axis=1)  # (B, V)
    return np.asarray((cumulative > uniforms[:, None] * cumulative[:, -1:]).argmax(axis=1))


def new_stream(seed: int, row: int) -> torch.Generator:
    """Returns the random stream of one sample.

    On a CPU torch's generator keeps the low 32 bits of its seed and no more, so the low 16 bits of seed and row stand
    side by side in them, scrambled by a bijection (the finaliser of MurmurHash3), and a hash of all higher bits
    (numpy's SeedSequence) is added by exclusive or: seeds and rows below 65536 never share a stream.
    """
    word = (seed & 0xFFFF) << 16 | (row & 0xFFFF)
    word = (word ^ word >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    word = (word ^ word >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    word ^= word >> 16
    high = np.random.SeedSequence((seed >> 16, row >> 16)).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(word ^ int(high[0]))


class _Uniforms:
    """The rows' streams, drawn from in blocks: a call for every token would cost more than the draw itself."""

    def __init__(self, seed: int, num_rows: int) -> None:
        self._streams = [new_stream(seed, row) for row in range(num_rows)]
        self._block = np.empty((0, num_rows))  # (at least UNIFORM_BLOCK, B)
        self._used = 0

    def peek(self, count: int) -> FloatArray:
        """Returns (count, B) the next uniforms of each row, in [0, 1)."""
        while self._used + count > len(self._block):
            drawn = [torch.rand(UNIFORM_BLOCK, generator=each, dtype=torch.float64).numpy() for each in self._streams]
            self._block = np.concatenate([self._block[self._used :], np.stack(drawn, axis=1)])
            self._used = 0
        uniforms: FloatArray = self._block[self._used : self._used + count]
        return uniforms

    def skip(self, count: int) -> None:
        """Takes so many away."""
        self._used += count

    def keep(self, places: Sequence[int]) -> None:
        self._streams = [self._streams[place] for place in places]
        self._block = np.ascontiguousarray(self._block[:, list(places)])


class _RecentTokens:
    """The last `REPETITION_WINDOW` tokens of each row, counted by id so that a token costs the same at any V."""

    def __init__(self, num_rows: int, vocab_size: int) -> None:
        self._tokens = np.zeros((REPETITION_WINDOW, num_rows), dtype=np.int64)
        self._counts = np.zeros((num_rows, vocab_size), dtype=np.int16)
        self.num_seen = 0

    def push(self, tokens: TokenArray) -> None:
        """Takes (B,) the next token of each row; the oldest fall out of the window."""
        rows = np.arange(len(tokens))
        oldest = self._tokens[self.num_seen % REPETITION_WINDOW]
        if self.num_seen >= REPETITION_WINDOW:
            self._counts[rows, oldest] -= 1
        self._counts[rows, tokens] += 1
        oldest[:] = tokens
        self.num_seen += 1

    def handed_over(self) -> Recent:
        """Returns what the kernel changes in place; whoever calls it adds what it took to `num_seen`."""
        return Recent(self._tokens, self._counts, self.num_seen)

    def mask(self) -> BoolArray:
        """Returns (B, V) which ids stand in each row's window."""
        return self._counts > 0

    def keep(self, places: Sequence[int]) -> None:
        self._tokens = np.ascontiguousarray(self._tokens[:, list(places)])
        self._counts = self._counts[list(places)]


def _draw_kernel(config: SamplingConfig, vocab_size: int, banned: tuple[int, ...]) -> DrawKernel:
    return DrawKernel(
        vocab_size,
        temperature=max(config.temperature, MIN_TEMPERATURE) if config.temperature else 0.0,
        top_k=config.top_k,
        top_p=1.0 if config.top_p is None else config.top_p,
        min_p=config.min_p or 0.0,
        penalty=config.repetition_penalty,
        banned=banned,
    )


def _normaliser(logits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns each row's greatest logit and how many nats above it the log of the row's sum of exponentials is, (B,).

    Raises CheckpointError if a logit is NaN or infinite.
    """
    top = logits.max(axis=1)  # NaN if any is
    if not math.isfinite(top.sum()):
        raise CheckpointError(
            f"model: its logits are not finite ({top[~np.isfinite(top)][0]})",
            hint="its weights are damaged or its training diverged; use another checkpoint",
        )
    shares = logits - top[:, None]
    return top, np.log(np.exp(shares, out=shares).sum(axis=1))


def _top_k_(x: FloatArray, k: int) -> None:
    place = x.shape[1] - k
    _keep_largest_(x, np.partition(x, place, axis=1)[:, place], k)


def _top_p_(x: FloatArray, p: float) -> None:
    ascending = np.sort(x, axis=1)
    share = np.exp(ascending)[:, ::-1].cumsum(axis=1)  # (B, V), the likeliest first
    count = (share < p * share[:, -1:]).sum(axis=1) + 1  # (B,)
    _keep_largest_(x, ascending[np.arange(len(x)), x.shape[1] - count], count)


def _keep_largest_(x: FloatArray, least: FloatArray, count: NDArray[np.int64] | int) -> None:
    """Sets all but `count` of each row's largest to -inf; `least` (B,) is the count-th largest of each row."""
    is_kept = x >= least[:, None]
    surplus = is_kept.sum(axis=1) - count
    if surplus.any():
        is_equal = x == least[:, None]
        room = is_equal.sum(axis=1) - surplus
        is_kept ^= is_equal & (is_equal.cumsum(axis=1) > room[:, None])
    np.copyto(x, -np.inf, where=~is_kept)
