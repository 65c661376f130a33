"""`gen corpus`: the files of a corpus that were read, repaired or refused, and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from gen.cli.parameters import (
    BadBytes,
    CodecName,
    Documents,
    Encoding,
    Json,
    LabelColumn,
    Labels,
    Normalize,
    TextColumn,
    argument,
    separator,
)

if TYPE_CHECKING:
    from gen.codec import AnyCodec
    from gen.config import Reading
    from gen.corpus.round_trip import Losses
    from gen.data.report import FileReport, Report
    from gen.data.store import Store

MAX_TOKENS = 200_000  # decoded to measure the round trip: it takes a second, as long as reading 6,000,000 tokens
MAX_LINES = 20  # of files, of reasons and of findings, before the rest is only counted


def corpus(
    sources: Annotated[
        list[str] | None,
        argument(metavar="CORPUS", help="Read a file, folder, glob, - for stdin, or built-in corpus; none lists those"),
    ] = None,
    codec: CodecName = "auto",
    encoding: Encoding = "utf-8",
    errors: BadBytes = "strict",
    normalize: Normalize = "none",
    labels: Labels = "folders",
    documents: Documents = "auto",
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    json: Json = False,
) -> None:
    """Show which files of a corpus were read, repaired or refused.

    Without a corpus, list those that are built in.
    """
    from gen.config import Reading

    if not sources:
        show_builtins(is_json=json)
        return
    reading = Reading(
        encoding=encoding,
        errors=errors,
        normalize=normalize,
        labels=labels,
        documents=separator(documents),
        text_column=text_column,
        label_column=label_column,
    )
    show_corpus(sources, codec, reading, is_json=json)


def show_corpus(sources: Sequence[str], codec: str, reading: "Reading", *, is_json: bool) -> None:
    """Prepares a corpus and prints its report."""
    from gen.cli.console import write_json
    from gen.cli.screen.progress import reading_display
    from gen.codecs import load_codec
    from gen.corpus.prepare import prepare

    with reading_display() as on_progress:
        store = prepare(sources, codec=codec, reading=reading, on_progress=on_progress)
    used = load_codec(store.codec_spec)
    trip = measure_round_trip(store, used)
    if is_json:
        measured = trip and {"files": trip[0], **trip[1]._asdict()}
        write_json(facts(store, used) | {"round_trip": measured} | store.report.to_json())
    else:
        print("\n".join(description(store, used, trip)))


def show_builtins(*, is_json: bool) -> None:
    """Prints the corpora that come with gen."""
    from gen.cli.console import write_json
    from gen.corpus.builtin import builtins

    if is_json:
        write_json({"builtins": [{"name": b.name, "description": b.description} for b in builtins()]})
        return
    for builtin in builtins():
        print(f"{builtin.name:<12} {builtin.description}")


def measure_round_trip(store: "Store", codec: "AnyCodec") -> "tuple[int, Losses] | None":
    """Returns a number of MIDI files, and the losses of their encoding and decoding; None without any, and for text.

    Of a large corpus, files at even distances are measured.
    """
    from gen.codecs.beat.codec import BeatCodec
    from gen.codecs.performance.codec import PerformanceCodec
    from gen.corpus.round_trip import round_trip, sum_up

    if not isinstance(codec, PerformanceCodec | BeatCodec):
        return None
    chosen = [path for path in store.paths[:: 1 + len(store.ids) // MAX_TOKENS] if path.exists()]
    if not chosen:  # standard input, which was not kept
        return None
    return len(chosen), sum_up(round_trip(codec.read(path), codec) for path in chosen)


def facts(store: "Store", codec: "AnyCodec") -> dict[str, Any]:
    """Returns the facts of a corpus that its report lacks, as JSON data."""
    from gen.corpus.prepare import codec_reason

    return {
        "codec": codec.name,
        "reason": codec_reason(store),
        "symbols": len(codec.vocab),
        "unit": codec.unit,
        "documents": store.num_documents,
        "copies": store.num_copies,
        "labels": list(store.label_names),
    }


def description(store: "Store", codec: "AnyCodec", trip: "tuple[int, Losses] | None") -> list[str]:
    """Returns the lines that people read."""
    from gen.corpus.prepare import codec_reason
    from gen.data.report import STATUSES

    report = store.report
    reason = codec_reason(store)
    lines = [
        f"codec      {codec.name}, {len(codec.vocab)} symbols{f'; {reason}' if reason else ''}",
        f"documents  {store.num_documents:,}{f'; {way}' if (way := report.way()) else ''}{_copies(store.num_copies)}",
        f"tokens     {report.tokens:,}",
        f"{codec.unit + 's':<10} {report.units:,}",
        f"labels     {_listed(store.label_names) or 'none'}",
        f"files      {', '.join(f'{report.count(status):,} {status}' for status in STATUSES)}",
    ]
    if trip is not None:
        lines += _round_trip_lines(*trip, num_in_all=len(store.paths))
    lines += _finding_lines(report)
    lines += _problem_lines(report)
    return lines + _file_lines(report)


def _copies(num: int) -> str:
    """Returns the number of copies in words; all copies of a document are on the same side of the split."""
    return f"; {num:,} of the documents {'a copy' if num == 1 else 'copies'} of another" if num else ""


def _round_trip_lines(num_files: int, losses: "Losses", *, num_in_all: int) -> list[str]:
    """Returns the losses of encoding and decoding in words."""
    where = "" if num_files == num_in_all else f" in {num_files:,} of the files"
    ends = f"{losses.end_error_seconds_median:.2f} s (at most {losses.end_error_seconds_max:.2f})"
    time = (
        f"onsets {losses.onset_error_ms_median:.2f} ms (at most {losses.onset_error_ms_max:.2f}), "
        f"lengths {losses.length_error_ms_median:.2f} ms (at most {losses.length_error_ms_max:.2f})"
    )
    return [
        f"round trip {losses.kept:,} of {losses.notes:,} notes come back{where}, {losses.exact:,} at their very tick;",
        f"           {losses.exact_lengths:,} of {losses.lengths:,} have their very length",
        f"time off   {time},",
        f"           ends of pieces {ends}",
        f"velocity   off by {losses.velocity_error_median:.0f} (at most {losses.velocity_error_max})",
    ]


def _finding_lines(report: "Report") -> list[str]:
    """Returns the findings, the events that were kept and those left out; of each the commonest first."""
    from gen.data.report import counted
    from gen.music.midi.census import EVENT_KINDS, LEFT_OUT
    from gen.music.midi.rules import NOTES

    kept = EVENT_KINDS | {NOTES}
    gone = {name for name in report.findings if name.endswith(LEFT_OUT)}
    lines = []
    for title, chosen in (
        ("found:", report.findings.keys() - kept - gone),
        ("kept:", report.findings.keys() & kept),
        ("left out:", gone),
    ):
        found = [(name, count) for name, count in report.findings.most_common() if name in chosen]
        counts = [counted(count, name.removesuffix(LEFT_OUT)).split(" ", maxsplit=1) for name, count in found]
        lines += ["", title, *_capped([f"  {count:>8}  {name}" for count, name in counts])] if counts else []
    return lines


def _problem_lines(report: "Report") -> list[str]:
    """Returns the reasons for which files were refused or skipped, the commonest first, with a file for each."""
    first = {file.problem: file.name for file in reversed(report.files)}
    reasons = report.reasons().most_common()
    if not reasons:
        return []
    return ["", "not used:", *_capped([f"  {count:>8,}  {reason}: {first[reason]}" for reason, count in reasons])]


def _file_lines(report: "Report") -> list[str]:
    """Returns a line a file; of many, those that were simply kept are left out."""
    order = ("refused", "repaired", "skipped", "kept")
    files = sorted(report.files, key=lambda file: order.index(file.status))
    if len(files) > MAX_LINES:
        files = [file for file in files if file.status != "kept"]
    return ["", "files:", *_capped([_file_line(file) for file in files])] if files else []


def _file_line(file: "FileReport") -> str:
    if not file.is_used:
        return f"  {file.status:<8}  {file.name}: {file.reason}"
    from gen.data.report import counted
    from gen.music.midi.census import EVENT_KINDS, left_out

    unused = {left_out(kind) for kind in EVENT_KINDS}
    found = ", ".join(counted(n, name) for name, n in file.findings.items() if name not in EVENT_KINDS | unused)
    documents = f" in {file.documents:,} documents" if file.documents > 1 else ""
    return f"  {file.status:<8}  {file.name}: {file.tokens:,} tokens{documents}{f'; {found}' if found else ''}"


def _capped(lines: list[str]) -> list[str]:
    left = len(lines) - MAX_LINES
    return lines if left <= 0 else [*lines[:MAX_LINES], f"  ... and {left:,} more; --json names all"]


def _listed(names: Sequence[str]) -> str:
    left = len(names) - MAX_LINES
    return ", ".join(names[:MAX_LINES]) + (f", ... and {left} more" if left > 0 else "")
