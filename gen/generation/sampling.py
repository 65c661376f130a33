"""One draw: filters remove some tokens, and a uniform random number picks one of those that are left.

The filters in their order; each sees the logits that the one before it returned:

    grammar mask         also removes `begin`, and `end` where it must not be drawn
    repetition penalty   for tokens among the row's last 64, prompt included
    temperature          0 keeps only the likeliest token
    top-k, top-p, min-p  remove unlikely tokens; top-p and min-p use the probabilities of the tokens that are left

gen.generation.filters has each with its paper. `weigh` applies them and `pick` draws, readably, in numpy and float64.
Two faster versions are tested against these: the compiled kernel (gen.kernels.drawing), which draws wherever it can be
built, and torch operations for a model on a GPU (gen.generation.cuda.drawing), which filter alike but draw with random
numbers of their own. The kernel and numpy add in the same order for any number of rows, and differ at most in the last
bits of an exponential. On a Zen 5 core at V = 390 a draw in numpy
takes 15 us without filters and 47 us with all of them.

A row's tokens depend only on its own logits and on its own stream of uniform random numbers ("uniforms"), one number
per token. So a sample is the same alone or in a batch.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from gen.codec import BoolArray
from gen.config import SamplingConfig
from gen.errors import CheckpointError, NotFiniteError
from gen.generation import filters
from gen.generation.uniforms import Uniforms
from gen.kernels.drawing import DrawKernel, Drawn, FloatArray, Recent, TokenArray, has_draw_kernel
from gen.models.stepper import Writer

REPETITION_WINDOW = 64  # tokens

Steering = Callable[[], SamplingConfig]  # called before every token: returns filters that a user changes meanwhile


class Sampler:
    """Draws the next tokens of B rows, each row with its own stream of uniforms.

    Args:
        config: the filters, or a function that returns them before every token; equal filters draw equal tokens.
        vocab_size: V.
        seed: together with a row's number, the seed of the row's stream.
        num_rows: B; the rows are numbered from 0.
        banned: ids that are never drawn.
        late: ids that are not drawn among the first `num_without_late` tokens of a row, such as `end`.
        prompt: the ids before the first draw, for the repetition penalty.
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
        self.seed = seed
        self._vocab_size = vocab_size
        self._uniforms = Uniforms(seed, num_rows)
        self._always_banned = tuple(banned)
        self._num_without_late = num_without_late  # tokens still to be drawn before the late ids are permitted
        self.banned = (*banned, *late) if num_without_late else self._always_banned
        self._recent = None
        if self.is_steered or self.config.repetition_penalty != 1.0:
            self._recent = _RecentTokens(num_rows, vocab_size)
            for token in prompt[-REPETITION_WINDOW:]:
                self._recent.push(np.full(num_rows, token))
        self.kernel = self._new_kernel()

    @property
    def is_steered(self) -> bool:
        """True if the filters may change from one token to the next."""
        return self._steering is not None

    def draw(self, logits: Tensor, allowed: BoolArray | None = None) -> Drawn:
        """Draws one token per row: (1, B).

        Args:
            logits: (B, V) float32, on any device.
            allowed: (B, V) the ids that each row's grammar allows, or None for all.

        Raises CheckpointError if a logit is NaN or infinite, or no permitted token has any probability.
        """
        self._steer()
        uniforms = self._uniforms.peek(1)[0]
        drawn = self._drawn_by_kernel(logits, uniforms, allowed) or self._drawn_by_numpy(logits, uniforms, allowed)
        self._count(1)
        return drawn

    def _drawn_by_kernel(self, logits: Tensor, uniforms: FloatArray, allowed: BoolArray | None) -> Drawn | None:
        """Returns None where there is no kernel, or a row cannot be drawn from."""
        if self.kernel is None:
            return None
        drawn = self.kernel.draw(logits.cpu(), uniforms, allowed=allowed, recent=self.recent())
        if drawn is not None and self._recent is not None:
            self._recent.num_seen += 1  # the kernel has added the tokens themselves
        return drawn

    def _drawn_by_numpy(self, logits: Tensor, uniforms: FloatArray, allowed: BoolArray | None) -> Drawn:
        """Draws as the kernel does, in readable numpy."""
        raw = logits.numpy(force=True).astype(np.float64)  # (B, V)
        _check_finite(raw)
        recent = None if self._recent is None else self._recent.mask()
        tokens = pick(weigh(raw, self.config, banned=self.banned, allowed=allowed, recent=recent), uniforms)
        if self._recent is not None:
            self._recent.push(tokens)
        return Drawn(tokens[None], surprise_nats(raw, tokens)[None])

    def write(self, writer: Writer, tokens: TokenArray, *, limit: int | None) -> Drawn:
        """Lets a writer step and draw several tokens of every row, at least one.

        What is drawn after the end of a row is meaningless.

        Args:
            writer: made for this sampler's filters and `recent`; from then on it alone draws.
            tokens: (B,) the last token of every row.
            limit: the most tokens of a row; None for no limit.

        Raises CheckpointError as `draw` does.
        """
        count = writer.most_tokens() if limit is None else min(limit, writer.most_tokens())
        drawn = writer.write(tokens, min(count, self._num_without_late or count))
        if self._count(len(drawn.tokens)):
            writer.ban(self.banned)
        return drawn if len(drawn.tokens) else self.draw(writer.logits)  # which raises an error that names the fault

    def peek(self, count: int) -> FloatArray:
        """Returns (count, B) the next uniforms of each row, which a writer draws with; `write` consumes them."""
        return self._uniforms.peek(count)

    def recent(self) -> Recent | None:
        """Returns the tokens that the repetition penalty has seen, not a copy; None without a penalty."""
        return None if self._recent is None else self._recent.handed_over()

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the rows that have ended: all but those at these indices."""
        self._uniforms.keep(rows)
        if self._recent is not None:
            self._recent.keep(rows)

    def _count(self, num_tokens: int) -> bool:
        """Counts tokens that every row has drawn; returns whether they are the last before late ids are permitted."""
        self._uniforms.skip(num_tokens)
        is_last = 0 < self._num_without_late <= num_tokens
        self._num_without_late = max(0, self._num_without_late - num_tokens)
        if is_last:
            self.banned = self._always_banned
            if self.kernel is not None:
                self.kernel.ban(self.banned)
        return is_last

    def _steer(self) -> None:
        """Takes over the filters that the steering function returns."""
        if self._steering is not None and (config := self._steering()) != self.config:
            self.config = config
            self.kernel = self._new_kernel()

    def _new_kernel(self) -> DrawKernel | None:
        return DrawKernel(self.config, vocab_size=self._vocab_size, banned=self.banned) if has_draw_kernel() else None


def weigh(
    logits: FloatArray,
    config: SamplingConfig,
    *,
    banned: Sequence[int] = (),
    allowed: BoolArray | None = None,
    recent: BoolArray | None = None,
) -> FloatArray:
    """Applies the filters; returns (B, V) weights, proportional to the probabilities of the draw.

    The likeliest token of a row has a weight of 1, and a removed token a weight of 0.

    Args:
        logits: (B, V), not NaN.
        config: the filters.
        banned: ids that may not be drawn.
        allowed: (B, V) ids that may be drawn; None for all.
        recent: (B, V) ids to which the repetition penalty applies; None for none.

    Raises CheckpointError if a row has no candidate of any probability.
    """
    x = filters.ban(logits, banned)
    if allowed is not None:
        x = filters.grammar_mask(x, allowed)
    if recent is not None:
        x = filters.repetition_penalty(x, recent, config.repetition_penalty)
    _check_candidates(x)
    x = filters.temperature(x, config.temperature)
    if config.top_k is not None:
        x = filters.top_k(x, config.top_k)
    if config.top_p is not None:
        x = filters.top_p(x, config.top_p)
    if config.min_p is not None:
        x = filters.min_p(x, config.min_p)
    return np.exp(x)


def pick(weights: FloatArray, uniforms: FloatArray) -> TokenArray:
    """Draws (B,) one token per row: the first at which the cumulative weight exceeds uniform * total weight.

    The weights are added in the order of the ids. So a token is drawn with a probability of weight / total weight.

    Args:
        weights: (B, V), not negative, some above 0 in every row; they need not sum to 1.
        uniforms: (B,) random numbers in [0, 1) of at most 53 bits, so that uniform * total stays below the total.
    """
    cumulative = weights.cumsum(axis=1)  # (B, V)
    return np.asarray((cumulative > uniforms[:, None] * cumulative[:, -1:]).argmax(axis=1))


def surprise_nats(logits: FloatArray, tokens: TokenArray) -> FloatArray:
    """Returns (B,) -log softmax(logits)[token]: the nats of each token in the model's distribution, without filters."""
    top = logits.max(axis=1)
    log_total = np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return np.asarray(top - logits[np.arange(len(tokens)), tokens] + log_total)


