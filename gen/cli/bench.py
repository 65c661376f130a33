"""`gen bench`: the speed and the memory of the program on this machine, beside the limits of the machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from gen.cli.parameters import argument, given, option
from gen.config import CellName
from gen.data.report import counted

if TYPE_CHECKING:
    from gen.bench.plan import Plan
    from gen.bench.report import Report, Sampling

WIDTH = 80
MEBI = 1 << 20

Row = tuple[str, str, str, str]  # name, measured, limit or peer, share


def bench(
    run: Annotated[
        str | None, argument(metavar="RUN", help="Take the sizes of a run: its name, folder, or a model.safetensors")
    ] = None,
    cell: Annotated[CellName | None, option("--cell", help="Choose the recurrent cell  [default lstm]")] = None,
    layers: Annotated[
        int | None, option("--layers", metavar="N", help="Stack this many layers  [1-64, default as gen train]")
    ] = None,
    hidden: Annotated[
        int | None,
        option("--hidden", metavar="N", help="Set hidden units a layer  [1-65536, default as gen train]"),
    ] = None,
    embedding: Annotated[
        int | None, option("--embedding", metavar="N", help="Set the embedding's width  [1-65536, default 128]")
    ] = None,
    vocab: Annotated[
        int | None, option("--vocab", metavar="N", help="Set the number of symbols  [3-16777216, default 67]")
    ] = None,
    batch_size: Annotated[
        int | None, option("--batch-size", metavar="N", help="Train on this many rows side by side  [1-65536]")
    ] = None,
    bptt: Annotated[
        int | None, option("--bptt", metavar="N", help="Back-propagate through this many tokens  [1-1048576]")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        option("--precision", help="Train in this precision  [default auto]"),
    ] = "auto",
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], option("--device", help="Measure this device  [default auto]")
    ] = "auto",
    num_samples: Annotated[
        list[int] | None,
        option(
            "--num-samples",
            metavar="N",
            help="Draw this many samples side by side; may be repeated  [1-65536, default 1, 8 and 64]",
        ),
    ] = None,
    threads: Annotated[
        int | None, option("--threads", metavar="N", help="Compute on this many threads  [1-1024, default as gen]")
    ] = None,
    seconds: Annotated[
        float,
        option("--seconds", metavar="S", help="Take this long for each measurement  [above 0 to 600, default 0.8]"),
    ] = 0.8,
    json: Annotated[bool, option("--json", help="Print every figure as one JSON object on stdout")] = False,
) -> None:
    """Measure training and sampling on this machine.

    Beside each figure stands that of a peer, torch's own modules without gen, or the limit of the machine. Without RUN
    and sizes, it measures the sizes that gen train would choose here. A busy machine spoils all figures.
    """
    from gen.bench.measure import measure
    from gen.bench.plan import plan_of_run, plan_of_sizes
    from gen.cli.console import write_json

    sizes = given(
        cell=cell,
        num_layers=layers,
        hidden_size=hidden,
        embedding_size=embedding,
        vocab_size=vocab,
        batch_size=batch_size,
        bptt=bptt,
        precision=None if precision == "auto" else precision,
    )
    rows = tuple(num_samples) if num_samples else None
    options = given(device=device, threads=threads, seconds=seconds, rows=rows)
    plan = plan_of_sizes(sizes, **options) if run is None else plan_of_run(run, sizes, **options)
    with turn_display(plan) as on_turn:
        report = measure(plan, on_turn)
    if json:
        write_json(report.to_json())
    else:
        print(table(report))


@contextmanager
def turn_display(plan: "Plan") -> "Iterator[Callable[[str, int, int], None]]":
    """Says how long it will take; gives a callback that shows the current measurement, or elsewhere each part."""
    from gen.bench.measure import num_measurements
    from gen.cli.console import has_screen, say
    from gen.cli.screen.progress import clock, screen_console

    total = num_measurements(plan)
    say(f"{total} measurements of {plan.seconds:g} s, about {clock(total * plan.seconds)}")
    started, part = time.monotonic(), ""
    status = screen_console().status("") if has_screen() else None

    def on_turn(what: str, done: int, total: int) -> None:
        nonlocal part
        elapsed = time.monotonic() - started
        left = elapsed / done * (total - done) if done else total * plan.seconds
        if status is not None:
            status.update(f"{what}  {done} of {total}  {clock(left)} left")
        elif what.partition(":")[0] != part:
            part = what.partition(":")[0]
            say(f"{part}  {done} of {total}  {clock(left)} left")

    if status is None:
        yield on_turn
        return
    with status:
        yield on_turn


def table(report: "Report") -> str:
    """Returns the report for people, at most 80 columns wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    grid.add_column("what")
    for name in ("measured", "limit or peer", "share"):
        grid.add_column(name, justify="right")
    for row in rows(report):
        grid.add_row(*row)
    console = Console(width=WIDTH, highlight=False, color_system=None)
    with console.capture() as captured:
        for line in headings(report):
            console.print(line, markup=False)
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def headings(report: "Report") -> list[str]:
    """Returns the sizes of the model, the machine, and the kernels that serve."""
    model, machine = report.model, report.machine
    sizes = f"{model['cell']} {model['num_layers']} x {model['hidden_size']}, embedding {model['embedding_size']}"
    name = "" if report.run is None else f"{report.run}: "
    on_device = "" if machine["device"] == "cpu" else f", {machine['device_name']}"
    return [
        f"{name}{sizes}, {model['vocab_size']:,} symbols, {model['parameters']:,} parameters",
        f"{machine['cpu']}, {counted(machine['cores'], 'cores')}{on_device}, torch {machine['torch']}",
        f"kernels: {machine['kernels']}",
    ]


