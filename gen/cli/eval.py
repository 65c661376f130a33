"""`gen eval`: the loss of a run on a corpus."""

from collections.abc import Mapping
from typing import Annotated, Literal

from gen.cli.parameters import RunName, argument, given, option
from gen.errors import SettingError

MAX_SHOWN = 5  # unknown characters


def evaluate(
    run: RunName,
    corpus: Annotated[
        list[str],
        argument(metavar="CORPUS|valid|test", help="Measure on a corpus, or on a part that the run kept"),
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
        option("--precision", help="Compute in this precision; int8 as in gen sample  [default fp32]"),
    ] = "fp32",
    unknown: Annotated[
        Literal["error", "skip"],
        option("--unknown", help="Refuse or leave out characters that the model lacks  [default error]"),
    ] = "error",
    encoding: Annotated[
        str | None, option("--encoding", metavar="NAME", help="Read text in this encoding  [default as in training]")
    ] = None,
    errors: Annotated[
        Literal["strict", "replace", "skip"] | None,
        option("--errors", help="Refuse, replace or skip bytes not in the encoding  [default as in training]"),
    ] = None,
    normalize: Annotated[
        Literal["none", "nfc", "nfkc"] | None,
        option("--normalize", help="Bring text into this normal form of Unicode  [default as in training]"),
    ] = None,
    json: Annotated[bool, option("--json", help="Print the result as one JSON object on stdout")] = False,
) -> None:
    """Measure how well a run predicts a corpus.

    nats per token, bits per token, and bits per unit: a character, a byte or a note.
    """
    window = parse_context(context)
    from gen.cli.console import write_json
    from gen.runs.run import load

    result = load(run).evaluate(
        corpus[0] if len(corpus) == 1 else corpus,
        context=window,
        precision=precision,
        unknown=unknown,
        **given(encoding=encoding, errors=errors, normalize=normalize),
    )
    if json:
        write_json(result.to_json())
        return
    print(
        f"{result.nats_per_token:.4f} nats per token, {result.bits_per_token:.4f} bits per token, "
        f"{result.bits_per_unit:.4f} bits per {result.unit}\n"
        f"{result.tokens:,} tokens, {result.units:,} {result.unit}s, context {context}{left_out(result.unknown)}"
    )


def left_out(unknown: Mapping[str, int] | None) -> str:
    """Returns a line for the unknown characters that were left out, the commonest first; "" where there are none."""
    if not unknown:
        return ""
    most = sorted(unknown.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{num:,} {character!r}" for character, num in most[:MAX_SHOWN])
    more = f", and {len(most) - MAX_SHOWN:,} others" if len(most) > MAX_SHOWN else ""
    return f"\n{sum(unknown.values()):,} characters that the model lacks left out: {shown}{more}"


def parse_context(text: str) -> int | None:
    """Returns the window in tokens, or None for carried state. Raises SettingError."""
    if text == "carry":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise SettingError(f"--context: neither carry nor a number of tokens ({text})", hint="--context 256")
    return int(text)