class _RecentTokens:
    """The last `REPETITION_WINDOW` tokens of each row, counted by id so that a token costs the same at any V."""

    def __init__(self, num_rows: int, vocab_size: int) -> None:
        self._tokens = np.zeros((REPETITION_WINDOW, num_rows), dtype=np.int64)
        self._counts = np.zeros((num_rows, vocab_size), dtype=np.int16)
        self.num_seen = 0

    def push(self, tokens: TokenArray) -> None:
        """Adds (B,) the next token of each row; the oldest token leaves a full window."""
        rows = np.arange(len(tokens))
        oldest = self._tokens[self.num_seen % REPETITION_WINDOW]
        if self.num_seen >= REPETITION_WINDOW:
            self._counts[rows, oldest] -= 1
        self._counts[rows, tokens] += 1
        oldest[:] = tokens
        self.num_seen += 1

    def handed_over(self) -> Recent:
        """Returns the arrays, which the kernel changes in place; its caller must then increase `num_seen`."""
        return Recent(self._tokens, self._counts, self.num_seen)

    def mask(self) -> BoolArray:
        """Returns (B, V) which ids stand in each row's window."""
        return self._counts > 0

    def keep(self, rows: Sequence[int]) -> None:
        """Drops all rows but those at these indices."""
        self._tokens = np.ascontiguousarray(self._tokens[:, list(rows)])
        self._counts = self._counts[list(rows)]


def _check_finite(logits: FloatArray) -> None:
    """Raises NotFiniteError if a logit is NaN or infinite; -inf among finite ones is a probability of 0."""
    top = logits.max(axis=1)  # NaN if any is
    if not math.isfinite(top.sum()):
        raise NotFiniteError(top[~np.isfinite(top)][0])


def _check_candidates(logits: FloatArray) -> None:
    """Raises CheckpointError if a row has no candidate."""
    if not math.isfinite(logits.max(axis=1).sum()):
        raise CheckpointError(
            "model: gives no permitted token any probability (all logits -inf)",
            hint="its weights are damaged; use another checkpoint",
        )
