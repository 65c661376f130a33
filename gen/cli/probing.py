"""The parts of `gen probe`: what it measures in a run, and where it shows that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen.cli.console import write_json
from gen.cli.measuring import excerpt_of
from gen.cli.parameters import parse_held_units, parse_unit
from gen.errors import SettingError

if TYPE_CHECKING:
    from gen.analysis.probing.gates import Recording
    from gen.analysis.probing.knockout import Knockout
    from gen.analysis.probing.leaning import Leaning
    from gen.analysis.probing.units import Following
    from gen.models.holding import HeldUnit
    from gen.runs.probing import Probe, Unit

WINDOW, FIND_WINDOW, KNOCK_WINDOW, MAX_WINDOW = 2_000, 50_000, 20_000, 100_000
NUM_BEST = 32  # units of a page
SAMPLE_LENGTH = 300  # tokens that a network with held units writes
PAGES, PICTURES, DATA = (".html", ".htm"), (".png", ".svg"), (".json",)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The options of `gen probe`."""

    length: int | None
    units: tuple[str, ...]
    step: int | None
    is_finding: bool
    knocked: tuple[str, ...]
    held: tuple[str, ...]
    files: tuple[Path, ...]
    is_json: bool

    def window(self, default: int) -> int:
        """Returns the number of tokens to look at. Raises SettingError if it is out of range."""
        length = default if self.length is None else self.length
        if not 1 <= length <= MAX_WINDOW:
            raise SettingError(f"--length: must be from 1 to {MAX_WINDOW} ({length})")
        return length


@dataclass(slots=True)
class _Report:
    """Results as lines for people, and as JSON data."""

    lines: list[str]
    data: dict[str, Any]


def probe_run(name: str, corpus: str, options: ProbeOptions, reading: Mapping[str, Any]) -> None:
    """Measures what the options ask for, prints it, and writes the files. Raises GenError."""
    check_files(options.files)
    units = [parse_unit(text, option="--unit") for text in options.units]
    knocked = [parse_unit(text, option="--knock") for text in options.knocked]
    held = parse_held_units(options.held, beside=knocked)
    options.window(WINDOW)
    from gen.models.holding import HeldUnit, check_unit
    from gen.runs.probing import Probe
    from gen.runs.run import load

    run = load(name)
    probe = Probe(run, excerpt_of(run, corpus, **reading))
    for layer, unit in units:
        check_unit(probe.run.model, layer, unit)
    report = _Report([], {"run": probe.run.name, "corpus": corpus, "tokens_in_all": probe.num_tokens})
    found = _find(probe, options, report) if options.is_finding else {}
    if knocked or held:
        _knock_out(probe, knocked, [HeldUnit(*each) for each in held], options, report)
    is_overview = not (options.is_finding or knocked or held) or bool(options.files or units)
    recorded = _overview(probe, units, found, options, report) if is_overview or options.step is not None else None
    if options.is_json:
        write_json(report.data)
    else:
        print("\n".join(report.lines))
    if recorded is not None:  # what was found is on the screen even if a file cannot be written
        _write_files(probe, *recorded, found, options.files)


def check_files(files: Sequence[Path]) -> None:
    """Raises SettingError if a file is of an unknown kind, or its folder is missing."""
    from gen.files.disk import check_place

    for path in files:
        if path.suffix.lower() not in (*PAGES, *PICTURES, *DATA):
            raise SettingError(
                f"{path}: unknown kind of file ({path.suffix or 'no suffix'})", hint="use .html, .png, .svg or .json"
            )
        check_place(path)


def _find(probe: "Probe", options: ProbeOptions, report: _Report) -> "dict[str, list[Following]]":
    from gen.cli.screen.probe import find_lines, window_line
    from gen.data.report import counted

    window = probe.window(options.window(FIND_WINDOW))
    found = probe.find(window)
    if found:
        report.lines += [window_line(probe, window), *find_lines(probe, found)]
    else:
        report.lines.append(f"{probe.run.name}: no feature varies on both halves of {counted(window, 'tokens')}")
    report.data["find"] = {
        "tokens": window,
        "features": {name: [following_to_json(probe, each) for each in units] for name, units in found.items()},
    }
    return found


