"""When a measurement says nothing about the server: the generator, or a kernel buffer, was the bottleneck."""

from dataclasses import dataclass

from loadtest.result import GeneratorUse

MAX_GENERATOR_BUSY = 0.9
MAX_LATENESS_US = 5_000
MIN_SENT_SHARE = 0.97
MAX_OTHERS = 0.15
"""Of the server's core: work of others. Network interrupts for the server's own packets are part of it."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the verdict is about."""

    generator: GeneratorUse
    server_cpu: float
    server_core_busy: float
    socket_drops: int
    wrong: int
    checked: int
    received: int


def judge_generator(use: GeneratorUse) -> list[str]:
    """Reasons on the generator's side."""
    reasons = []
    if use.core_busy > MAX_GENERATOR_BUSY:
        reasons.append(f"the generator's core was {use.core_busy:.0%} busy")
    if use.lateness_p99_us > MAX_LATENESS_US:
        reasons.append(f"the generator sent late: p99 {use.lateness_p99_us / 1000:.1f} ms")
    if use.skipped_frames:
        reasons.append(f"the generator skipped {use.skipped_frames} frames")
    if use.sent_share < MIN_SENT_SHARE:
        reasons.append(f"the generator sent {use.sent_share:.1%} of what was due")
    if use.overflowed:
        reasons.append(f"receivers' socket buffers dropped {use.overflowed} datagrams")
    if use.send_failures:
        reasons.append(f"the kernel refused {use.send_failures} sends of the generator")
    return reasons


def judge(seen: Circumstances) -> list[str]:
    """All reasons; none for a good measurement."""
    reasons = judge_generator(seen.generator)
    if seen.socket_drops:
        reasons.append(f"kernel buffers dropped {seen.socket_drops} datagrams on their way to the server")
    if seen.server_core_busy - seen.server_cpu > MAX_OTHERS:
        others = seen.server_core_busy - seen.server_cpu
        reasons.append(f"others used {others:.0%} of the server's core")
    if seen.wrong:
        reasons.append(f"{seen.wrong} of {seen.wrong + seen.checked} sampled packets were not what was sent")
    if not seen.received:
        reasons.append("nothing was received")
    return reasons
