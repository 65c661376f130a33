"""Chooses a model and how to train it from the corpus, the device and the budget; any option given wins.

Dropout and width depend on how often the run will read its corpus, and so on the speed of this machine, which is
measured. Their tables, and rows, window, rates and resets, stand on runs on CPUs (benchmarks/results/recipe.md,
docs/lab-notes.md), those for GPUs on a few (gen.training.gpus). The screen prints every choice and its reason.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from gen.config import ModelConfig, Precision, TaskName, TrainingConfig, TrainingSettings, from_json
from gen.errors import SettingError
from gen.kernels.library import has_bf16
from gen.models.choice import new_model
from gen.training.classifiers import classifier_choices, classifier_dropout, classifier_width
from gen.training.dropout import choose_dropout, choose_weight_decay
from gen.training.gpus import choices_for_many_readings
from gen.training.taggers import tagger_choices, tagger_dropout, tagger_width
from gen.training.translators import translator_choices, translator_dropout, translator_width

DEFAULT_MINUTES = 10.0  # when no limit is given
LIMITS = ("steps", "epochs", "minutes")
SMALL_CORPUS, SMALL_WIDTH = 50_000, 256  # tokens, units
USUAL_WIDTH, USUAL_WIDTH_GPU = 512, 1024  # of the layers
# Widths, each for runs that would read fewer tokens than this at the usual width (benchmarks/results/recipe.md); the
# last bound stands on ten minutes of Tiny Shakespeare (docs/lab-notes.md).
WIDTHS = ((256, 1e6), (384, 4e6), (512, 24e6), (768, math.inf))
MIN_BPTT = 8
MAX_BPTT = 64
MATRIX_SHARE = 10.0
SHAPE = ("cell", "num_layers", "hidden_size", "embedding_size", "is_tied")  # decides the sizes of the weights
AUGMENTED_EPOCHS = 3  # readings of a corpus from which on each is another variation
MAX_ROWS_CPU, MAX_ROWS_GPU = 32, 128
# By task, but for writing: the units of a layer with the reason, by the tokens of the corpus; and the rate of dropout,
# by the readings of it.
WIDTHS_OF_TASKS: dict[TaskName, Callable[[int], tuple[int, str]]] = {
    "classify": classifier_width,
    "tag": tagger_width,
    "pairs": translator_width,
}
DROPOUTS_OF_TASKS: dict[TaskName, Callable[[float], float]] = {
    "classify": classifier_dropout,
    "tag": tagger_dropout,
    "pairs": translator_dropout,
}

Measure = Callable[[ModelConfig, TrainingConfig], float]  # returns the tokens a second of training


class CorpusSummary(NamedTuple):
    """The numbers of a corpus that a recipe depends on."""

    num_tokens: int  # that are trained on
    num_documents: int
    typical_length: int  # three documents of four are at most this long, in tokens
    vocab_size: int
    num_labels: int
    longest: int = 0  # document, in tokens
    can_augment: bool = False  # whether its codec has variations
    unused: str = ""  # words on the files that are not used, for errors
    num_sequences: Callable[[int], int | None] = lambda _length: None  # as that of `gen.runs.tasks.task.Task`


class Choice(NamedTuple):
    """A setting as it is shown, with the reason for it."""

    name: str
    value: str
    reason: str


class Outlook(NamedTuple):
    """The expectation of how much of its corpus a run will read."""

    readings: float
    speed: float | None  # tokens a second, measured; None where the time does not limit the run

    def words(self) -> str:
        """Returns the outlook in words."""
        digits = 0 if self.readings >= 10 else 1 if self.readings >= 1 else 2
        times = f"about {self.readings:,.{digits}f} readings"
        if self.speed is None:
            return f"{times} of the corpus"
        return f"{round(self.speed, -2):,.0f} tokens/s measured: {times}"  # fits a line of the screen


class Recipe(NamedTuple):
    """A model and how to train it."""

    model: ModelConfig
    training: TrainingConfig
    choices: tuple[Choice, ...]


def choose_recipe(
    corpus: CorpusSummary,
    device: torch.device,
    settings: TrainingSettings,
    *,
    measure: Measure,
    base: ModelConfig | None = None,
) -> Recipe:
    """Returns a model and how to train it on a corpus.

    Args:
        corpus: what is trained on.
        device: where it is trained.
        settings: those that the user gave; they win over every choice.
        measure: returns the tokens a second at which a model is trained; called where the time limits the run.
        base: the model of the run that this one starts from; its `_shape` is taken over where none is given.

    Raises:
        SettingError: an option is out of range, or the corpus is shorter than one window.
    """
    by_user = settings.given()
    inherited = {} if base is None else {name: getattr(base, name) for name in _shape(base, by_user)}
    given = inherited | by_user
    _configs(corpus, given)
    check_task(given.get("task", "write"), given)
    limits = {name: given[name] for name in LIMITS if name in given} or {"minutes": DEFAULT_MINUTES}
    chosen = _choices_by_corpus(corpus, device, given)
    if limited := _limited_rows(corpus, given, chosen["bptt"][0]):
        chosen["batch_size"] = limited
        given, by_user = ({n: value for n, value in each.items() if n != "batch_size"} for each in (given, by_user))

    def values() -> dict[str, Any]:
        return limits | {name: value for name, (value, _) in chosen.items()} | given

    _check_usable(corpus, _configs(corpus, values())[1], device)
    chosen["hidden_size"], outlook = _width(corpus, device, values(), measure)
    chosen["augment"] = _augment(corpus, outlook, given.get("task", "write"))
    if device.type == "cuda" and [*limits] == ["minutes"] and given.get("task", "write") == "write":
        chosen |= choices_for_many_readings(outlook.readings, is_varied=values()["augment"])
        if "epochs" in chosen:
            _, outlook = _width(corpus, device, values(), measure)
    model, training = _configs(corpus, values())
    chosen["dropout"] = (_dropout(model, outlook.readings, is_varied=training.augment), outlook.words())
    if model.task == "write":
        chosen["weight_decay"] = (choose_weight_decay(outlook.readings), "more where a corpus is read often")
    model, training = _configs(corpus, values())
    follows_speed = training.minutes is not None and "dropout" not in given and model.task == "write"
    training = replace(training, measured_speed=outlook.speed, follows_speed=follows_speed)
    return Recipe(model, training, _choices(corpus, model, training, chosen, by_user, inherited))


def _choices_by_corpus(
    corpus: CorpusSummary, device: torch.device, given: Mapping[str, Any]
) -> dict[str, tuple[Any, str]]:
    """Returns the settings that do not depend on how often a run will read its corpus, with the reasons for them."""
    chosen: dict[str, tuple[Any, str]] = {}
    chosen["cell"] = ("lstm", "the best quality for the time on every device")
    chosen["num_layers"] = (1, "one wide layer learns faster than two in a short run")
    chosen["bptt"] = _bptt(corpus)
    chosen["batch_size"] = _batch_size(corpus, given.get("bptt", chosen["bptt"][0]), device)
    chosen["matrix_share"] = (MATRIX_SHARE, "learning rate of the recurrent matrices, which Muon trains")
    chosen["reset_rate"] = _reset_rate(corpus, chosen["batch_size"][0])
    chosen["precision"] = _precision(device)
    if given.get("task") == "classify":
        chosen |= classifier_choices(corpus.typical_length)
    if given.get("task") == "tag":
        chosen |= tagger_choices(corpus.num_documents, corpus.typical_length, corpus.longest)
    if given.get("task") == "pairs":
        chosen |= translator_choices(corpus.longest, corpus.num_documents)
    return chosen


def check_task(task: TaskName, given: Mapping[str, Any]) -> None:
    """Raises SettingError if one of the settings that are given has no meaning for the task."""
    if task == "write" and given.get("is_bidirectional"):
        raise SettingError("--bidirectional: a run that writes has not read what follows", hint="--task classify")
    if task != "classify" and given.get("balance_labels"):
        raise SettingError("--balance-labels: only for a run that finds labels", hint="--task classify")
    if task != "classify" and given.get("has_ngrams"):
        raise SettingError("--ngrams: only for a run that finds labels", hint="--task classify")
    if task != "pairs" and given.get("has_attention"):
        raise SettingError("--attention: only for a run that learns pairs", hint="--task pairs")
    if task != "write" and given.get("augment"):
        raise SettingError("--augment: only for a run that writes", hint="leave it out")


def _dropout(model: ModelConfig, readings: float, *, is_varied: bool) -> float:
    """Returns the rate of dropout of a run that reads its corpus so often."""
    if (rate_of := DROPOUTS_OF_TASKS.get(model.task)) is not None:
        return rate_of(readings)
    return choose_dropout(readings, _num_parameters(model), is_varied=is_varied)


def _configs(corpus: CorpusSummary, values: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
    """Returns the settings of a model and of its training with these values, and defaults for the others."""
    has_variations = values.get("augment", False)
    sizes = {"vocab_size": corpus.vocab_size, "num_labels": corpus.num_labels, "has_variations": has_variations}
    model_names, training_names = ({field.name for field in fields(kind)} for kind in (ModelConfig, TrainingConfig))
    model = from_json(ModelConfig, sizes | {name: value for name, value in values.items() if name in model_names})
    return model, from_json(TrainingConfig, {n: value for n, value in values.items() if n in training_names})


def _check_usable(corpus: CorpusSummary, training: TrainingConfig, device: torch.device) -> None:
    """Raises SettingError if the corpus is too short, or an option does not go with the corpus or the device."""
    _check_length(corpus, training)
    if training.augment and not corpus.can_augment:
        raise SettingError("--augment: only for music", hint="leave it out")
    if training.precision == "fp16" and device.type == "cpu":
        raise SettingError("--precision: fp16 needs a GPU (cpu)", hint="--precision bf16 or auto")


def _width(
    corpus: CorpusSummary, device: torch.device, values: Mapping[str, Any], measure: Measure
) -> tuple[tuple[int, str], Outlook]:
    """Returns the width of the layers with its reason, and the outlook of a run with it."""

    def outlook(hidden_size: int) -> Outlook:
        model, training = _configs(corpus, {**values, "hidden_size": hidden_size})
        speed = measure(model, training) if training.minutes else None
        return Outlook(_readings(corpus, training, speed, model.task), speed)

    if (width_of := WIDTHS_OF_TASKS.get(values.get("task", "write"))) and "hidden_size" not in values:
        width, reason = width_of(corpus.num_tokens)
        return (width, reason), outlook(width)
    if "hidden_size" in values:
        return (values["hidden_size"], ""), outlook(values["hidden_size"])
    if corpus.num_tokens < SMALL_CORPUS:
        return (SMALL_WIDTH, "a small corpus"), outlook(SMALL_WIDTH)
    usual = USUAL_WIDTH if device.type == "cpu" else USUAL_WIDTH_GPU
    at_usual = outlook(usual)
    width, reason = _hidden_size(corpus.num_tokens, device, at_usual)
    return (width, reason), at_usual if width == usual else outlook(width)


def _shape(base: ModelConfig, by_user: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the fields that a run takes over from its base; a tagger's layers do not read what those of others do."""
    if base.task == "pairs":
        return (*SHAPE, "is_bidirectional", "has_attention")
    if by_user.get("task") == "tag" != base.task:
        return tuple(name for name in SHAPE if name not in ("num_layers", "is_tied"))
    return SHAPE


