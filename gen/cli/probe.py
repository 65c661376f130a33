"""`gen probe`: a look inside a trained network."""

from pathlib import Path
from typing import Annotated

from gen.cli.parameters import Json, argument, option, refuse
from gen.errors import SettingError


def probe(
    run: Annotated[
        str | None,
        argument(
            metavar="RUN",
            help="Take a run's name, its folder or its file; without it, train each cell on the recall task",
        ),
    ] = None,
    file: Annotated[
        str, argument(metavar="FILE|valid|test", help="Read this file, or a part that the run kept  [default valid]")
    ] = "valid",
    gradient: Annotated[
        bool, option("--gradient", help="Measure the gradient of the loss with respect to earlier inputs, by lag")
    ] = False,
    beside: Annotated[
        list[str] | None,
        option("--beside", metavar="RUN", help="Measure the gradient of this run too; may be given several times"),
    ] = None,
    lags: Annotated[
        int | None,
        option(
            "--lags",
            metavar="N",
            help="Measure the gradient up to N tokens back; without RUN, also the delay of the recall task  "
            "[1-4096, default 200, without RUN 100]",
        ),
    ] = None,
    at: Annotated[
        int | None,
        option("--at", metavar="N", help="List the tokens that the prediction of token N leans on  [0 or more]"),
    ] = None,
    clip: Annotated[
        float | None,
        option(
            "--clip",
            metavar="NORM",
            help="Without RUN, clip gradients to this norm; inf for none  [above 0, default 1]",
        ),
    ] = None,
    forget_bias: Annotated[
        float | None,
        option(
            "--forget-bias",
            metavar="B",
            help="Without RUN, start the LSTM's forget gate with this bias  [-100 to 100, default 1]",
        ),
    ] = None,
    picture: Annotated[
        Path | None, option("--picture", metavar="FILE", help="Draw the gradient by lag as .png or .svg")
    ] = None,
    json: Json = False,
) -> None:
    """Show how far back a network looks: the gradient of a loss with respect to each earlier input.

    Of a run it is averaged over 256 tokens of its validation part or of a file. Without a run the three cells are
    trained on the recall task, in which the first symbol must be repeated after 100 tokens of distraction: the gradient
    of the plain RNN vanishes.
    """
    from gen.cli.gradient import probe_recall, probe_runs

    if not gradient:
        raise SettingError("gen probe: nothing to show", hint="--gradient")
    if run is None:
        refuse({"beside": tuple(beside or ()), "at": at}, "only for a RUN")
        probe_recall(
            delay=lags,
            clip=1.0 if clip is None else clip,
            forget_bias=1.0 if forget_bias is None else forget_bias,
            picture=picture,
            as_json=json,
        )
        return
    refuse({"clip": clip, "forget-bias": forget_bias}, "only without a RUN, which is already trained")
    probe_runs([run, *(beside or ())], file, lags=lags, at=at, picture=picture, as_json=json)
