"""Many runs: every scenario against every server, side by side, again and again, so that all see the same machine."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

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


@dataclass(slots=True)
class Bench:
    """Which runs, where, and what is told while they go on. `keep` is called after each, with all that are done."""

    scenarios: Sequence[Scenario]
    servers: Sequence[str]
    runs: int
    cores: Cores
    console: Console
    keep: Callable[[list[Run]], None]
    leaves_out: Callable[[str, str], bool] = lambda _scenario, _server: False
    """Whether a scenario is not for a server."""
    done: list[Run] = field(default_factory=list)
    _unavailable: dict[tuple[str, str], str] = field(default_factory=dict)

    async def run(self) -> list[Run]:
        """All servers in turn, scenario by scenario, again and again. One that cannot be had is tried once."""
        require_release()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        pairs = [(scenario, server) for scenario in self.scenarios for server in self.servers]
        pairs = [(scenario, server) for scenario, server in pairs if not self.leaves_out(scenario.name, server)]
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("", total=self.runs * len(pairs))
            for number in range(self.runs):
                for scenario, server in pairs:
                    await self._run_pair(scenario, server, progress, task, f"run {number + 1}")
        return self.done

    async def _run_pair(self, scenario: Scenario, server: str, progress: Progress, task: TaskID, which: str) -> None:
        start = f"{which}, {scenario.name}, {server}"
        progress.update(task, description=start)
        if not self.console.is_terminal:
            # A log has no bar.
            progress.console.print(start)
        if (scenario.name, server) not in self._unavailable:
            run = await _run_once(
                scenario, server, self.cores, lambda what: progress.update(task, description=f"{start}: {what}")
            )
            self.done.append(run)
            self.keep(self.done)
            if run.skipped:
                self._unavailable[scenario.name, server] = run.skipped
                progress.console.print(f"{scenario.name}, {server}: skipped: {run.skipped}", style="yellow")
        progress.advance(task)


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
