"""`gen classify`: the label of each document."""

from typing import TYPE_CHECKING, Annotated, Literal

from gen.cli.parameters import OtherBadBytes, OtherEncoding, RunName, TextColumn, argument, given, option
from gen.errors import SettingError

if TYPE_CHECKING:
    from gen.runs.classifier import Answer


def classify(
    run: RunName,
    corpus: Annotated[
        list[str], argument(metavar="FILE...", help="Read files, folders, or - for stdin; a row of a table is a text")
    ],
    top: Annotated[int, option("--top", metavar="N", help="Show the N likeliest labels  [1 or more, default 1]")] = 1,
    text_column: TextColumn = None,
    encoding: OtherEncoding = None,
    errors: OtherBadBytes = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], option("--device", help="Read on this device  [default auto]")
    ] = "auto",
    json: Annotated[bool, option("--json", help="Print a JSON object a line, with all labels")] = False,
) -> None:
    """Find the label of each text or piece.

    One line a document: its name, the likeliest label and the probability of that, between tabs. A run that was trained
    to write, with labels, answers too: with the label under which it finds the document likeliest. Characters that the
    model has never seen are left out.
    """
    from gen.cli.console import say, write_json
    from gen.cli.screen.progress import counting_display
    from gen.runs.classifier import load_classifier

    if top < 1:
        raise SettingError(f"--top: must be at least 1 ({top})")
    classifier = load_classifier(run, device=device)
    with counting_display("reading") as on_progress:
        found = classifier.classify(
            corpus[0] if len(corpus) == 1 else corpus,
            on_progress=on_progress,
            **given(text_column=text_column, encoding=encoding, errors=errors),
        )
    if found.num_empty:
        say(f"{found.num_empty:,} documents without text get no answer; the numbers of the others count without them")
    for answer in found.answers:
        if json:
            write_json({"document": answer.document, "label": answer.label, "probabilities": answer.probabilities})
        else:
            print(line(answer, top=top))


def line(answer: "Answer", *, top: int) -> str:
    """Returns an answer as fields between tabs: the document, then labels, each with its probability."""
    from gen.corpus.sources import printable

    labels = list(answer.probabilities.items())[:top]
    return "\t".join([answer.document, *(f"{printable(label)}\t{probability:.3f}" for label, probability in labels)])
