"""`gen eval` of a run that writes: its loss, with the cost of each character or note if asked, and of other runs."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gen.cli.console import has_colour, say, write_json
from gen.errors import SettingError

if TYPE_CHECKING:
    from gen.analysis.adapting import Adapting
    from gen.analysis.evaluate import Evaluation
    from gen.data.split import Excerpt
    from gen.runs.run import Run
    from gen.runs.surprise import CorpusCosts, CostedDocument, LocatedPassage


MAX_UNKNOWN = 5  # characters that the model lacks, by name


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """The options of `gen eval` for a run that writes."""

    context: int | None
    precision: Literal["fp32", "fp16", "int8"]
    unknown: Literal["error", "skip"]
    reading: dict[str, Any]
    is_shown: bool
    page: Path | None
    beside: tuple[str, ...]
    adapting: "Adapting | None"
    is_json: bool

    def of_text(self) -> dict[str, Any]:
        """Returns the arguments of `Run.evaluate` that say how the corpus is read."""
        return {"unknown": self.unknown, **self.reading}

    def of_model(self) -> dict[str, Any]:
        """Returns its arguments that say how the model runs."""
        return {"context": self.context, "precision": self.precision}


def chosen_adapting(*, is_chosen: bool, given: Mapping[str, Any]) -> "Adapting | None":
    """Returns the settings of `--adapt`, None without it. Raises SettingError if they are wrong or without it."""
    from gen.analysis.adapting import Adapting

    for name, value in given.items():
        if not is_chosen:
            raise SettingError(f"--adapt-{name}: only with --adapt ({value:g})")
    return Adapting(**given) if is_chosen else None


def measure(name: str, source: str | list[str], options: MeasureOptions) -> None:
    """Prints what `gen eval` says of a run that writes. Raises GenError."""
    from gen.runs.run import load

    _check(source, options)
    run = load(name)
    others = [_other(each, run) for each in options.beside]
    if options.is_shown or options.page is not None or others:
        _show([run, *others], source, options)
        return
    result = run.evaluate(source, **options.of_model(), **options.of_text())
    adapted = _adapted(run, source, options, max_tokens=0)
    if options.is_json:
        write_json(result.to_json() | _adapted_data(adapted))
    else:
        print("\n".join([*_lines(result), *_adapted_lines(result, adapted)]))


def _check(source: str | list[str], options: MeasureOptions) -> None:
    """Raises SettingError if options contradict each other, or the page cannot be written."""
    if options.page is not None:
        from gen.pages.page import check_page

        check_page(options.page)
    if options.beside and source in ("valid", "test"):
        raise SettingError(
            f"--beside: {source} is another text for each run ({', '.join(options.beside)})", hint="name a corpus"
        )
    if "-" in (source if isinstance(source, list) else [source]) and (options.beside or options.adapting):
        place = "--beside" if options.beside else "--adapt"
        raise SettingError(f"{place}: standard input can be read only once (-)", hint="write it to a file first")
    if options.adapting is None:
        return
    if options.precision != "fp32":
        raise SettingError(f"--adapt: learns in fp32 only ({options.precision})", hint="leave out --precision")
    if options.context is not None:
        raise SettingError(f"--adapt: carries its state (--context {options.context})", hint="leave out --context")


def _other(name: str, run: "Run") -> "Run":
    from gen.runs.run import load

    other = load(name)
    if other.codec.kind != run.codec.kind:
        raise SettingError(f"--beside: {other.name} writes {other.codec.kind}, {run.name} {run.codec.kind}")
    return other


def _adapted(run: "Run", source: str | list[str], options: MeasureOptions, **more: Any) -> "CorpusCosts | None":
    """Returns what the corpus costs the run where it learns from it; None if that is not asked for."""
    from gen.cli.screen.progress import counting_display
    from gen.runs.surprise import corpus_costs

    if options.adapting is None:
        return None
    with counting_display("adapting") as on_progress:
        return corpus_costs(
            run, source, adapting=options.adapting, on_progress=on_progress, **options.of_text(), **more
        )


def _show(runs: "Sequence[Run]", source: str | list[str], options: MeasureOptions) -> None:
    from gen.cli.screen.progress import counting_display
    from gen.pages.surprise import write_surprise
    from gen.runs.surprise import corpus_costs

    with counting_display("measuring") as on_progress:
        given = {"on_progress": on_progress, **options.of_model(), **options.of_text()}
        costs = [corpus_costs(run, source, **given) for run in runs]
    adapted = _adapted(runs[0], source, options)
    beside = [*costs[1:], *([adapted] if adapted else [])]
    if options.page is not None:
        title = f"Surprise of {', '.join(run.name for run in runs)}: {', '.join(_names(costs[0]))}"
        write_surprise(options.page, title, [costs[0], *beside])
        say(f"wrote {options.page}")
    if options.is_json:
        write_json(_data(costs[0], beside, options) | _adapted_data(adapted))
        return
    if costs[0].remark and options.is_shown:
        say(costs[0].remark)
    if options.is_shown:
        sys.stdout.writelines(chain(_pictures(costs[0]), _passage_lines(costs[0]), _kind_lines(costs[0])))
    print("\n".join(_lines(costs[0].evaluation)), flush=True)
    for other in beside:
        sys.stdout.writelines(_beside_lines(costs[0], other))


def _names(costs: "CorpusCosts") -> list[str]:
    """Returns the names of the files of the documents; of many the first."""
    names = [document.name for document in costs.documents]
    return names if len(names) < 3 else [names[0], f"{len(names) - 1} others"]


def _pictures(costs: "CorpusCosts") -> Iterator[str]:
    """Yields the documents, each character or note with its cost."""
    from gen.cli.screen.costs import DIGITS, MAX_BITS, MAX_NOTE_BITS, coloured_text, legend, marked_text, note_lines

    is_coloured, is_music = has_colour(sys.stdout), costs.codec.kind == "music"
    if is_coloured:
        yield f"{legend(MAX_NOTE_BITS if is_music else MAX_BITS)}\n\n"
    elif not is_music:
        yield f"{DIGITS}\n\n"
    for document in costs.documents:
        if len(costs.documents) > 1:
            yield f"==> {document.name} <==\n"
        nats = document.nats.tolist()
        characters = zip(document.pieces, nats, strict=True)
        if is_music:
            yield from (f"{line}\n" for line in note_lines(document.pieces, nats, is_coloured=is_coloured))
        elif is_coloured:
            yield from coloured_text(characters)
        else:
            yield from marked_text(characters, width=shutil.get_terminal_size().columns)
        yield "\n"


def _passage_lines(costs: "CorpusCosts") -> Iterator[str]:
    from gen.runs.surprise import most_surprising

    found = most_surprising(costs.documents)
    yield f"most surprising passages, bits a {costs.piece}\n"
    yield from _located(costs.documents, found, "7.2f")
    yield "\n"


def _located(documents: "Sequence[CostedDocument]", found: "Sequence[LocatedPassage]", figure: str) -> Iterator[str]:
    """Yields a line a passage: its bits, its place and its text."""
    from gen.cli.screen.costs import BIT, quoted

    for each in found:
        document = documents[each.document]
        place = f"{document.name}, " * (len(documents) > 1) + document.place(each.start)
        yield f"{each.nats / BIT:{figure}}  {place:<24}  {quoted(document.text(each.start, each.stop))}\n"


def _kind_lines(costs: "CorpusCosts") -> Iterator[str]:
    """Yields a table of the tokens by kind, and what belongs to no character or note."""
    from gen.cli.screen.costs import BIT
    from gen.pages.surprise import figures

    for row in figures(costs):
        yield f"{row[0]:<16}" + "".join(f"{cell:>14}" for cell in row[1:]) + "\n"
    yield f"{costs.other_nats / BIT:,.1f} bits of tokens that belong to no {costs.piece}\n\n"


def _lines(result: "Evaluation") -> Iterator[str]:
    context = "carry" if result.context is None else result.context
    yield f"{_measures(result)}"
    yield f"{result.tokens:,} tokens, {result.units:,} {result.unit}s, context {context}{left_out(result.unknown)}"


def _measures(result: "Evaluation") -> str:
    per_unit = "no" if result.bits_per_unit is None else f"{result.bits_per_unit:.4f} bits per"
    return (
        f"{result.nats_per_token:.4f} nats per token, {result.bits_per_token:.4f} bits per token, "
        f"{per_unit} {result.unit}"
    )


def _adapted_lines(static: "Evaluation", adapted: "CorpusCosts | None") -> Iterator[str]:
    if adapted is None or adapted.adapting is None:
        return
    less = 1 - adapted.evaluation.nats_per_token / static.nats_per_token
    yield (
        f"adapting, by a step of rate {adapted.adapting.rate:g} after each {adapted.adapting.segment} tokens:\n"
        f"{_measures(adapted.evaluation)}, {abs(100 * less):.1f} % {'less' if less >= 0 else 'more'}"
    )


def _adapted_data(adapted: "CorpusCosts | None") -> dict[str, Any]:
    if adapted is None or adapted.adapting is None:
        return {}
    return {"adapted": adapted.evaluation.to_json() | asdict(adapted.adapting)}


def _beside_lines(first: "CorpusCosts", other: "CorpusCosts") -> Iterator[str]:
    """Yields the figures of another run, and where the two differ most."""
    from gen.runs.beside import differences, largest_differences

    if other.adapting is None:
        yield f"\n{other.run}: {_measures(other.evaluation)}{left_out(other.evaluation.unknown)}\n"
    else:
        yield from (f"\n{line}\n" for line in _adapted_lines(first.evaluation, other))
    found = differences(first, other)
    if found is None:
        yield "its characters or notes are not the same, so that they cannot be compared one by one\n"
        return
    yield f"passages that differ most: {other.run} less {first.run}, bits a {first.piece}\n"
    yield from _located(first.documents, largest_differences(first.documents, found), "+7.2f")


def _data(first: "CorpusCosts", beside: "Sequence[CorpusCosts]", options: MeasureOptions) -> dict[str, Any]:
    """Returns everything as JSON data: the costs only if they are to be shown."""
    others = [{"run": other.run, **_costs_data(other, options)} for other in beside if other.adapting is None]
    data = {"run": first.run, **_costs_data(first, options)}
    return data | ({"beside": others} if options.beside else {})


def _costs_data(costs: "CorpusCosts", options: MeasureOptions) -> dict[str, Any]:
    from gen.pages.surprise import document_data, passage_data, rounded
    from gen.runs.surprise import most_surprising

    evaluation = costs.evaluation.to_json()
    if not options.is_shown:
        return evaluation
    return evaluation | {
        "shown_tokens": len(costs.tokens),
        "surprise_nats": rounded(costs.nats),
        "documents": [document_data(document, document.nats) for document in costs.documents],
        "other_nats": round(costs.other_nats, 6),
        "kinds": [share._asdict() for share in costs.shares()],
        "passages": [passage_data(costs.documents, passage) for passage in most_surprising(costs.documents)],
    }


def excerpt_of(run: "Run", corpus: str, **reading: Any) -> "Excerpt":
    """Returns a corpus as a run reads it; says on stderr what was left out. Errors as in `Run.evaluate`."""
    from gen.codecs.text.char import unknown_of

    store, excerpt = run.stored_excerpt(corpus, **reading)
    if lines := left_out(unknown_of(store.report.findings)):
        say(lines.removeprefix("\n"))
    return excerpt


def left_out(unknown: Mapping[str, int] | None) -> str:
    """Returns a line for the unknown characters that were left out, the commonest first; "" where there are none."""
    if not unknown:
        return ""
    most = sorted(unknown.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{num:,} {character!r}" for character, num in most[:MAX_UNKNOWN])
    more = f", and {len(most) - MAX_UNKNOWN:,} others" if len(most) > MAX_UNKNOWN else ""
    return f"\n{sum(unknown.values()):,} characters that the model lacks left out: {shown}{more}"
