"""A client of the admin API: requests, pages, the stream of events; every failure is an `AdminError` of one line.

TLS is verified. The token goes where the command line or the settings say and nowhere else: redirects are refused, and
for addresses of this machine proxies of the environment are not used.
"""

import json
import ssl
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import httpx

from router.commands.errors import EXIT_FAILED, EXIT_OF_STATUS, EXIT_REFUSED, EXIT_UNREACHABLE, AdminError
from router.errors import ConfigError

TIMEOUT_S: Final = 10.0
SILENCE_S: Final = 40.0
"""A stream of events has a heartbeat more often than that."""
PAGE: Final = 200
UNKNOWN_PATH: Final = "unknown-path"
"""The slug of what is not there at all, as at a public port; a room or a participant has another."""

Item = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Place:
    """Where a router's admin API is, and what opens it."""

    url: str
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


class AdminClient:
    """Of one router."""

    def __init__(self, place: Place, transport: httpx.BaseTransport | None = None) -> None:
        self.url = place.url.rstrip("/")
        self._has_token = place.token is not None
        self.trust = _trust(place.ca_file)
        """Whose certificates are good."""
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {place.token}"} if place.token else {},
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=not is_this_machine(_check_url(place.url)),
            verify=self.trust,
        )

    def __enter__(self) -> "AdminClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def read(self, path: str, **parameters: Any) -> Item:
        """One document."""
        return self.parse(self.send("GET", path, parameters=parameters))

    def read_text(self, path: str) -> str:
        """A document that is not JSON, such as `/metrics`."""
        return self.send("GET", path).text

    def change(self, method: str, path: str, body: Item | None = None, **headers: str) -> Item:
        """Changes something; what it is afterwards, empty where the API answers with nothing."""
        reply = self.send(method, path, body=body, headers=headers)
        return self.parse(reply) if reply.content else {}

    def read_all(self, path: str, **parameters: Any) -> Iterator[Item]:
        """All entries of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.read(path, limit=PAGE, **parameters, **({"cursor": cursor} if cursor else {}))
            items = page.get("items")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise self._not_an_api()
            yield from items
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def send(
        self,
        method: str,
        path: str,
        *,
        parameters: Item | None = None,
        body: Item | None = None,
        headers: dict[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> httpx.Response:
        """A good answer or one with a status of `accept`, else `AdminError`."""
        try:
            reply = self._http.request(method, path, params=parameters, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if not reply.is_success and reply.status_code not in accept:
            raise self._refusal(reply)
        return reply

    def follow(self, path: str, parameters: Item, last_id: str | None) -> Iterator[str]:
        """The lines of a stream, until it ends or breaks off; `AdminError` if it does not begin."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx.Timeout(TIMEOUT_S, read=SILENCE_S)
        request = self._http.build_request("GET", path, params=parameters, headers=headers, timeout=timeout)
        try:
            reply = self._http.send(request, stream=True)
            if not reply.is_success:
                reply.read()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        with closing(reply):
            if not reply.is_success:
                raise self._refusal(reply)
            with suppress(httpx.HTTPError):
                yield from reply.iter_lines()

    def parse(self, reply: httpx.Response) -> Item:
        """The document of an answer."""
        try:
            body = reply.json()
        except ValueError:
            raise self._not_an_api() from None
        if not isinstance(body, dict):
            raise self._not_an_api()
        return body

    def _unreachable(self, error: httpx.HTTPError) -> AdminError:
        reason = (str(error) or type(error).__name__).rstrip(".")
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            hint = "name its authority by --ca-file, and its name by --url"
        elif "[SSL" in reason:
            hint = "is it http?"
        elif isinstance(error, httpx.RemoteProtocolError):
            hint = "is it https?"
        else:
            hint = "is it running?"
        return AdminError(f"router not reachable at {self.url}: {reason}; {hint}", EXIT_UNREACHABLE)

    def _not_an_api(self) -> AdminError:
        text = f"what answers at {self.url} is not the admin API of a router: expected its admin port"
        return AdminError(text, EXIT_FAILED)

    def _refusal(self, reply: httpx.Response) -> AdminError:
        if reply.is_redirect:
            return AdminError(f"{self.url} redirects to {reply.headers['location']}: give that as --url", EXIT_FAILED)
        detail, slug = _describe(reply)
        if reply.status_code == 404 and slug in ("", UNKNOWN_PATH) and detail == reply.reason_phrase:
            return self._not_an_api()
        exit_code = EXIT_OF_STATUS.get(reply.status_code, EXIT_FAILED)
        text = f"{reply.status_code} {detail}{f' ({slug})' if slug else ''}"
        if exit_code != EXIT_REFUSED:
            return AdminError(text, exit_code)
        if self._has_token:
            return AdminError(f"token refused at {self.url}: {text}", exit_code)
        return AdminError(f"no token for {self.url}: {text}; set ROUTER_ADMIN__TOKEN or --token-file", exit_code)


def is_this_machine(host: str) -> bool:
    """Whether a name or an address can only be this machine.

    >>> is_this_machine("127.0.0.1"), is_this_machine("localhost"), is_this_machine("router.example.org")
    (True, True, False)
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def join_path(*parts: str) -> str:
    """A path whose parts may hold anything.

    >>> join_path("rooms", "a/b")
    '/v1/rooms/a%2Fb'
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise ConfigError(f"expected a name or an id, got {part!r}")
    return "/".join(("/v1", *(quote(part, safe="") for part in parts)))


def _check_url(text: str) -> str:
    """Its host."""
    try:
        url = httpx.URL(text)
        if url.scheme in ("http", "https") and url.host and not (url.userinfo or url.query or url.fragment):
            return url.host
        reason = "expected http://HOST:PORT or https://HOST:PORT, perhaps with a path"
    except (httpx.InvalidURL, ValueError) as error:
        url, reason = None, str(error)
    if url is not None and url.userinfo:
        raise ConfigError("--url has a user or a password: expected none, the token opens the router")
    raise ConfigError(f"--url is {text!a}: {reason}")


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """The system's authorities (or SSL_CERT_FILE's), not a library's own list: companies add theirs to the system's."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # SSLError is one
        reason = error.strerror or error
        raise ConfigError(f"--ca-file is {str(ca_file)!r}: expected certificates in PEM ({reason})") from None


def _describe(reply: httpx.Response) -> tuple[str, str]:
    """Detail and slug of a problem document; of anything else what its status says."""
    try:
        problem = reply.json()
        return str(problem["detail"]), str(problem["slug"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return reply.reason_phrase, ""
