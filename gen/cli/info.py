"""`gen info`: what a run is made of."""

from pathlib import Path
from typing import Annotated, Any

from gen.cli.parameters import argument, option


def info(
    run: Annotated[str, argument(metavar="RUN", help="Take a run's name, its folder, or a model.safetensors")],
    json: Annotated[bool, option("--json", help="Print everything as one JSON object on stdout")] = False,
) -> None:
    """Show a run's sizes, cell, codec, labels, history and versions."""
    from gen.cli.console import write_json
    from gen.codecs import load_codec
    from gen.runs.checkpoint import read_header
    from gen.runs.provenance import recorded_corpus
    from gen.runs.run import find_model_file

    path = find_model_file(run)
    header = read_header(path)
    codec = load_codec(header["codec"])
    header["corpus"] = recorded_corpus(path, header)
    facts = facts_of(path, header, vocab_size=len(codec.vocab), unit=codec.unit)
    if json:
        write_json(facts)
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):>10}  {words(value)}")


def facts_of(path: Path, header: dict[str, Any], *, vocab_size: int, unit: str) -> dict[str, Any]:
    """Returns what a model file says of itself, without the lists of symbols and documents."""
    corpus = header["corpus"]
    sources = [Path(source).name or source for source in corpus["options"].get("sources", ())]
    return {
        "run": header["run"],
        "path": str(path),
        "bytes": path.stat().st_size,
        "parameters": header["result"]["parameters"],
        "model": header["model"],
        "codec": {"name": header["codec"]["name"], "vocab_size": vocab_size, "unit": unit},
        "labels": header["labels"],
        "corpus": ({"sources": sources} if sources else {})
        | {name: value for name, value in corpus.items() if name.startswith("num_")},
        "training": header["training"],
        "history": header["history"],
        "result": header["result"],
        "versions": header["versions"],
    }


def words(value: Any) -> str:
    """Returns a value of the header for people."""
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
