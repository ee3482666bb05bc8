"""Logging: structlog for everybody, JSON lines outside a terminal, readable lines on one.

The standard library's loggers (ours, uvicorn's, asyncio's) are routed through the same processors, so there is one
format and one redactor. It hides bearer and join tokens, ICE user fragments and passwords, IP addresses, and fields
whose name says that it is secret; addresses keep their family and a keyed mark that tells two apart within one run.
"""

import hashlib
import logging
import re
import secrets
import sys
from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

LogFormat = Literal["auto", "json", "console"]

HIDDEN: Final = "[hidden]"
SECRET_FIELDS: Final = re.compile(
    r"token|secret|password|passwd|pwd|credential|authorization|ufrag|cookie|\bkey\b", re.I
)
_TOKEN: Final = re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.?[\w-]*|(?<=[Bb]earer )[\w.~+/=-]+|(?<=access_token=)[^&\s\"']+")
_ICE: Final = re.compile(r"(?<=a=ice-ufrag:)\S+|(?<=a=ice-pwd:)\S+")
_SESSION: Final = re.compile(r"(?<=/)(?<=whip/|whep/)([^/\s\"?]+)/[\w-]{16,}")
_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)")
_IPV6: Final = re.compile(
    r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}(?:[0-9a-fA-F]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])"
)
_MARK_KEY: Final = secrets.token_bytes(16)
MAX_TEXT_CHARS: Final = 4096


def redact(text: str) -> str:
    """The text without tokens, ICE credentials, session ids and addresses of strangers."""
    if len(text) > MAX_TEXT_CHARS:
        text = text[:MAX_TEXT_CHARS] + "…"
    text = _ICE.sub(HIDDEN, _TOKEN.sub(HIDDEN, text))
    text = _SESSION.sub(rf"\1/{HIDDEN}", text)
    return _IPV6.sub(_mark_address, _IPV4.sub(_mark_address, text))


def _mark_address(match: re.Match[str]) -> str:
    try:
        address = ip_address(match.group())
    except ValueError:
        return match.group()
    if address.is_loopback or address.is_unspecified:
        return match.group()
    mark = hashlib.blake2s(address.packed, key=_MARK_KEY, digest_size=3).hexdigest()
    return f"[ip{address.version}-{mark}]"


def redact_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """structlog processor: redacts every value, at any depth."""
    for name, value in event.items():
        event[name] = _redact_value(name, value)
    return event


def _redact_value(name: str, value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_FIELDS.search(name) and name != "event":
        return HIDDEN
    if isinstance(value, str):
        return redact(value)
    if depth < 4 and isinstance(value, MutableMapping | dict):
        return {str(key): _redact_value(str(key), item, depth + 1) for key, item in value.items()}
    if depth < 4 and isinstance(value, list | tuple):
        return [_redact_value(name, item, depth + 1) for item in value]
    return redact(str(value))


def configure_logging(log_format: LogFormat = "auto", level: str = "info", *, stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library; may be called again."""
    output = stream or sys.stderr
    as_json = log_format == "json" or (log_format == "auto" and not output.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _add_extra,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_final_processors(as_json, output))
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "fork_router", False)]:
        root.removeHandler(old)
    handler.fork_router = True  # type: ignore[attr-defined] # a mark of ours, to replace only our own handler
    root.addHandler(handler)
    root.setLevel(level.upper())
    _calm_libraries(level)


_read_extra: Final = structlog.stdlib.ExtraAdder()


def _add_extra(logger: Any, method: str, event: EventDict) -> EventDict:
    """Fields of the standard library's `extra`. One called `event` must not replace the message."""
    message = event["event"]
    event = _read_extra(logger, method, event)
    if event["event"] is not message:
        event["event_name"], event["event"] = event["event"], message
    return event


def _final_processors(as_json: bool, output: TextIO) -> list[Processor]:
    common: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
    ]
    if as_json:
        return [
            *common,
            structlog.processors.format_exc_info,
            redact_event,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ]
    return [
        *common,
        structlog.processors.format_exc_info,
        redact_event,
        structlog.dev.ConsoleRenderer(colors=output.isatty()),
    ]


def _calm_libraries(level: str) -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Every access would be a line per request; its query may hold a token. Ask for it with debug.
    logging.getLogger("uvicorn.access").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    # Its warnings are about what strangers send, one line for each of their requests.
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if level == "debug" else logging.ERROR)
    for name in ("asyncio", "httpx", "httpcore", "aioice", "websockets", "redis"):
        logging.getLogger(name).setLevel(logging.WARNING)