def following_to_json(probe: "Probe", each: "Following") -> dict[str, Any]:
    """Returns a unit that follows a feature as JSON data."""
    layer, unit = divmod(each.unit, probe.run.config.hidden_size)
    return {
        "layer": layer,
        "unit": unit,
        "form": each.form,
        "chosen": each.chosen,
        "held_out": each.correlation,
        "shuffled": each.shuffled,
        "peaks": [{"token": at, "passage": probe.passage(at)} for at in each.peaks],
    }


def _knock_out(
    probe: "Probe", knocked: "list[Unit]", held: "list[HeldUnit]", options: ProbeOptions, report: _Report
) -> None:
    from gen.cli.screen.probe import knockout_lines, window_line
    from gen.cli.screen.progress import counting_display

    window = probe.window(options.window(KNOCK_WINDOW))
    with counting_display("holding units") as on_progress:
        result = probe.knock_out(knocked, held, window, on_progress=on_progress)
    sample = _written(probe, result)
    report.lines += [window_line(probe, window), *knockout_lines(result), "", "what it then writes:", sample]
    report.data["knockout"] = result.to_json() | {"tokens": window, "sample": sample}


def _written(probe: "Probe", result: "Knockout") -> str:
    """Returns what the network writes with the units held; of music its symbols."""
    run = probe.run.holding(result.units)
    tokens = [item.token for item in run.generate(length=SAMPLE_LENGTH, seed=0) if item.token < run.codec.vocab.begin]
    return probe.shown(tokens)


def _overview(
    probe: "Probe",
    units: "list[Unit]",
    found: "Mapping[str, list[Following]]",
    options: ProbeOptions,
    report: _Report,
) -> "tuple[Recording, list[Unit]]":
    """Records the window, and reports what the options ask of it; returns the recording and its best units."""
    from gen.cli.screen.probe import overview_lines, step_lines, window_line

    is_window_its_own = not (options.is_finding or options.knocked)
    window = options.window(WINDOW) if is_window_its_own else min(options.window(WINDOW), WINDOW)
    asked, window = window, probe.recorded(window)
    if options.step is not None and options.step >= window:
        hint = "--length looks at more" if window == asked else "no more are recorded of so large a network"
        raise SettingError(f"--step: beyond the first {window:,} tokens ({options.step})", hint=hint)
    recording = probe.record(window)
    best = units or _best(probe, recording, found)
    if options.step is not None:
        _step(probe, best[: len(units) or 1], options.step, report, step_lines)
    else:
        report.lines += [window_line(probe, window), *overview_lines(recording, best)]
        report.data |= overview_to_json(recording, best, units)
    return recording, best


def _step(probe: "Probe", units: "Sequence[Unit]", number: int, report: _Report, lines: Any) -> None:
    steps = [(unit, probe.equations(number, unit)) for unit in units]
    report.lines += lines(probe, number, steps)
    report.data["step"] = {
        "token": number,
        "symbol": probe.passage(number)[1],
        "units": [
            {"layer": layer, "unit": unit, "equations": [equation._asdict() for equation in found]}
            for (layer, unit), found in steps
        ],
    }


def _best(probe: "Probe", recording: "Recording", found: "Mapping[str, list[Following]]") -> "list[Unit]":
    """Returns the units of a page: those that were found first, then those that move far and stay."""
    from gen.analysis.probing.units import steadiest

    size, num_layers = probe.run.config.hidden_size, probe.run.config.num_layers
    following = [divmod(units[0].unit, size) for units in found.values()]
    moving = steadiest([recording.state(layer) for layer in range(num_layers)])
    return list(dict.fromkeys([*following, *moving]))[:NUM_BEST]


