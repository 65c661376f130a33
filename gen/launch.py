"""Opens a training run: new, resumed, or from the weights of another."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from gen.codecs import load_codec
from gen.config import ModelConfig, TrainingConfig, from_json
from gen.data.sources import find_sources
from gen.errors import CheckpointError, GenError, SettingError
from gen.files import FolderLock, reason, remove_leftovers
from gen.material import (
    VALID_FRACTION,
    CorpusOptions,
    Material,
    OnProgress,
    check_unchanged,
    facts,
    open_material,
    options_from_json,
)
from gen.models.recurrent import RecurrentLM
from gen.models.transfer import transfer_
from gen.run import Run, find_model_file, load
from gen.session import METRICS_FILE, Session, StepReport
from gen.training.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint
from gen.training.header import check_header
from gen.training.recipe import Choice, choose_device, choose_recipe

LIMITS = ("steps", "epochs", "minutes")
FREE_ON_RESUME = (*LIMITS, "patience", "device")
READING_OPTIONS = {
    "codec": "codec",
    "encoding": "encoding",
    "labels": "labels",
    "valid_fraction": "valid",
    "valid_file": "valid file",
    "test_file": "test file",
}
MODEL_SHAPE = ("cell", "num_layers", "hidden_size", "embedding_size", "is_tied")
RUN_NAME = re.compile(r"[\w][\w.+-]*")


def train_session(
    corpus: Sequence[str],
    *,
    run: str,
    out: Path = Path("checkpoints"),
    codec: str = "auto",
    encoding: str = "utf-8",
    labels: Literal["folders", "none"] = "folders",
    valid: float | None = None,
    valid_file: str | None = None,
    test_file: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    from_run: str | None = None,
    on_progress: OnProgress | None = None,
) -> Session:
    """Opens a run for training.

    Args:
        corpus: files, folders, globs, "-" or names of built-in corpora; may be empty on resume.
        run: the name of the folder under `out`.
        codec, encoding, labels, valid, valid_file, test_file: how the corpus is read and split.
        overrides: fields of ModelConfig and TrainingConfig that the user set, and "device"; a recipe sets the rest.
        resume: go on with a run that was stopped or killed.
        from_run: start from the weights of this run.
        on_progress: told how many bytes of how many are read.

    Raises:
        GenError: an option, the corpus or a checkpoint cannot be used; nothing of an older run is touched.
    """
    given = dict(overrides or {})
    seed = int(given.get("seed", 0))
    fraction = _valid_fraction(valid)
    options = CorpusOptions(tuple(corpus), codec, encoding, labels, fraction, seed, valid_file, test_file)
    device = choose_device(given.get("device", "auto"))
    if test_file is not None:
        find_sources([test_file]).close()
    folder, is_made = _run_folder(out, run, resume=resume)
    lock = FolderLock(folder)
    try:
        remove_leftovers(folder, MODEL_FILE, TRAINING_FILE, METRICS_FILE)
        if resume and (folder / TRAINING_FILE).exists():
            return _resume(folder, lock, options, given, device, on_progress)
        if not corpus:
            raise SettingError("CORPUS: missing", hint="name a file, a folder or a built-in corpus such as shakespeare")
        return _begin(folder, lock, options, given, device, from_run, on_progress)
    except BaseException as err:
        lock.release()
        if is_made and isinstance(err, GenError):
            with suppress(OSError):  # not empty: something was written
                folder.rmdir()
        raise


def _begin(
    folder: Path,
    lock: FolderLock,
    options: CorpusOptions,
    given: Mapping[str, Any],
    device: torch.device,
    from_run: str | None,
    on_progress: OnProgress | None,
) -> Session:
    source = None if from_run is None else _source(find_model_file(from_run))
    material = open_material(options, on_progress)
    settings = {name: value for name, value in given.items() if name != "device" and value != "auto"}
    if source is not None:
        settings |= {name: source[1]["model"][name] for name in MODEL_SHAPE} | settings
    recipe = choose_recipe(facts(material), device, settings)
    model = RecurrentLM(recipe.model, torch.Generator().manual_seed(recipe.training.seed)).to(device)
    choices = [*_corpus_choices(material), Choice("device", str(device), _threads(device)), *recipe.choices]
    if source is not None:
        choices.append(_transfer_(model, material, source, str(from_run)))
    return Session(folder, material, model, recipe.training, choices, lock=lock)


def _resume(
    folder: Path,
    lock: FolderLock,
    options: CorpusOptions,
    given: Mapping[str, Any],
    device: torch.device,
    on_progress: OnProgress | None,
) -> Session:
    tensors, header = read_checkpoint(folder / TRAINING_FILE, "training")
    check_header(folder / TRAINING_FILE, "training", header)
    recorded = options_from_json(header["corpus"]["options"])
    _check_same_reading(header, recorded, options)
    if options.sources:
        recorded = replace(recorded, sources=options.sources)
    material = open_material(recorded, on_progress)
    check_unchanged(material, header["corpus"])
    try:
        config = from_json(ModelConfig, header["model"])
        training = from_json(TrainingConfig, header["training"])
    except SettingError as err:
        raise CheckpointError(f"{folder / TRAINING_FILE}: its header describes no run ({err})") from err
    _check_same(header["model"] | header["training"], given)
    if any(name in given for name in LIMITS):
        training = replace(training, steps=given.get("steps"), epochs=given.get("epochs"), minutes=given.get("minutes"))
    if "patience" in given:
        training = replace(training, patience=given["patience"])
    model = RecurrentLM(config).to(device)
    place = header["place"]
    choices = [
        *_corpus_choices(material),
        Choice("resumed", f"step {place['step']}", f"after {place['seconds']:.0f} s"),
    ]
    try:
        return Session(folder, material, model, training, choices, (tensors, header), lock)
    except (KeyError, RuntimeError, TypeError) as err:
        raise CheckpointError(f"{folder / TRAINING_FILE}: does not fit its own header ({err})") from err


def _source(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, header = read_checkpoint(path, "model")
    check_header(path, "model", header)
    return tensors, header


def _valid_fraction(valid: float | None) -> float:
    if valid is None:
        return VALID_FRACTION
    if not 0 <= valid < 1:
        raise SettingError(f"--valid: must be at least 0 and below 1 ({valid:g})")
    return valid


def _run_folder(out: Path, run: str, *, resume: bool) -> tuple[Path, bool]:
    """Returns the run's folder and whether it is new; it is made at once, so that a run killed early can be resumed."""
    if not RUN_NAME.fullmatch(run):
        raise SettingError(f"--run: not a name ({run})", hint="letters, digits, '-', '_' and '.'; --out DIR says where")
    folder = out / run
    if resume and not folder.is_dir():
        raise CheckpointError(f"{folder}: no such run", hint="leave out --resume to begin it")
    if not resume and ((folder / TRAINING_FILE).exists() or (folder / MODEL_FILE).exists()):
        raise SettingError(
            f"--run: there already ({folder})", hint="--resume goes on with it; another name begins anew"
        )
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise SettingError(f"{folder}: cannot be made ({reason(err)})") from err
    return folder, is_new


