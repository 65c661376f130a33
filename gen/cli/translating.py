"""`gen sample` and `gen eval` of a run that was trained on pairs."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gen.cli.console import say, write_json
from gen.cli.parameters import refuse
from gen.cli.sampling import Tally, split_rows
from gen.config import SamplingConfig
from gen.errors import CheckpointError, SettingError

if TYPE_CHECKING:
    from gen.analysis.translation import Translation
    from gen.runs.translator import Translator


class TargetOptions(NamedTuple):
    """The options of `gen sample` that have a meaning for pairs; None where an option is not given."""

    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float
    length: int | None
    min_length: int
    seed: int | None
    num_samples: int
    beam: int | None
    is_counted: bool

    def sampling(self) -> SamplingConfig:
        """Returns the choice of a symbol: the likeliest if no temperature is given. Raises SettingError."""
        temperature = 0.0 if self.temperature is None else self.temperature
        return SamplingConfig(temperature, self.top_k, self.top_p, self.min_p, self.repetition_penalty)

    def beside_beam(self) -> dict[str, Any]:
        """Returns the options that a beam search has no use for, by their names, if they are given."""
        values = self._asdict() | {"stats": self.is_counted}
        default = {"repetition_penalty": 1.0, "min_length": 0, "num_samples": 1, "stats": False}
        names = ("temperature", "top_k", "top_p", "min_p", "length", "seed", *default)
        return {name.replace("_", "-"): values[name] for name in names if values[name] != default.get(name)}


def is_of_pairs(run: str) -> bool:
    """Returns whether a run was trained on pairs; False if it cannot be read, which loading it will tell."""
    from gen.runs.trained import task_of

    try:
        return task_of(run) == "pairs"
    except CheckpointError:
        return False


def write_targets(run: str, source: str | None, options: TargetOptions) -> None:
    """Writes the target of a source to stdout, symbol by symbol; several samples in lines. Raises GenError."""
    from gen.models.device import limit_threads
    from gen.runs.translator import load_translator

    if source is None:
        raise SettingError(f"--prompt: missing ({run} was trained on pairs)", hint="--prompt SOURCE")
    sampling = options.sampling()
    if options.beam is not None:
        refuse(options.beside_beam(), "not together with --beam")
    limit_threads(options.num_samples)
    translator = load_translator(run)
    if options.beam is not None:
        print(*translator.translate([source], beam=options.beam))
        return
    tally = Tally()
    seed = 0 if options.seed is None and not sampling.temperature else options.seed
    drawn = translator.draw_blocks(
        source,
        sampling=sampling,
        length=options.length,
        seed=seed,
        num_samples=options.num_samples,
        min_length=options.min_length,
    )
    for row in split_rows(tally.counted(drawn), options.num_samples):
        _write_line(translator, row)
    if options.is_counted:
        say(tally.line(seed or 0))


def _write_line(translator: "Translator", tokens: Iterator[int]) -> None:
    from gen.codec import stream

    for piece in stream(translator.codec, tokens):
        print(piece, end="", flush=True)
    print(flush=True)


def evaluate_pairs(
    run: str, corpus: str | list[str], reading: Mapping[str, Any], *, beam: int | None, as_json: bool
) -> None:
    """Prints how well a run writes the targets of a corpus."""
    from gen.cli.screen.progress import counting_display
    from gen.runs.translator import load_translator

    translator = load_translator(run)
    with counting_display("translating") as on_progress:
        result = translator.evaluate(corpus, beam=1 if beam is None else beam, on_progress=on_progress, **reading)
    if as_json:
        write_json(result.to_json())
    else:
        print(lines(result))


def lines(result: "Translation") -> str:
    """Returns the measures in words."""
    found = "the likeliest symbol at every step" if result.beam == 1 else f"a beam of {result.beam}"
    return (
        f"{100 * result.exact:.1f} % exact, {100 * result.symbol_error_rate:.2f} % symbol errors, "
        f"{100 * result.word_error_rate:.2f} % word errors, {result.nats_per_symbol:.4f} nats per symbol\n"
        f"{result.sources:,} sources, {result.pairs:,} targets of {result.symbols:,} symbols, by {found}"
    )
