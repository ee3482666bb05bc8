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


def udp_drops(pids: Iterable[int]) -> int:
    """Datagrams that the UDP sockets of these processes had no room for (the last column of /proc/net/udp)."""
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    rows = (line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:])
    return sum(int(row[-1]) for row in rows if row[9] in inodes)


def _socket_inodes(pid: int) -> list[str]:
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            # Closed meanwhile.
            continue
        if target.startswith("socket:["):
            found.append(target[8:-1])
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
