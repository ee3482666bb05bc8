"""Groups of commands with one that is meant when none is named: `router rooms` is `router rooms list`.

So a thing that is called like a command has to be spelled out: `router participants list remove`.
"""

from typing import ClassVar

import typer
from typer.core import TyperArgument, TyperGroup


class ListGroup(TyperGroup):
    """Means `list` where no command is named."""

    meant: ClassVar[str] = "list"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Puts the command that is meant in front."""
        if not self._names_command(ctx, args):
            args = [self.meant, *args]
        return super().parse_args(ctx, args)

    def _names_command(self, ctx: typer.Context, args: list[str]) -> bool:
        if not args:
            return ctx.resilient_parsing  # a shell wants to complete: with the names of commands
        if args[0] in self.commands or args[0] in ctx.help_option_names:
            return True
        # A word that the command which is meant has no use for is a mistyped command.
        takes_words = any(isinstance(parameter, TyperArgument) for parameter in self.commands[self.meant].params)
        return not args[0].startswith("-") and not takes_words


class CreateGroup(ListGroup):
    """Means `create`."""

    meant: ClassVar[str] = "create"
