"""A real Prometheus that scrapes one router under test, with the project's rules in a hurry."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, free_port
from tests.helm.chart import ROOT, find_tool

PROMETHEUS = find_tool("prometheus")
HASTE = 30
"""So many times sooner than in earnest."""
STEP = "1s"
LAG_FOR = "7s"
"""The router remembers a pause of its loop for ten seconds; a scrape during one fails, and `for` begins anew."""
START_TIMEOUT_S = 30.0
_SPAN = re.compile(r"\b(\d+)m\b")


def hurry(text: str) -> str:
    """Rules whose minutes pass as two seconds; hours stay, for they only look back.

    >>> hurry("expr: rate(a[5m]) > 1 and b[6h]\\n for: 2m")
    'expr: rate(a[10s]) > 1 and b[6h]\\n for: 4s'
    """
    sooner = _SPAN.sub(lambda found: f"{int(found[1]) * 60 // HASTE}s", text)
    lag = re.compile(r"(alert: SfuEventLoopLag\n.*?\n +for:) \w+", re.DOTALL)
    return lag.sub(rf"\1 {LAG_FOR}", sooner.replace("interval: 15s", f"interval: {STEP}"))


class Prometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def alerts(self, state: str = "firing") -> set[str]:
        """Names of the alerts in this state now."""
        found = await self._get("/api/v1/alerts")
        return {alert["labels"]["alertname"] for alert in found["alerts"] if alert["state"] == state}

    async def query(self, expression: str) -> list[float]:
        """The values of an instant query."""
        found = await self._get("/api/v1/query", query=expression)
        return [float(sample["value"][1]) for sample in found["result"]]

    async def _get(self, path: str, **parameters: str) -> Any:
        async with httpx.AsyncClient() as client:
            response = await client.get(self._url + path, params=parameters)
            response.raise_for_status()
            return response.json()["data"]


def _configure(folder: Path, router: RouterProcess) -> Path:
    for path in (ROOT / "config" / "prometheus").glob("*.rules.yaml"):
        (folder / path.name).write_text(hurry(path.read_text()))
    config = {
        "global": {"scrape_interval": STEP, "scrape_timeout": STEP, "evaluation_interval": STEP},
        "rule_files": [str(folder / "*.rules.yaml")],
        "scrape_configs": [
            {
                "job_name": "fork-router",
                "authorization": {"credentials": ADMIN_TOKEN},
                "static_configs": [{"targets": [f"{router.address}:{router.admin_port}"]}],
            }
        ],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


@asynccontextmanager
async def run_prometheus(folder: Path, router: RouterProcess) -> AsyncIterator[Prometheus]:
    """Starts it and waits until it is ready; its log is shown when a test failed."""
    assert PROMETHEUS is not None, "looked for before"
    port, log = free_port(), folder / "prometheus.log"
    options = {
        "config.file": _configure(folder, router),
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            *(f"--{name}={value}" for name, value in options.items()),
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        await _wait_ready(f"http://127.0.0.1:{port}/-/ready")
        yield Prometheus(f"http://127.0.0.1:{port}")
    except BaseException:
        print(log.read_text()[-4000:])
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _wait_ready(url: str) -> None:
    async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.1)
