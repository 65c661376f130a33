"""The command `gen`: one typer application, one file a command.

Nothing heavy is imported here or at the top of a command's file, so that help is there at once.
"""

from typing import Annotated

import typer

from gen.cli.bench import bench
from gen.cli.command import Command
from gen.cli.corpus import corpus
from gen.cli.eval import evaluate
from gen.cli.export import export
from gen.cli.info import info
from gen.cli.play import play
from gen.cli.sample import sample
from gen.cli.train import train
from gen.version import __version__

EPILOG = "Examples:\n\n\b\ngen train shakespeare --run demo --minutes 3\ngen sample demo --prompt 'ROMEO:'"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"gen {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=EPILOG)
def gen(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit"),
    ] = False,
) -> None:
    """Train recurrent networks on text and MIDI, and stream what they write."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add(function: object, name: str, *examples: str) -> None:
    """Adds a command; its help ends with commands that run."""
    app.command(name, cls=Command, epilog="Examples:\n\n\b\n" + "\n".join(examples))(function)  # type: ignore[type-var]


_add(
    train,
    "train",
    "gen train shakespeare --run plays --minutes 3",
    "gen train chorales --run tunes --cell gru --hidden 512 --epochs 20",
)
_add(
    sample,
    "sample",
    "gen sample plays --prompt 'ROMEO:' --temperature 0.8",
    "gen sample tunes --num-samples 4 --out tune.mid",
)
_add(play, "play", "gen play tunes", "gen play tunes --port FLUID --input Keystation --temperature 0.9")
_add(evaluate, "eval", "gen eval plays valid", "gen eval plays shakespeare --context 256 --json")
_add(info, "info", "gen info plays", "gen info checkpoints/plays/model.safetensors --json")
_add(corpus, "corpus", "gen corpus", "gen corpus chorales --json")
_add(export, "export", "gen export tune-1.mid --out tune.json", "gen export tune.json --out tune.png")
_add(bench, "bench", "gen bench", "gen bench --cell gru --hidden 1024 --num-samples 1 --json")
