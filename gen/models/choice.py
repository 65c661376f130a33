"""The model of each task."""

from collections.abc import Callable

import torch

from gen.config import ModelConfig, TaskName
from gen.models.classifier import RecurrentClassifier
from gen.models.recurrent import RecurrentLM
from gen.models.sequence_model import SequenceModel
from gen.models.tagger import RecurrentTagger
from gen.models.translator import RecurrentTranslator

MODELS: dict[TaskName, Callable[[ModelConfig, torch.Generator | None], SequenceModel]] = {
    "write": RecurrentLM,
    "classify": RecurrentClassifier,
    "tag": RecurrentTagger,
    "pairs": RecurrentTranslator,
}


def new_model(config: ModelConfig, generator: torch.Generator | None = None) -> SequenceModel:
    """Returns a model of a config's task.

    Args:
        config: the sizes.
        generator: draws the initial weights; None for weights that will be loaded.
    """
    return MODELS[config.task](config, generator)