def overview_to_json(recording: "Recording", best: "Sequence[Unit]", units: "Sequence[Unit]") -> dict[str, Any]:
    """Returns how saturated each layer is, figures of the best units, and all arrays of the units asked for."""
    from gen.analysis.probing.saturation import saturation

    saturations = [saturation(arrays) for arrays in recording.layers]
    return {
        "tokens": len(recording.ids),
        "nats_per_token": float(recording.nats.mean()),
        "layers": [
            {name: {"shut": float(of.shut.mean()), "open": float(of.open.mean())} for name, of in each.items()}
            for each in saturations
        ],
        "units": [
            {
                "layer": layer,
                "unit": unit,
                **{
                    name: {"shut": float(of.shut[unit]), "open": float(of.open[unit])}
                    for name, of in saturations[layer].items()
                },
                "lowest": float(recording.state(layer)[:, unit].min()),
                "highest": float(recording.state(layer)[:, unit].max()),
            }
            for layer, unit in best
        ],
        "arrays": [
            {"layer": layer, "unit": unit}
            | {name: rounded(values[:, unit]) for name, values in recording.layers[layer].items()}
            for layer, unit in units
        ],
    }


def rounded(values: Any) -> list[Any]:
    """Returns an array as lists of numbers with four decimals."""
    import numpy as np

    found: list[Any] = np.round(values.astype(np.float64), 4).tolist()
    return found


def _write_files(
    probe: "Probe",
    recording: "Recording",
    best: "Sequence[Unit]",
    found: "Mapping[str, list[Following]]",
    files: Sequence[Path],
) -> None:
    from gen.analysis.probing.picture import write_heat_maps
    from gen.cli.console import say
    from gen.pages.probe import page_tokens, write_probe

    for path in files:
        suffix, shown = path.suffix.lower(), recording
        if suffix in PICTURES:
            write_heat_maps(path, recording, best, probe.run.codec.vocab.symbols)
        elif suffix in PAGES:
            shown = recording.first(page_tokens(recording, len(best)))
            names = dict(_names(probe, found))
            write_probe(path, probe, shown, _leaning(probe, shown), units=best, names=names)
        else:
            write_recording(path, probe, recording, _leaning(probe, recording))
        is_cut = len(shown.ids) < len(recording.ids)
        say(f"wrote {path}" + (f", which has room for {probe.part(len(shown.ids))}" if is_cut else ""))


def _leaning(probe: "Probe", recording: "Recording") -> "Leaning":
    from gen.cli.screen.progress import counting_display

    with counting_display("finding what predictions lean on") as on_progress:
        return probe.leaning(recording, on_progress=on_progress)


def _names(probe: "Probe", found: "Mapping[str, list[Following]]") -> "Iterator[tuple[Unit, str]]":
    """Yields each unit that was found, with what it follows; of several features the one that it follows best."""
    for feature, units in reversed(list(found.items())):
        layer, unit = divmod(units[0].unit, probe.run.config.hidden_size)
        yield (layer, unit), f"{feature} {units[0].correlation:+.2f}"


def write_recording(path: Path, probe: "Probe", recording: "Recording", leaning: "Leaning") -> None:
    """Writes everything that was recorded as JSON; the file appears whole or not at all.

    What each prediction leans on is a list of norms by lag, as many as there are tokens before it, begin among them.
    """
    from functools import partial

    from gen.files.disk import write_atomically
    from gen.files.json_text import json_text

    symbols = probe.run.codec.vocab.symbols
    data = {
        "run": probe.run.name,
        "ids": recording.ids.tolist(),
        "symbols": [symbols[token] for token in recording.ids.tolist()],
        "nats": rounded(recording.nats),
        "leaning": [leaning.norms(target) for target in range(len(recording.ids))],
        "layers": [{name: rounded(values) for name, values in arrays.items()} for arrays in recording.layers],
    }
    write_atomically(path, partial(Path.write_text, data=json_text(data), encoding="utf-8"))
