"""`gen tag`: the tag of each word, and how often a run finds the right one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from gen.cli.parameters import OtherBadBytes, OtherEncoding, RunName, argument, given, option

if TYPE_CHECKING:
    from gen.analysis.tag_scores import Tagging
    from gen.runs.tagger import TaggedSentence


def tag(
    run: RunName,
    files: Annotated[
        list[str], argument(metavar="FILE...", help="Read plain text, a sentence a line; - for stdin, as it comes")
    ],
    encoding: OtherEncoding = None,
    errors: OtherBadBytes = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], option("--device", help="Read on this device  [default auto]")
    ] = "auto",
    json: Annotated[bool, option("--json", help="Print a JSON object a sentence, with probabilities")] = False,
) -> None:
    """Find the tag of each word.

    Words are what stands between blanks, or between tabs in a line that has one, so punctuation is parted from them as
    in the file that the run has learnt from. One line a word: the word, a tab and its tag, and a blank line between
    sentences. Characters that the model has never seen are read as unknown.
    """
    from dataclasses import asdict, replace

    from gen.cli.console import write_json
    from gen.codecs.text.columns import words_of
    from gen.corpus.lines import read_lines
    from gen.runs.tagger import load_tagger

    tagger = load_tagger(run, device=device)
    # The tagger brings words into the normal form itself; a text in it is known only up to the next line.
    as_it_is = replace(tagger.run.header.corpus.options.reading, normalize="none")
    reading = replace(as_it_is, **given(encoding=encoding, errors=errors))
    is_first = True
    for lines in read_lines(files, reading):
        for sentence in tagger.tag(map(words_of, lines)):
            if json:
                write_json(asdict(sentence))
            else:
                print(("" if is_first else "\n") + columns(sentence), end="", flush=True)
            is_first = False


def tag_measures(result: "Tagging") -> Iterator[str]:
    """Yields the measures of a tagger in words."""
    yield f"{100 * result.accuracy:.2f} % right, macro F1 {result.macro_f1:.3f}, {result.nats:.4f} nats per word"
    if result.num_unknown is None or result.baseline_accuracy is None:
        yield f"{result.num_words:,} words; the training part is not here, so those that it lacks are not told apart"
    else:
        share = "" if result.unknown_accuracy is None else f", {100 * result.unknown_accuracy:.2f} % of them right"
        yield f"{result.num_words:,} words, {result.num_unknown:,} of them not in the training part{share}"
        yield f"always the commonest tag of the word would be {100 * result.baseline_accuracy:.2f} % right"
    if result.num_foreign:
        yield f"{result.num_foreign:,} words have a tag that the model does not know, and are never right"
    if result.spans is not None:
        precision, recall, f1 = (100 * value for value in result.spans)
        yield f"spans: precision {precision:.2f} %, recall {recall:.2f} %, F1 {f1:.2f} %"


def columns(sentence: "TaggedSentence") -> str:
    """Returns a sentence as lines of a word, a tab and its tag, as `gen train` reads them."""
    return "".join(f"{token}\t{tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
