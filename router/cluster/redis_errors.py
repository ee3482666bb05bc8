"""What went wrong with Redis, as the few kinds that somebody acts on; `router.cluster` raises nothing but these."""

import ssl
from typing import Literal

from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from router.errors import CapacityError

Reason = Literal[
    "timeout", "connection", "paused", "tls", "auth", "permission", "read-only", "loading", "memory", "cluster",
    "wrong-type", "schema", "conflict", "refused",
]  # fmt: skip

BY_CODE: dict[str, Reason] = {
    "NOAUTH": "auth",
    "WRONGPASS": "auth",
    "NOPERM": "permission",
    "READONLY": "read-only",
    "NOREPLICAS": "read-only",
    "LOADING": "loading",
    "MASTERDOWN": "loading",
    "BUSY": "loading",
    "OOM": "memory",
    "MISCONF": "memory",
    "CLUSTERDOWN": "cluster",
    "MOVED": "cluster",
    "ASK": "cluster",
    "TRYAGAIN": "cluster",
    "CROSSSLOT": "cluster",
    "WRONGTYPE": "wrong-type",
}
OF_THE_SERVER: frozenset[Reason] = frozenset(
    ("timeout", "connection", "tls", "auth", "read-only", "loading", "cluster")
)
"""Another server, or this one a little later, may do better."""


class StoreError(CapacityError):
    """The store did not do it; the caller goes on without it. The text names no address and no value."""

    default_slug = "store-unavailable"
    title = "Store unavailable"

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason, retry_after_s=2)
        self.reason: Reason = reason


def code_of(error: ResponseError) -> str:
    """The word that Redis begins an error with."""
    return error.status_code or str(error).partition(" ")[0]


def refuse(error: ResponseError) -> StoreError:
    """For a command that Redis refused."""
    code = code_of(error)
    return StoreError(BY_CODE.get(code, "refused"), code)


def explain(error: BaseException) -> StoreError:
    """For an exchange that failed."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, TimeoutError):
        return StoreError("timeout")
    if isinstance(error, AuthenticationError):
        return StoreError("auth", "user or password are wrong")
    if isinstance(error, BusyLoadingError):
        return StoreError("loading")
    if isinstance(error, ResponseError):
        return refuse(error)
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError) or isinstance(error, ssl.SSLError):
        return StoreError("tls", "the certificate does not fit, or the other side speaks no TLS")
    assert isinstance(error, RedisError | OSError | ValueError)
    return StoreError("connection", type(error).__name__)
