"""Reading a request's body under a limit of size and time, and its content type (RFC 9110 section 8.3)."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from router.errors import PayloadTooLargeError, RequestError, RequestTimeoutError, UnsupportedMediaTypeError


def read_content_type(request: Request) -> str:
    """The media type in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_content_type(request: Request, expected: str) -> None:
    """Refuses another media type; parameters and case do not matter."""
    if read_content_type(request) != expected:
        raise UnsupportedMediaTypeError(f"Content-Type: expected {expected}")


async def read_text(request: Request, *, limit_bytes: int, timeout_s: float) -> str:
    """The body as UTF-8. Gives up on the first byte too many, declared or not, and on a body that is too slow.

    Nothing is ever inflated: a limit of size would not be one of what comes out.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaTypeError("Content-Encoding: expected none")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit_bytes:
        raise PayloadTooLargeError(f"the body has {declared} bytes, at most {limit_bytes} are taken")
    try:
        async with asyncio.timeout(timeout_s):
            body = await _read(request, limit_bytes)
    except TimeoutError as error:
        raise RequestTimeoutError(f"the body did not arrive within {timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise RequestError("the client went away", slug="client-disconnected") from error
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError("the body is not UTF-8", slug="not-utf8") from error


async def _read(request: Request, limit_bytes: int) -> bytes:
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > limit_bytes:
            raise PayloadTooLargeError(f"the body is longer than {limit_bytes} bytes")
    return bytes(chunks)
