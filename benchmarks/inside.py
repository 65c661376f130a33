"""Measures what `gen probe` and dynamic evaluation find in trained runs, on the parts that they were not trained on.

    python benchmarks/inside.py RUN... [--lag 100]

For each run of text: the gain of `gen eval --adapt`, in per cent; the two units of `gen probe --find` that follow a
feature best, by their correlation on the half on which they were not chosen, with that of shuffled labels; the cost of
knocking each out, for the class of symbols that it costs most against what other units of like activity cost there, and
its place among them. And, once, the gradient of the three cells over a lag on the recall task, the LSTM's against the
plain RNN's. Nothing is trained but these three. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from gen.runs.header import versions

NUM_UNITS = 2  # of a run that are knocked out


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description="Measure what gen probe finds in trained runs.")
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--lag", type=int, default=100, metavar="N")
    arguments = parser.parse_args()
    data = {"benchmark": "inside", "runs": [measured(run) for run in arguments.runs], "recall": recall(arguments.lag)}
    print(json.dumps(data | {"versions": versions()}))


def measured(run: str) -> dict[str, Any]:
    """Measures a run, and prints what was found."""
    evaluation = gen("eval", run, "valid", "--adapt")
    static, adapted = evaluation["nats_per_token"], evaluation["adapted"]["nats_per_token"]
    print(f"{run}: {static:.4f} nats, {adapted:.4f} while it learns ({1 - adapted / static:.1%} less)", flush=True)
    found = gen("probe", run, "valid", "--find")["find"]["features"]
    best = sorted(found.items(), key=lambda item: -abs(item[1][0]["held_out"]))[:NUM_UNITS]
    units = [knocked_out(run, feature, units[0]) for feature, units in best]
    return {"run": run, "nats": static, "adapted_nats": adapted, "units": units}


def knocked_out(run: str, feature: str, unit: dict[str, Any]) -> dict[str, Any]:
    """Measures what it costs to knock a unit out, and prints the class that pays most against other units."""
    name = f"{unit['layer']}:{unit['unit']}"
    classes = gen("probe", run, "valid", "--knock", name)["knockout"]["classes"]
    worst = max(classes, key=lambda each: each["ratio"] or 0.0)
    kept = {key: unit[key] for key in ("held_out", "shuffled")} | {
        key: worst[key] for key in ("name", "added", "ratio")
    }
    print(
        f"  {feature}: unit {name}, correlation {kept['held_out']:+.3f} (shuffled {kept['shuffled']:.3f}); knocked out,"
        f" {kept['name']} cost {kept['added']:+.3f} bits, {kept['ratio'] or 0:.1f} times the median of other units",
        flush=True,
    )
    return {"feature": feature, "unit": name, **kept}


def recall(lag: int) -> dict[str, float]:
    """Measures the gradients over a lag on the recall task, and prints them."""
    began = time.perf_counter()
    cells = gen("probe", "--gradient", "--lags", str(lag))["cells"]
    gradients = {name: float(cell["after"]["mean"][lag]) for name, cell in cells.items()}
    shown = ", ".join(f"{name} {value:.1e}" for name, value in gradients.items())
    print(f"recall task, lag {lag}: {shown} ({time.perf_counter() - began:.0f} s)", flush=True)
    return gradients


def gen(*arguments: str) -> Any:
    """Runs gen as a user would and returns its JSON."""
    command = [sys.executable, "-m", "gen", *arguments, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603 - gen itself


if __name__ == "__main__":
    main()
