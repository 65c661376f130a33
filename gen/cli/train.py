"""`gen train`: from a corpus to a run under checkpoints/."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gen.cli.parameters import (
    BadBytes,
    CodecName,
    Documents,
    Encoding,
    LabelColumn,
    Labels,
    Normalize,
    TargetColumn,
    TextColumn,
    argument,
    option,
    separator,
)
from gen.config import CellName, TaskName

if TYPE_CHECKING:
    from gen.config import TrainingSettings
    from gen.runs.options import CorpusOptions


def train(
    run: Annotated[str, option("--run", "--name", metavar="NAME", help="Name the run; --name under torchrun")],
    corpus: Annotated[
        list[str] | None,
        argument(
            metavar="CORPUS", help="Read a file, folder, glob, - for stdin, or built-in corpus; not needed to resume"
        ),
    ] = None,
    out: Annotated[Path, option("--out", metavar="DIR", help="Keep runs in this folder  [default checkpoints]")] = Path(
        "checkpoints"
    ),
    task: Annotated[
        TaskName | None,
        option("--task", help="Learn to write, to find labels, to find the tags of words, or pairs  [default write]"),
    ] = None,
    codec: CodecName = "auto",
    encoding: Encoding = "utf-8",
    errors: BadBytes = "strict",
    normalize: Normalize = "none",
    labels: Labels = "folders",
    documents: Documents = "auto",
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    target_column: TargetColumn = None,
    cell: Annotated[CellName | None, option("--cell", help="Choose the recurrent cell  [default lstm]")] = None,
    layers: Annotated[
        int | None, option("--layers", metavar="N", help="Stack this many layers  [1-64, default by size]")
    ] = None,
    hidden: Annotated[
        int | None, option("--hidden", metavar="N", help="Set hidden units a layer  [1-65536, default by size]")
    ] = None,
    embedding: Annotated[
        int | None, option("--embedding", metavar="N", help="Set the embedding's width  [1-65536, default 128]")
    ] = None,
    bidirectional: Annotated[
        bool | None,
        option("--bidirectional/--one-direction", help="Read from both ends, or from the first on  [default both]"),
    ] = None,
    ngrams: Annotated[
        bool | None,
        option("--ngrams/--no-ngrams", help="Let n-grams answer beside the layers of a classifier  [default on]"),
    ] = None,
    attention: Annotated[
        bool | None,
        option("--attention/--no-attention", help="Look back at the source while a target is written  [default look]"),
    ] = None,
    balance_labels: Annotated[
        bool, option("--balance-labels", help="Let rare labels weigh as much as common ones in training")
    ] = False,
    dropout: Annotated[
        float | None,
        option("--dropout", metavar="P", help="Drop activations with this probability  [0 to below 1]"),
    ] = None,
    bptt: Annotated[
        int | None, option("--bptt", metavar="N", help="Back-propagate through this many tokens  [1-1048576]")
    ] = None,
    batch_size: Annotated[
        int | None, option("--batch-size", metavar="N", help="Read this many rows side by side  [1-65536]")
    ] = None,
    accumulate: Annotated[
        int | None,
        option(
            "--accumulate",
            metavar="N",
            help="Run the rows in N parts: the same steps in less memory  [1 to batch size]",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, option("--lr", metavar="RATE", help="Set the highest learning rate  [above 0]")
    ] = None,
    seed: Annotated[
        int | None, option("--seed", metavar="N", help="Seed every random draw  [0 or more, default 0]")
    ] = None,
    augment: Annotated[
        bool | None,
        option(
            "--augment/--no-augment",
            help="Read music in other keys, louder, softer, faster and slower  [default if music is read often]",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], option("--device", help="Train on this device  [default auto]")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        option("--precision", help="Compute in this precision  [default auto]"),
    ] = "auto",
    minutes: Annotated[
        float | None, option("--minutes", metavar="M", help="Stop after this many minutes  [0 or more]")
    ] = None,
    epochs: Annotated[
        float | None, option("--epochs", metavar="N", help="Stop after this many passes  [0 or more]")
    ] = None,
    steps: Annotated[
        int | None, option("--steps", metavar="N", help="Stop after this many updates  [0 or more]")
    ] = None,
    patience: Annotated[
        int | None,
        option("--patience", metavar="N", help="Stop after N validations without a better one; 0 for never"),
    ] = None,
    valid: Annotated[
        float | None,
        option("--valid", metavar="FRACTION", help="Keep this share for validation  [0 to below 1, default 0.1]"),
    ] = None,
    test: Annotated[
        float | None,
        option("--test", metavar="FRACTION", help="Keep this share for gen eval RUN test  [0 to below 1, default 0]"),
    ] = None,
    valid_file: Annotated[
        str | None, option("--valid-file", metavar="PATH", help="Validate on this corpus instead")
    ] = None,
    test_file: Annotated[
        str | None, option("--test-file", metavar="PATH", help="Remember this corpus for gen eval RUN test")
    ] = None,
    controls: Annotated[
        str | None,
        option("--controls", metavar="NAMES", help="Let gen sample set these of music: density, key or density,key"),
    ] = None,
    resume: Annotated[bool, option("--resume", help="Go on with a run that was stopped or killed")] = False,
    from_run: Annotated[
        str | None, option("--from", metavar="RUN", help="Start from the weights of another run")
    ] = None,
    json: Annotated[bool, option("--json", help="Print the result as one JSON object on stdout")] = False,
) -> None:
    """Train a model on text or MIDI.

    A run needs no option but its name: sizes, device and precision are chosen and printed. Ctrl-C finishes the step,
    saves and stops; --resume goes on from there as if nothing had happened. Started as `torchrun --nproc-per-node 2 -m
    gen train CORPUS --name NAME`, two processes share the rows of each batch, and the run is the same. (torchrun takes
    --run for an option of its own, unless -- goes before: `torchrun --nproc-per-node 2 -m -- gen train ...`.)
    """
    from gen.config import Reading, TrainingSettings
    from gen.runs.options import VALID_FRACTION, CorpusOptions

    options = CorpusOptions(
        tuple(corpus or ()),
        codec=codec,
        reading=Reading(
            encoding=encoding,
            errors=errors,
            normalize=normalize,
            labels=labels,
            documents=separator(documents),
            text_column=text_column,
            label_column=label_column,
            target_column=target_column,
        ),
        valid_fraction=VALID_FRACTION if valid is None else valid,
        test_fraction=test or 0.0,
        valid_file=valid_file,
        test_file=test_file,
        controls=tuple(name.strip() for name in controls.split(",")) if controls is not None else (),
    )
    settings = TrainingSettings(
        task=task,
        cell=cell,
        is_bidirectional=bidirectional,
        has_attention=attention,
        balance_labels=balance_labels or None,
        has_ngrams=ngrams,
        num_layers=layers,
        hidden_size=hidden,
        embedding_size=embedding,
        dropout=dropout,
        bptt=bptt,
        batch_size=batch_size,
        accumulate=accumulate,
        learning_rate=learning_rate,
        seed=seed,
        augment=augment,
        device=device,
        precision=precision,
        minutes=minutes,
        epochs=epochs,
        steps=steps,
        patience=patience,
    )
    _train(options, settings, run=run, out=out, resume=resume, from_run=from_run, as_json=json)


def _train(
    options: "CorpusOptions",
    settings: "TrainingSettings",
    *,
    run: str,
    out: Path,
    resume: bool,
    from_run: str | None,
    as_json: bool,
) -> None:
    """Trains a run to its end, or until Ctrl-C, and shows how it goes."""
    from gen.cli.console import INTERRUPTED, say, write_json
    from gen.cli.interrupt import stopped_by_ctrl_c
    from gen.cli.screen.progress import reading_display, training_display
    from gen.runs.opening import train_session
    from gen.training.distributed import is_first_process

    with _told_once():
        with reading_display() as on_progress:
            session = train_session(
                options, settings, run=run, out=out, resume=resume, from_run=from_run, on_progress=on_progress
            )
        with session, stopped_by_ctrl_c(session.stop):
            with training_display(session) as display:
                for report in session.reports():
                    display.show(report)
            result = session.result()
    if is_first_process() and as_json:
        write_json(result)
    elif is_first_process():
        say(summary(result, session.folder, was_stopped=session.was_stopped))
    if session.was_stopped:
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _told_once() -> Iterator[None]:
    """Ends this process without a word if another process of the run reports the error."""
    from gen.cli.console import MENDABLE
    from gen.training.distributed import ToldElsewhereError

    try:
        yield
    except ToldElsewhereError as err:
        raise typer.Exit(MENDABLE) from err


def summary(result: dict[str, Any], folder: Path, *, was_stopped: bool) -> str:
    """Returns the end of a run in words, with the command that comes next."""
    from gen.runs.resumption import following

    valid = "not validated"
    if result["valid_nats"] is not None:
        bits = result["valid_bits_per_unit"]
        in_bits = f", {bits:.3f} bits per {result['unit']}" if bits is not None else ""
        valid = f"validation {result['valid_nats']:.3f} nats per token{in_bits}"
    if (exact := result.get("valid_exact")) is not None:
        valid = f"validation {100 * exact:.1f} % exact, {result['valid_nats']:.3f} nats per symbol"
    if (accuracy := result.get("valid_accuracy")) is not None:
        per = "word" if result["task"] == "tag" else "document"
        valid = f"validation {100 * accuracy:.1f} % right, {result['valid_nats']:.3f} nats per {per}"
    done = "stopped and saved" if was_stopped else "done"
    spent = f"{result['steps']:,} steps, {result['tokens']:,} tokens in {result['seconds']:.0f} s"
    command = following(folder, was_stopped=was_stopped, task=result.get("task", "write"))
    return f"{done}: {result['run']}, {spent}; {valid}\nnext: {command}"
