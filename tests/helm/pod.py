"""A pod of the chart without a cluster: its init container's script and its router run here, with the environment, the
files and the ports that the rendered manifests give them. The kubelet's part is played; images and networks are not."""

import asyncio
import json
import os
import signal
import socket
import types
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.hosts import in_url
from tests.helm.chart import Json, Rendered, environment_of, merge, render
from tests.test_server import read_until, start_process

Secrets = Mapping[str, Mapping[str, str]]

FIELDS = {
    "metadata.name": "r-fork-router-0",
    "metadata.namespace": "media",
    "metadata.labels['apps.kubernetes.io/pod-index']": "0",
    "spec.nodeName": "node-1",
}
ADDRESSES = ("status.podIP", "status.podIPs", "status.hostIPs")


def on_free_ports(values: Mapping[str, Any]) -> Json:
    """The same values where this machine has room."""
    with ExitStack() as held:
        first, second = (held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        tcp = {"public": first.getsockname()[1], "admin": second.getsockname()[1]}
    udp = free_udp_port(values.get("media", {}).get("workers", 1))
    return merge(values, {"ports": tcp, "media": {"udpPort": udp, "nodePort": {"base": udp}}})


def free_udp_port(count: int) -> int:
    """The first of so many in a row. Tests of another process begin to look elsewhere."""
    begin = 20_000 + 8 * (os.getpid() % 1_000)
    for first in range(begin, 32_000, 8):
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(("0.0.0.0", port))
            return first
    raise AssertionError("no free ports")


class Pod:
    """Of one rendered chart, its volumes below a folder."""

    def __init__(
        self,
        values: Mapping[str, Any],
        secrets: Secrets,
        folder: Path,
        config_maps: Mapping[str, Mapping[str, str]],
        address: str = "127.0.0.1",
    ) -> None:
        self.fields = {**FIELDS, **dict.fromkeys(ADDRESSES, address)}
        self.rendered: Rendered = render(on_free_ports(values))
        self._secrets = secrets
        self._folder = folder
        made = {item["metadata"]["name"]: item["data"] for item in self.rendered.of_kind("ConfigMap")}
        self._config_maps = {**made, **config_maps}
        self._mount()

    def _mount(self) -> None:
        volumes = {volume["name"]: volume for volume in self.rendered.pod["volumes"]}
        for container in (*self.rendered.pod.get("initContainers", ()), self.rendered.container):
            for mount in container["volumeMounts"]:
                place = self._place(mount["mountPath"])
                place.mkdir(parents=True, exist_ok=True)
                volume = volumes[mount["name"]]
                held = self._config_maps[volume["configMap"]["name"]] if "configMap" in volume else {}
                held = self._secrets[volume["secret"]["secretName"]] if "secret" in volume else held
                for key, text in held.items():
                    (place / key).write_text(text)

    def _place(self, path: str) -> Path:
        return self._folder / path.lstrip("/")

    def environment(self, container: Json) -> dict[str, str]:
        """What its process sees, with paths as they are here."""
        paths = {mount["mountPath"] for mount in container["volumeMounts"]} - {"/tmp"}
        found = environment_of(container, self._secrets, self.fields)
        for name, value in found.items():
            for path in paths:
                if value.startswith(f"{path}/"):
                    found[name] = str(self._place(value))
        return found

    def arrange(self, objects: Mapping[str, Json], monkeypatch: pytest.MonkeyPatch) -> None:
        """Runs the init container, if there is one; the API has these objects."""
        for container in self.rendered.pod.get("initContainers", ()):
            program, path = container["command"]
            assert program == "python"
            script = types.ModuleType("arrange")
            exec(compile(self._place(path).read_text(), path, "exec"), script.__dict__)
            monkeypatch.setattr(script, "read_api", lambda path: objects[path])
            script.main(self.environment(container))

    @asynccontextmanager
    async def started(self) -> AsyncIterator["Running"]:
        """The router, as the image's entry point starts it, until it was told to end."""
        container = self.rendered.container
        assert container["args"] == ["serve"]
        assert "command" not in container
        process = await start_process(**self.environment(container))
        try:
            lines = await read_until(process, "router started")
            running = Running(process, json.loads(lines[-1]), container, in_url(self.fields["status.podIP"]))
            async with running.http:
                yield running
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()


class Running:
    """A router that said that it started."""

    def __init__(self, process: asyncio.subprocess.Process, log: Json, container: Json, host: str) -> None:
        self.process = process
        self._host = host
        self.log = log
        self._ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self._container = container
        self.http = httpx.AsyncClient(timeout=10)

    def url(self, port: str) -> str:
        """By the name of a container's port."""
        return f"http://{self._host}:{self._ports[port]}"

    async def probe(self, name: str) -> int:
        """The status that the kubelet gets."""
        asked = self._container[name]["httpGet"]
        return (await self.http.get(f"{self.url(asked['port'])}{asked['path']}")).status_code
