"""A minimal WebDriver BiDi client, enough to drive Debian's Firefox ESR without a driver program.

Only what the tests use: preload scripts, navigation, evaluation, viewport, screenshots and the console's errors.
"""

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.devices.insecure.enabled": True,
    "media.getusermedia.insecure.enabled": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.default_address_only": False,
    "media.autoplay.default": 0,
    "media.autoplay.block-webaudio": False,
    "media.autoplay.blocking_policy": 0,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "services.settings.server": "data:,",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "dom.push.connection.enabled": False,
}
START_TIMEOUT_S = 60.0


class Firefox:
    """One browsing context of one Firefox process."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._next_id = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())
        self.context = ""
        self.errors: list[str] = []

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.errors.append(str(message["params"].get("text")))
            future = self._waiting.pop(message.get("id"), None)
            if future is not None and not future.done():
                future.set_result(message)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its error becomes an exception."""
        self._next_id += 1
        future = asyncio.get_running_loop().create_future()
        self._waiting[self._next_id] = future
        await self._socket.send(json.dumps({"id": self._next_id, "method": method, "params": params}))
        message = await asyncio.wait_for(future, 60)
        if message["type"] == "error":
            raise RuntimeError(f"{method}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result

    async def start(self) -> None:
        """Opens the session and takes the first tab."""
        await self.call("session.new", capabilities={})
        await self.call("session.subscribe", events=["log.entryAdded"])
        tree = await self.call("browsingContext.getTree")
        self.context = tree["contexts"][0]["context"]

    async def add_init_script(self, source: str) -> None:
        """Runs `source` before any script of each page."""
        await self.call("script.addPreloadScript", functionDeclaration=f"() => {{ {source} }}")

    async def goto(self, url: str) -> None:
        """Loads a page."""
        await self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The JSON value of an expression; promises are awaited."""
        wrapped = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        target = {"context": self.context}
        result = await self.call("script.evaluate", expression=wrapped, target=target, awaitPromise=True)
        if result["type"] != "success":
            raise RuntimeError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    async def evaluate_everywhere(self, expression: str) -> list[Any]:
        """As `evaluate`: there is one page."""
        return [await self.evaluate(expression)]

    async def screenshot(self, path: Path) -> None:
        """A PNG of the viewport."""
        data = await self.call("browsingContext.captureScreenshot", context=self.context)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(data["data"]))

    async def close(self) -> None:
        """Ends the reader and the connection."""
        self._reader.cancel()
        await self._socket.close()


async def _connect(process: asyncio.subprocess.Process) -> ClientConnection:
    assert process.stderr is not None
    async with asyncio.timeout(START_TIMEOUT_S):
        while line := (await process.stderr.readline()).decode(errors="replace"):
            if "WebDriver BiDi listening on" in line:
                return await connect(f"{line.split()[-1]}/session", max_size=None)
    raise RuntimeError("Firefox ended before it listened")


@asynccontextmanager
async def launch_firefox() -> AsyncIterator[Firefox]:
    """A headless Firefox with a fresh profile, ended by its id."""
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        arguments = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        process = await asyncio.create_subprocess_exec(
            "firefox-esr", *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        drain: asyncio.Task[bytes] | None = None
        try:
            firefox = Firefox(await _connect(process))
            assert process.stderr is not None
            drain = asyncio.create_task(process.stderr.read())
            await firefox.start()
            yield firefox
            await firefox.close()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            if drain is not None:
                await drain
