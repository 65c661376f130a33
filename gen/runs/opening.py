"""Opens a training run: new, resumed, or from the weights of another.

Where several processes train it, each machine's first prepares the corpus, and the first of all decides the settings,
holds the folder and reads checkpoints; the others are told. What fails for one fails for all, and is told once.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gen.codecs import load_codec
from gen.codecs.controls import ordered_controls
from gen.config import ModelConfig, Reading, TrainingConfig, from_json, to_json
from gen.corpus.prepare import codec_reason
from gen.corpus.sources import StandardInput, find_sources
from gen.errors import CheckpointError, CorpusError, SettingError
from gen.files import FolderLock
from gen.models.device import choose_device
from gen.models.recurrent import RecurrentLM
from gen.models.transfer import transfer_
from gen.runs.base import Base
from gen.runs.checkpoint import TRAINING_FILE
from gen.runs.folder import claimed
from gen.runs.header import RunHeader, read_run_file
from gen.runs.options import READING_FIELDS, VALID_FRACTION, CorpusOptions
from gen.runs.prepared import OnProgress, PreparedCorpus, Recorded, open_corpus, summary
from gen.runs.provenance import check_trained_on
from gen.runs.resumption import Resumption
from gen.runs.run import Run, find_model_file, load
from gen.runs.session import Session, StepReport
from gen.training.distributed import Peers, join
from gen.training.recipe import Choice, choose_recipe

MODEL_SHAPE = ("cell", "num_layers", "hidden_size", "embedding_size", "is_tied")

Checkpoint = tuple[Mapping[str, torch.Tensor], RunHeader]


def train_session(
    options: CorpusOptions,
    *,
    run: str,
    out: Path = Path("checkpoints"),
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    from_run: str | None = None,
    on_progress: OnProgress | None = None,
) -> Session:
    """Opens a run for training.

    Args:
        options: the corpus, and how it is read and split; its sources may be empty on resume, its seed is that of
            `overrides`.
        run: the name of the folder under `out`.
        overrides: fields of ModelConfig and TrainingConfig that the user set, and "device"; a recipe sets the rest.
        resume: go on with a run that was stopped or killed.
        from_run: start from the weights of this run.
        on_progress: told how many bytes of how many are read.

    Raises:
        GenError: an option, the corpus or a checkpoint cannot be used: in all processes; no older run is touched.
    """
    given = dict(overrides or {})
    peers = join()
    with ExitStack() as held:  # until the session is closed
        held.callback(peers.leave)
        with peers.together():
            options = replace(options, seed=int(given.get("seed", 0)), controls=ordered_controls(options.controls))
            _check_sources(options, peers)
        device = _device(given.get("device", "auto"), peers)
        found, lock = None, None
        with peers.together():
            if peers.is_first:
                lock = held.enter_context(claimed(out, run, resume=resume))
                found = _read_training(out / run / TRAINING_FILE) if resume else None
        start = _Start(out / run, lock, held, device, peers, on_progress)
        resumed = _shared(found, peers)
        with peers.together():
            if resumed and from_run is not None:
                raise SettingError(f"--from: only for a new run ({run} goes on)", hint="leave out --from or --resume")
        return _resume(start, options, given, resumed) if resumed else _begin(start, options, given, from_run)


class _Start(NamedTuple):
    """What new and resumed runs are opened with."""

    folder: Path
    lock: FolderLock | None  # of the first process
    held: ExitStack  # the lock, and the connection to the peers
    device: torch.device
    peers: Peers
    on_progress: OnProgress | None


def _begin(start: _Start, options: CorpusOptions, given: Mapping[str, Any], from_run: str | None) -> Session:
    peers = start.peers
    source = None
    with peers.together():
        if not options.sources:
            raise SettingError("CORPUS: missing", hint="name a file, a folder or a built-in corpus such as shakespeare")
        if from_run is not None and peers.is_first:
            source = read_run_file(find_model_file(from_run), "model")
    base = peers.first(lambda: source and to_json(source[1].base))
    with peers.together():
        if base is not None:
            options = _based(options, from_json(Base, base), str(from_run))
    try:
        material = _open_corpus(start, options)
    except CorpusError as err:
        if options.base is None or err.hint is not None:
            raise
        raise CorpusError(str(err), hint=f"--from {from_run}: it reads with the codec {options.codec}") from err
    choices: Sequence[Choice] = ()

    def decide() -> dict[str, Any]:
        nonlocal choices
        settings = {name: value for name, value in given.items() if name != "device" and value != "auto"}
        shape = None if source is None else {name: getattr(source[1].model, name) for name in MODEL_SHAPE}
        recipe = choose_recipe(summary(material), start.device, settings, inherited=shape)
        _check_rows(recipe.training, peers)
        shown = Choice("device", str(start.device), _threads(start.device))
        choices = [*_corpus_choices(material), *_lock_choices(start), shown, *recipe.choices]
        return {"model": to_json(recipe.model), "training": to_json(recipe.training)}

    decided = peers.first(decide)
    config, training = from_json(ModelConfig, decided["model"]), from_json(TrainingConfig, decided["training"])
    with peers.together():
        model = RecurrentLM(config, torch.Generator().manual_seed(training.seed)).to(start.device)
        if source is not None:
            choices = [*choices, _transfer_(model, material, source, str(from_run))]
    _share_weights_(model, peers)
    return Session(start.folder, material, model, training, choices, None, start.held, start.lock, peers)


def _based(options: CorpusOptions, base: Base, run: str) -> CorpusOptions:
    """Returns the options of a run that starts from another, whose codec, normal form and controls it has."""
    codec, reading = base.codec_name(options.codec, run), options.reading
    if reading.normalize == "none":
        reading = replace(reading, normalize=base.normalize)
    return replace(options, codec=codec, reading=reading, controls=base.controls(options.controls), base=base)


def _resume(start: _Start, options: CorpusOptions, given: Mapping[str, Any], resumed: Checkpoint) -> Session:
    tensors, header = resumed
    path = start.folder / TRAINING_FILE
    with start.peers.together():
        resumption = Resumption(start.folder, header)
        resumption.check_reading(options)
    recorded = header.corpus.options
    if options.sources:
        recorded = replace(recorded, sources=options.sources)
    trained_on = Recorded(
        load_codec(header.codec),
        header.labels,
        header.corpus.key,
        header.corpus.valid_key,
        is_corpus_named=bool(options.sources),
        is_valid_file_named=options.valid_file is not None,
    )
    material = _open_corpus(start, recorded, trained_on)
    with start.peers.together():
        check_trained_on(material, header.corpus, instead=resumption.new_run({}))
        config, training = resumption.settings(given)
        _check_rows(training, start.peers)
        model = RecurrentLM(config).to(start.device)
    assert header.position is not None
    choices = [
        *_corpus_choices(material),
        *_lock_choices(start),
        Choice("resumed", f"step {header.position.step}", f"after {header.position.seconds:.0f} s"),
    ]
    try:
        return Session(
            start.folder, material, model, training, choices, (tensors, header), start.held, start.lock, start.peers
        )
    except (KeyError, RuntimeError, TypeError) as err:
        raise CheckpointError(f"{path}: does not fit its own header ({err})") from err


def _check_sources(options: CorpusOptions, peers: Peers) -> None:
    """Raises SettingError if standard input is asked for where it cannot be had; CorpusError without a test corpus."""
    if options.test_file == "-":
        raise SettingError("--test-file: standard input cannot be kept for later (-)", hint="write it to a file first")
    if options.valid_file == "-" and "-" in options.sources:
        raise SettingError("--valid-file: standard input is the corpus already (-)", hint="write one to a file first")
    if options.test_file is not None and peers.is_first:
        find_sources([options.test_file], StandardInput())  # which it is not
    if peers.size > 1 and "-" in (*options.sources, options.valid_file):
        raise SettingError("CORPUS: several processes cannot share standard input (-)", hint="write it to a file first")


def _device(name: str, peers: Peers) -> torch.device:
    """Returns the device of this process; all have one of the same kind."""
    kind = peers.first(lambda: choose_device(name).type)
    with peers.together():
        device = choose_device(kind)
    return peers.use(device)


def _read_training(path: Path) -> Checkpoint | None:
    """Returns None where a run has not saved anything yet."""
    if not path.exists():
        return None
    return read_run_file(path, "training")


def _shared(found: Checkpoint | None, peers: Peers) -> Checkpoint | None:
    """Gives every process the checkpoint that the first has read."""
    header = peers.first(lambda: found and found[1].to_json())
    if header is None:
        return None
    return peers.share_tensors(found[0] if found else {}), RunHeader.from_json(header, "training")


def _share_weights_(model: RecurrentLM, peers: Peers) -> None:
    """Gives every process the weights that the first has drawn: another machine may round otherwise."""
    if peers.size > 1:
        weights = peers.share_tensors(dict(model.named_parameters()))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name])


def _open_corpus(start: _Start, options: CorpusOptions, recorded: Recorded | None = None) -> PreparedCorpus:
    """Prepares the corpus: each machine's first process, then the others, which find it in the cache."""
    peers = start.peers
    material = None
    for is_preparing in (True, False):
        with peers.together():
            if material is None and (peers.local_rank == 0) == is_preparing:
                material = open_corpus(options, start.on_progress, recorded=recorded)
    assert material is not None
    keys = [material.store.key, material.valid_store.key]
    expected = peers.first(lambda: keys)
    with peers.together():
        if keys != expected:
            raise CorpusError(f"{', '.join(options.sources)}: not the same as on the machine of the first process")
    return material


