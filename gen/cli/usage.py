"""Errors of typer about a command line, in our words: `PLACE: WHAT (VALUE)` and a hint."""

import re
from typing import Any

import typer

# Kinds of pydantic's errors, by which typer checks values.
NOT_A_NUMBER = {
    "int_parsing": "not a whole number",
    "int_parsing_size": "not a whole number of this size",
    "int_from_float": "not a whole number",
    "float_parsing": "not a number",
    "bool_parsing": "neither yes nor no",
}


def usage_words(err: typer.TyperException) -> tuple[str, str]:
    """Returns the message and the hint for a command line that typer does not understand."""
    context = getattr(err, "ctx", None)
    command = context.command_path if context is not None else "gen"
    hint = f"{command} --help"
    message = err.message.rstrip(".")
    option = getattr(err, "option_name", None)
    if option is not None:
        return _option_words(err, option, hint)
    place = _place(err, command)
    if type(err).__name__ == "MissingParameter":
        return f"{place}: missing", hint
    value = _rejected(err)
    if value is not None and value["type"] in NOT_A_NUMBER:
        return f"{place}: {NOT_A_NUMBER[value['type']]} ({value['input']})", hint
    if match := re.search(r"'(.*)' is not one of (.*)", message):
        return f"{place}: unknown ({match[1]})", f"choose one of {_bare(match[2])}"
    if match := re.search(r"'(.*)' is not (a valid .*)", message):
        return f"{place}: not {match[2]} ({match[1]})", hint
    if match := re.match(r"No such command '(.*?)'(?:. Did you mean (.*)\?)?$", message):
        return f"{command}: unknown command ({match[1]})", f"did you mean {_bare(match[2])}" if match[2] else hint
    if match := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)$", message):
        return f"{command}: unexpected argument ({match[1]})", hint
    return f"{place}: {message[:1].lower()}{message[1:]}", hint


def _option_words(err: typer.TyperException, option: str, hint: str) -> tuple[str, str]:
    if type(err).__name__ == "NoSuchOption":
        similar = getattr(err, "possibilities", None)
        return f"{option}: unknown option", f"did you mean {', '.join(sorted(similar))}" if similar else hint
    return f"{option}: {'needs a value' if 'requires' in err.message else 'takes no value'}", hint


def _place(err: typer.TyperException, command: str) -> str:
    """Returns the option or argument that is wrong, or else the command."""
    parameter = getattr(err, "param", None)
    if parameter is None:
        return command
    options = [name for name in parameter.opts if name.startswith("--")]
    return options[0] if options else str(parameter.metavar or parameter.name).strip("[].")


def _rejected(err: typer.TyperException) -> dict[str, Any] | None:
    """Returns pydantic's account of a value that it rejected, with `type` and `input`."""
    errors = getattr(err.__cause__, "errors", None)
    return dict(errors()[0]) if callable(errors) else None


def _bare(names: str) -> str:
    return names.replace("'", "")
