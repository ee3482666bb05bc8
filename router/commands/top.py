"""`router top`: a live view of a router in the terminal. Elsewhere than on a terminal it prints one frame and leaves.

Reading is done by a thread, so that a router that is slow to answer holds up no key. A router that goes away is told
of and waited for; one that does not answer at the start is an error.
"""

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from router.commands.errors import AdminError
from router.commands.remote import Remote, on_remote
from router.tables import PIPE_WIDTH, print_json

if TYPE_CHECKING:
    from router.commands.top_reading import Reader, Reading

QUIT: Final = frozenset("qQ\x03\x04")
FIRST_S: Final = 1.0
"""Between the two readings that a single frame needs for its rates."""
Sort = Literal["name", "people", "bitrate", "loss", "quality"]
KEY_OF_SORT: Final = {"name": "n", "people": "p", "bitrate": "b", "loss": "l", "quality": "w"}


@on_remote
def show_top(
    remote: Remote,
    interval: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between readings.")] = 2.0,
    sort: Annotated[Sort, typer.Option(help="Order of the rooms.")] = "people",
    once: Annotated[bool, typer.Option("--once", help="Print one frame and leave.")] = False,
) -> None:
    """Watch load, rooms, bitrates, losses and limited slots live; keys change the order, q leaves."""
    from router.commands.top_reading import Reader

    reader = Reader(remote.client)
    first = reader.read(KEY_OF_SORT[sort])
    if remote.as_json or once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        threading.Event().wait(FIRST_S)
        _print_frame(reader.read(KEY_OF_SORT[sort]), KEY_OF_SORT[sort], as_json=remote.as_json)
        return
    View(reader, first, KEY_OF_SORT[sort], interval).run()


def _print_frame(reading: "Reading", sort: str, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(reading))
        return
    from rich.console import Console

    from router.commands.top_view import view

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(markup=False, highlight=False, width=width)
    console.print(view(reading, sort=sort, backwards=False, height=None))


@dataclass(slots=True)
class State:
    """What the frame is made from; the reading thread writes the first two, the keys the others."""

    reading: "Reading"
    problem: str = ""
    sort: str = "p"
    backwards: bool = False

    def press(self, key: str, sorts: frozenset[str]) -> bool:
        """Whether to go on after a key."""
        if key in QUIT:
            return False
        if key in sorts:
            self.sort = key
        elif key == "r":
            self.backwards = not self.backwards
        return True


class View:
    """The live view, until somebody leaves it."""

    def __init__(self, reader: "Reader", first: "Reading", sort: str, interval_s: float) -> None:
        self._reader = reader
        self._interval_s = interval_s
        self._state = State(first, sort=sort)
        self._ended = threading.Event()
        self._hurry = threading.Event()
        """Somebody pressed a key: read now."""
        self._awake, self._wake_up = os.pipe()
        os.set_blocking(self._wake_up, False)

    def run(self) -> None:
        """Blocks."""
        from rich.console import Console
        from rich.live import Live

        console = Console(markup=False, highlight=False)
        reading = threading.Thread(target=self._read, name="top", daemon=True)
        with (
            self._catch_resizes(),
            _single_keys(sys.stdin.fileno()),
            Live(
                self._draw(console), console=console, screen=True, auto_refresh=False, vertical_overflow="crop"
            ) as live,
        ):
            reading.start()
            while self._wait():
                live.update(self._draw(console), refresh=True)
        self._ended.set()
        self._hurry.set()

    def _draw(self, console: Any) -> Any:
        from router.commands.top_view import view

        state = self._state
        return view(
            state.reading,
            sort=state.sort,
            backwards=state.backwards,
            height=console.size.height,
            problem=state.problem,
        )

    def _wait(self) -> bool:
        """Until there is something to draw; False to leave."""
        from router.commands.top_reading import SORTS

        stdin = sys.stdin.fileno()
        ready, _, _ = select.select([stdin, self._awake], [], [])
        if self._awake in ready:
            os.read(self._awake, 4096)
        if stdin in ready:
            keys = os.read(stdin, 64).decode(errors="replace")
            self._hurry.set()
            return bool(keys) and all(self._state.press(key, frozenset(SORTS)) for key in keys)
        return True

    def _read(self) -> None:
        while not self._ended.is_set():
            self._hurry.wait(self._interval_s)
            self._hurry.clear()
            try:
                self._state.reading, self._state.problem = self._reader.read(self._state.sort), ""
            except AdminError as error:
                self._state.problem = str(error)
            self._notify()

    def _notify(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake_up, b".")

    @contextmanager
    def _catch_resizes(self) -> Iterator[None]:
        before = signal.signal(signal.SIGWINCH, lambda _number, _frame: self._notify())
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)


@contextmanager
def _single_keys(terminal: int) -> Iterator[None]:
    """Keys come one by one and unseen."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
