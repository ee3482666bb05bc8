"""`tests/run`: what fails once is told and looked at again, what fails again or in numbers stops a change."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLAKY = """
from pathlib import Path
import pytest

def count(name):
    path = Path(__file__).with_name(name)
    runs = len(path.read_text()) if path.exists() else 0
    path.write_text("x" * (runs + 1))
    return runs

def test_sound():
    count("sound")
"""


def run(tmp_path: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """A copy of the script, with these tests as all there are."""
    (tmp_path / "tests").mkdir()
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    script = tmp_path / "tests" / "run"
    script.write_bytes((ROOT / "tests" / "run").read_bytes())
    script.chmod(0o755)
    (tmp_path / "tests" / "test_some.py").write_text(FLAKY + tests)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    quick = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([script, "tests"], capture_output=True, text=True, check=False, timeout=60, env=quick)


def fails(runs: str) -> str:
    """A test that fails in these of its runs, of which it is told the number."""
    return f"""
@pytest.mark.parametrize("word", ["a b"])
def test_at_times(word):
    assert not (lambda n: {runs})(count("at_times"))
"""


def test_what_passes_runs_once(tmp_path: Path) -> None:
    done = run(tmp_path, "")
    assert (done.returncode, "again" in done.stdout) == (0, False)
    assert len((tmp_path / "tests" / "sound").read_text()) == 1


def test_a_failure_that_cannot_be_repeated_is_told_and_no_more(tmp_path: Path) -> None:
    done = run(tmp_path, fails("n == 0"))
    assert done.returncode == 0, done.stdout
    assert "assert not (lambda n: n == 0)" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("see above for why: tests/test_some.py::test_at_times[a b]")
    assert len((tmp_path / "tests" / "at_times").read_text()) == 3
    assert len((tmp_path / "tests" / "sound").read_text()) == 1, "only what failed is repeated"


@pytest.mark.parametrize("runs", ["n in (0, 1)", "n in (0, 2)", "True"])
def test_what_fails_again_stops_a_change(tmp_path: Path, runs: str) -> None:
    assert run(tmp_path, fails(runs)).returncode == 1


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    three = """
@pytest.mark.parametrize("number", range(3))
def test_first_time(number):
    assert count(f"of{number}")
"""
    done = run(tmp_path, three)
    assert (done.returncode, "again" in done.stdout) == (1, False)


def test_tests_that_cannot_be_read_are_not_looked_at_again(tmp_path: Path) -> None:
    done = run(tmp_path, "this is no Python")
    assert (done.returncode, "again" in done.stdout) == (2, False)
