"""What goes wrong between a command and a router, each with the exit code that scripts may rely on.

| code | meaning |
|---|---|
| 0 | done |
| 1 | something failed |
| 2 | the command line or the configuration is wrong |
| 3 | the router does not answer |
| 4 | the token is refused, or gives no right to this |
| 5 | no such room, participant, track |
| 6 | the state does not allow it: it exists already, or was changed meanwhile |
| 7 | later: too many requests, a cap, draining |
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from router.errors import RouterError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_REFUSED: Final = 4
EXIT_UNKNOWN: Final = 5
EXIT_CONFLICT: Final = 6
EXIT_LATER: Final = 7
EXIT_INTERRUPTED: Final = 130

EXIT_OF_STATUS: Final[Mapping[int, int]] = MappingProxyType(
    {
        400: EXIT_USAGE,
        401: EXIT_REFUSED,
        403: EXIT_REFUSED,
        404: EXIT_UNKNOWN,
        409: EXIT_CONFLICT,
        412: EXIT_CONFLICT,
        422: EXIT_USAGE,
        428: EXIT_CONFLICT,
        429: EXIT_LATER,
        503: EXIT_LATER,
    }
)


class AdminError(RouterError):
    """The admin API refused, or did not answer."""

    default_slug = "admin-api"

    def __init__(self, detail: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(detail)
        self.exit_code = exit_code