def _check_same_reading(header: Mapping[str, Any], recorded: CorpusOptions, given: CorpusOptions) -> None:
    """Raises SettingError if an option of how the corpus is read is given and differs; a default is not given."""
    default = CorpusOptions(())
    then = asdict(replace(recorded, codec=header["codec"]["name"]))
    now = asdict(given)
    for name, option in READING_OPTIONS.items():
        if now[name] not in (getattr(default, name), then[name]):
            raise _cannot_change(option, then[name], now[name])


def _check_same(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in FREE_ON_RESUME and value != "auto" and value != recorded[name]:
            raise _cannot_change(name.replace("_", " "), recorded[name], value)


def _cannot_change(what: str, then: object, now: object) -> SettingError:
    return SettingError(
        f"--resume: {what} cannot change ({then} then, {now} now)",
        hint="only --minutes, --epochs, --steps, --patience and --device may",
    )


def _transfer_(
    model: RecurrentLM, material: Material, source: tuple[Mapping[str, torch.Tensor], Mapping[str, Any]], name: str
) -> Choice:
    tensors, header = source
    known = transfer_(
        model,
        tensors,
        vocab=material.codec.vocab,
        old_vocab=load_codec(header["codec"]).vocab,
        labels=material.store.label_names,
        old_labels=tuple(header["labels"]),
    )
    return Choice("from", name, f"it knows {known} of the {len(material.codec.vocab)} symbols")


def _corpus_choices(material: Material) -> list[Choice]:
    store, codec = material.store, material.codec
    units = f"{store.units:,} {codec.unit}s in {len(store.names):,} document{'s' if len(store.names) != 1 else ''}"
    if num_unused := sum(not file.is_used for file in store.report.files):
        units += f"; {num_unused:,} file{'s' if num_unused != 1 else ''} not used, gen corpus says why"
    parts = f"{material.train.num_targets:,} tokens to train on, {material.valid.num_targets:,} to validate"
    rows = [Choice("corpus", ", ".join(material.options.sources), units), Choice("split", parts, "")]
    rows.append(Choice("codec", codec.name, f"{len(codec.vocab)} symbols"))
    if store.label_names:
        shown = ", ".join(store.label_names[:8]) + (", ..." if len(store.label_names) > 8 else "")
        rows.append(Choice("labels", str(len(store.label_names)), shown))
    return rows


def _threads(device: torch.device) -> str:
    if device.type == "cpu":
        return f"{torch.get_num_threads()} threads"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def train(
    corpus: str | Path | Sequence[str | Path],
    *,
    run: str,
    out: str | Path = "checkpoints",
    resume: bool = False,
    from_run: str | None = None,
    codec: str = "auto",
    encoding: str = "utf-8",
    labels: Literal["folders", "none"] = "folders",
    valid: float = 0.1,
    device: str = "auto",
    on_report: Callable[[StepReport], None] | None = None,
    **settings: Any,
) -> Run:
    """Trains a run to its end and returns it, with its best weights; as `gen train`.

    Args:
        corpus: a file, folder, glob or the name of a built-in corpus, or several.
        run: the name of its folder under `out`.
        on_report: called after every step.
        settings: fields of ModelConfig and TrainingConfig, such as minutes=3, hidden_size=256, seed=1.

    Raises:
        GenError: an option, the corpus or a checkpoint cannot be used.
    """
    sources = [corpus] if isinstance(corpus, str | Path) else corpus
    session = train_session(
        [str(source) for source in sources],
        run=run,
        out=Path(out),
        codec=codec,
        encoding=encoding,
        labels=labels,
        valid=valid,
        overrides={**settings, "device": device},
        resume=resume,
        from_run=from_run,
    )
    with session:
        for report in session.reports():
            if on_report is not None:
                on_report(report)
    return load(session.folder, device=device)
