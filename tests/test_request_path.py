"""Paths that mean something else to somebody else, as they come over the wire."""

import pytest

from router.errors import RequestError
from router.request_path import check_path


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"/rooms/a%2Fb", "encoded slash"),
        (b"/rooms/a%2fb", "encoded slash"),
        (b"/rooms/100%", "percent sign"),
        (b"/rooms/%zz", "percent sign"),
        (b"/rooms/%2", "percent sign"),
        (b"/rooms/caf%E9", "UTF-8"),
        (b"/rooms/%ED%A0%80", "UTF-8"),
        (b"/rooms/%C0%AF", "UTF-8"),
        (b"/rooms/a%0D%0Ab", "control"),
        (b"/rooms/a%00b", "control"),
        (b"/rooms/a%C2%85b", "control"),
        (b"/rooms/../admin", "dot segments"),
        (b"/rooms/%2e%2E/admin", "dot segments"),
        (b"/rooms/.", "dot segments"),
        (b"/%2E/rooms", "dot segments"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(path: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        check_path(path)
    assert caught.value.slug == "bad-path"


@pytest.mark.parametrize(
    "path", [b"/", b"/rooms/a%25b", b"/rooms/...", b"/rooms/a..b", b"/rooms/a%5Cb", b"/rooms/%F0%9F%98%80", b"//"]
)
def test_what_means_one_thing_passes(path: bytes) -> None:
    check_path(path)