def rows(report: "Report") -> "Iterator[Row]":
    """Yields the rows of the table."""
    training, memory = report.training, report.memory
    peer = f"nn.{report.model['cell'].upper()}"
    on_threads = f"on {counted(training.threads, 'threads')}"
    yield f"training, {training.batch_size} x {training.bptt} in {training.precision} {on_threads}", "", "", ""
    peer_rate = f"{figure(training.peer_tokens_per_second)} {peer}"
    yield "  trainer, tokens/s", figure(training.tokens_per_second), peer_rate, f"{training.ratio:.2f} x"
    limit = f"{figure(training.limit_gflops)} product"
    yield "  arithmetic, GFLOP/s", figure(training.gflops), limit, percent(training.share)
    for sampling in report.sampling:
        yield from sampling_rows(sampling, peer)
    yield "memory of training, MiB", "", "", ""
    parameters = f"{figure(memory.parameter_bytes / MEBI)} parameters"
    for name, num_bytes in (("process", memory.process_bytes), ("device", memory.device_bytes)):
        if num_bytes is not None:
            yield f"  {name}, at most", figure(num_bytes / MEBI), parameters, ""


def sampling_rows(sampling: "Sampling", peer: str) -> "Iterator[Row]":
    """Yields the rows of one number of samples, with the nearer of two limits: reading weights, or arithmetic."""
    peer = f"{figure(sampling.peer_tokens_per_second)} {peer}"
    on_threads = f"on {counted(sampling.threads, 'threads')}"
    yield f"sampling, {counted(sampling.rows, 'rows')} in {sampling.precision} {on_threads}", "", "", ""
    yield "  stepper, tokens/s", figure(sampling.tokens_per_second), peer, f"{sampling.ratio:.2f} x"
    yield (
        "  generate, tokens/s",
        figure(sampling.generate_tokens_per_second),
        peer,
        f"{sampling.generate_ratio:.2f} x",
    )
    share = sampling.flops_share
    if sampling.limit_gflops is None or share is None or sampling.bytes_share >= share:
        limit = f"{figure(sampling.limit_gigabytes_per_second)} read"
        yield "  weights read, GB/s", figure(sampling.gigabytes_per_second), limit, percent(sampling.bytes_share)
    else:
        limit = f"{figure(sampling.limit_gflops)} product"
        yield "  arithmetic, GFLOP/s", figure(sampling.gflops), limit, percent(share)


def figure(value: float) -> str:
    """Returns a number with three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percent(share: float) -> str:
    """Returns a share in percent."""
    return f"{100 * share:.0f} %"
