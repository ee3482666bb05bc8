"""A report as files: the JSON, a page that needs nothing else, and its plots as SVG files."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from loadtest.result import Report, Run, Step
from loadtest.svg import draw_bars, draw_lines
from loadtest.table import cell, cpu_per_packet, field, remarks, rows_of, servers_of, write_cell, write_value

STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1340px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.plots{display:flex;flex-wrap:wrap}svg{width:640px}"
    "pre{background:#f4f4f4;padding:.6em;overflow-x:auto}.pass{color:#0a7a2f}.miss{color:#b3261e}"
)
CPU_SCENARIOS = ("fan-out-100", "fan-out-300", "all-to-all-10", "audio-300", "webinar", "fan-out-camera")
Series = dict[str, list[tuple[float, float]]]


def write_report(report: Report, folder: Path) -> Path:
    """Everything into one folder; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=1) + "\n")
    plots = draw_plots(report)
    for name, plot in plots.items():
        (folder / f"{name}.svg").write_text(plot)
    page = folder / "report.html"
    page.write_text(render_page(report, plots))
    return page


def draw_plots(report: Report) -> dict[str, str]:
    """By name; only those that have data."""
    by_load = _by_packets(report, lambda step: step.latency.p99_us / 1000)
    drawn = {
        "cpu": _cpu_bars(report),
        "knee": _knee_bars(report),
        "cpu-by-load": _lines(
            "CPU by packets/s",
            ("packets/s", "us per packet"),
            _by_packets(report, lambda step: step.server_cpu_us_per_packet),
        ),
        "latency-by-load": _lines("One-way delay by packets/s, p99", ("packets/s", "ms"), by_load, log_y=True),
        "cpu-by-receivers": _lines(
            "CPU per packet as receivers grow",
            ("receivers", "us per packet"),
            _by_receivers(report, lambda step: step.server_cpu_us_per_packet),
            log_x=True,
        ),
        "memory-by-receivers": _lines(
            "Memory as receivers grow",
            ("receivers", "MiB (PSS)"),
            _by_receivers(report, lambda step: step.server_pss_kib / 1024),
            log_x=True,
        ),
    }
    return {name: plot for name, plot in drawn.items() if plot}


def _lines(title: str, titles: tuple[str, str], series: Series, *, log_x: bool = False, log_y: bool = False) -> str:
    return draw_lines(title, titles, series, log_x=log_x, log_y=log_y) if series else ""


def _cpu_bars(report: Report) -> str:
    groups: dict[str, dict[str, float]] = {}
    for scenario in CPU_SCENARIOS:
        found = _median_by_server(report, scenario, cpu_per_packet)
        if found:
            groups[scenario] = found
    return draw_bars("CPU per forwarded packet (user + system, whole process)", "us", groups) if groups else ""


def _knee_bars(report: Report) -> str:
    found = _median_by_server(report, "knee", field("knee", "packets_per_s"))
    return draw_bars("Packets/s of one core with loss below 0.1 %", "packets/s", {"1 to 100": found}) if found else ""


def _median_by_server(report: Report, scenario: str, read: Callable[[Run], float | None]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for run in report.runs:
        if run.scenario == scenario and (value := read(run)) is not None:
            values[run.server].append(value)
    return {server: statistics.median(found) for server, found in values.items()}


def _medians(values: Mapping[str, Mapping[float, list[float]]]) -> Series:
    return {name: [(x, statistics.median(ys)) for x, ys in line.items()] for name, line in values.items()}


def _by_packets(report: Report, read: Callable[[Step], float]) -> Series:
    """Of the knee's steps, all runs; only rates that were forwarded."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in report.runs:
        if run.knee:
            steps = [*run.knee.steps, run.knee.at_half, run.knee.at_ninety]
            for step in steps:
                if step.loss < 0.01 and step.latency.samples:
                    # Rates differ a little from run to run.
                    found[run.server][float(f"{step.packets_per_s:.2g}")].append(read(step))
    return _medians(found)


def _by_receivers(report: Report, read: Callable[[Step], float]) -> Series:
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in report.runs:
        if len({step.receivers for step in run.steps}) > 1:
            for step in run.steps:
                found[run.server][step.receivers].append(read(step))
    return _medians(found)


def render_page(report: Report, plots: Mapping[str, str]) -> str:
    """The page."""
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    engine = ", ".join(f"{name} {value}" for name, value in report.engine.items())
    versions = dict.fromkeys(f"{run.server} {run.version}" for run in report.runs if run.version)
    facts = [
        f"command: {report.command}",
        f"commit: {report.commit}; engine: {engine}",
        f"machine: {machine}",
        f"server on core {report.server_core}, generator on core {report.generator_core}",
        f"servers: {'; '.join(versions)}",
    ]
    notes = "".join(f"<li>{escape(remark)}</li>" for remark in remarks(report))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>router-loadtest</title><style>{STYLE}</style>'
        f"<h1>router-loadtest</h1><pre>{escape(chr(10).join(facts))}</pre>{_aim_table(report)}"
        f'<div class="plots">{"".join(plots.values())}</div>{_step_table(report)}'
        f"<h2>Skipped and inconclusive</h2><ul>{notes or '<li>nothing</li>'}</ul></html>\n"
    )


def _aim_table(report: Report) -> str:
    servers, rows = servers_of(report), rows_of(report)
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", "aim", *servers))
    body = ""
    for row in rows:
        sign = "≤" if row.better == "lower" else "≥"
        cells = [write_cell(row, cell(report, row, server), server) for server in servers]
        body += f"<tr><td>{escape(row.title)}</td><td>{sign} {write_value(row.aim, row.unit)}</td>"
        body += "".join(
            f'<td class="{text[-4:] if text[-4:] in ("pass", "miss") else ""}">{text}</td>' for text in cells
        )
        body += "</tr>"
    return f"<h2>Aims</h2><table><tr>{head}</tr>{body}</table>"


def _step_table(report: Report) -> str:
    titles = (
        "",
        "receivers",
        "packets/s",
        "us/packet",
        "user",
        "system",
        "loss",
        "p50 ms",
        "p99 ms",
        "max ms",
        "server core",
        "generator core",
        "PSS MiB",
    )
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(_step_row(run, step) for run in report.runs for step in _steps_of(run))
    return f"<h2>All steps</h2><table><tr>{head}</tr>{body}</table>"


def _steps_of(run: Run) -> list[Step]:
    return [*run.steps, *([*run.knee.steps, run.knee.at_half, run.knee.at_ninety] if run.knee else [])]


def _step_row(run: Run, step: Step) -> str:
    cells = (
        f"{run.scenario}, {run.server}" + (" ?" if step.inconclusive else ""),
        f"{step.receivers:,}",
        f"{step.packets_per_s:,.0f}",
        f"{step.server_cpu_us_per_packet:.2f}",
        f"{step.server_user_us_per_packet:.2f}",
        f"{step.server_system_us_per_packet:.2f}",
        f"{step.loss:.4%}",
        f"{step.latency.p50_us / 1000:.3f}",
        f"{step.latency.p99_us / 1000:.3f}",
        f"{step.latency.max_us / 1000:.2f}",
        f"{step.server_core_busy:.0%}",
        f"{step.generator.core_busy:.0%}",
        f"{step.server_pss_kib / 1024:.1f}",
    )
    return "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in cells) + "</tr>"
