"""One POST without a client library, so that the generator's own cost stays out of the figures."""

import asyncio


async def post(host: str, port: int, path: str, token: str, body: str) -> str:
    """POSTs an offer; returns the body of a 201, else raises RuntimeError with the reply."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        payload = body.encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        writer.write(head.encode() + payload)
        reply = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, text = reply.partition("\r\n\r\n")
    if " 201 " not in head.split("\r\n", 1)[0]:
        raise RuntimeError(f"{path}: {reply[:600]}")
    return text
