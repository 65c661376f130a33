"""Plans of a measurement: the sizes of a run, or those that `gen train` would choose on this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from gen.codec import Grammar
from gen.config import MAX_SAMPLES, ModelConfig, TrainingConfig, TrainingSettings
from gen.errors import SettingError
from gen.models.device import FEW_ROWS, choose_device
from gen.runs.run import load
from gen.training.recipe import DEFAULT_MINUTES, CorpusSummary, choose_recipe

VOCAB_SIZE = 67  # 65 characters, begin and end
MIN_VOCAB, MAX_VOCAB = 3, 1 << 24  # at least begin, end and one symbol
MAX_SECONDS, MAX_THREADS = 600, 1024
CORPUS_TOKENS = 1 << 20  # the corpus for which the recipe is chosen
READINGS = 30.0  # of it in a run: what a fast machine does in the time that a run has by default
SIZES = ("cell", "num_layers", "hidden_size", "embedding_size")
OPTIONS = {"num_layers": "layers", "hidden_size": "hidden", "embedding_size": "embedding", "vocab_size": "vocab"}


@dataclass(frozen=True, slots=True)
class Plan:
    """A measurement: sizes, device and time.

    Raises SettingError if a number is out of range.
    """

    model: ModelConfig
    training: TrainingConfig  # without effect: learning rate, seed and limits
    device: torch.device
    run: str | None = None  # the run that has these sizes
    begin: int | None = None  # the first input; None for the last id but one
    new_grammar: Callable[[], Grammar | None] = lambda: None
    rows: tuple[int, ...] = (1, 8, 64)  # samples drawn side by side
    few_rows: int = FEW_ROWS  # without kernels fewer rows are sampled on one thread, unless `threads` is given
    threads: int | None = None  # None for torch's own number
    seconds: float = 0.8  # for one turn of one contender

    def __post_init__(self) -> None:
        _check("vocab", self.model.vocab_size, MIN_VOCAB, MAX_VOCAB)
        for count in self.rows:
            _check("num-samples", count, 1, MAX_SAMPLES)
        if self.threads is not None:
            _check("threads", self.threads, 1, MAX_THREADS)
        if not 0 < self.seconds <= MAX_SECONDS:
            raise SettingError(f"--seconds: must be above 0 and at most {MAX_SECONDS} ({self.seconds:g})")


def plan_of_sizes(given: Mapping[str, Any], *, device: str = "auto", **options: Any) -> Plan:
    """Returns the plan for the sizes that `gen train` would choose for a text of a million characters, without dropout.

    Args:
        given: fields of ModelConfig and TrainingConfig that replace the chosen ones.
        device: "auto", "cpu", "cuda" or "mps".
        options: fields of Plan.

    Raises:
        SettingError: an option is unknown or out of range.
    """
    place = choose_device(device)
    sizes = {"dropout": 0.0} | dict(given)
    vocab_size = sizes.pop("vocab_size", VOCAB_SIZE)
    _check("vocab", vocab_size, MIN_VOCAB, MAX_VOCAB)
    num_tokens = max(CORPUS_TOKENS, sizes.get("bptt", 0))
    corpus = CorpusSummary(num_tokens, 1, num_tokens, vocab_size, 0)
    speed = READINGS * num_tokens / (60 * DEFAULT_MINUTES)
    recipe = choose_recipe(corpus, place, TrainingSettings(**sizes), measure=lambda *_: speed)
    return Plan(recipe.model, recipe.training, place, **options)


def plan_of_run(name: str, given: Mapping[str, Any], *, device: str = "auto", **options: Any) -> Plan:
    """Returns the plan for the sizes, batches and grammar of a run, in the best precision of this machine.

    Args:
        name: the name of a folder under checkpoints/, a path to one, or a model.safetensors.
        given: batch_size, bptt or precision that replace those of the run.
        device: "auto", "cpu", "cuda" or "mps".
        options: fields of Plan.

    Raises:
        CheckpointError: there is no such run, or its file is damaged, foreign or newer.
        SettingError: an option is out of range, or contradicts the run's sizes.
    """
    for field in (*SIZES, "vocab_size"):
        if field in given:
            option = OPTIONS.get(field, field)
            raise SettingError(f"--{option}: {name} has its own ({given[field]})", hint="leave out RUN, or the option")
    run = load(name, device="cpu")
    trained = run.header.training
    here = plan_of_sizes({"batch_size": trained.batch_size, "bptt": trained.bptt} | dict(given), device=device)
    chosen = {name: getattr(here.training, name) for name in ("batch_size", "bptt", "precision")}
    return Plan(
        run.config,
        replace(trained, **chosen),
        here.device,
        run=run.name,
        begin=run.codec.vocab.begin,
        new_grammar=run.codec.grammar,
        **options,
    )


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingError(f"--{name}: must be {least} to {most} ({value})")
