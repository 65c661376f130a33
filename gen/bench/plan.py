"""What is measured, and for how long: the sizes of a run, or those that `gen train` would choose here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from gen.codec import Grammar
from gen.config import MAX_SAMPLES, ModelConfig, TrainingConfig
from gen.errors import SettingError
from gen.models.device import choose_device
from gen.runs.run import load
from gen.training.recipe import CorpusSummary, choose_recipe

VOCAB_SIZE = 67  # 65 characters, begin and end
MIN_VOCAB, MAX_VOCAB = 3, 1 << 24  # begin, end and something to say
MAX_SECONDS, MAX_THREADS = 600, 1024
CORPUS_TOKENS = 1 << 20  # of the text that the recipe is asked about
SIZES = ("cell", "num_layers", "hidden_size", "embedding_size")
OPTIONS = {"num_layers": "layers", "hidden_size": "hidden", "embedding_size": "embedding", "vocab_size": "vocab"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Raises SettingError if a number is out of range.
    """

    model: ModelConfig
    training: TrainingConfig  # its rate, seed and limits count nothing
    device: torch.device
    run: str | None = None  # whose sizes these are
    begin: int | None = None  # the id before the first; None for the last but one
    new_grammar: Callable[[], Grammar | None] = lambda: None
    rows: tuple[int, ...] = (1, 8, 64)  # samples drawn side by side
    few_rows: int = 8  # below it one thread samples, unless `threads` says otherwise
    threads: int | None = None  # None for what torch chooses
    seconds: float = 0.8  # of one turn of one contender

    def __post_init__(self) -> None:
        _check("vocab", self.model.vocab_size, MIN_VOCAB, MAX_VOCAB)
        for count in self.rows:
            _check("num-samples", count, 1, MAX_SAMPLES)
        if self.threads is not None:
            _check("threads", self.threads, 1, MAX_THREADS)
        if not 0 < self.seconds <= MAX_SECONDS:
            raise SettingError(f"--seconds: must be above 0 and at most {MAX_SECONDS} ({self.seconds:g})")


def plan_of_sizes(given: Mapping[str, Any], *, device: str = "auto", **options: Any) -> Plan:
    """Returns the plan for what `gen train` would choose here for a text of a million characters, without dropout.

    Args:
        given: fields of ModelConfig and TrainingConfig that win over the choice.
        device: "auto", "cpu", "cuda" or "mps".
        options: fields of Plan.

    Raises:
        SettingError: an option is unknown or out of range.
    """
    place = choose_device(device)
    settings = {"dropout": 0.0} | dict(given)
    vocab_size = settings.pop("vocab_size", VOCAB_SIZE)
    _check("vocab", vocab_size, MIN_VOCAB, MAX_VOCAB)
    num_tokens = max(CORPUS_TOKENS, settings.get("bptt", 0))
    recipe = choose_recipe(CorpusSummary(num_tokens, 1, num_tokens, vocab_size, 0), place, settings)
    return Plan(recipe.model, recipe.training, place, **options)


def plan_of_run(name: str, given: Mapping[str, Any], *, device: str = "auto", **options: Any) -> Plan:
    """Returns the plan for a run: its sizes, batches and grammar, in the precision that suits this machine.

    Args:
        name: the name of a folder under checkpoints/, a path to one, or a model.safetensors.
        given: batch_size, bptt or precision, which win over the run's.
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
