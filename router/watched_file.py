"""A file that is read again when it changes, such as a Secret that Kubernetes mounts (it swaps a symbolic link).

Looked at once a second by its status alone. A file that cannot be read, or whose text is refused, is logged and changes
nothing; it is tried again when it changes once more.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from router.errors import ConfigError

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
MAX_BYTES: Final = 65_536

Signature = tuple[int, int, int]


class WatchedFile:
    """One file and what is done with its text."""

    def __init__(self, key: str, path: Path, take: Callable[[str], None]) -> None:
        """`key` names the setting. `take` gets the text, and raises `ConfigError` for one that will not do."""
        self._key = key
        self._path = path
        self._take = take
        self._taken: Signature | None = None
        self._task: asyncio.Task[None] | None = None

    def read(self) -> None:
        """Takes the text as it is now, or `ConfigError` that names the setting."""
        self._taken = self._look()
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            text = data.decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"{self._key} is {str(self._path)!r}: cannot be read ({reason})") from None
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{self._key} is {str(self._path)!r}: longer than {MAX_BYTES} bytes")
        self._take(text)

    def read_if_changed(self) -> bool:
        """Whether there was something new, and it was taken."""
        if self._look() == self._taken:
            return False
        try:
            self.read()
        except ConfigError as error:
            logger.error("a changed file was refused, the old content stays", extra={"reason": str(error)})
            return False
        logger.info("a changed file was read", extra={"setting": self._key})
        return True

    def start(self) -> None:
        """Looks from now on; for a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="WatchedFile")

    async def close(self) -> None:
        """Looks no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.read_if_changed()

    def _look(self) -> Signature | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns
