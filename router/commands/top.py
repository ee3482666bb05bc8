"""`router top`: a live view of a router in the terminal. Elsewhere than on a terminal it prints one frame and leaves.

Reading is done by a thread, so that a router that is slow to answer holds up no key. A router that goes away is told
of and waited for; one that does not answer at the start is an error.
"""

import math
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
from router.tables import print_json, print_rich, terminal_width

if TYPE_CHECKING:
    from router.commands.top_reading import Reader, Reading

QUIT: Final = frozenset("qQ\x03\x04")
SUSPEND: Final = "\x1a"
PIPE_WIDTH: Final = 200
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
        frame = asdict(reading)
        if frame["node"]["forward_p99_s"] == math.inf:  # JSON has none
            frame["node"]["forward_p99_s"] = None
        print_json(frame)
        return
    from router.commands.top_view import view

    width = terminal_width() or PIPE_WIDTH
    print_rich(view(reading, sort=sort, backwards=False, width=width, height=None), width)


@dataclass(slots=True)
class State:
    """What the frame is made from; the reading thread writes the first two, the keys the others."""

    reading: "Reading"
    problem: str = ""
    sort: str = "p"
    backwards: bool = False

    def press(self, key: str) -> bool:
        """Whether to go on after a key."""
        from router.commands.top_reading import SORTS

        if key in QUIT:
            return False
        if key in SORTS:
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
        self._ended_by = 0
        """A signal."""
        self._awake, self._wake_up = os.pipe()
        os.set_blocking(self._wake_up, False)

    def run(self) -> None:
        """Blocks."""
        threading.Thread(target=self._read, name="top", daemon=True).start()
        while self._show():
            signal.raise_signal(signal.SIGTSTP)  # the shell has the terminal, as it was, until it sends SIGCONT
        self._ended.set()
        self._hurry.set()
        if self._ended_by:
            sys.exit(128 + self._ended_by)

    def _show(self) -> bool:
        """Until somebody leaves, or stops it for now: True."""
        from rich.console import Console
        from rich.live import Live

        console = Console(markup=False, highlight=False)
        with (
            self._catch_signals(),
            _single_keys(sys.stdin.fileno()),
            Live(
                self._draw(console), console=console, screen=True, auto_refresh=False, vertical_overflow="crop"
            ) as live,
        ):
            while (goes_on := self._wait()) is None:
                live.update(self._draw(console), refresh=True)
        return goes_on

    def _draw(self, console: Any) -> Any:
        from router.commands.top_view import view

        state = self._state
        return view(
            state.reading,
            sort=state.sort,
            backwards=state.backwards,
            width=console.size.width,
            height=console.size.height,
            problem=state.problem,
        )

    def _wait(self) -> bool | None:
        """Until there is something to draw; False to leave, True to stop for now."""
        stdin = sys.stdin.fileno()
        ready, _, _ = select.select([stdin, self._awake], [], [])
        if self._awake in ready:
            os.read(self._awake, 4096)
        if self._ended_by:
            return False
        if stdin in ready:
            keys = os.read(stdin, 64).decode(errors="replace")
            self._hurry.set()
            if SUSPEND in keys:
                return True
            if not keys or not all(self._state.press(key) for key in keys):
                return False
        return None

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

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGWINCH:
            self._ended_by = number
        self._notify()

    @contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """Resizes are drawn; who ends it from outside gets a terminal that is as it was."""
        numbers = (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _single_keys(terminal: int) -> Iterator[None]:
    """Keys come one by one and unseen, Ctrl-Z as one of them."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    ours = termios.tcgetattr(terminal)
    ours[6][termios.VSUSP] = os.fpathconf(terminal, "PC_VDISABLE").to_bytes()
    termios.tcsetattr(terminal, termios.TCSANOW, ours)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