def _check_rows(training: TrainingConfig, peers: Peers) -> None:
    """Raises SettingError if a process would have fewer rows than parts to run them in."""
    if training.batch_size < peers.size * training.accumulate:
        parts = f" in {training.accumulate} parts each" if training.accumulate > 1 else ""
        raise SettingError(
            f"--batch-size: too few rows for {peers.size} processes{parts} ({training.batch_size})",
            hint=f"at least {peers.size * training.accumulate}",
        )


def _transfer_(model: RecurrentLM, material: PreparedCorpus, source: Checkpoint, name: str) -> Choice:
    tensors, header = source
    known = transfer_(
        model,
        tensors,
        vocab=material.codec.vocab,
        old_vocab=load_codec(header.codec).vocab,
        labels=material.label_names,
        old_labels=header.labels,
    )
    return Choice("from", name, f"it knows {known} of the {len(material.codec.vocab)} symbols")


def _corpus_choices(material: PreparedCorpus) -> list[Choice]:
    store, codec = material.store, material.codec
    units = (
        f"{store.units:,} {codec.unit}s in {store.num_documents:,} document{'s' if store.num_documents != 1 else ''}"
    )
    if num_unused := sum(not file.is_used for file in store.report.files):
        units += f"; {num_unused:,} file{'s' if num_unused != 1 else ''} not used, gen corpus says why"
    if material.is_from_cache:
        units += "; from the cache, for it cannot be read again"
    parts = f"{material.train.num_targets:,} tokens to train on, {material.valid.num_targets:,} to validate"
    if material.options.test_fraction:
        parts += f", {material.test.num_targets:,} to test"
    rows = [Choice("corpus", ", ".join(material.options.sources), units), Choice("split", parts, "")]
    if way := store.report.way():
        rows.append(Choice("documents", f"{store.num_documents:,}", way))
    reason = codec_reason(store)
    rows.append(Choice("codec", codec.name, f"{len(codec.vocab)} symbols{f'; {reason}' if reason else ''}"))
    if codec.controls:
        rows.append(Choice("controls", ", ".join(codec.controls.names), "gen sample may set them"))
    if names := material.label_names:
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        rows.append(Choice("labels", str(len(names)), shown))
    return rows


def _lock_choices(start: _Start) -> list[Choice]:
    if start.lock is None or start.lock.is_held:
        return []
    return [Choice("lock", "none", "this disk has no locks: train this run in one process only")]


def _threads(device: torch.device) -> str:
    if device.type == "cpu":
        num_threads = torch.get_num_threads()
        return f"{num_threads} thread{'s' if num_threads != 1 else ''}"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def train(
    corpus: str | Path | Sequence[str | Path],
    *,
    run: str,
    out: str | Path = "checkpoints",
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
    """Trains a run to its end and returns it, with its best weights; as `gen train`.

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
    sources = [corpus] if isinstance(corpus, str | Path) else corpus
    reading = Reading(**{name: settings.pop(name) for name in READING_FIELDS if name in settings})
    options = CorpusOptions(
        tuple(str(source) for source in sources),
        codec=codec,
        reading=reading,
        valid_fraction=valid,
        test_fraction=test,
        controls=tuple(controls),
    )
    session = train_session(
        options,
        run=run,
        out=Path(out),
        overrides={**settings, "device": device},
        resume=resume,
        from_run=from_run,
    )
    with session:
        for report in session.reports():
            if on_report is not None:
                on_report(report)
    return load(session.folder, device=device)
