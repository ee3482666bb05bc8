"""What the kernel says of processes, cores and UDP (proc(5)): CPU time, memory, drops."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Of all of a server's processes, in KiB; PSS divides what they share."""

    pss_kib: int
    rss_kib: int


def cpu_s(pids: Iterable[int]) -> tuple[float, float]:
    """User and system time of processes, all threads included, also those that ended."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / TICKS_PER_S, system / TICKS_PER_S


def core_busy_s(core: int) -> float:
    """All the time a core was not idle, interrupts included."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            return (sum(map(int, ticks[:8])) - int(ticks[3]) - int(ticks[4])) / TICKS_PER_S
    raise RuntimeError(f"no core {core}")


def memory(pids: Sequence[int]) -> Memory:
    """From smaps_rollup."""
    sums = {"Pss": 0, "Rss": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return Memory(sums["Pss"], sums["Rss"])


def udp_errors() -> dict[str, int]:
    """This namespace's counters of UDP, such as RcvbufErrors."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")]
    names, values = lines[0][1:], lines[1][1:]
    return dict(zip(names, map(int, values), strict=True))


def pin(pid: int, core: int) -> None:
    """Keeps all threads of a process, and those to come of its first one, on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def children_of(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += children_of(int(child))
    return found


def machine() -> dict[str, str | int]:
    """For results: what this is."""
    models = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 1,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rmem_max": int(Path("/proc/sys/net/core/rmem_max").read_text()),
        "wmem_max": int(Path("/proc/sys/net/core/wmem_max").read_text()),
    }


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()
