"""What `pip install .` would install. `make test` builds the wheel first; without it these tests are skipped."""

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WHEELS = sorted((ROOT / "dist").glob("fork_router-*.whl"))

pytestmark = pytest.mark.skipif(not WHEELS, reason="needs the wheel: make wheel")


@pytest.fixture(scope="module")
def names() -> set[str]:
    with zipfile.ZipFile(WHEELS[-1]) as wheel:
        return set(wheel.namelist())


def test_one_wheel_for_every_python_from_311() -> None:
    assert len(WHEELS) == 1
    assert "-cp311-abi3-" in WHEELS[0].name


def test_every_module_and_asset_is_inside(names: set[str]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "router").rglob("*")
        if path.is_file() and "engine-rs" not in path.parts and path.suffix not in (".pyc", ".so")
    }
    assert wanted - names == set()
    assert {"router/py.typed", "router/_engine.pyi", "router/web/index.html", "router/web/client.js"} <= names
    assert any(name.startswith("router/_engine") and name.endswith(".so") for name in names)


def test_no_sources_of_the_engine_and_nothing_but_the_package(names: set[str]) -> None:
    assert [name for name in names if name.endswith((".rs", ".toml", ".lock", ".pyc")) or "engine-rs" in name] == []
    assert {name.split("/")[0].partition("-")[0] for name in names} <= {"router", "fork_router", "fork_router.libs"}


def test_command_and_metadata() -> None:
    with zipfile.ZipFile(WHEELS[-1]) as wheel:
        folder = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        metadata = wheel.read(f"{folder}/METADATA").decode()
        entries = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "router=router.__main__:main" in entries.replace(" ", "")
    assert "Requires-Python: >=3.11" in metadata
    assert "Requires-Dist: pylibsrtp==1.0.0" in metadata
