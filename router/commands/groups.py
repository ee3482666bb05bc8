"""Groups of commands with one that is meant when none is named: `router rooms` is `router rooms list`.

So a thing that is called like a command has to be spelled out: `router participants list remove`.
"""

from typing import ClassVar

import typer
from typer.core import TyperGroup


class ListGroup(TyperGroup):
    """Means `list` where no command is named."""

    meant: ClassVar[str] = "list"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Puts the command that is meant in front."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [self.meant, *args]
        return super().parse_args(ctx, args)


class CreateGroup(ListGroup):
    """Means `create`."""

    meant: ClassVar[str] = "create"
