"""`gen sample`: a stream of text or notes, or files."""

from pathlib import Path
from typing import Annotated, Literal

from gen.cli.parameters import (
    Beam,
    Hold,
    Key,
    MinP,
    OptionalTemperature,
    RunName,
    SoundFont,
    TopK,
    TopP,
    given,
    option,
    parse_held_units,
    parse_length,
    refuse,
)
from gen.config import SamplingConfig


def sample(
    run: RunName,
    prompt: Annotated[
        str | None, option("--prompt", metavar="TEXT", help="Go on from this text; of pairs, the source")
    ] = None,
    prompt_file: Annotated[
        Path | None,
        option("--prompt-file", metavar="FILE", help="Go on from a file, - for stdin: text, or MIDI for a music model"),
    ] = None,
    from_bar: Annotated[
        int | None, option("--from-bar", metavar="N", help="Go on where bar N of the .mid begins  [1 or more]")
    ] = None,
    length: Annotated[
        str | None,
        option(
            "--length",
            metavar="N",
            help="Draw at most this many tokens; inf: one endless stream  [0 or more, default 1000]",
        ),
    ] = None,
    min_length: Annotated[
        int,
        option(
            "--min-length",
            metavar="N",
            help="Let a sample end by itself only after this many tokens  [0 to --length, default 0]",
        ),
    ] = 0,
    temperature: OptionalTemperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    repetition_penalty: Annotated[
        float,
        option(
            "--repetition-penalty", metavar="R", help="Divide the odds of recent tokens  [above 0 to 100, default 1]"
        ),
    ] = 1.0,
    seed: Annotated[
        int | None,
        option("--seed", metavar="N", help="Seed the draws; the same seed writes the same  [default random]"),
    ] = None,
    num_samples: Annotated[
        int, option("--num-samples", metavar="N", help="Write this many samples  [1-65536, default 1]")
    ] = 1,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        option(
            "--precision",
            help="Compute in this precision; int8 on a CPU, or fp16 on a GPU, is faster; gen eval measures its loss  "
            "[default fp32; fp16 on CUDA]",
        ),
    ] = None,
    beam: Beam = None,
    label: Annotated[str | None, option("--label", metavar="NAME", help="Write in the manner of this label")] = None,
    density: Annotated[
        str | None,
        option(
            "--density",
            metavar="D",
            help='Ask for notes a second, one value or points in seconds: "0:2 30s:8"; rounded to one in the corpus',
        ),
    ] = None,
    key: Key = None,
    hold: Hold = None,
    stop: Annotated[
        list[str] | None,
        option("--stop", metavar="TEXT", help="Stop before this text would be written; of several, before the first"),
    ] = None,
    no_prompt: Annotated[bool, option("--no-prompt", help="Leave out the prompt; music then begins at 0")] = False,
    out: Annotated[
        Path | None,
        option(
            "--out", metavar="FILE", help="Write a file; its suffix chooses: .txt .mid .wav .png .svg .json (token ids)"
        ),
    ] = None,
    soundfont: SoundFont = None,
    adapt: Annotated[
        Path | None,
        option("--adapt", metavar="FILE", help="Learn from a file first, text or MIDI; the run itself stays as it is"),
    ] = None,
    surprise: Annotated[
        bool, option("--surprise", help="Show what each character cost: in colours, or as bits below each line")
    ] = False,
    roll: Annotated[bool, option("--roll", help="Show music as a piano roll that scrolls while it is drawn")] = False,
    stats: Annotated[
        bool, option("--stats", help="End with a line on stderr: tokens, seconds, tokens/s, bits, seed")
    ] = False,
) -> None:
    """Stream text or notes from a run, or write them to files.

    Each piece is printed as it is drawn, the prompt first. Several samples are drawn side by side and printed one after
    the other; with --out they get -1, -2, ... before the suffix. In a .mid, .wav or picture a primer stays as it is,
    note for note, in its own tracks. A run of pairs writes the target of the prompt, the source. A character costs
    -log p under the model, before temperature and filters.
    """
    from gen.cli.prompt import PromptOptions
    from gen.cli.sampling import Output, write_samples
    from gen.cli.translating import TargetOptions, is_of_pairs, write_targets
    from gen.runs.request import DEFAULT_LENGTH, SampleSettings

    if is_of_pairs(run):
        unsuited = {
            "prompt-file": prompt_file,
            "from-bar": from_bar,
            "precision": precision if precision != "fp32" else None,
            "label": label,
            "density": density,
            "key": key,
            "hold": tuple(hold or ()),
            "stop": tuple(stop or ()),
            "no-prompt": no_prompt,
            "out": out,
            "soundfont": soundfont,
            "roll": roll,
            "adapt": adapt,
            "surprise": surprise,
        }
        refuse(unsuited)
        of_draws = (temperature, top_k, top_p, min_p, repetition_penalty, parse_length(length), min_length, seed)
        write_targets(run, prompt, TargetOptions(*of_draws, num_samples, beam, stats))
        return
    refuse({"beam": beam}, "only for a run of pairs")
    sampling = SamplingConfig(1.0 if temperature is None else temperature, top_k, top_p, min_p, repetition_penalty)
    write_samples(
        run,
        PromptOptions(prompt, prompt_file, from_bar),
        SampleSettings(
            length=parse_length(length, default=DEFAULT_LENGTH),
            sampling=sampling,
            seed=seed,
            label=label,
            num_samples=num_samples,
            precision=precision,
            controls=given(density=density, key=key),
            min_length=min_length,
        ),
        parse_held_units(hold or ()),
        Output(
            stops=tuple(stop or ()),
            has_prompt=not no_prompt,
            file=out,
            font=soundfont,
            is_rolling=roll,
            is_counted=stats,
            is_costed=surprise,
            adapt=adapt,
        ),
    )
