"""Training from Python: a run from its corpus to its best weights, as `gen train`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gen.config import Reading, TaskName, TrainingSettings
from gen.runs.classifier import Classifier, load_classifier
from gen.runs.opening import train_session
from gen.runs.options import READING_FIELDS, VALID_FRACTION, CorpusOptions
from gen.runs.run import Run, load
from gen.runs.session import StepReport
from gen.runs.tagger import Tagger, load_tagger
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
        on_report: called after every step; on a GPU after every few, whose losses are read together.
        settings: fields of Reading, ModelConfig and TrainingConfig, such as encoding="latin-1", minutes=3, seed=1.

    Raises:
        GenError: an option, the corpus or a checkpoint cannot be used.
    """
    folder = _trained(
        None,
        corpus,
        run=run,
        out=out,
        resume=resume,
        from_run=from_run,
        codec=codec,
        valid=valid,
        test=test,
        controls=controls,
        device=device,
        on_report=on_report,
        **settings,
    )
    return load(folder, device=device)


def train_classifier(corpus: Corpus, *, device: str = "auto", **settings: Any) -> Classifier:
    """Trains a run that finds labels and returns it; as `gen train --task classify`.

    Arguments and errors as in `train`, without controls.

    Args:
        corpus: with labels: sub-folders of files, or a table with label_column="...".
    """
    return load_classifier(_trained("classify", corpus, device=device, **settings), device=device)


def train_tagger(corpus: Corpus, *, device: str = "auto", **settings: Any) -> Tagger:
    """Trains a run that finds the tags of words and returns it; as `gen train --task tag`.

    Arguments and errors as in `train`, without codec and controls.

    Args:
        corpus: files with a token and its tag a line, and blank lines between sentences.
    """
    return load_tagger(_trained("tag", corpus, device=device, **settings), device=device)


def train_translator(corpus: Corpus, *, device: str = "auto", **settings: Any) -> Translator:
    """Trains a run of pairs and returns it; as `gen train --task pairs`.

    Arguments and errors as in `train`, without codec and controls.

    Args:
        corpus: tables with a column of sources (text_column="...") and one of targets (target_column="...").
    """
    return load_translator(_trained("pairs", corpus, device=device, **settings), device=device)


def _trained(
    task: TaskName | None,
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
) -> Path:
    """Trains a run to its end; returns its folder."""
    sources = [corpus] if isinstance(corpus, str | Path) else corpus
    options = CorpusOptions(
        tuple(str(source) for source in sources),
        codec=codec,
        reading=Reading(**{name: settings.pop(name) for name in READING_FIELDS if name in settings}),
        valid_fraction=valid,
        test_fraction=test,
        controls=tuple(controls),
    )
    given = TrainingSettings(device=device, task=task, **settings)
    with train_session(options, given, run=run, out=Path(out), resume=resume, from_run=from_run) as session:
        for report in session.reports():
            if on_report is not None:
                on_report(report)
    return session.folder
