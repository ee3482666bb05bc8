"""Stops asking somebody who does not answer, and tries again soon.

After some failures in a row calls are refused at once; when the pause is over one call may try, and its end decides.
The pause doubles up to a limit that is short, so that a Redis that came back is in use again within seconds.
"""

from typing import Final

FAILURES: Final = 5
FIRST_PAUSE_US: Final = 250_000
MAX_PAUSE_US: Final = 500_000


class Breaker:
    """Whether a call may be made now.

    >>> breaker = Breaker()
    >>> for _ in range(FAILURES): breaker.fail(0)
    >>> breaker.admit(1), breaker.admit(FIRST_PAUSE_US), breaker.admit(FIRST_PAUSE_US)
    (False, True, False)
    """

    def __init__(self) -> None:
        self._failures = 0
        self._pause_us = FIRST_PAUSE_US
        self._open_until_us: int | None = None
        self._trying_until_us = 0

    def admit(self, now_us: int) -> bool:
        """Whether a call may be made; where it is a trial, those after it have to wait for its end."""
        if self._open_until_us is None:
            return True
        if now_us < self._open_until_us or now_us < self._trying_until_us:
            return False
        # A trial whose caller was cancelled says nothing: the next one may come after another pause.
        self._trying_until_us = now_us + MAX_PAUSE_US
        return True

    def succeed(self) -> None:
        """A call was answered."""
        self._failures = 0
        self._pause_us = FIRST_PAUSE_US
        self._open_until_us = None
        self._trying_until_us = 0

    def fail(self, now_us: int) -> None:
        """A call was not answered."""
        self._failures += 1
        if self._failures < FAILURES:
            return
        self._open_until_us = now_us + self._pause_us
        self._trying_until_us = 0
        self._pause_us = min(2 * self._pause_us, MAX_PAUSE_US)
