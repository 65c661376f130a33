"""`gen info`: the contents of a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen.cli.parameters import Json, RunName

if TYPE_CHECKING:
    from gen.codec import AnyCodec
    from gen.runs.header import RunHeader


def info(
    run: RunName,
    json: Json = False,
) -> None:
    """Show a run's sizes, cell, codec, labels, history and versions."""
    from gen.cli.console import write_json
    from gen.codecs import load_codec
    from gen.runs.header import read_run_header, recorded_corpus
    from gen.runs.trained import find_model_file

    path = find_model_file(run)
    header = read_run_header(path, "model")
    facts = facts_of(path, replace(header, corpus=recorded_corpus(path, header)), load_codec(header.codec))
    if json:
        write_json(facts)
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):>10}  {words(value)}")


def facts_of(path: Path, header: "RunHeader", codec: "AnyCodec") -> dict[str, Any]:
    """Returns the facts about a run, without the lists of symbols and documents."""
    data = header.to_json()
    sources = [Path(source).name or source for source in header.corpus.options.sources]
    return {
        "run": header.run,
        "path": str(path),
        "bytes": path.stat().st_size,
        "parameters": header.result["parameters"],
        "model": data["model"],
        "codec": {"name": codec.name, "vocab_size": len(codec.vocab), "unit": codec.unit},
        "labels": data["labels"],
        "corpus": ({"sources": sources} if sources else {}) | header.corpus.counts(),
        **{name: data[name] for name in ("training", "history", "result", "versions")},
    }


def words(value: Any) -> str:
    """Returns a fact in words."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {words(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(words(item) for item in value) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
