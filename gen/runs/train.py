"""Training from Python: a run from its corpus to its best weights, as `gen train`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gen.config import Reading, TrainingSettings
from gen.runs.classifier import Classifier, load_classifier
from gen.runs.opening import train_session
from gen.runs.options import READING_FIELDS, VALID_FRACTION, CorpusOptions
from gen.runs.run import Run, load
from gen.runs.session import StepReport
from gen.runs.trained import RUNS
from gen.runs.translator import Translator, load_translator

Corpus = str | Path | Sequence[str | Path]


def train(
    corpus: Corpus,
    *,
    run: str,
    out: str | Path = RUNS,
    resume: bool = False,
    from_run: str | None = None,
    codec: str = "auto",
    valid: float = VALID_FRACTION,
    test: float = 0.0,
    controls: Sequence[str] = (),
    device: str = "auto",
    on_report: Callable[[StepReport], None] | None = None,
    **settings: Any,
) -> Run:
    """Trains a run that writes to its end and returns it, with its best weights; as `gen train`.

    Args:
        corpus: a file, folder, glob or the name of a built-in corpus, or several.
        run: the name of its folder under `out`.
        valid, test: the shares of the corpus that are kept for validation and for `Run.evaluate("test")`.
        controls: of music, that sampling shall be able to set: "density", "key".
        on_report: called after every step.
        settings: fields of Reading, ModelConfig and TrainingConfig, such as encoding="latin-1", minutes=3, seed=1.

    Raises:
        GenError: an option, the corpus or a checkpoint cannot be used.
    """
    options = _options(corpus, settings, codec=codec, valid=valid, test=test, controls=controls)
    given = TrainingSettings(device=device, **settings)
    folder = _trained(options, given, on_report, run=run, out=Path(out), resume=resume, from_run=from_run)
    return load(folder, device=device)


def train_classifier(
    corpus: Corpus,
    *,
    run: str,
    out: str | Path = RUNS,
    resume: bool = False,
    from_run: str | None = None,
    codec: str = "auto",
    valid: float = VALID_FRACTION,
    test: float = 0.0,
    device: str = "auto",
    on_report: Callable[[StepReport], None] | None = None,
    **settings: Any,
) -> Classifier:
    """Trains a run that finds labels and returns it; as `gen train --task classify`.

    Arguments and errors as in `train`, but:

    Args:
        corpus: with labels: sub-folders of files, or a table with label_column="...".
    """
    options = _options(corpus, settings, codec=codec, valid=valid, test=test)
    given = TrainingSettings(device=device, task="classify", **settings)
    folder = _trained(options, given, on_report, run=run, out=Path(out), resume=resume, from_run=from_run)
    return load_classifier(folder, device=device)


def train_translator(
    corpus: Corpus,
    *,
    run: str,
    out: str | Path = RUNS,
    resume: bool = False,
    from_run: str | None = None,
    valid: float = VALID_FRACTION,
    test: float = 0.0,
    device: str = "auto",
    on_report: Callable[[StepReport], None] | None = None,
    **settings: Any,
) -> Translator:
    """Trains a run of pairs and returns it; as `gen train --task pairs`.

    Arguments and errors as in `train`, but:

    Args:
        corpus: tables with a column of sources (text_column="...") and one of targets (target_column="...").
    """
    options = _options(corpus, settings, codec="auto", valid=valid, test=test)
    given = TrainingSettings(device=device, task="pairs", **settings)
    folder = _trained(options, given, on_report, run=run, out=Path(out), resume=resume, from_run=from_run)
    return load_translator(folder, device=device)


def _options(
    corpus: Corpus,
    settings: dict[str, Any],
    *,
    codec: str,
    valid: float,
    test: float,
    controls: Sequence[str] = (),
) -> CorpusOptions:
    """Returns the options of a corpus; takes those of reading out of the settings."""
    sources = [corpus] if isinstance(corpus, str | Path) else corpus
    return CorpusOptions(
        tuple(str(source) for source in sources),
        codec=codec,
        reading=Reading(**{name: settings.pop(name) for name in READING_FIELDS if name in settings}),
        valid_fraction=valid,
        test_fraction=test,
        controls=tuple(controls),
    )


def _trained(
    options: CorpusOptions,
    settings: TrainingSettings,
    on_report: Callable[[StepReport], None] | None,
    **opening: Any,
) -> Path:
    """Trains a run to its end; returns its folder."""
    with train_session(options, settings, **opening) as session:
        for report in session.reports():
            if on_report is not None:
                on_report(report)
    return session.folder
