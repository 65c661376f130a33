"""Options and arguments as all commands declare them: the help line itself names range and default."""

from functools import partial

import typer

option = partial(typer.Option, show_default=False)
argument = partial(typer.Argument, show_default=False)
