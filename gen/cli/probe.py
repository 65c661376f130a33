"""`gen probe`: a look inside a trained network."""

from pathlib import Path
from typing import Annotated

from gen.cli.parameters import Hold, Json, OtherBadBytes, OtherEncoding, OtherUnknown, argument, given, option, refuse


def probe(
    run: Annotated[
        str | None,
        argument(
            metavar="RUN",
            help="Take a run's name, its folder or its file; without it --gradient trains each cell on the recall task",
        ),
    ] = None,
    file: Annotated[
        str, argument(metavar="FILE|valid|test", help="Read this file, or a part that the run kept  [default valid]")
    ] = "valid",
    length: Annotated[
        int | None,
        option(
            "--length",
            metavar="N",
            help="Look at the first N tokens, at fewer if the network is large  [1-100000, default 2000, "
            "with --find 50000, with --knock or --hold 20000]",
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        option("--unit", metavar="L:N", help="Show unit N of layer L, both from 0; may be given several times"),
    ] = None,
    step: Annotated[
        int | None,
        option("--step", metavar="T", help="Print the equations of the units at token T, from 0, with their numbers"),
    ] = None,
    find: Annotated[
        bool, option("--find", help="Find the units that follow quotes, brackets, the place in the line or bar, ...")
    ] = False,
    knock: Annotated[
        list[str] | None,
        option("--knock", metavar="L:N", help="Hold unit N of layer L at its mean, and measure what that costs"),
    ] = None,
    hold: Hold = None,
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
        option(
            "--at",
            metavar="N",
            help="With --gradient, list the tokens that the prediction of token N, from 0, leans on  [0 or more]",
        ),
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
    out: Annotated[
        Path | None,
        option(
            "--out",
            metavar="FILE",
            help="Write a page .html of the 32 best units (at most 2 MB), heat maps .png or .svg, "
            "or a .json of all units (at most 70 MB)",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        option("--picture", metavar="FILE", help="Draw heat maps over tokens, or the gradient by lag, as .png or .svg"),
    ] = None,
    encoding: OtherEncoding = None,
    errors: OtherBadBytes = None,
    unknown: OtherUnknown = "error",
    json: Json = False,
) -> None:
    """Look inside a network while it reads: gates, states, the units that mean something, and the gradient.

    Without options: how often the gates of each layer are shut or open, and the units that move far and stay. With
    --find, units are chosen for each feature of the file on one half of it and scored on the other, beside shuffled
    labels. With --knock or --hold, the bits that holding units costs each class of symbols, beside 50 other units of
    like activity, and a sample of what the network then writes.

    With --gradient, how far back it looks: the gradient of a loss with respect to each earlier input, averaged over 256
    tokens, or over fewer above lag 200. Without a run the three cells are trained on the recall task, in which the
    first symbol must be repeated after 100 tokens of distraction: the gradient of the plain RNN vanishes.
    """
    from gen.cli.gradient import probe_recall, probe_runs
    from gen.cli.probing import ProbeOptions, probe_run
    from gen.errors import SettingError
    from gen.files.pictures import check_picture

    of_reading = {"encoding": encoding, "errors": errors}
    of_overview = {"unit": tuple(unit or ()), "step": step, "find": find, "out": out}
    of_units = of_overview | {"length": length, "knock": tuple(knock or ()), "hold": tuple(hold or ())}
    of_gradient = {"beside": tuple(beside or ()), "lags": lags, "at": at}
    of_training = {"clip": clip, "forget-bias": forget_bias}
    if not gradient:
        refuse(of_gradient | of_training, "only with --gradient")
        if hold:
            refuse(of_overview | {"picture": picture}, "not with --hold, because it shows the network that is not held")
        if run is None:
            raise SettingError("RUN: missing", hint="gen probe RUN FILE, or gen probe --gradient")
        options = ProbeOptions(
            length=length,
            units=tuple(unit or ()),
            step=step,
            is_finding=find,
            knocked=tuple(knock or ()),
            held=tuple(hold or ()),
            files=tuple(path for path in (out, picture) if path is not None),
            is_json=json,
        )
        if picture is not None:
            check_picture(picture)
        probe_run(run, file, options, given(**of_reading) | {"unknown": unknown})
        return
    refuse(of_units | of_reading, "not with --gradient")
    if run is None:
        refuse({"beside": tuple(beside or ()), "at": at, "unknown": unknown != "error" and unknown}, "only for a RUN")
        probe_recall(
            delay=lags,
            clip=1.0 if clip is None else clip,
            forget_bias=1.0 if forget_bias is None else forget_bias,
            picture=picture,
            as_json=json,
        )
        return
    refuse(of_training, "only without a RUN, which is already trained")
    probe_runs([run, *(beside or ())], file, unknown=unknown, lags=lags, at=at, picture=picture, as_json=json)
