"""Tags that a model gives to the words of sentences."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gen.analysis.calibrate import SCALES, best_scale, nats_at_scales
from gen.analysis.evaluate import evaluating, summed_nats
from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.tagging import NO_TAG, cut_between_words, side_by_side

MAX_TOKENS = 1 << 14  # of sentences that are read side by side

OnProgress = Callable[[int, int], None]


class SentenceTagger(Protocol):
    """A model of sentences: an nn.Module with the interface of `RecurrentTagger`."""

    def __call__(self, tokens: Tensor, lengths: Tensor, boundaries: Tensor, num_words: Tensor) -> Tensor: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> Any: ...


class Answers(NamedTuple):
    """The tags that a model gives to the N words of an excerpt, in its order."""

    tags: NDArray[np.int64]  # (N,) from 0
    probabilities: NDArray[np.float64]  # (N,) of these tags
    right: NDArray[np.int64]  # (N,) the tags that the words have; NO_TAG for one that the model does not know
    nats: float  # of all right tags that it knows, together
    nats_at_scales: NDArray[np.float64]  # (S,) the same with the logits at each of `calibrate.SCALES`

    @property
    def accuracy(self) -> float:
        """The share of words whose tag is right."""
        return float((self.tags == self.right).mean())

    @property
    def _num_known(self) -> int:
        return max(1, int(np.count_nonzero(self.right != NO_TAG)))

    @property
    def mean_nats(self) -> float:
        """The mean nats of the right tags that the model knows."""
        return self.nats / self._num_known

    def calibrated(self) -> tuple[float, float]:
        """Returns the mean nats of the right tags with the best factor on all logits, and that factor."""
        nats, scale = best_scale(self.nats_at_scales)
        return nats / self._num_known, scale


def read_tags(
    model: SentenceTagger,
    excerpt: Excerpt,
    *,
    length: int,
    first_tag: int,
    logit_scale: float = 1.0,
    on_progress: OnProgress | None = None,
) -> Answers:
    """Reads sentences.

    Args:
        model: on any device; it runs in eval mode, and in the precision of its weights.
        excerpt: the sentences, with any tags.
        length: of the longest sentences, in ids; a longer one is cut between words.
        first_tag: the lowest id of a tag.
        logit_scale: the factor on the logits with which probabilities are computed.
        on_progress: called with the number of sentences that are done, and of all.
    """
    sentences = cut_between_words(excerpt, length=length, first_tag=first_tag)
    order = np.argsort(-sentences.lengths, kind="stable")  # sentences of similar length side by side
    device, nats, at_scales = next(model.parameters()).device, 0.0, np.zeros(len(SCALES))
    found, num_done = [], 0
    with evaluating(model), torch.no_grad():
        for which in _groups(order, sentences.lengths[order]):
            batch = side_by_side(excerpt.ids, sentences.columns(which), begin=excerpt.begin, first_tag=first_tag)
            let_go(excerpt.ids)
            *inputs, right = (torch.from_numpy(array) for array in batch.arrays())
            logits = model(*(array.to(device) for array in inputs)).float().cpu()  # (B, W, K)
            nats += summed_nats(logits * logit_scale, right)
            at_scales += nats_at_scales(logits, right)
            best = (logits * logit_scale).softmax(2).max(2)
            is_word = np.arange(right.shape[1]) < batch.num_words[:, None]
            columns = (best.indices.numpy(), best.values.double().numpy(), batch.tags)
            found.append((np.repeat(which, batch.num_words), *(column[is_word] for column in columns)))
            num_done += len(which)
            if on_progress is not None:
                on_progress(num_done, len(order))
    sentence, tags, probabilities, right_tags = (np.concatenate(column) for column in zip(*found, strict=True))
    place = np.argsort(sentence, kind="stable")
    return Answers(tags[place], probabilities[place], right_tags[place], nats, at_scales)


def _groups(order: NDArray[np.int64], lengths: NDArray[np.signedinteger]) -> Iterator[NDArray[np.int64]]:
    """Yields sentences that are read side by side.

    Args:
        order: (S,) sentences, the longest first.
        lengths: (S,) theirs.
    """
    start = 0
    while start < len(order):
        stop = start + max(1, MAX_TOKENS // (int(lengths[start]) + 1))
        yield order[start:stop]
        start = stop
