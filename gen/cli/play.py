"""`gen play`: a music model plays live."""

from pathlib import Path
from typing import Annotated

from gen.cli.parameters import Key, MinP, Temperature, TopK, TopP, argument, given, option, parse_length
from gen.config import SamplingConfig


def play(
    run: Annotated[
        str | None, argument(metavar="RUN", help="Take a run's name, its folder, or a model.safetensors")
    ] = None,
    port: Annotated[
        str | None,
        option("--port", metavar="NAME", help="Play to this MIDI port; a part of its name is enough  [the only one]"),
    ] = None,
    input_: Annotated[
        str | None,
        option(
            "--input",
            metavar="NAME",
            help="Let this port's modulation wheel (CC 1) set the temperature, 0 to 2, and its CC 74 the density",
        ),
    ] = None,
    is_list: Annotated[bool, option("--list", help="List the MIDI ports and exit")] = False,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    seed: Annotated[
        int | None,
        option("--seed", metavar="N", help="Seed the first piece; each next one has the next seed  [default random]"),
    ] = None,
    label: Annotated[str | None, option("--label", metavar="NAME", help="Play in the manner of this label")] = None,
    density: Annotated[
        str | None,
        option(
            "--density",
            metavar="D",
            help='Ask for notes a second until a knob sets them: one value, or points in seconds: "0:2 30s:8"',
        ),
    ] = None,
    key: Key = None,
    prompt_file: Annotated[
        Path | None,
        option("--prompt-file", metavar="FILE", help="Play this .mid first, - for stdin, and go on from it"),
    ] = None,
    length: Annotated[
        str,
        option("--length", metavar="N", help="Draw at most this many tokens; inf for no limit  [default inf]"),
    ] = "inf",
    look_ahead: Annotated[
        float,
        option(
            "--look-ahead",
            metavar="SECONDS",
            help="Draw this far ahead of the sound; with less, knobs act sooner  [0.1-60, default 1]",
        ),
    ] = 1.0,
) -> None:
    """Play the notes of a music model to a MIDI port as they are drawn.

    One piece follows the other until Ctrl-C or --length. Without --port it plays to the only port of the machine; if
    there is none, to a virtual port called gen, to which a synthesiser can be connected. On a terminal the arrow keys
    steer: up and down the temperature, right and left the density, if the run was trained with --controls density.
    """
    from gen.cli.playing import Stage, list_ports, play_live
    from gen.cli.prompt import PromptOptions
    from gen.runs.request import SampleSettings

    if is_list:
        list_ports()
        return
    play_live(
        run,
        PromptOptions(file=prompt_file),
        SampleSettings(
            length=parse_length(length),
            sampling=SamplingConfig(temperature, top_k, top_p, min_p),
            seed=seed,
            label=label,
            controls=given(density=density, key=key),
        ),
        Stage(port, input_, look_ahead),
    )
