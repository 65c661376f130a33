"""`gen eval`: the loss of a run on a corpus, or how often it finds the right label or tag."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from gen.cli.parameters import (
    Beam,
    LabelColumn,
    OtherBadBytes,
    OtherEncoding,
    OtherUnknown,
    RunName,
    TargetColumn,
    TextColumn,
    argument,
    given,
    option,
    refuse,
)
from gen.errors import SettingError

if TYPE_CHECKING:
    from gen.analysis.classification import Classification
    from gen.runs.classifier import Classifier
    from gen.runs.tagger import Tagger


def evaluate(
    run: RunName,
    corpus: Annotated[
        list[str],
        argument(metavar="CORPUS|valid|test", help="Measure on a corpus, or on a part that the run kept"),
    ],
    context: Annotated[
        str,
        option(
            "--context",
            metavar="carry|N",
            help="Carry the state through each document, or start afresh every N tokens  [default carry]",
        ),
    ] = "carry",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        option("--precision", help="Compute in this precision; fp16 and int8 as in gen sample  [default fp32]"),
    ] = "fp32",
    unknown: OtherUnknown = "error",
    encoding: OtherEncoding = None,
    errors: OtherBadBytes = None,
    normalize: Annotated[
        Literal["none", "nfc", "nfkc"] | None,
        option("--normalize", help="Bring text into this normal form of Unicode  [default as in training]"),
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    target_column: TargetColumn = None,
    beam: Beam = None,
    show: Annotated[
        bool, option("--show", help="Show what each character or note cost, and the most surprising passages")
    ] = False,
    beside: Annotated[
        list[str] | None, option("--beside", metavar="RUN", help="Measure this run on the same corpus; may be repeated")
    ] = None,
    out: Annotated[
        Path | None, option("--out", metavar="FILE", help="Write what each character or note cost as one .html page")
    ] = None,
    adapt: Annotated[
        bool, option("--adapt", help="Measure also a copy that learns from each segment after it has predicted it")
    ] = False,
    adapt_segment: Annotated[
        int | None, option("--adapt-segment", metavar="N", help="Learn after every N tokens  [1-65536, default 32]")
    ] = None,
    adapt_rate: Annotated[
        float | None, option("--adapt-rate", metavar="R", help="Learn at this rate  [0-1000, default 0.1]")
    ] = None,
    by_label: Annotated[
        bool, option("--by-label", help="Measure how often a run that writes finds the label of a document")
    ] = False,
    picture: Annotated[
        Path | None, option("--picture", metavar="FILE", help="Draw the confusion table as .png or .svg")
    ] = None,
    json: Annotated[bool, option("--json", help="Print the result as one JSON object on stdout")] = False,
) -> None:
    """Measure how well a run predicts a corpus, or finds its labels or tags.

    Of a run that writes: nats per token, bits per token, and bits per unit: a character, a byte or a note. --adapt is
    dynamic evaluation (Krause et al. 2018), a figure of its own beside that of the weights as they are. Of a run
    that classifies: the share of right labels, macro F1 (the mean over labels of the harmonic mean of precision and
    recall), and which labels it confuses. Of a run that tags likewise over words, over those that it has not seen in
    training, and beside always the commonest tag of a word; of tags by the scheme IOB also precision and recall of
    spans. Of a run of pairs: the share of sources that are answered with one of their targets, errors in symbols and
    words, and nats per symbol.
    """
    window = parse_context(context)
    from gen.cli.measuring import MeasureOptions, chosen_adapting, measure
    from gen.cli.tag import tag_measures
    from gen.cli.translating import evaluate_pairs
    from gen.runs.classifier import load_classifier
    from gen.runs.tagger import load_tagger
    from gen.runs.trained import task_of

    source = corpus[0] if len(corpus) == 1 else corpus
    reading = given(
        encoding=encoding, errors=errors, normalize=normalize, text_column=text_column, label_column=label_column
    )
    adapting = given(segment=adapt_segment, rate=adapt_rate)
    others, rounded = tuple(beside or ()), precision != "fp32" and precision
    of_writing: dict[str, Any] = {"context": window, "precision": rounded, "show": show, "out": out, "beside": others}
    of_writing["adapt"] = adapt or bool(adapting)
    task = task_of(run)
    if task != "pairs":
        refuse({"beam": beam, "target-column": target_column}, "only for a run of pairs")
    if task in ("tag", "pairs"):
        refuse(
            of_writing
            | {"unknown": unknown != "error" and unknown, "label-column": label_column, "by-label": by_label},
            "not where tags are found" if task == "tag" else "not for a run of pairs",
        )
    if task == "tag":
        refuse({"text-column": text_column}, "not where tags are found")
        _evaluate_answers(load_tagger(run), source, reading, measures=tag_measures, picture=picture, as_json=json)
        return
    if task == "pairs":
        refuse({"picture": picture})
        evaluate_pairs(run, source, reading | given(target_column=target_column), beam=beam, as_json=json)
        return
    if by_label or task == "classify":
        refuse(of_writing, "not where labels are found")
        reading["unknown"] = unknown
        _evaluate_answers(load_classifier(run), source, reading, measures=label_measures, picture=picture, as_json=json)
        return
    if picture is not None:
        raise SettingError(f"--picture: only of a run that finds labels ({picture})", hint="--by-label")
    settings = chosen_adapting(is_chosen=adapt, given=adapting)
    chosen = (window, precision, unknown, reading, show, out, others, settings, json)
    measure(run, source, MeasureOptions(*chosen))


def _evaluate_answers(
    reader: "Classifier | Tagger",
    corpus: str | list[str],
    reading: dict[str, Any],
    *,
    measures: Callable[[Any], Iterable[str]],
    picture: Path | None,
    as_json: bool,
) -> None:
    """Prints how often a run finds the right labels or tags, and draws the confusion table if asked."""
    from gen.analysis.confusion import write_confusion
    from gen.cli.console import write_json
    from gen.cli.screen.confusion import confusion_lines
    from gen.cli.screen.progress import counting_display
    from gen.files.pictures import check_picture

    if picture is not None:
        check_picture(picture)
    with counting_display("reading") as on_progress:
        result = reader.evaluate(corpus, on_progress=on_progress, **reading)
    if as_json:
        write_json(result.to_json())
    else:
        print("\n".join([*measures(result), *confusion_lines(result)]))
    if picture is not None:
        write_confusion(picture, result)


def label_measures(result: "Classification") -> Iterator[str]:
    """Yields the measures of labels in words."""
    yield f"{100 * result.accuracy:.1f} % right, macro F1 {result.macro_f1:.3f}, {result.nats:.4f} nats per document"
    yield (
        f"{result.num_documents:,} documents; always the commonest label would be {100 * result.majority:.1f} % right"
    )


def parse_context(text: str) -> int | None:
    """Returns the window in tokens, or None for carried state. Raises SettingError."""
    if text == "carry":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise SettingError(f"--context: neither carry nor a number of tokens ({text})", hint="--context 256")
    return int(text)
