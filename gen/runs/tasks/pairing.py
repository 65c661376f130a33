"""To translate: one sequence in, another out (many-to-many)."""

from pathlib import Path
from typing import cast

import numpy as np

from gen.analysis.calibrate import best_scale, nats_at_scales
from gen.analysis.evaluate import evaluating
from gen.analysis.translation import errors, target_logits
from gen.codec import decode
from gen.codecs.text.pairs import PairsCodec
from gen.codecs.text.tables.pairs import INCOMPLETE
from gen.config import TrainingConfig
from gen.data.pairs import Pairs, find_pairs
from gen.data.split import Excerpt
from gen.errors import SettingError
from gen.models.sequence_model import SequenceModel
from gen.models.translator import RecurrentTranslator
from gen.runs.pairs import SourceGroups, translated
from gen.runs.prepared import PreparedCorpus
from gen.runs.tasks.task import Validation

# Of a validation while training, always the same: sources with all their pairs that are measured, and that are written.
VALID_SOURCES, VALID_ANSWERS = 2048, 256
FINAL_VALID_SOURCES, FINAL_VALID_ANSWERS = 1 << 16, 4096  # of the last one
NUM_SHOWN = 3  # sources whose targets are a sample
ARROW = " -> "


class Pairing:
    """The task of a translator."""

    def check(self, corpus: PreparedCorpus) -> None:
        """Accepts every corpus of pairs."""

    def words(self, corpus: PreparedCorpus, training: TrainingConfig) -> str:
        """Returns the number of rows that are left out, and of pairs that are too long to learn."""
        pairs = find_pairs(corpus.train, _codec(corpus).separator)
        num_long = len(pairs.starts) - len(pairs.no_longer_than(training.bptt).starts)
        num_incomplete = corpus.store.report.findings[INCOMPLETE]
        long = f"{num_long:,} with more than {training.bptt} symbols on a side are not learnt"
        parts = [f"{num_incomplete:,} {INCOMPLETE}"] * bool(num_incomplete) + [long] * bool(num_long)
        return "; ".join(parts)

    def num_sequences(self, corpus: PreparedCorpus, length: int) -> int:
        """Returns the number of pairs that are learnt."""
        return len(find_pairs(corpus.train, _codec(corpus).separator).no_longer_than(length).starts)

    def batches(self, corpus: PreparedCorpus, training: TrainingConfig) -> Pairs:
        """Returns pairs in random order. Raises SettingError if all are too long."""
        batches = Pairs(
            corpus.train,
            separator=_codec(corpus).separator,
            batch_size=training.batch_size,
            length=training.bptt,
            seed=training.seed,
        )
        if not batches.num_windows(0):
            raise SettingError(f"--bptt: every pair has more symbols on a side ({training.bptt})", hint="a larger one")
        return batches

    def validate(
        self, corpus: PreparedCorpus, model: SequenceModel, training: TrainingConfig, *, is_last: bool
    ) -> Validation:
        """Measures nats per symbol of targets, and the share of sources that are answered with one of their targets."""
        translator = cast(RecurrentTranslator, model)
        num_sources, num_answers = (
            (FINAL_VALID_SOURCES, FINAL_VALID_ANSWERS) if is_last else (VALID_SOURCES, VALID_ANSWERS)
        )
        groups = SourceGroups.of(corpus.valid, _codec(corpus)).evenly(num_sources)
        predicted = target_logits(translator, groups.excerpt, groups.pairs)
        nats, logit_scale = best_scale(np.sum([nats_at_scales(*found) for found in predicted], 0))
        asked = groups.evenly(num_answers)
        answers, references = _answers(translator, asked, training.bptt), asked.references()
        distances = [errors(*both) for both in zip(answers, references, strict=True)]
        figures = {
            "valid_exact": sum(distance == 0 for distance, _ in distances) / len(distances),
            "valid_symbol_error_rate": sum(each for each, _ in distances) / sum(length for _, length in distances),
        }
        return Validation(nats / int(groups.pairs.target_lengths.sum()), None, logit_scale, figures)

    def write_sample(self, folder: Path, corpus: PreparedCorpus, model: SequenceModel, step: int) -> str:
        """Writes a few sources with what the model makes of them; returns the same on one line."""
        part: Excerpt = corpus.valid if corpus.valid.stretches else corpus.train
        codec = _codec(corpus)
        groups = SourceGroups.of(part, codec).evenly(NUM_SHOWN)
        longest = int(groups.pairs.target_lengths.max())
        answers = _answers(cast(RecurrentTranslator, model), groups, 2 * longest)
        sources = [decode(codec, source[:-1]) for source in groups.sources()]
        lines = [f"{source}{ARROW}{answer}" for source, answer in zip(sources, answers, strict=True)]
        codec.write(folder / f"step-{step:07}{codec.suffix}", "\n".join((*lines, "")))
        return "; ".join(lines)

    def yardsticks(self, corpus: PreparedCorpus) -> dict[str, float]:  # noqa: ARG002 - none for any corpus
        """Returns none: there are no bits to compare."""
        return {}


def _codec(corpus: PreparedCorpus) -> PairsCodec:
    return cast(PairsCodec, corpus.codec)


def _answers(model: RecurrentTranslator, groups: SourceGroups, max_length: int) -> list[str]:
    with evaluating(model):
        return translated(model, groups.codec, groups.sources(), max_length=max_length)
