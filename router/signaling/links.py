"""`Link` header fields that name STUN and TURN servers (RFC 9725 section 4.6, RFC 8288)."""

from collections.abc import Iterator, Sequence

from router.signaling.state import IceServer


def write_ice_links(servers: Sequence[IceServer]) -> Iterator[str]:
    """One value per URL, every parameter quoted.

    >>> list(write_ice_links([IceServer(("stun:stun.example.net",))]))
    ['<stun:stun.example.net>; rel="ice-server"']
    """
    for server in servers:
        for url in server.urls:
            parameters = ['rel="ice-server"']
            if url.startswith("turn"):
                if server.username is not None:
                    parameters.append(f"username={_quote(server.username)}")
                if server.credential is not None:
                    parameters.append(f"credential={_quote(server.credential)}")
                    parameters.append('credential-type="password"')
            yield f"<{url}>; " + "; ".join(parameters)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
