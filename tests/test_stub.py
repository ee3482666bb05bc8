"""`router/_engine.pyi` is the engine's contract: the compiled module must agree with it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_stub_and_the_module_agree() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "router._engine", "--allowlist", "tests/stubtest_allowlist.txt"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
