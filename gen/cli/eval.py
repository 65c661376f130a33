"""`gen eval`: how well a run predicts a corpus."""

from typing import Annotated, Literal

from gen.cli.parameters import argument, option
from gen.errors import SettingError


def evaluate(
    run: Annotated[str, argument(metavar="RUN", help="Take a run's name, its folder, or a model.safetensors")],
    corpus: Annotated[
        list[str],
        argument(metavar="CORPUS|valid|test", help="Measure on a corpus, or on what the run kept for it"),
    ],
    context: Annotated[
        str,
        option(
            "--context",
            metavar="carry|N",
            help="Carry the state through each document, or start afresh every N tokens  [default carry]",
        ),
    ] = "carry",
    precision: Annotated[
        Literal["fp32", "int8"],
        option("--precision", help="Compute in this precision; int8 as gen sample does  [default fp32]"),
    ] = "fp32",
    json: Annotated[bool, option("--json", help="Print the result as one JSON object on stdout")] = False,
) -> None:
    """Measure how well a run predicts a corpus.

    nats per token, bits per token, and bits per unit: a character, a byte or a note.
    """
    window = parse_context(context)
    from gen.cli.console import write_json
    from gen.run import load

    result = load(run).evaluate(corpus[0] if len(corpus) == 1 else corpus, context=window, precision=precision)
    if json:
        write_json(result.to_json())
        return
    print(
        f"{result.nats_per_token:.4f} nats per token, {result.bits_per_token:.4f} bits per token, "
        f"{result.bits_per_unit:.4f} bits per {result.unit}\n"
        f"{result.tokens:,} tokens, {result.units:,} {result.unit}s, context {context}"
    )


def parse_context(text: str) -> int | None:
    """Returns the window in tokens, or None for carried state. Raises SettingError."""
    if text == "carry":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise SettingError(f"--context: neither carry nor a number of tokens ({text})", hint="--context 256")
    return int(text)
