"""The engine's counters, all workers together, as far as `/dashboard` draws them: totals, of which it makes rates."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from router import clock
from router.admin.collector import FORWARD_DELAY_BOUNDS_US
from router.admin.schemas import Body

if TYPE_CHECKING:
    from router._engine import WorkerCounters


class NodeCounters(Body):
    """Since the start of the process, and what video slots show now."""

    time_us: int
    """On a clock that never jumps, for rates."""
    bytes_in: int
    bytes_out: int
    rtp_in: int
    rtp_out: int
    nack_in: int
    """Of receivers: what they missed."""
    nack_out: int
    retransmitted: int
    kernel_drops: int
    send_dropped: int
    freezes: int
    busy_us: list[int]
    """Of each worker."""
    transports: list[int]
    forward_delay_bounds_us: list[int]
    forward_delay: list[int]
    """Packets that took at most so long through the router, and at the end those that took longer."""
    pictures: dict[str, int]
    """Video slots by the shorter side of the picture they show, up to so many pixels."""
    limited: dict[str, int]
    """Video slots by what keeps them from the best."""

    @classmethod
    def of(cls, workers: "Sequence[WorkerCounters]") -> "NodeCounters":
        """One snapshot."""
        pictures: Counter[str] = Counter()
        limited: Counter[str] = Counter()
        for worker in workers:
            pictures.update(worker["census"]["pictures"])
            limited.update(worker["census"]["limited"])
        delays = zip(*(worker["forward_delay_us"] for worker in workers), strict=True)
        return cls(
            time_us=clock.monotonic_us(),
            bytes_in=sum(worker["datagram_bytes_received"] for worker in workers),
            bytes_out=sum(worker["datagram_bytes_sent"] for worker in workers),
            rtp_in=sum(worker["rtp_packets_received"] for worker in workers),
            rtp_out=sum(worker["rtp_packets_sent"] for worker in workers),
            nack_in=sum(worker["nack_received"] for worker in workers),
            nack_out=sum(worker["nack_sent"] for worker in workers),
            retransmitted=sum(worker["retransmitted_packets"] for worker in workers),
            kernel_drops=sum(worker["kernel_drops"] for worker in workers),
            send_dropped=sum(sum(worker["send_dropped"].values()) for worker in workers),
            freezes=sum(worker["census"]["freezes"] for worker in workers),
            busy_us=[worker["busy_us"] for worker in workers],
            transports=[worker["transports"] for worker in workers],
            forward_delay_bounds_us=list(FORWARD_DELAY_BOUNDS_US),
            forward_delay=[sum(counts) for counts in delays],
            pictures=dict(pictures),
            limited=dict(limited),
        )
