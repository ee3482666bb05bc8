"""The native sender and counter: against a mirror that loses, repeats and delays packets, and against the router."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from loadtest import _native
from loadtest.bench import describe
from loadtest.client import Client, Identity, SentTrack, SrtpKeys
from loadtest.load import Load, Traffic
from loadtest.report import write_report
from loadtest.result import Report
from loadtest.run import run_scenario
from loadtest.scenario import Audio, Scenario, Video, parse_scenario
from loadtest.session import Cores

NOWHERE = Cores(None, None)
TRAFFIC = Traffic(Video(bits_per_s=8_000_000), Audio())
TRACK = SentTrack("video", "VP8", 77, 96, "0", 4, None)
DELAY_S = 0.02


class Mirror(asyncio.DatagramProtocol):
    """Sends every datagram from the publisher to the receiver, or what `change` makes of it."""

    def __init__(self, change: Callable[[int], list[float]]) -> None:
        self._change = change
        self._number = 0
        self._transport: asyncio.DatagramTransport | None = None
        self.publisher: tuple[str, int] | None = None
        self.receiver: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        # RTCP shares the port (RFC 5761).
        if address != self.publisher or 192 <= data[1] <= 223:
            return
        assert self._transport
        for delay_s in self._change(self._number):
            asyncio.get_running_loop().call_later(delay_s, self._transport.sendto, data, self.receiver)
        self._number += 1


@pytest.fixture
async def load() -> AsyncIterator[Load]:
    made = Load(None)
    yield made
    made.close()


async def _reflect(load: Load, change: Callable[[int], list[float]], seconds: float = 0.6) -> "_native.Snapshot":
    """What a receiver counts behind a mirror."""
    loop = asyncio.get_running_loop()
    transport, mirror = await loop.create_datagram_endpoint(lambda: Mirror(change), local_addr=("127.0.0.1", 0))
    key = os.urandom(28)
    keys = SrtpKeys("SRTP_AEAD_AES_128_GCM", key, key)
    address = transport.get_extra_info("sockname")
    publisher, receiver = Client(Identity.create()), Client(Identity.create())
    mirror.publisher, mirror.receiver = publisher.socket.getsockname(), receiver.socket.getsockname()
    publisher.adopt(address, keys, [TRACK])
    receiver.adopt(address, keys)
    load.add(receiver, TRAFFIC)
    load.add(publisher, TRAFFIC)
    load.set_running(True)
    await asyncio.sleep(seconds)
    load.set_running(False)
    await asyncio.sleep(5 * DELAY_S)
    transport.close()
    return load.snapshot()


async def test_what_arrives_as_sent_is_counted_and_timed(load: Load) -> None:
    counts = await _reflect(load, lambda _: [DELAY_S])
    assert counts["sent"] == counts["received"] == counts["unique"] > 300
    assert (counts["lost"], counts["duplicates"], counts["wrong"], counts["undecryptable"]) == (0, 0, 0, 0)
    assert counts["checked"] == -(-counts["received"] // 13)
    assert counts["latency"]["total"] == counts["checked"]
    # Never less than the delay: the stamp is from before, the kernel's time from after it.
    assert counts["latency"]["buckets"][0][0] * 1.001 >= 1e9 * DELAY_S
    assert counts["latency"]["p50_ns"] <= counts["latency"]["p99_ns"] <= counts["latency"]["max_ns"]


async def test_gaps_and_repeats_are_counted(load: Load) -> None:
    # The last packet may be one of the lost, so the sequence may end a few numbers early.
    counts = await _reflect(load, lambda number: [] if number % 10 == 3 else [0.0] * (2 if number % 10 == 5 else 1))
    tenth = counts["sent"] / 10
    assert abs(counts["lost"] - tenth) <= 1
    assert abs(counts["duplicates"] - tenth) <= 1
    assert counts["received"] == counts["unique"] + counts["duplicates"]


async def test_late_packets_are_reordered_and_not_lost(load: Load) -> None:
    counts = await _reflect(load, lambda number: [DELAY_S if number % 10 == 3 else 0.0])
    assert counts["reordered"] > 0
    assert (counts["lost"], counts["unique"]) == (0, counts["sent"])


async def test_a_window_begins_at_zero_and_a_faster_scale_sends_more(load: Load) -> None:
    first = await _reflect(load, lambda _: [])
    load.begin()
    load.set_scale(3)
    load.set_running(True)
    await asyncio.sleep(0.6)
    load.set_running(False)
    second = load.snapshot()
    assert 2 * first["sent"] < second["sent"] < 4 * first["sent"]
    assert second["received"] == 0


def _small(kind: str, **more: object) -> Scenario:
    data = {"title": "small", "kind": kind, "receivers": 2, "video": {}, "seconds": 1, "warm_up_s": 0.5, **more}
    return parse_scenario(data, kind, kind)


@pytest.mark.parametrize("server", ["fork-router", "floor", "floor-clear"])
async def test_two_receive_from_a_server_what_was_sent(server: str, tmp_path: Path) -> None:
    run = await run_scenario(_small("fan-out"), server, NOWHERE, lambda _: None)
    [step] = run.steps
    assert run.skipped == ""
    assert (step.receivers, step.subscriptions, step.wrong, step.duplicates) == (2, 2, 0, 0)
    assert 150 < step.packets_sent < 300
    assert step.loss == 0
    assert abs(step.packets_received - 2 * step.packets_sent) <= 32
    assert step.checked > 10
    assert 0 < step.latency.p50_us <= step.latency.max_us
    assert step.server_pss_kib > 1000
    page = write_report(describe([run], NOWHERE), tmp_path)
    read = Report.model_validate_json((tmp_path / "report.json").read_text())
    assert read.runs[0].steps[0] == step
    assert server in page.read_text()


async def test_people_see_one_another() -> None:
    scenario = _small("all-to-all", receivers=3, audio={})
    run = await run_scenario(scenario, "fork-router", NOWHERE, lambda _: None)
    [step] = run.steps
    assert step.subscriptions == 12
    assert step.loss == 0
    assert abs(step.packets_received - 2 * step.packets_sent) <= 100


async def test_slots_show_what_others_send_and_a_server_without_them_is_skipped() -> None:
    scenario = _small("slots", publishers=2, slots={"audio": 1, "video": 2}, audio={})
    run = await run_scenario(scenario, "fork-router", NOWHERE, lambda _: None)
    assert run.steps[0].packets_received > run.steps[0].packets_sent
    assert run.steps[0].wrong == 0
    assert (await run_scenario(scenario, "floor", NOWHERE, lambda _: None)).skipped == "no slots"


async def test_joins_are_timed_and_leavers_leave_nothing() -> None:
    joins = (
        await run_scenario(_small("joins", receivers=4, settle_s=0.1), "fork-router", NOWHERE, lambda _: None)
    ).joins
    assert joins
    assert joins.joins == 4
    assert joins.per_s > 0
    churn = {"joins_per_s": 5, "stay_s": 0.3, "abort_share": 0}
    run = await run_scenario(_small("fan-out", churn=churn, settle_s=0.5), "fork-router", NOWHERE, lambda _: None)
    assert run.churn
    assert (run.churn.failed_joins, run.churn.aborts) == (0, 0)
    assert run.churn.joins >= 4
    assert run.churn.descriptors_growth <= 2


def test_the_native_part_refuses_what_it_cannot_send() -> None:
    load = Load(None)
    try:
        with pytest.raises(ValueError, match="above 0"):
            load.set_scale(0)
    finally:
        load.close()
    with pytest.raises(ValueError, match="closed"):
        load.snapshot()
