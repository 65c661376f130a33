"""A command that refuses an option given twice, unless the option is a list: typer would let the last one win."""

from typing import Any

from typer.core import TyperCommand, TyperOption

from gen.errors import SettingError


class Command(TyperCommand):
    """A command of `gen`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses a command line. Raises SettingError if an option that takes one value is given twice."""
        given = list(args)  # parsing uses the list up
        left = super().parse_args(ctx, args)
        for option, values in self._values(ctx, given):
            if len(values) > 1:
                times = "twice" if len(values) == 2 else f"{len(values)} times"
                raise SettingError(f"{option.opts[0]}: given {times} ({', '.join(values)})")
        return left

    def _values(self, ctx: Any, args: list[str]) -> list[tuple[TyperOption, list[str]]]:
        """Returns the options that take one value, each with all values that were given, or the names of a flag."""
        options = [param for param in self.params if isinstance(param, TyperOption) and not param.multiple]
        parser = self.make_parser(ctx)
        for option in options:
            for name in (*option.opts, *option.secondary_opts):
                action = "append_const" if option.is_flag else "append"
                parser.add_option(option, [name], option.name, action=action, const=name)
        values, _, _ = parser.parse_args(args)
        return [(option, values.get(option.name, [])) for option in options]
