import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from router.log import HIDDEN, configure_logging, redact, redact_event

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiYSJ9.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    level = root.level
    configure_logging("auto", "debug", stream=stream)
    yield stream
    for handler in [h for h in root.handlers if getattr(h, "fork_router", False)]:
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def last(stream: io.StringIO) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return value


@pytest.mark.parametrize(
    "text",
    [
        f"GET /rooms/a/events?access_token={JWT} failed",
        f"Authorization: Bearer {JWT}",
        "Authorization: Bearer opaque-canary-value",
        "a=ice-ufrag:canary-ufrag\r\na=ice-pwd:canary-password\r\n",
        "PATCH /whip/lobby/canary-canary-canary-canary 200",
        "peer 203.0.113.9:4711 and [2001:db8::7]:99",
    ],
)
def test_secrets_and_addresses_leave_no_trace(text: str) -> None:
    shown = redact(text)
    assert shown != text
    for secret in (JWT, "canary", "203.0.113.9", "2001:db8::7"):
        assert secret not in shown


def test_addresses_of_one_peer_stay_recognisable() -> None:
    one, again, other = (redact(f"from {address}") for address in ("203.0.113.9", "203.0.113.9", "203.0.113.8"))
    assert one == again != other


@pytest.mark.parametrize(
    "text", ["listening on 127.0.0.1:8080", "version 1.2.3", "at 12:30:45", "0.0.0.0", "core::io failed"]
)
def test_harmless_text_is_kept(text: str) -> None:
    assert redact(text) == text


def test_secret_fields_are_hidden_at_any_depth() -> None:
    event = redact_event(None, "info", {"event": "x", "token": "canary", "peer": {"ice_password": "canary", "n": 1}})
    assert event == {"event": "x", "token": HIDDEN, "peer": {"ice_password": HIDDEN, "n": 1}}


def test_structlog_and_stdlib_give_the_same_json(lines: io.StringIO) -> None:
    structlog.get_logger("router.test").info("room opened", room="a")
    ours = last(lines)
    assert (ours["message"], ours["room"], ours["level"], ours["logger"]) == ("room opened", "a", "info", "router.test")
    logging.getLogger("router.test").warning("peer %s gone", "203.0.113.9", extra={"room": "a"})
    theirs = last(lines)
    assert theirs["message"].startswith("peer [ip4-")
    assert theirs["room"] == "a"
    assert set(theirs) == set(ours)


def test_an_extra_field_called_event_does_not_replace_the_message(lines: io.StringIO) -> None:
    logging.getLogger("router.test").error("a handler raised", extra={"event": "trackconnected"})
    assert (last(lines)["message"], last(lines)["event_name"]) == ("a handler raised", "trackconnected")


def test_uvicorn_goes_through_the_redactor(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "203.0.113.9:1", "GET", f"/x?access_token={JWT}", "1.1", 200
    )
    text = lines.getvalue()
    assert "GET /x?access_token=[hidden]" in text
    assert "203.0.113.9" not in text


def test_tracebacks_are_redacted(lines: io.StringIO) -> None:
    try:
        raise ValueError(f"bad token {JWT}")
    except ValueError:
        logging.getLogger("router.test").exception("failed")
    assert JWT not in lines.getvalue()
    assert "ValueError" in last(lines)["exception"]


def test_level_and_second_configuration(lines: io.StringIO) -> None:
    configure_logging("json", "warning", stream=lines)
    logging.getLogger("router.test").info("not shown")
    assert lines.getvalue() == ""
    logging.getLogger("router.test").error("once")
    assert len(lines.getvalue().splitlines()) == 1


def test_adversarial_text_is_quick_and_bounded() -> None:
    for text in ("1." * 40_000, ":" * 65_536, "eyJ" * 20_000, "a=ice-pwd:" * 6_000, "/whip/a/" * 8_000):
        assert len(redact(text)) < 10_000
