"""The README's receiver of webhooks, as it stands there, against what is sent."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from router.events.webhook_post import Signer
from tests.events.receiver import SECRET

BODY = b'{"event":"room_started"}'


@pytest.fixture
def verify() -> Callable[..., None]:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(import base64.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    function: Callable[..., None] = names["verify"]
    return function


def test_what_is_sent_is_taken(verify: Callable[..., None]) -> None:
    verify(BODY, Signer("fork-router", SECRET).sign(BODY), "fork-router", SECRET)


def test_another_body_key_or_time_is_not(verify: Callable[..., None]) -> None:
    token = Signer("fork-router", SECRET).sign(BODY)
    with pytest.raises(ValueError, match="another body"):
        verify(BODY + b" ", token, "fork-router", SECRET)
    with pytest.raises(jwt.InvalidIssuerError):
        verify(BODY, token, "another", SECRET)
    with pytest.raises(jwt.InvalidSignatureError):
        verify(BODY, token, "fork-router", SECRET[::-1])
    with pytest.raises(jwt.ExpiredSignatureError):
        verify(BODY, Signer("fork-router", SECRET, lambda: 1_000.0).sign(BODY), "fork-router", SECRET)
