"""A request for samples: one value from the command, or the library's user, to the model.

The prompt is encoded, the controls are read and the seed is drawn when the request is made. So the same request gives
the same tokens again.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from gen.codec import Envelope
from gen.config import SamplingConfig
from gen.generation.prompt import Prompt

if TYPE_CHECKING:
    from gen.generation.sampling import Steering
    from gen.models.stepper import StepPrecision

ControlValues = Mapping[str, Envelope | str | float]  # by name, as in {"density": "0:2 30s:8", "key": "Am"}

DEFAULT_LENGTH = 1000
MAX_SEED = 2**31  # of the seeds that are drawn: short enough to type again


class StreamSettings(TypedDict, total=False):
    """The settings of one sample; `Run.request` explains them."""

    length: int | None
    seed: int | None
    label: str | None
    precision: "StepPrecision | None"
    controls: ControlValues | None
    min_length: int


class SampleSettings(StreamSettings, total=False):
    """The settings of several samples."""

    sampling: "SamplingConfig | Steering | None"
    num_samples: int


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Everything that decides which tokens a run draws; made by `Run.request`, which explains the settings."""

    prompt: Prompt
    length: int | None
    sampling: "SamplingConfig | Steering"
    seed: int
    label: int  # 0 for none, else 1 + its index in `Run.label_names`
    num_samples: int
    precision: "StepPrecision"
    controls: Mapping[str, Envelope]
    min_length: int


def new_seed() -> int:
    """Returns a seed by chance."""
    return secrets.randbelow(MAX_SEED)
