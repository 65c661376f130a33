"""Targets for sources, from a trained run of pairs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from gen.analysis.translation import Translation
from gen.codecs.text.pairs import PairsCodec
from gen.config import SamplingConfig
from gen.errors import SettingError
from gen.generation.generate import Sampled, SampledBlock, generate_blocks, one_by_one
from gen.generation.translation import SourceStepper
from gen.models.recurrent import scale_logits_
from gen.models.translator import RecurrentTranslator
from gen.runs.pairs import SourceGroups, measured, translated
from gen.runs.request import new_seed
from gen.runs.trained import TrainedRun, find_model_file

GREEDY = SamplingConfig(temperature=0.0)
MAX_BEAM = 256


class TargetSettings(TypedDict, total=False):
    """The settings of targets that are drawn; `Translator.draw_blocks` explains them."""

    sampling: SamplingConfig
    length: int | None
    seed: int | None
    num_samples: int
    min_length: int


class Translator(TrainedRun):
    """A trained run that makes a target of a source; made by `load_translator`.

    Args:
        path: of its model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: the file is damaged, foreign or newer.
        SettingError: the run was trained for another task.
    """

    model: RecurrentTranslator
    codec: PairsCodec

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        super().__init__(path, device=device)
        if self.config.task != "pairs":
            raise SettingError(f"{self.name}: was not trained on pairs", hint="gen train CORPUS --task pairs")
        scale_logits_(self.model, self.header.logit_scale)

    @property
    def max_length(self) -> int:
        """The symbols of the longest targets that it was trained on; no target that it writes is longer."""
        return self.header.training.bptt

    def draw(self, source: str, **settings: Unpack[TargetSettings]) -> Iterator[Sampled]:
        """Returns the tokens of targets as they are drawn. Arguments and errors as in `draw_blocks`."""
        return one_by_one(self.draw_blocks(source, **settings))

    def draw_blocks(
        self,
        source: str,
        *,
        sampling: SamplingConfig = GREEDY,
        length: int | None = None,
        seed: int | None = None,
        num_samples: int = 1,
        min_length: int = 0,
    ) -> Iterator[SampledBlock]:
        """Returns the tokens of targets as they are drawn, in arrays.

        Args:
            source: blanks at its ends do not count.
            sampling: the choice of a symbol; by default the likeliest.
            length: the most symbols; None for `max_length`.
            seed: None draws one.
            num_samples: the number of targets, drawn side by side.
            min_length: the symbols before which a target does not end by itself.

        Raises SettingError if the source is empty or has an unknown character, or a setting is out of range.
        """
        return generate_blocks(
            SourceStepper(self.model, self.codec.encode_source(source).tolist(), separator=self.codec.separator),
            prompt=(),
            begin=self.codec.vocab.begin,
            end=self.codec.vocab.end,
            length=self.max_length if length is None else length,
            sampling=sampling,
            seed=new_seed() if seed is None else seed,
            num_samples=num_samples,
            min_length=min_length,
        )

    def translate(
        self, sources: Sequence[str], *, beam: int = 1, on_progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Returns the target of each source.

        Args:
            sources: blanks at their ends do not count.
            beam: hypotheses of a beam search; 1 takes the likeliest symbol at every step.
            on_progress: called with the number of sources that are done, and of all.

        Raises SettingError if a source is empty or has an unknown character, the beam is out of range, or `sources` is
        one text.
        """
        check_beam(beam)
        if isinstance(sources, str):
            raise SettingError(f"sources: a text, not a list of texts ({sources[:40]!r})", hint="[source]")
        ids = [self.codec.encode_source(source).tolist() for source in sources]
        return translated(self.model, self.codec, ids, max_length=self.max_length, beam=beam, on_progress=on_progress)

    def evaluate(
        self,
        corpus: str | Path | Sequence[str | Path] = "valid",
        *,
        beam: int = 1,
        on_progress: Callable[[int, int], None] | None = None,
        **reading: Any,
    ) -> Translation:
        """Compares what it writes with the targets of a corpus of pairs.

        Args:
            corpus: "valid" or "test" for the run's own, else as in `gen train`.
            beam, on_progress: as in `translate`.
            reading: fields of Reading for a corpus that is not the run's own, such as target_column="phonemes".

        Raises:
            SettingError: the beam is out of range, or `reading` is given for the run's own corpus.
            GenError: the corpus cannot be had or has changed, or holds a symbol that the model does not know.
        """
        check_beam(beam)
        groups = SourceGroups.of(self.excerpt(corpus, **reading), self.codec)
        return measured(self.model, groups, max_length=self.max_length, beam=beam, on_progress=on_progress)


def check_beam(beam: int) -> None:
    """Raises SettingError if a beam is out of range."""
    if not 1 <= beam <= MAX_BEAM:
        raise SettingError(f"--beam: must be 1 to {MAX_BEAM} ({beam})")


def load_translator(run: str | Path, *, device: str = "auto") -> Translator:
    """Loads a run that was trained on pairs.

    Args:
        run: the name of a folder under checkpoints/, a path to one, or a model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: there is no such run, or its file is damaged, foreign or newer.
        SettingError: it was trained for another task.
    """
    return Translator(find_model_file(run), device=device)
