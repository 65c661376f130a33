"""Opens a training run: new, resumed, or from the weights of another.

`_lead` opens a run as one process does it: it claims the folder, reads what the run starts from, prepares the corpus,
and decides the settings. Of several processes the first does just that and shares its `Opening`, by which `_follow`
opens the same run in the others. What fails in one process fails in all, and is reported once.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gen.codecs import load_codec
from gen.codecs.controls import ordered_controls
from gen.config import ModelConfig, TaskName, TrainingConfig, TrainingSettings, from_json, to_json
from gen.corpus.encoding import OnProgress
from gen.corpus.prepare import codec_reason
from gen.corpus.sources import StandardInput, find_sources, printable
from gen.errors import CheckpointError, CorpusError, SettingError
from gen.files.disk import FolderLock
from gen.models.choice import new_model
from gen.models.sequence_model import SequenceModel
from gen.models.transfer import transfer_
from gen.runs.base import Base
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE
from gen.runs.files import RunFiles
from gen.runs.folder import claimed
from gen.runs.header import RunHeader, read_run_file
from gen.runs.history import History
from gen.runs.options import CorpusOptions, options_from_json
from gen.runs.prepared import PreparedCorpus, Recorded, open_corpus, summary
from gen.runs.provenance import check_trained_on
from gen.runs.resumption import Resumption
from gen.runs.session import OpenRun, Session
from gen.runs.tasks import TASKS
from gen.runs.tasks.options import options_of_task
from gen.runs.trained import RUNS, find_model_file
from gen.training.distributed import Peers, join
from gen.training.recipe import Choice, choose_recipe
from gen.training.speed import measured_speed
from gen.training.trainer import Trainer

ALL_CHOSEN = TrainingSettings()  # by the recipe
DOES: dict[TaskName, str] = {"write": "writes", "classify": "classifies", "tag": "tags", "pairs": "learns pairs"}

Checkpoint = tuple[Mapping[str, Tensor], RunHeader]


@dataclass(frozen=True, slots=True)
class Opening:
    """The decisions of the first of several processes about a run, as JSON data.

    The tensors that travel with it are those of the training checkpoint, or of a new model.

    Args:
        options: of the corpus.
        keys: of the stores of the corpus and of its validation part.
        model: its `ModelConfig`.
        training: its `TrainingConfig`.
        resumed: the header of the training checkpoint; None for a new run.
    """

    options: dict[str, Any]
    keys: list[str]
    model: dict[str, Any]
    training: dict[str, Any]
    resumed: dict[str, Any] | None


class _Start(NamedTuple):
    """The arguments of `train_session`, and what this process opens the run with."""

    options: CorpusOptions
    settings: TrainingSettings
    out: Path
    run: str
    resume: bool
    from_run: str | None
    on_progress: OnProgress | None
    device: torch.device
    peers: Peers
    held: ExitStack  # until the session is closed

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.out / self.run


def train_session(
    options: CorpusOptions,
    settings: TrainingSettings = ALL_CHOSEN,
    *,
    run: str,
    out: Path = RUNS,
    resume: bool = False,
    from_run: str | None = None,
    on_progress: OnProgress | None = None,
) -> Session:
    """Opens a run for training.

    Args:
        options: the corpus, and how it is read and split; its sources may be empty on resume, its seed is that of
            `settings`.
        settings: those that the user gave; a recipe chooses the others.
        run: the name of the folder under `out`.
        resume: go on with a run that was stopped or killed.
        from_run: start from the weights of this run.
        on_progress: called with the number of bytes that are read, and of all.

    Raises:
        GenError: an option, the corpus or a checkpoint cannot be used: in all processes; no older run is touched.
    """
    peers = join()
    with ExitStack() as held:
        held.callback(peers.leave)
        device = peers.device(settings.device)
        options = replace(options, seed=settings.seed or 0, task=settings.task or "write")
        start = _Start(options, settings, out, run, resume, from_run, on_progress, device, peers, held)
        opened = peers.open(lambda: _lead(start), lambda opening, tensors: _follow(start, opening, tensors))
        return Session(opened, held=held.pop_all(), peers=peers)


def _lead(start: _Start) -> tuple[OpenRun, dict[str, Any], Mapping[str, Tensor]]:
    """Opens a run; returns it, and the `Opening` and tensors by which other processes open it too."""
    start = start._replace(options=_checked(start.options, num_processes=start.peers.size))
    lock = start.held.enter_context(claimed(start.out, start.run, resume=start.resume))
    training_file, header = start.folder / TRAINING_FILE, None
    if start.resume and training_file.exists():  # a run that was killed early has saved nothing
        tensors, header = read_run_file(training_file, "training")
        _check_model_file(start.folder / MODEL_FILE)
        run = _resumed(start, tensors, header)
    elif start.resume and (start.folder / MODEL_FILE).exists():
        raise CheckpointError(
            f"{start.folder}: nothing to resume ({TRAINING_FILE} is missing)",
            hint=f"--from {start.folder} starts another run from its weights",
        )
    else:
        run = _new(start)
        tensors = dict(run.trainer.model.named_parameters())
    corpus, trainer = run.corpus, run.trainer
    files = RunFiles(start.folder, corpus, trainer.model, trainer.config, step=trainer.position.step)
    start.held.callback(files.close)
    opening = Opening(
        corpus.options.to_json(),
        _keys(corpus),
        to_json(trainer.model.config),
        to_json(trainer.config),
        None if header is None else header.to_json(),
    )
    choices = [*_corpus_choices(corpus, trainer.config), *_lock_choices(lock), *run.choices]
    return run._replace(choices=choices, files=files, lock=lock), asdict(opening), tensors


def _check_model_file(path: Path) -> None:
    """Raises CheckpointError if a run has a model file that is damaged: its best weights would be read at the end."""
    try:
        if path.exists():
            read_run_file(path, "model")
    except CheckpointError as err:
        raise CheckpointError(str(err), hint=f"move it away: --resume goes on without it ({path})") from err


def _new(start: _Start) -> OpenRun:
    """Begins a run, perhaps from the weights of another."""
    options, source, task = options_of_task(start.options), None, TASKS[start.options.task]
    if not options.sources:
        raise SettingError("CORPUS: missing", hint="name a file, a folder or a built-in corpus such as shakespeare")
    if start.from_run is not None:
        source = read_run_file(find_model_file(start.from_run), "model")
        options = _based(options, source[1].base, start.from_run)
    try:
        corpus = open_corpus(options, start.on_progress)
    except CorpusError as err:
        if options.base is None or err.hint is not None:
            raise
        raise CorpusError(str(err), hint=f"--from {start.from_run}: it reads with the codec {options.codec}") from err
    task.check(corpus)
    base, new_batches = source and source[1].model, partial(task.batches, corpus)
    measure = partial(measured_speed, new_batches=new_batches, device=start.device, num_processes=start.peers.size)
    counted = summary(corpus)._replace(num_sequences=partial(task.num_sequences, corpus))
    recipe = choose_recipe(counted, start.device, start.settings, measure=measure, base=base)
    _check_rows(recipe.training, num_processes=start.peers.size)
    model = new_model(recipe.model, torch.Generator().manual_seed(recipe.training.seed)).to(start.device)
    choices = [Choice("device", str(start.device), _threads(start.device)), *recipe.choices]
    if source is not None:
        choices.append(_transfer_(model, corpus, source, str(start.from_run)))
    return OpenRun(start.folder, corpus, _trainer(start, corpus, model, recipe.training), choices, History())


def _resumed(start: _Start, tensors: Mapping[str, Tensor], header: RunHeader) -> OpenRun:
    """Resumes a run from its training checkpoint."""
    if start.from_run is not None:
        hint = "leave out --from or --resume"
        raise SettingError(f"--from: only for a new run ({start.run} goes on)", hint=hint)
    resumption = Resumption(start.folder, header)
    resumption.check_options(start.options, start.settings)
    options = header.corpus.options
    if start.options.sources:
        options = replace(options, sources=start.options.sources)
    corpus = open_corpus(options, start.on_progress, recorded=_recorded(start, header))
    check_trained_on(corpus, header.corpus, instead=resumption.new_run({}))
    config, training = resumption.settings(_rows_as_then(start.settings, corpus, header.training))
    _check_rows(training, num_processes=start.peers.size)
    return _restored(start, corpus, new_model(config), training, tensors, header)


def _rows_as_then(settings: TrainingSettings, corpus: PreparedCorpus, training: TrainingConfig) -> TrainingSettings:
    """Returns settings in which rows that the corpus does not fill, and that were given then too, are those of then."""
    most = TASKS[corpus.options.task].num_sequences(corpus, training.bptt)
    were_limited = most == training.batch_size and (settings.batch_size or 0) > most
    return replace(settings, batch_size=most) if were_limited else settings


def _follow(start: _Start, decided: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> OpenRun:
    """Opens the run that the first process has opened, in another process."""
    opening = Opening(**decided)
    header = None if opening.resumed is None else RunHeader.from_json(opening.resumed, "training")
    options = options_from_json(opening.options, required=())
    corpus = open_corpus(options, start.on_progress, recorded=None if header is None else _recorded(start, header))
    if _keys(corpus) != opening.keys:
        raise CorpusError(f"{', '.join(options.sources)}: not the same as on the machine of the first process")
    model, training = new_model(from_json(ModelConfig, opening.model)), from_json(TrainingConfig, opening.training)
    if header is not None:
        return _restored(start, corpus, model, training, tensors, header)
    with torch.no_grad():  # the first process's weights: another machine may round its own otherwise
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
    return OpenRun(start.folder, corpus, _trainer(start, corpus, model.to(start.device), training), (), History())


def _restored(
    start: _Start,
    corpus: PreparedCorpus,
    model: SequenceModel,
    training: TrainingConfig,
    tensors: Mapping[str, Tensor],
    header: RunHeader,
) -> OpenRun:
    """Returns a run in the state of a training checkpoint."""
    trainer, position = _trainer(start, corpus, model.to(start.device), training), header.position
    assert position is not None
    try:
        trainer.load_state_dict(tensors, position)
    except (KeyError, RuntimeError, TypeError) as err:
        raise CheckpointError(f"{start.folder / TRAINING_FILE}: does not fit its own header ({err})") from err
    shown = Choice("resumed", f"step {position.step}", f"after {position.seconds:.0f} s")
    history = replace(header.history)
    return OpenRun(start.folder, corpus, trainer, [shown], history, header.marks_passed, is_new=False)


def _trainer(start: _Start, corpus: PreparedCorpus, model: SequenceModel, training: TrainingConfig) -> Trainer:
    return Trainer(model, TASKS[model.config.task].batches(corpus, training), training, peers=start.peers)


def _recorded(start: _Start, header: RunHeader) -> Recorded:
    return Recorded(
        load_codec(header.codec),
        header.labels,
        header.corpus.key,
        header.corpus.valid_key,
        is_corpus_named=bool(start.options.sources),
        is_valid_file_named=start.options.valid_file is not None,
    )


def _keys(corpus: PreparedCorpus) -> list[str]:
    """Returns the keys of the stores that a corpus is read from."""
    return [corpus.store.key, corpus.valid_store.key]


def _checked(options: CorpusOptions, *, num_processes: int) -> CorpusOptions:
    """Returns options with their controls in order.

    Raises:
        SettingError: there is no such control, or standard input is asked for where it cannot be had.
        CorpusError: there is no such test corpus.
    """
    if options.test_file == "-":
        raise SettingError("--test-file: standard input cannot be kept for later (-)", hint="write it to a file first")
    if options.valid_file == "-" and "-" in options.sources:
        raise SettingError("--valid-file: standard input is the corpus already (-)", hint="write one to a file first")
    if options.test_file is not None:
        find_sources([options.test_file], StandardInput())  # which it is not
    if num_processes > 1 and "-" in (*options.sources, options.valid_file):
        raise SettingError("CORPUS: several processes cannot share standard input (-)", hint="write it to a file first")
    return replace(options, controls=ordered_controls(options.controls))


def _check_rows(training: TrainingConfig, *, num_processes: int) -> None:
    """Raises SettingError if a process would have fewer rows than parts to run them in."""
    if training.batch_size < num_processes * training.accumulate:
        parts = f" in {training.accumulate} parts each" if training.accumulate > 1 else ""
        raise SettingError(
            f"--batch-size: too few rows for {num_processes} processes{parts} ({training.batch_size})",
            hint=f"at least {num_processes * training.accumulate}",
        )


def _based(options: CorpusOptions, base: Base, run: str) -> CorpusOptions:
    """Returns the options of a run that starts from another, whose codec, normal form and controls it has.

    Raises SettingError if the other was trained for a task from which this one cannot start.
    """
    is_allowed = base.task == options.task or (base.task == "write" and options.task != "pairs")
    if not is_allowed:
        raise SettingError(
            f"--from: {run} {DOES[base.task]}, and a run that {DOES[options.task]} cannot start from it",
            hint=f"--task {base.task}",
        )
    codec, reading = base.codec_name(options.codec, run), options.reading
    if reading.normalize == "none":
        reading = replace(reading, normalize=base.normalize)
    return replace(options, codec=codec, reading=reading, controls=base.controls(options.controls), base=base)


def _transfer_(model: SequenceModel, corpus: PreparedCorpus, source: Checkpoint, name: str) -> Choice:
    """Gives a model the weights of another run; returns the line that says so."""
    tensors, header = source
    known = transfer_(
        model,
        tensors,
        vocab=corpus.codec.vocab,
        old_vocab=load_codec(header.codec).vocab,
        labels=corpus.label_names,
        old_labels=header.labels,
    )
    return Choice("from", name, f"it knows {known} of the {len(corpus.codec.vocab)} symbols")


def _corpus_choices(corpus: PreparedCorpus, training: TrainingConfig) -> list[Choice]:
    store, codec = corpus.store, corpus.codec
    units = (
        f"{store.units:,} {codec.unit}s in {store.num_documents:,} document{'s' if store.num_documents != 1 else ''}"
    )
    if num_unused := sum(not file.is_used for file in store.report.files):
        units += f"; {num_unused:,} file{'s' if num_unused != 1 else ''} not used, gen corpus says why"
    if corpus.is_from_cache:
        units += "; from the cache, for it cannot be read again"
    parts = f"{corpus.train.num_targets:,} tokens to train on, {corpus.valid.num_targets:,} to validate"
    if corpus.options.test_fraction:
        parts += f", {corpus.test.num_targets:,} to test"
    rows = [Choice("corpus", ", ".join(corpus.options.sources), units), Choice("split", parts, "")]
    if way := store.report.way():
        rows.append(Choice("documents", f"{store.num_documents:,}", way))
    reason = codec_reason(store)
    rows.append(Choice("codec", codec.name, f"{len(codec.vocab)} symbols{f'; {reason}' if reason else ''}"))
    if codec.controls:
        rows.append(Choice("controls", ", ".join(codec.controls.names), "gen sample may set them"))
    words = TASKS[corpus.options.task].words(corpus, training)
    if names := corpus.label_names:
        shown = ", ".join(map(printable, names[:8])) + (", ..." if len(names) > 8 else "")
        what = "tags" if corpus.options.task == "tag" else "labels"
        rows.append(Choice(what, str(len(names)), shown + words))
    elif words:
        rows.append(Choice(corpus.options.task, "", words))
    return rows


def _lock_choices(lock: FolderLock) -> list[Choice]:
    if lock.is_held:
        return []
    return [Choice("lock", "none", "this disk has no locks: train this run in one process only")]


def _threads(device: torch.device) -> str:
    if device.type == "cpu":
        num_threads = torch.get_num_threads()
        return f"{num_threads} thread{'s' if num_threads != 1 else ''}"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""
