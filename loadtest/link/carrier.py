"""The process between two TUN devices: `python -m loadtest.link.carrier NEAR_FD FAR_FD SEED`.

A process of its own, so that no work of a benchmark or a browser's driver holds packets up. It takes a command a line
on stdin and answers on stdout, in JSON: {"shapes": {"near": {…}}} for what a side sends, "trace" for what passed since
the last time, "counts" for what was dropped, "use" for what each side's direction did since the last time. It ends with
its stdin.
"""

import json
import os
import select
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict

from loadtest.link.schedule import Direction, Shape
from loadtest.link.trace import Seen, Side, parse_kind
from router.clock import monotonic_us

MTU = 1500
BATCH = 64
MAX_TRACE = 200_000


class Carrier:
    """Both directions and their devices."""

    def __init__(self, near: int, far: int, seed: int) -> None:
        self._devices: dict[Side, int] = {"near": near, "far": far}
        self._directions: dict[Side, Direction] = {
            "near": Direction(Shape(), seed),
            "far": Direction(Shape(), seed + 1),
        }
        self._trace: deque[Seen] = deque(maxlen=MAX_TRACE)

    def run(self) -> None:
        """Carries until stdin ends."""
        # A packet that is due must not wait for a browser's time slice. Containers may refuse.
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for device in self._devices.values():
            os.set_blocking(device, False)
        commands = sys.stdin.fileno()
        waiting = [*self._devices.values(), commands]
        while True:
            # select, not epoll: its timeout is exact to microseconds.
            readable, _, _ = select.select(waiting, [], [], self._seconds_left())
            if commands in readable and not self._handle_command():
                return
            for side, device in self._devices.items():
                if device in readable:
                    self._read(side, device)
            self._write_arrived("near", self._devices["far"])
            self._write_arrived("far", self._devices["near"])

    def _seconds_left(self) -> float | None:
        due = [timeout for direction in self._directions.values() if (timeout := direction.poll_timeout()) is not None]
        return max(min(due) - monotonic_us(), 0) / 1e6 if due else None

    def _read(self, side: Side, device: int) -> None:
        for _ in range(BATCH):
            try:
                packet = os.read(device, MTU)
            except BlockingIOError:
                return
            now = monotonic_us()
            self._trace.append(Seen(now, side, *parse_kind(packet), len(packet)))
            self._directions[side].handle_packet(packet, now)

    def _write_arrived(self, side: Side, device: int) -> None:
        direction = self._directions[side]
        while (packet := direction.poll_packet(monotonic_us())) is not None:
            try:
                os.write(device, packet)
            except OSError:
                # The device is down: a wire that is cut loses what is on it.
                direction.dropped_by_loss += 1

    def _handle_command(self) -> bool:
        # One command at a time is under way, so a whole line is there or will be at once.
        line = sys.stdin.readline()
        if not line:
            return False
        command = json.loads(line)
        if command == "trace":
            answer: object = [asdict(seen) for seen in self._trace]
            self._trace.clear()
        elif command == "counts":
            answer = {
                side: {"loss": direction.dropped_by_loss, "queue": direction.dropped_by_queue}
                for side, direction in self._directions.items()
            }
        elif command == "use":
            answer = {side: asdict(direction.take_use()) for side, direction in self._directions.items()}
        else:
            for side, shape in command["shapes"].items():
                self._directions[side].shape = Shape(**shape)
            answer = "shaped"
        print(json.dumps(answer), flush=True)
        return True


if __name__ == "__main__":
    Carrier(*map(int, sys.argv[1:4])).run()
