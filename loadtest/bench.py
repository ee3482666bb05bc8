"""Many runs: every scenario against every server, side by side, again and again, so that all see the same machine."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest import proc
from loadtest.client import ConnectError
from loadtest.result import Report, Run
from loadtest.run import run_scenario
from loadtest.scenario import Scenario
from loadtest.session import Cores, Notify
from router import _engine

ROOT = Path(__file__).parent.parent


def require_release() -> None:
    """Figures of a debug build are worth nothing."""
    if _engine.build_info()["profile"] != "release":
        raise SystemExit("refusing to measure a debug build of the engine: run `make engine`")


async def run_all(
    scenarios: Sequence[Scenario], servers: Sequence[str], runs: int, cores: Cores, console: Console
) -> list[Run]:
    """All servers in turn, scenario by scenario, `runs` times over. A server that cannot be had is tried once."""
    require_release()
    done: list[Run] = []
    unavailable: dict[tuple[str, str], str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=runs * len(scenarios) * len(servers))
        for number in range(runs):
            for scenario in scenarios:
                for server in servers:
                    start = f"run {number + 1}, {scenario.name}, {server}"
                    progress.update(task, description=start)

                    def notify(what: str, start: str = start) -> None:
                        progress.update(task, description=f"{start}: {what}")

                    reason = unavailable.get((scenario.name, server))
                    if reason is None:
                        run = await _run_once(scenario, server, cores, notify)
                        done.append(run)
                        if run.skipped:
                            unavailable[scenario.name, server] = run.skipped
                            progress.console.print(f"{scenario.name}, {server}: skipped: {run.skipped}", style="yellow")
                    progress.advance(task)
    return done


async def _run_once(scenario: Scenario, server: str, cores: Cores, notify: Notify) -> Run:
    try:
        return await run_scenario(scenario, server, cores, notify)
    except (ConnectError, OSError, RuntimeError, ValueError, TimeoutError) as error:
        # One server that fails does not end a night's measurements.
        reason = f"failed: {type(error).__name__}: {error}"
        return Run(scenario=scenario.name, server=server, version="", started_at="", skipped=reason)


def describe(runs: list[Run], cores: Cores) -> Report:
    """With machine, build and command."""
    info = _engine.build_info()
    return Report(
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        commit=_commit(),
        engine={name: str(value) for name, value in info.items()},
        machine=proc.machine(),
        server_core=cores.server,
        generator_core=cores.generator,
        runs=runs,
    )


def _commit() -> str:
    command = ["git", "-C", os.fspath(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
