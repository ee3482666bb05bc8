"""A frame of `router top` from readings that no router on loopback gives: losses, several nodes, hostile names."""

import dataclasses
import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from router.commands.top_reading import NodeReading, Reading
from router.commands.top_view import view


def room(name: str, **figures: Any) -> dict[str, Any]:
    return {"name": name, "participants": 3, "tracks": 6, "figures": {"bitrate_in": 2_500_000, **figures}}


def node(id_: str, load: float) -> dict[str, Any]:
    return {"id": id_, "state": "serving", "load": load, "rooms": 1, "participants": 3, "here": id_ == "N_1"}


def draw(reading: Reading, height: int | None = None, width: int = 110, **options: Any) -> list[str]:
    out = io.StringIO()
    chosen = {"sort": "p", "backwards": False, **options}
    console = Console(file=out, width=width, markup=False, highlight=False)
    console.print(view(reading, width=width, height=height, **chosen))
    return [line.rstrip() for line in out.getvalue().splitlines()]


READING = Reading(
    "http://a:1",
    "1.0",
    "draining",
    "redis down",
    NodeReading(load=0.5, bits_out=3e9, forward_p99_s=0.0025, limited={"bandwidth": 4}),
    (room("tea\x1b[2J", loss_in=0.031, round_trip_time=0.042, limited=2), room("coffee")),
    9,
    6,
    (node("N_1", 0.5), node("N_2", 0.07)),
)


def test_a_frame() -> None:
    lines = draw(READING)
    assert lines[0] == "fork-router 1.0 at http://a:1  draining  9 rooms  6 participants  store redis down"
    assert "█" * 10 + "░" * 10 + " 50%" in lines[1]
    assert "out 3.00 Gbit/s" in lines[1]
    assert "forwarded within 2.5 ms (p99)" in lines[2]
    assert lines[2].endswith("limited slots: bandwidth 4")
    assert next(line for line in lines if line.startswith("N_2")).split()[:3] == ["N_2", "serving", "7%"]
    tea = next(line for line in lines if line.startswith("tea"))
    assert tea.split()[0] == "tea\N{REPLACEMENT CHARACTER}[2J"
    assert tea.split()[-4:] == ["3.1%", "42", "ms", "2"]
    assert lines[-1] == "7 more"


def test_a_low_window_keeps_its_last_line() -> None:
    lines = draw(READING, height=7, sort="n", backwards=True)
    assert len(lines) <= 7
    assert next(line for line in lines if line.startswith(("tea", "coffee"))).startswith("coffee")
    assert lines[-1].startswith("8 more  by name, reversed")


def test_a_problem_takes_the_place_of_the_state() -> None:
    assert draw(READING, problem="router not reachable")[0].endswith("router not reachable")
    assert draw(READING, width=30, height=12, problem="router not reachable")[1] == "router not reachable"


@pytest.mark.parametrize(("width", "height"), [(200, 50), (80, 24), (60, 16), (40, 12), (30, 8)])
def test_figures_that_do_not_fit_are_left_out_whole(width: int, height: int) -> None:
    lines = draw(READING, height=height, width=width)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert [line for line in lines[1:-1] if "…" in line] == []
    header = next(line for line in lines if line.startswith("room "))
    assert ("people" in header, "rtt" in header) == (True, width >= 110)
    assert next(line for line in lines if line.startswith("tea")).split()[1] == "3"
    assert "q quit" in lines[-1] or width < 40


def test_a_long_name_leaves_the_figures_whole() -> None:
    long = dataclasses.replace(READING, rooms=(room("茶" * 60, loss_out=0.031),), nodes=())
    line = draw(long, height=12, width=40)[-2]
    assert line.startswith("茶茶茶茶茶茶茶")
    assert line.split()[-1] == "3"