def _readings(corpus: CorpusSummary, training: TrainingConfig, speed: float | None, task: TaskName) -> float:
    """Returns how often a run will read its corpus, by the nearest of its limits."""
    expected = [math.inf if training.epochs is None else training.epochs]
    tokens_a_row = corpus.num_tokens / corpus.num_documents if task == "pairs" else training.bptt
    if training.minutes is not None:
        expected.append(training.minutes * 60 * (speed or 0.0) / corpus.num_tokens)
    if training.steps is not None:
        expected.append(training.steps * training.batch_size * tokens_a_row / corpus.num_tokens)
    return min(expected)


def _hidden_size(corpus_tokens: int, device: torch.device, at_usual: Outlook) -> tuple[int, str]:
    """Returns the width of the layers.

    Args:
        corpus_tokens: that are trained on.
        at_usual: the outlook of a run with the usual width.
    """
    if device.type != "cpu":
        return USUAL_WIDTH_GPU, "a GPU has room"
    if at_usual.speed is None:
        return USUAL_WIDTH, "the usual width; with --minutes it suits the time"
    width = next(width for width, most in WIDTHS if at_usual.readings * corpus_tokens < most)
    return width, f"at {USUAL_WIDTH} units {at_usual.words()}"


def _num_parameters(config: ModelConfig) -> int:
    with torch.device("meta"):  # takes no memory
        return new_model(config).num_parameters()


