"""Labels from a model that writes: by Bayes, p(label | document) from the likelihood of the document under each label.

A labelled language model knows p(document | label). All labels are taken to be equally likely before a document is
read, so p(label | document) is proportional to p(document | label).
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from gen.analysis.evaluate import LanguageModel, OnProgress, nats_by_stretch
from gen.data.split import Excerpt
from gen.data.stretches import Stretches


def log_probs_by_bayes(
    model: LanguageModel,
    excerpt: Excerpt,
    *,
    num_labels: int,
    vocab_size: int,
    on_progress: OnProgress | None = None,
) -> NDArray[np.float64]:
    """Returns (D, K) the logarithms of the probabilities of each label for each document.

    Args:
        model: trained with labels.
        excerpt: the documents; their own labels are not looked at.
        num_labels: K.
        vocab_size: V.
        on_progress: called after each label with the number of labels that are done, and of all.
    """
    columns = excerpt.stretches.columns()
    nats = np.empty((len(excerpt.stretches), num_labels))
    for label in range(num_labels):
        asked = columns._replace(labels=np.full_like(columns.labels, label + 1))
        nats[:, label] = nats_by_stretch(model, replace(excerpt, stretches=Stretches(asked)), vocab_size=vocab_size)
        if on_progress is not None:
            on_progress(label + 1, num_labels)
    found: NDArray[np.float64] = functional.log_softmax(torch.from_numpy(-nats), 1).numpy()
    return found
