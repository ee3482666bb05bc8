"""The aim table: what the router shall reach, and what was measured, beside other servers."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from rich.table import Table

from loadtest.result import Report, Run

OURS = "fork-router"
FLOOR = "floor"
SCENARIOS = ("fan-out-100", "fan-out-300", "all-to-all-10", "audio-300", "knee", "memory", "join-storm", "growth")
"""What the table needs, in the order in which it is run."""
SERVERS = (OURS, FLOOR, "janus", "janus-1", "livekit", "pulsebeam")
"""Those compared, unless others are named."""
ABOUT_US = {"memory", "join-storm", "growth"}
"""Rows that are aims of ours alone, and take long."""
Read = Callable[[Run], float | None]


def leaves_out(scenario: str, server: str) -> bool:
    """Whether a scenario is not run against a server, unless all rows are wanted."""
    return scenario in ABOUT_US and server != OURS and not (scenario == "growth" and server == FLOOR)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    title: str
    scenario: str
    read: Read
    aim: float
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"
    over_floor: bool = False
    """Divided by the floor's."""

    def is_reached(self, value: float) -> bool:
        """Whether the aim is."""
        return value <= self.aim if self.better == "lower" else value >= self.aim


@dataclass(frozen=True, slots=True)
class Cell:
    """One server's median, and how many of its runs were inconclusive."""

    value: float | None
    runs: int
    inconclusive: int


def field(part: str, path: str, factor: float = 1.0) -> Read:
    """Reads a figure of a part of a run (`knee`, `memory`, `joins`) that may be missing."""

    def read(run: Run) -> float | None:
        found = getattr(run, part)
        value = None if found is None else attrgetter(path)(found)
        return None if value is None else float(value) * factor

    return read


def cpu_per_packet(run: Run) -> float | None:
    """Of the first step."""
    return run.steps[0].server_cpu_us_per_packet if run.steps else None


def _growth(run: Run) -> float | None:
    if len(run.steps) < 2:
        return None
    return 100 * (run.steps[-1].server_cpu_us_per_packet / run.steps[0].server_cpu_us_per_packet - 1)


ROWS = (
    Row("CPU per packet, 1 to 100 video", "fan-out-100", cpu_per_packet, 2.0, "us"),
    Row("times the floor", "fan-out-100", cpu_per_packet, 1.3, over_floor=True),
    Row("CPU per packet, 1 to 300 video", "fan-out-300", cpu_per_packet, 2.0, "us"),
    Row("times the floor", "fan-out-300", cpu_per_packet, 1.3, over_floor=True),
    Row("CPU per packet, 10 x 10", "all-to-all-10", cpu_per_packet, 2.0, "us"),
    Row("CPU per packet, 1 to 300 audio", "audio-300", cpu_per_packet, 4.0, "us"),
    Row(
        "packets/s of one core, loss < 0.1 %",
        "knee",
        field("knee", "packets_per_s"),
        450_000,
        better="higher",
    ),
    Row("delay at half load, p50", "knee", field("knee", "at_half.latency.p50_us", 0.001), 0.2, "ms"),
    Row("delay at half load, p99", "knee", field("knee", "at_half.latency.p99_us", 0.001), 1.0, "ms"),
    Row("delay at 90 %, p99", "knee", field("knee", "at_ninety.latency.p99_us", 0.001), 5.0, "ms"),
    Row("memory of an idle peer", "memory", field("memory", "idle_peer_kib"), 40, "KiB"),
    Row("memory of a receiver", "memory", field("memory", "active_receiver_kib"), 60, "KiB"),
    Row(
        "memory of a further subscription",
        "memory",
        field("memory", "further_subscription_kib"),
        1,
        "KiB",
    ),
    Row(
        "joins by a core's second",
        "join-storm",
        field("joins", "per_server_core_s"),
        400,
        better="higher",
    ),
    Row("growth of CPU per packet, 10 to 10,000", "growth", _growth, 10, "%"),
)


def inconclusive_of(run: Run) -> list[str]:
    """Reasons of all its parts; of a knee only those at the knee itself."""
    reasons = [reason for step in run.steps for reason in step.inconclusive]
    if run.knee:
        if run.knee.limited_by != "server":
            reasons.append(f"the knee was limited by the {run.knee.limited_by}")
        reasons += run.knee.at_half.inconclusive
    if run.joins:
        reasons += run.joins.inconclusive
    return list(dict.fromkeys(reasons))


def cell(report: Report, row: Row, server: str) -> Cell:
    """The median of the runs that have the figure; conclusive ones only, if there are any."""
    runs = [run for run in report.runs if (run.scenario, run.server) == (row.scenario, server)]
    found = [(value, bool(inconclusive_of(run))) for run in runs if (value := row.read(run)) is not None]
    good = [value for value, doubtful in found if not doubtful]
    values = good or [value for value, _ in found]
    value = statistics.median(values) if values else None
    if row.over_floor and value is not None and server != FLOOR:
        base = cell(report, row, FLOOR).value
        value = value / base if base else None
    return Cell(value, len(found), sum(doubtful for _, doubtful in found))


def servers_of(report: Report) -> list[str]:
    """In the order in which they were named."""
    return list(dict.fromkeys(run.server for run in report.runs))


def rows_of(report: Report) -> list[Row]:
    """Those whose scenario was run."""
    scenarios = {run.scenario for run in report.runs}
    return [row for row in ROWS if row.scenario in scenarios]


def write_value(value: float | None, unit: str) -> str:
    """With as many digits as mean something."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")


def write_cell(row: Row, found: Cell, server: str) -> str:
    """The value, `?` where all runs were inconclusive, and for us whether the aim is reached."""
    unit = "" if row.over_floor else row.unit
    if row.over_floor and server == FLOOR:
        return "1"
    text = write_value(found.value, unit)
    if found.value is not None and found.inconclusive == found.runs:
        text += " ?"
    if server == OURS and found.value is not None:
        text += "  pass" if row.is_reached(found.value) else "  miss"
    return text


def render(report: Report) -> Table:
    """For a terminal."""
    servers = servers_of(report)
    table = Table(title="Median of all runs; ? = every run was inconclusive")
    table.add_column("")
    table.add_column("aim", justify="right")
    for server in servers:
        table.add_column(server, justify="right")
    for row in rows_of(report):
        sign = "<=" if row.better == "lower" else ">="
        cells = [write_cell(row, cell(report, row, server), server) for server in servers]
        table.add_row(row.title, f"{sign} {write_value(row.aim, row.unit)}", *cells)
    return table


def remarks(report: Report) -> list[str]:
    """What was skipped, and why runs were inconclusive, each once."""
    found: dict[str, None] = {}
    for run in report.runs:
        place = f"{run.scenario}, {run.server}"
        if run.skipped:
            found[f"{place}: skipped: {run.skipped}"] = None
    counted: dict[tuple[str, str], Sequence[str]] = {}
    for run in report.runs:
        reasons = inconclusive_of(run)
        if reasons:
            counted[run.scenario, run.server] = reasons
    found |= {
        f"{scenario}, {server}: inconclusive: {'; '.join(why)}": None for (scenario, server), why in counted.items()
    }
    return list(found)
