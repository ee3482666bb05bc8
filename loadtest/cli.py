"""The command `router-loadtest`, also `python -m loadtest`."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loadtest.bench import Bench, describe
from loadtest.report import write_report
from loadtest.result import Report
from loadtest.scenario import Scenario, ScenarioError, load_scenario, scenario_names
from loadtest.servers.registry import ADAPTERS, split_names
from loadtest.session import Cores
from loadtest.table import SCENARIOS, SERVERS, leaves_out, remarks, render, rows_of

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console()
COMPARED = ",".join(SERVERS)
ROWS_RUN = ",".join(SCENARIOS)
RESULTS = Path(__file__).parent / "results"
ServersOption = Annotated[str, typer.Option("--server", "-s", help="names, separated by commas; or all")]
RunsOption = Annotated[int, typer.Option(min=1, help="times that each is run, all in turn")]
SecondsOption = Annotated[
    float | None, typer.Option(min=0.5, help="length of a measurement, instead of the scenario's")
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="folder for JSON, page and plots")]
ServerCoreOption = Annotated[int | None, typer.Option(help="default: the first core")]
GeneratorCoreOption = Annotated[int | None, typer.Option(help="default: the last core")]


def read_servers(text: str) -> list[str]:
    """Checks the names."""
    names = list(ADAPTERS) if text == "all" else split_names(text)
    unknown = [name for name in names if name not in ADAPTERS and not name.startswith("whip:")]
    if unknown:
        raise typer.BadParameter(f"no server {', '.join(unknown)}; there are {', '.join(ADAPTERS)}, and whip:")
    return names


def read_scenarios(names: Sequence[str], seconds: float | None) -> list[Scenario]:
    """Checks the files; an error names file, key and reason."""
    try:
        found = [load_scenario(name) for name in names]
    except ScenarioError as error:
        raise typer.BadParameter(str(error)) from error
    return [scenario.model_copy(update={"seconds": seconds}) if seconds else scenario for scenario in found]


def choose_cores(server: int | None, generator: int | None) -> Cores:
    """Those named, else the first and the last."""
    usual = Cores.choose()
    chosen = Cores(usual.server if server is None else server, usual.generator if generator is None else generator)
    console.print(f"server on core {chosen.server}, generator on core {chosen.generator}")
    if chosen.server is not None and chosen.server == chosen.generator:
        raise typer.BadParameter("server and generator need a core each")
    return chosen


def measure(bench: Bench, out: Path | None) -> None:
    """Runs, prints and writes; the JSON after each run, so that a long night is not lost at its end."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        file = out / "report.json"
        bench.keep = lambda runs: void(file.write_text(describe(runs, bench.cores).model_dump_json(indent=1) + "\n"))
    report = describe(asyncio.run(bench.run()), bench.cores)
    show(report)
    if out:
        console.print(f"written: {write_report(report, out)}")


def void(_value: object) -> None:
    """Nothing."""


def show(report: Report) -> None:
    """The aims, as far as they were measured; every run; and what to doubt."""
    console.print(render_runs(report))
    if rows_of(report):
        console.print(render(report))
    for remark in remarks(report):
        console.print(remark, style="yellow", highlight=False)


def render_runs(report: Report) -> Table:
    """A line for each step."""
    table = Table(
        "scenario", "server", "receivers", "packets/s", "us/packet", "loss", "p50 ms", "p99 ms", "PSS MiB", ""
    )
    for run in report.runs:
        for step in run.steps or ([run.knee.at_half, run.knee.at_ninety] if run.knee else []):
            table.add_row(
                run.scenario,
                run.server,
                f"{step.receivers:,}",
                f"{step.packets_per_s:,.0f}",
                f"{step.server_cpu_us_per_packet:.2f}",
                f"{step.loss:.3%}",
                f"{step.latency.p50_us / 1000:.3f}",
                f"{step.latency.p99_us / 1000:.3f}",
                f"{step.server_pss_kib / 1024:.1f}",
                "inconclusive" if step.inconclusive else "",
            )
        if run.joins:
            figures = f"{run.joins.per_s:.0f} joins/s, {run.joins.server_cpu_ms:.2f} ms of CPU each"
            table.add_row(run.scenario, run.server, str(run.joins.joins), figures, *[""] * 6)
    return table


@app.command("list")
def list_all() -> None:
    """Scenarios and servers."""
    table = Table("scenario", "kind", "what")
    for name in scenario_names():
        scenario = load_scenario(name)
        table.add_row(name, scenario.kind, scenario.title)
    console.print(table)
    console.print("servers: " + ", ".join(ADAPTERS))


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="name, or path of a TOML file; several separated by commas")],
    server: ServersOption = "fork-router",
    runs: RunsOption = 1,
    seconds: SecondsOption = None,
    out: OutOption = None,
    server_core: ServerCoreOption = None,
    generator_core: GeneratorCoreOption = None,
) -> None:
    """Runs scenarios against servers."""
    cores = choose_cores(server_core, generator_core)
    scenarios = read_scenarios(scenario.split(","), seconds)
    measure(Bench(scenarios, read_servers(server), runs, cores, console, void), out)


@app.command()
def table(
    server: ServersOption = COMPARED,
    runs: RunsOption = 5,
    seconds: SecondsOption = None,
    only: Annotated[str, typer.Option(help="scenarios, separated by commas")] = ROWS_RUN,
    out: OutOption = None,
    all_rows: Annotated[bool, typer.Option(help="memory, joins and growth of other servers too")] = False,
    server_core: ServerCoreOption = None,
    generator_core: GeneratorCoreOption = None,
) -> None:
    """The aim table: all rows, all servers, median of all runs, side by side."""
    cores = choose_cores(server_core, generator_core)
    bench = Bench(read_scenarios(only.split(","), seconds), read_servers(server), runs, cores, console, void)
    if not all_rows:
        bench.leaves_out = leaves_out
    measure(bench, out or RESULTS / "latest")


@app.command()
def report(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a report.json")], out: OutOption = None
) -> None:
    """Shows a report again, and writes its page and plots again."""
    read = Report.model_validate_json(file.read_text())
    show(read)
    console.print(f"written: {write_report(read, out or file.parent)}")


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    after: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
) -> None:
    """Two reports side by side, row by row of the aim table."""
    files = {path: Report.model_validate_json(path.read_text()) for path in (before, after)}
    for path, read in files.items():
        console.print(f"{path}: {read.commit}, {read.command}")
        console.print(render(read))


@app.command()
def schema() -> None:
    """The JSON schema of reports."""
    print(json.dumps(Report.model_json_schema(), indent=1))


def main() -> None:
    """The entry point."""
    app()