def _augment(corpus: CorpusSummary, outlook: Outlook, task: TaskName) -> tuple[bool, str]:
    if task != "write":
        return False, "documents are read as they are"
    if not corpus.can_augment:
        return False, "a text is read as it is"
    if outlook.readings < AUGMENTED_EPOCHS:
        return False, f"the corpus will be read only about {outlook.readings:.1f} times"
    return True, f"read about {outlook.readings:.0f} times, three quarters varied but at the end"


def _bptt(corpus: CorpusSummary) -> tuple[int, str]:
    length = min(corpus.typical_length, corpus.num_tokens)
    if length >= MAX_BPTT:
        return MAX_BPTT, "more updates for the time; the state is carried beyond"
    rounded_up, longest = -(-length // MIN_BPTT) * MIN_BPTT, corpus.num_tokens // MIN_BPTT * MIN_BPTT
    bptt = max(MIN_BPTT, min(rounded_up, longest))  # the corpus fills a window
    return bptt, f"three documents of four have at most {length} tokens"


def _batch_size(corpus: CorpusSummary, bptt: int, device: torch.device) -> tuple[int, str]:
    rows = corpus.num_tokens // (2 * bptt)
    most = MAX_ROWS_CPU if device.type == "cpu" else MAX_ROWS_GPU
    if rows >= most:
        return most, "more updates for the time" if device.type == "cpu" else "fills the matrix units"
    return max(1, rows), "two windows or more in every row"


def _limited_rows(corpus: CorpusSummary, given: Mapping[str, Any], bptt: int) -> tuple[int, str] | None:
    """Returns the rows that a corpus fills, with the reason, if more are given; None if not."""
    rows, most = given.get("batch_size"), corpus.num_sequences(given.get("bptt", bptt))
    if rows is None or most is None or rows <= most:
        return None
    return max(1, most), f"{rows:,} given, but the corpus has no more sequences"


def _reset_rate(corpus: CorpusSummary, batch_size: int) -> tuple[float, str]:
    if corpus.num_documents >= batch_size:
        return 0.0, "documents start often enough"
    return 0.05, "share of windows that forget what was before, as a prompt does"


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

    shown = ["cell", "num_layers", "hidden_size", "embedding_size", "dropout"]
    rows = [choice(name, getattr(model, name)) for name in shown]
    if model.task != "write":
        rows.append(Choice("directions", str(model.num_directions), reason("is_bidirectional")))
    if model.task == "classify":
        rows += [choice("pooling", model.pooling), Choice("n-grams", _on(model.has_ngrams), reason("has_ngrams"))]
    if model.task == "pairs":
        rows.append(Choice("attention", _on(model.has_attention), reason("has_attention")))
    rows += [choice(name, getattr(training, name)) for name in ("bptt", "batch_size", "reset_rate", "learning_rate")]
    matrix_rate = training.learning_rate * (training.matrix_share or 1.0)
    rows.append(Choice("matrix rate", f"{matrix_rate:g}", reason("matrix_share")))
    rows.append(choice("weight_decay", training.weight_decay))
    rows += [choice(name, getattr(training, name)) for name in ("precision", "seed")]
    if corpus.can_augment:
        rows.append(choice("augment", _on(training.augment)))
    rows += [
        choice(name, limit) for name in ("steps", "epochs", "minutes") if (limit := getattr(training, name)) is not None
    ]
    return tuple(rows)


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"
