"""What forwarding costs, in instructions: repeatable, unlike time, so a regression fails here and not in a benchmark.

`router/engine-rs/benches/forward.rs` forwards frames of eight packets to a hundred receivers; callgrind counts what the
core does for it. Encryption and system calls are left out: they are not ours.
"""

import json
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIMIT = 1_300
"""Instructions per forwarded packet, about 200 of them for copying 1070 bytes, and about 130 for layers, bandwidth and
freezes. The counts differ a little between
compilers; what is more than that is a change of ours."""

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the limit is for x86-64"),
    pytest.mark.timeout(900),
]


def build_bench() -> str:
    """The optimized benchmark: its path."""
    command = ["cargo", "build", "--release", "--locked", "--bench", "forward", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    paths = [message["executable"] for message in messages if message.get("target", {}).get("name") == "forward"]
    return str(paths[-1])


def test_forwarding_takes_no_more_instructions_than_it_did(tmp_path: Path) -> None:
    options = ["--collect-atstart=no", "--toggle-collect=*measured*", f"--callgrind-out-file={tmp_path / 'out'}"]
    command = ["valgrind", "--tool=callgrind", *options, build_bench()]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    packets = int(re.findall(r"(\d+) packets forwarded", run.stdout)[0])
    instructions = int(re.findall(r"Collected : (\d+)", run.stderr)[0])
    print(f"{instructions / packets:.0f} instructions per forwarded packet")
    assert packets == 200_000
    assert 200 < instructions / packets < LIMIT
