"""To tag: a sentence in, a tag for each of its words out."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from gen.analysis.tagging import read_tags
from gen.codecs.text.columns import COMMENTS, HINT
from gen.codecs.text.tagged import TaggedCodec
from gen.config import TrainingConfig
from gen.data.split import Excerpt
from gen.data.tagging import TaggedSentences, cut_between_words
from gen.errors import CorpusError
from gen.models.sequence_model import SequenceModel
from gen.models.tagger import RecurrentTagger
from gen.runs.prepared import PreparedCorpus
from gen.runs.tasks.task import Validation

VALID_TOKENS = 1 << 17  # of a validation while training: always the same sentences
FINAL_VALID_TOKENS = 1 << 22  # of the last one


class Tagging:
    """The task of a tagger."""

    def check(self, corpus: PreparedCorpus) -> None:
        """Raises CorpusError unless there are two tags to learn, and one of them in the validation part, if any."""
        place, names = ", ".join(corpus.options.sources), corpus.label_names
        if len(names) < 2:
            raise CorpusError(f"{place}: no two tags to learn ({', '.join(names)})", hint=HINT)
        first, valid = cast(TaggedCodec, corpus.codec).first_tag, corpus.valid
        if valid.stretches and not any((part > first).any() for part in valid.stretches.read(valid.ids)):
            raise CorpusError(f"{corpus.options.valid_file or place}: no tag of the corpus to validate on (0)")

    def words(self, corpus: PreparedCorpus, training: TrainingConfig) -> str:
        """Returns the share of the commonest tag, and how many sentences are cut and comments are skipped."""
        codec, ids = cast(TaggedCodec, corpus.codec), corpus.store.ids
        counts = np.zeros(len(codec.vocab), np.int64)
        for part in corpus.train.stretches.read(ids):
            counts += np.bincount(part, minlength=len(counts))
        of_tags = counts[codec.first_tag : codec.vocab.begin]
        parts = [f"; the commonest has {100 * of_tags.max() / max(1, of_tags.sum()):.1f} % of the words"]
        if num_long := int(np.count_nonzero(corpus.train.stretches.lengths > training.bptt)):
            parts.append(f"{num_long:,} sentences with more than {training.bptt} symbols are cut between words")
        if num_comments := corpus.store.report.findings[COMMENTS]:
            parts.append(f"{num_comments:,} {COMMENTS}")
        return "; ".join(parts)

    def num_sequences(self, corpus: PreparedCorpus, length: int) -> int:
        """Returns the number of sentences, with the parts of those that are cut."""
        first_tag = cast(TaggedCodec, corpus.codec).first_tag
        return len(cut_between_words(corpus.train, length=length, first_tag=first_tag))

    def batches(self, corpus: PreparedCorpus, training: TrainingConfig) -> TaggedSentences:
        """Returns sentences in random order."""
        return TaggedSentences(
            corpus.train,
            batch_size=training.batch_size,
            length=training.bptt,
            first_tag=cast(TaggedCodec, corpus.codec).first_tag,
            seed=training.seed,
        )

    def validate(
        self, corpus: PreparedCorpus, model: SequenceModel, training: TrainingConfig, *, is_last: bool
    ) -> Validation:
        """Measures nats and accuracy over words, of sentences that are spread evenly."""
        found = read_tags(
            cast(RecurrentTagger, model),
            spread(corpus.valid, FINAL_VALID_TOKENS if is_last else VALID_TOKENS),
            length=training.bptt,
            first_tag=cast(TaggedCodec, corpus.codec).first_tag,
        )
        nats, logit_scale = found.calibrated()
        return Validation(nats, None, logit_scale, {"valid_accuracy": found.accuracy})

    def write_sample(self, folder: Path, corpus: PreparedCorpus, model: SequenceModel, step: int) -> None:
        """Writes nothing."""

    def yardsticks(self, corpus: PreparedCorpus) -> dict[str, float]:  # noqa: ARG002 - none for any corpus
        """Returns none: there are no bits to compare."""
        return {}


def spread(excerpt: Excerpt, max_tokens: int) -> Excerpt:
    """Returns an excerpt with about `max_tokens` tokens: every n-th sentence of one that has more."""
    stretches = excerpt.stretches
    step = max(1, -(-stretches.num_tokens // max_tokens))
    return replace(excerpt, stretches=stretches.take(np.arange(0, len(stretches), step)))
