"""To write: one label or prompt in, a whole sequence out."""

from dataclasses import replace
from pathlib import Path
from typing import cast

from gen.analysis.calibrate import evaluate_calibrated
from gen.codec import decode, stream
from gen.config import SamplingConfig, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import evenly
from gen.generation.generate import generate
from gen.models.recurrent import RecurrentLM
from gen.models.sequence_model import SequenceModel
from gen.models.stepper import PackedStepper
from gen.runs.prepared import PreparedCorpus, bits_of, can_end
from gen.runs.tasks.task import Validation

VALID_CONTEXT = 1024  # tokens of a validation window: long enough that its fresh start costs little
VALID_TOKENS = (
    1 << 15
)  # of a validation while training: always the same tokens, so that two validations can be compared
FINAL_VALID_TOKENS = 1 << 20  # of the last one
LARGE_VOCAB = 2048  # above which fewer tokens are validated, in proportion: logits cost more than layers then
MAX_SAMPLE_TOKENS = 200


class Writing:
    """The task of a language model."""

    def check(self, corpus: PreparedCorpus) -> None:
        """Accepts every corpus."""

    def words(self, _corpus: PreparedCorpus, _training: TrainingConfig) -> str:
        """Returns nothing."""
        return ""

    def num_sequences(self, _corpus: PreparedCorpus, _length: int) -> None:
        """Returns None: rows go on."""

    def batches(self, corpus: PreparedCorpus, training: TrainingConfig) -> Batches:
        """Returns windows of rows with carried state."""
        return Batches(
            corpus.train,
            batch_size=training.batch_size,
            bptt=training.bptt,
            reset_rate=training.reset_rate,
            seed=training.seed,
            vary=corpus.codec.variation(is_augmented=training.augment),
            vary_plainly=corpus.codec.variation(is_augmented=False),
        )

    def validate(
        self, corpus: PreparedCorpus, model: SequenceModel, _training: TrainingConfig, *, is_last: bool
    ) -> Validation:
        """Measures nats per token in windows of VALID_CONTEXT."""
        excerpt, codec = corpus.valid, corpus.codec
        max_tokens = FINAL_VALID_TOKENS if is_last else VALID_TOKENS
        num_tokens = max_tokens * LARGE_VOCAB // max(LARGE_VOCAB, len(codec.vocab))
        evaluation, logit_scale = evaluate_calibrated(
            cast(RecurrentLM, model),
            replace(excerpt, stretches=evenly(excerpt.stretches, num_tokens, window=VALID_CONTEXT)),
            units=codec.units(),
            unit=codec.unit,
            context=VALID_CONTEXT,
        )
        return Validation(evaluation.nats_per_token, evaluation.bits_per_unit, logit_scale, {})

    def write_sample(self, folder: Path, corpus: PreparedCorpus, model: SequenceModel, step: int) -> str:
        """Writes a sample; returns its text, or its notes."""
        codec = corpus.codec
        tokens = [
            sampled.token
            for sampled in generate(
                PackedStepper(cast(RecurrentLM, model)),
                prompt=(),
                begin=codec.vocab.begin,
                end=codec.vocab.end if can_end(corpus) else None,
                length=MAX_SAMPLE_TOKENS,
                sampling=SamplingConfig(temperature=0.8),
                seed=step,
                new_grammar=codec.grammar,
            )
        ]
        codec.write(folder / f"step-{step:07}{codec.suffix}", decode(codec, tokens))
        return ("" if codec.kind == "text" else "; ").join(str(piece) for piece in stream(codec, tokens))

    def yardsticks(self, corpus: PreparedCorpus) -> dict[str, float]:
        """Returns the bits of models that count tokens, and of bz2."""
        return bits_of(corpus)
