"""The check that tools send, read by the router's own strict parser and by aioice; and its answer, or none."""

import asyncio
import socket
import threading

from aioice import stun

from router.rtc import ice
from router.rtc.path_check import check_path, write_check

PASSWORD = "p" * 24


def test_it_is_a_check_that_the_router_takes() -> None:
    data, transaction_id = write_check("local:remote", PASSWORD)
    check = ice.parse_check(data)
    assert check is not None
    assert (check.local_ufrag, check.remote_ufrag, check.transaction_id) == ("local", "remote", transaction_id)
    assert not check.nominated, "nothing is to flow"
    assert check.is_authentic(PASSWORD)
    message = stun.parse_message(data)
    assert message.check_message_integrity(PASSWORD.encode())
    assert message.attributes["USERNAME"] == "local:remote"


def answer_once(bound: socket.socket) -> None:
    data, source = bound.recvfrom(1500)
    check = ice.parse_check(data)
    assert check is not None
    bound.sendto(b"\x01\x01" + bytes(18), source)  # of another transaction
    bound.sendto(ice.write_success(check, source, PASSWORD), source)


async def test_an_answer_is_timed_and_silence_is_none() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        threading.Thread(target=answer_once, args=(bound,), daemon=True).start()
        round_trip_s = await asyncio.to_thread(check_path, bound.getsockname(), "local", PASSWORD)
        assert round_trip_s is not None
        assert 0 < round_trip_s < 2
        assert await asyncio.to_thread(check_path, bound.getsockname(), "local", PASSWORD) is None
