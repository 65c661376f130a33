"""Chooses a model and how to train it from the corpus, the device and the budget; any option given wins.

Rows, window, rates, resets, and width and dropout after two and after ten minutes stand on runs on one text and two CPU
cores (docs/lab-notes.md); what lies between is interpolated. The width for large alphabets, and augmentation, stand
on piano music and Chinese after five minutes of one core. Sizes for GPUs are not measured yet. The screen prints every
choice and its reason.
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import nn

from gen.config import ModelConfig, Precision, TrainingConfig, TrainingSettings, from_json, to_json
from gen.errors import SettingError
from gen.kernels.library import has_bf16

DEFAULT_MINUTES = 10.0  # when no limit is given
# Speeds of an LSTM of 512 units and 67 symbols, from which the number of epochs is estimated.
THREAD_TOKENS_PER_SECOND = 25_000
GPU_TOKENS_PER_SECOND = 1_000_000
LOSS_COST = 0.9  # multiply-adds of an LSTM that take as long as one of the output layer with its softmax; 7,146 symbols
MIN_BPTT = 8
MAX_BPTT = 64
MATRIX_SHARE = 10.0
SHAPE = ("cell", "num_layers", "hidden_size", "embedding_size", "is_tied")  # decides the sizes of the weights
AUGMENTED_EPOCHS = 3  # readings of a corpus from which on each is another variation
MAX_DROPOUT_VARIED = 0.3  # where music is read in variations: less of it is read twice
MAX_ROWS_CPU, MAX_ROWS_GPU = 32, 128
SMALL_ALPHABET = 128  # symbols; music and Chinese have more


class CorpusSummary(NamedTuple):
    """The numbers of a corpus that a recipe depends on."""

    num_tokens: int  # that are trained on
    num_documents: int
    typical_length: int  # three documents of four are at most this long, in tokens
    vocab_size: int
    num_labels: int
    can_augment: bool = False  # whether its codec has variations
    unused: str = ""  # words on the files that are not used, for errors


class Choice(NamedTuple):
    """A setting as it is shown, with the reason for it."""

    name: str
    value: str
    reason: str


class Recipe(NamedTuple):
    """A model and how to train it."""

    model: ModelConfig
    training: TrainingConfig
    choices: tuple[Choice, ...]


def choose_recipe(
    corpus: CorpusSummary, device: torch.device, settings: TrainingSettings, *, base: ModelConfig | None = None
) -> Recipe:
    """Returns a model and how to train it on a corpus.

    Args:
        corpus: what is trained on.
        device: where it is trained.
        settings: those that the user gave; they win over every choice.
        base: the model of the run that this one starts from; its `SHAPE` is taken over where none is given.

    Raises:
        SettingError: an option is out of range, or the corpus is shorter than one window.
    """
    by_user = settings.given()
    inherited = {} if base is None else {name: getattr(base, name) for name in SHAPE}
    given = inherited | by_user
    training_names = {field.name for field in fields(TrainingConfig)}
    model_names = {field.name for field in fields(ModelConfig)}
    TrainingConfig(**{name: value for name, value in given.items() if name in training_names})
    ModelConfig(corpus.vocab_size, **{name: value for name, value in given.items() if name in model_names})
    limits = {name: given[name] for name in ("steps", "epochs", "minutes") if name in given}
    training = TrainingConfig(**(limits or {"minutes": DEFAULT_MINUTES}))
    chosen: dict[str, tuple[Any, str]] = {}
    chosen["cell"] = ("lstm", "the best quality for the time on every device")
    chosen["hidden_size"] = _hidden_size(corpus, training, device)
    chosen["num_layers"] = (1, "one wide layer learns faster than two in a short run")
    chosen["bptt"] = _bptt(corpus)
    bptt = given.get("bptt", chosen["bptt"][0])
    chosen["batch_size"] = _batch_size(corpus, bptt, device)
    step_tokens = bptt * given.get("batch_size", chosen["batch_size"][0])
    hidden_size = given.get("hidden_size", chosen["hidden_size"][0])
    num_epochs = _expected_epochs(corpus, training, device, step_tokens, hidden_size)
    chosen["augment"] = _augment(corpus, num_epochs)
    is_augmented = given.get("augment", chosen["augment"][0])
    chosen["dropout"] = _dropout(num_epochs, hidden_size, is_augmented=is_augmented)
    chosen["matrix_share"] = (MATRIX_SHARE, "Muon's rate for the recurrent matrices, times lr")
    chosen["reset_rate"] = _reset_rate(corpus, chosen["batch_size"][0])
    chosen["precision"] = _precision(device)
    values = {name: value for name, (value, _) in chosen.items()} | given
    sizes = {"vocab_size": corpus.vocab_size, "num_labels": corpus.num_labels, "has_variations": values["augment"]}
    model = from_json(ModelConfig, sizes | {n: v for n, v in values.items() if n in model_names})
    training = from_json(TrainingConfig, to_json(training) | {n: v for n, v in values.items() if n in training_names})
    _check_length(corpus, training)
    if training.augment and not corpus.can_augment:
        raise SettingError("--augment: only for music", hint="leave it out")
    if training.precision == "fp16" and device.type == "cpu":
        raise SettingError("--precision: fp16 needs a GPU (cpu)", hint="--precision bf16 or auto")
    return Recipe(model, training, _choices(corpus, model, training, chosen, by_user, inherited))


def _expected_epochs(
    corpus: CorpusSummary, training: TrainingConfig, device: torch.device, step_tokens: int, hidden_size: int
) -> float:
    at_512 = THREAD_TOKENS_PER_SECOND * torch.get_num_threads() if device.type == "cpu" else GPU_TOKENS_PER_SECOND
    rate = at_512 * _token_cost(512, 67) / _token_cost(hidden_size, corpus.vocab_size)
    expected = [math.inf if training.epochs is None else training.epochs]
    if training.minutes is not None:
        expected.append(training.minutes * 60 * rate / corpus.num_tokens)
    if training.steps is not None:
        expected.append(training.steps * step_tokens / corpus.num_tokens)
    return min(expected)


def _token_cost(hidden_size: int, vocab_size: int) -> float:
    """Returns the cost of a token, forward, in multiply-adds of an LSTM; the output layer is among them."""
    return hidden_size * (4 * (hidden_size + 128) + LOSS_COST * vocab_size)


def _hidden_size(corpus: CorpusSummary, training: TrainingConfig, device: torch.device) -> tuple[int, str]:
    if corpus.num_tokens < 50_000:
        return 256, "a small corpus"
    if device.type != "cpu":
        return 1024, "a GPU has room"
    is_long = training.minutes is not None and training.minutes >= 8
    if corpus.vocab_size > SMALL_ALPHABET:
        return (512, "eight minutes or more") if is_long else (384, "more steps win where the alphabet is large")
    if training.minutes is not None and training.minutes < 1:
        return 384, "under a minute"
    return (768, "eight minutes or more") if is_long else (512, "the best after a few minutes on two cores")


def _dropout(num_epochs: float, hidden_size: int, *, is_augmented: bool) -> tuple[float, str]:
    most = MAX_DROPOUT_VARIED if is_augmented else 0.6 if hidden_size >= 768 else 0.5
    for least, rate in ((10, most), (7, 0.3), (3, 0.1)):
        if num_epochs >= least:
            return rate, f"the corpus will be read about {num_epochs:.0f} times"
    return 0.0, f"the corpus will be read only about {num_epochs:.1f} times"


def _augment(corpus: CorpusSummary, num_epochs: float) -> tuple[bool, str]:
    if not corpus.can_augment:
        return False, "a text is read as it is"
    if num_epochs < AUGMENTED_EPOCHS:
        return False, f"the corpus will be read only about {num_epochs:.1f} times"
    return True, f"read about {num_epochs:.0f} times, three quarters varied but at the end"


def _bptt(corpus: CorpusSummary) -> tuple[int, str]:
    length = min(corpus.typical_length, corpus.num_tokens)
    if length >= MAX_BPTT:
        return MAX_BPTT, "more updates for the time; the state is carried beyond"
    return max(MIN_BPTT, -(-length // MIN_BPTT) * MIN_BPTT), f"three documents of four have at most {length} tokens"


def _batch_size(corpus: CorpusSummary, bptt: int, device: torch.device) -> tuple[int, str]:
    rows = corpus.num_tokens // (2 * bptt)
    most = MAX_ROWS_CPU if device.type == "cpu" else MAX_ROWS_GPU
    if rows >= most:
        return most, "more updates for the time" if device.type == "cpu" else "fills the matrix units"
    return max(1, rows), "so that every row has two windows"


def _reset_rate(corpus: CorpusSummary, batch_size: int) -> tuple[float, str]:
    if corpus.num_documents >= batch_size:
        return 0.0, "documents start often enough"
    return 0.05, "so that every beginning is safe"


def _precision(device: torch.device) -> tuple[Precision, str]:
    if device.type == "cuda":
        return ("bf16", "tensor cores") if torch.cuda.is_bf16_supported() else ("fp16", "tensor cores")
    if device.type == "cpu" and _trains_in_bf16():
        return "bf16", "this CPU multiplies bf16 faster than fp32"
    return "fp32", "bf16 is no faster here"


def _trains_in_bf16() -> bool:
    """Returns whether this CPU has bf16 instructions and torch an LSTM for them: tried, since some builds lack it."""
    if not has_bf16():
        return False
    layer = nn.LSTM(8, 8)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            outputs, _ = layer(torch.zeros(2, 2, 8))
        outputs.float().sum().backward()
    except RuntimeError:
        return False
    return True


def _check_length(corpus: CorpusSummary, training: TrainingConfig) -> None:
    least = max(MIN_BPTT, training.bptt if training.bptt > corpus.typical_length else MIN_BPTT)
    if corpus.num_tokens < least:
        raise SettingError(
            f"corpus: too short for one window ({corpus.num_tokens} tokens to train on, at least {least} needed"
            f"{corpus.unused})",
            hint="give more, a smaller --bptt or a smaller --valid" if least > MIN_BPTT else "give more",
        )


def _choices(
    corpus: CorpusSummary,
    model: ModelConfig,
    training: TrainingConfig,
    chosen: Mapping[str, tuple[Any, str]],
    by_user: Mapping[str, Any],
    inherited: Mapping[str, Any],
) -> tuple[Choice, ...]:
    def reason(name: str) -> str:
        if name in by_user:
            return "given"
        if name in inherited:
            return "as in the run that it starts from"
        return chosen[name][1] if name in chosen else ""

    def choice(name: str, value: object) -> Choice:
        return Choice(
            name.replace("_", " ").removeprefix("num "),
            f"{value:g}" if isinstance(value, float) else str(value),
            reason(name),
        )

    shown = ("cell", "num_layers", "hidden_size", "embedding_size", "dropout")
    rows = [choice(name, getattr(model, name)) for name in shown]
    shown_of_training = ("bptt", "batch_size", "reset_rate", "learning_rate", "matrix_share", "precision", "seed")
    rows += [choice(name, getattr(training, name)) for name in shown_of_training]
    if corpus.can_augment:
        rows.append(choice("augment", "on" if training.augment else "off"))
    rows += [
        choice(name, limit) for name in ("steps", "epochs", "minutes") if (limit := getattr(training, name)) is not None
    ]
    return tuple(rows)
