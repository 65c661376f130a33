"""Train recurrent networks on text and MIDI, and stream what they write.

    import gen

    run = gen.load("checkpoints/plays")
    for piece in run.stream(prompt="ROMEO:", temperature=0.8):
        print(piece, end="", flush=True)

Every name below is loaded when it is first used, so that `import gen` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gen.version import __version__

if TYPE_CHECKING:
    from gen.analysis.adapting import Adapting
    from gen.analysis.classification import Classification
    from gen.analysis.evaluate import Evaluation
    from gen.analysis.tag_scores import Tagging
    from gen.analysis.translation import Translation
    from gen.config import ModelConfig, SamplingConfig, TrainingConfig
    from gen.errors import CheckpointError, CorpusError, GenError, MidiError, SettingError, TrainingError
    from gen.generation.generate import Sampled, SampledBlock
    from gen.music.score import Note, NoteEvent, Score, Track
    from gen.runs.adapting import AdaptedRun, adapted
    from gen.runs.classifier import Answer, Classifier, load_classifier
    from gen.runs.run import Run, load
    from gen.runs.session import Session, StepReport
    from gen.runs.surprise import CorpusCosts, corpus_costs
    from gen.runs.tagger import TaggedSentence, Tagger, load_tagger
    from gen.runs.train import train, train_classifier, train_tagger, train_translator
    from gen.runs.translator import Translator, load_translator

__all__ = [
    "AdaptedRun",
    "Adapting",
    "Answer",
    "CheckpointError",
    "Classification",
    "Classifier",
    "CorpusCosts",
    "CorpusError",
    "Evaluation",
    "GenError",
    "MidiError",
    "ModelConfig",
    "Note",
    "NoteEvent",
    "Run",
    "Sampled",
    "SampledBlock",
    "SamplingConfig",
    "Score",
    "Session",
    "SettingError",
    "StepReport",
    "TaggedSentence",
    "Tagger",
    "Tagging",
    "Track",
    "TrainingConfig",
    "TrainingError",
    "Translation",
    "Translator",
    "__version__",
    "adapted",
    "corpus_costs",
    "load",
    "load_classifier",
    "load_tagger",
    "load_translator",
    "train",
    "train_classifier",
    "train_tagger",
    "train_translator",
]

_HOMES = {
    "gen.analysis.adapting": ("Adapting",),
    "gen.analysis.classification": ("Classification",),
    "gen.analysis.evaluate": ("Evaluation",),
    "gen.analysis.tag_scores": ("Tagging",),
    "gen.analysis.translation": ("Translation",),
    "gen.config": ("ModelConfig", "SamplingConfig", "TrainingConfig"),
    "gen.errors": ("CheckpointError", "CorpusError", "GenError", "MidiError", "SettingError", "TrainingError"),
    "gen.generation.generate": ("Sampled", "SampledBlock"),
    "gen.music.score": ("Note", "NoteEvent", "Score", "Track"),
    "gen.runs.adapting": ("AdaptedRun", "adapted"),
    "gen.runs.run": ("Run", "load"),
    "gen.runs.session": ("Session", "StepReport"),
    "gen.runs.classifier": ("Answer", "Classifier", "load_classifier"),
    "gen.runs.surprise": ("CorpusCosts", "corpus_costs"),
    "gen.runs.tagger": ("TaggedSentence", "Tagger", "load_tagger"),
    "gen.runs.train": ("train", "train_classifier", "train_tagger", "train_translator"),
    "gen.runs.translator": ("Translator", "load_translator"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gen' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
