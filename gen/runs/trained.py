"""A trained run, loaded from its one file: codec, weights, and the corpora that it is measured on."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gen.codec import AnyCodec
from gen.codecs import load_codec
from gen.config import TaskName
from gen.data.split import Excerpt
from gen.errors import CheckpointError, CorpusError, SettingError
from gen.models.cells import CELLS
from gen.models.choice import new_model
from gen.models.device import choose_device
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE
from gen.runs.header import CorpusDescription, read_run_file, read_run_header, recorded_corpus
from gen.runs.options import CorpusOptions
from gen.runs.prepared import Recorded, StoredExcerpt, open_corpus, other_excerpt, validation_file
from gen.runs.provenance import PartName, part_difference
from gen.runs.tasks.options import options_of_task

RUNS = Path("checkpoints")


class TrainedRun:
    """A trained model with its codec.

    Args:
        path: of its model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises CheckpointError if the file is damaged, foreign or newer.
    """

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        tensors, header = read_run_file(path, "model")
        self.path = path
        self.header = header
        self.name = header.run
        self.label_names = header.labels
        self.config = header.model
        self.codec: AnyCodec = load_codec(header.codec)
        self._check_sizes(tensors)
        self.model = new_model(self.config)
        self.model.load_state_dict(tensors, strict=False)
        self.model.to(choose_device(device)).eval()

    def excerpt(self, corpus: str | Path | Sequence[str | Path], **reading: Any) -> Excerpt:
        """Returns the tokens that `evaluate` measures on. Arguments and errors as in `evaluate`."""
        return self.stored_excerpt(corpus, **reading).excerpt

    def stored_excerpt(self, corpus: str | Path | Sequence[str | Path], **reading: Any) -> StoredExcerpt:
        """Returns what `excerpt` does, and the store that it is taken from."""
        is_own = corpus in ("valid", "test")
        recorded = recorded_corpus(self.path, self.header) if is_own else self.header.corpus
        options = recorded.options
        if corpus == "valid":
            return self._part("valid", options, recorded, reading)
        if corpus == "test" and options.test_fraction:
            return self._part("test", options, recorded, reading)
        options = options_of_task(replace(options, reading=replace(options.reading, **reading)))
        if not is_own:
            sources = [corpus] if isinstance(corpus, str | Path) else corpus
            return other_excerpt([str(source) for source in sources], self.codec, options, self.label_names)
        if options.test_file in (None, "-"):  # standard input, which older versions did not keep
            raise SettingError(
                f"{self.name}: has no test corpus that this file and {TRAINING_FILE} beside it name",
                hint="train with --test or --test-file, or name a corpus",
            )
        return other_excerpt([str(options.test_file)], self.codec, options, self.label_names)

    def _part(
        self, part: PartName, options: CorpusOptions, recorded: CorpusDescription, reading: Mapping[str, Any]
    ) -> StoredExcerpt:
        for name in reading.keys() - {"unknown"}:
            option = name.replace("_", "-")
            raise SettingError(f"--{option}: only for another corpus than {part} ({reading[name]})")
        trained_on = Recorded(self.codec, self.label_names, recorded.key, recorded.valid_key)
        is_file = options.valid_file is not None or recorded.valid_key != recorded.key  # named here or not
        if part == "valid" and is_file:
            found = validation_file(options, self.codec, self.label_names, recorded=trained_on)
        else:
            corpus = open_corpus(options, recorded=trained_on)
            measured = corpus.valid if part == "valid" else corpus.test
            found = StoredExcerpt(corpus.valid_store if part == "valid" else corpus.store, measured)
        if what := part_difference(part, found, recorded):
            raise CorpusError(
                f"{', '.join(options.sources) or 'corpus'}: no longer what {self.name} was trained on ({what})",
                hint=f"name a corpus to evaluate on instead of {part}",
            )
        if not found.excerpt.stretches:
            raise SettingError(f"{self.name}: has no validation part", hint="name a corpus to evaluate on")
        return found

    def _check_sizes(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Raises CheckpointError unless codec, labels and weights have the sizes of the header's model."""
        config = self.config
        for what, found, wanted in (
            ("symbols", len(self.codec.vocab), config.vocab_size),
            ("labels", len(self.label_names), config.num_labels),
        ):
            if found != wanted:
                raise CheckpointError(f"{self.path}: its model is for {wanted} {what}, not those it names ({found})")
        # The sizes in the header are checked before a model is built: one of a false size may need all memory.
        recurrent = (CELLS[config.cell].num_gates * config.hidden_size, config.hidden_size)
        self._check_shapes(tensors, {"embedding.weight": (config.vocab_size, config.embedding_size)})
        self._check_shapes(tensors, {f"layers.{n}.weight_hh_l0": recurrent for n in range(config.num_layers)})
        parameters = new_model(config).named_parameters()
        self._check_shapes(tensors, {name: tuple(parameter.shape) for name, parameter in parameters})

    def _check_shapes(self, tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
        for name, shape in wanted.items():
            if name not in tensors:
                raise CheckpointError(f"{self.path}: weights are missing ({name})")
            if (found := tuple(tensors[name].shape)) != shape:
                raise CheckpointError(f"{self.path}: its weights do not fit its header ({name}: {found}, not {shape})")


def as_argument(model_file: Path) -> str:
    """Returns the word by which a command names the run of a model file, as a shell needs it."""
    folder = model_file.parent
    is_run, is_here = model_file.name == MODEL_FILE, folder.parent == RUNS
    return shlex.quote(folder.name if is_run and is_here else str(folder if is_run else model_file))


def task_of(run: str | Path) -> TaskName:
    """Returns the task that a run was trained for. Raises CheckpointError."""
    return read_run_header(find_model_file(run), "model").model.task


def find_model_file(run: str | Path) -> Path:
    """Returns the model file that a name or path stands for. Raises CheckpointError."""
    path = Path(run)
    for candidate in (path, path / MODEL_FILE, RUNS / path / MODEL_FILE):
        if candidate.is_file():
            return candidate
    folders = [folder for folder in (path, RUNS / path) if folder.is_dir() and path.name]
    known = ", ".join(sorted(file.parent.name for file in RUNS.glob(f"*/{MODEL_FILE}"))[:10])
    hint = f"runs here: {known}" if known else "train one: gen train --help"
    if folders:
        raise CheckpointError(f"{folders[0]}: no run there ({MODEL_FILE} is missing)", hint=hint)
    raise CheckpointError(f"{run or 'RUN'}: no such run", hint=hint)
