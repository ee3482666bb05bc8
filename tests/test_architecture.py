"""What must never depend on what, how long a file may be, and where danger is allowed: read from the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROUTER = ROOT / "router"
ENGINE = ROUTER / "engine-rs"
MAX_LINES = 600

# Each folder may use those named, itself, and the shared modules.
SHARED = {"router", "router.clock", "router.errors", "router.metrics", "router.rates"}
MAY_USE = {
    "events": set(),
    "rtc": {"router._engine", "router.engine_stats"},
    "rooms": {"router.rtc", "router.events.log", "router.events.model", "router.engine_stats"},
    "signaling": {
        *("router.rooms", "router.rtc", "router.problems", "router.tokens", "router.claims", "router.turn"),
        *("router.request_body", "router.request_path", "router.json_input", "router.cluster", "router.drain"),
        *("router.static_files", "router.screening"),
    },
    "admin": {
        *("router.rooms", "router.rtc", "router.events", "router.problems", "router.engine_stats", "router._engine"),
        *("router.claims", "router.request_body", "router.request_path", "router.json_input", "router.cluster"),
        *("router.drain", "router.diagnosis", "router.static_files", "router.screening"),
    },
    "diagnosis": {"router.rooms", "router.rtc", "router._engine", "router.engine_stats"},
    "cluster": {"router.rooms", "router.config_model"},
    "commands": {"router.config", "router.hosts", "router.tables", "router.access", "router.claims", "router.tokens"},
    "examples": {"router.embedding"},
}
ONLY_IMPORTERS = {
    "aioice": {"router/rtc/ice.py"},
    "OpenSSL": {"router/rtc/dtls.py"},
    "pylibsrtp": {"router/rtc/srtp.py"},
    "redis": {
        f"router/cluster/redis_{part}.py"
        for part in ("connections", "errors", "link", "nodes", "store", "topology", "values")
    },
    "httpcore": {
        *("router/events/guarded_network.py", "router/events/webhook_post.py"),
        "router/admin/node_client.py",
    },
    "opentelemetry": {"router/tracing.py"},
    "uvicorn": {"router/listener.py", "router/http_protocol.py", "router/examples/embedded.py"},
    "prometheus_client": {
        "router/metrics.py",
        "router/admin/app.py",
        "router/admin/metrics.py",
        "router/admin/collector.py",
    },
}
# Types and counters of the engine may be named; its actions belong to `rtc`.
ENGINE_FOR_TYPES_ONLY = {"admin"}

PLAIN_VALUES = {"ids", "media", "time"}
TEST_SCENERY = "scalability"
"""A module of `tests/common` that unit tests share."""
RUST_MAY_USE = {
    "wire": {"wire", *PLAIN_VALUES},
    "srtp": {"srtp", "wire", *PLAIN_VALUES},
    "ice": {"ice", "wire", "core::command", *PLAIN_VALUES},
    "recv": {"recv", "wire", "core::command", "core::stats", *PLAIN_VALUES},
    "send": {"send", "wire", *PLAIN_VALUES},
    "route": {"route", "recv", "send", "wire", "core::command", "core::stats", *PLAIN_VALUES},
    "speakers": {"speakers", *PLAIN_VALUES},
    "bwe": {"bwe", "wire", *PLAIN_VALUES},
    "alloc": {"alloc", "route::cover", "route::ladder", "route::select", "core::command", *PLAIN_VALUES},
    "pace": {"pace", "wire", "core::sink", *PLAIN_VALUES},
    "core": {
        *("core", "alloc", "bwe", "ice", "pace", "recv", "route", "send", "speakers", "srtp", "wire"),
        *PLAIN_VALUES,
    },
}
UNSAFE_ALLOWED = ("io/", "py/", "srtp/libsrtp.rs")


def python_files(folder: Path = ROUTER) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if "engine-rs" not in path.parts]


def rust_files() -> list[Path]:
    return sorted((ENGINE / "src").rglob("*.rs"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name(path)}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if is_module(whole) else node.module


def is_module(dotted: str) -> bool:
    place = ROOT / dotted.replace(".", "/")
    return place.is_dir() or any(place.with_suffix(suffix).exists() for suffix in (".py", ".pyi"))


@pytest.mark.parametrize("folder", MAY_USE)
def test_folders_depend_in_one_direction(folder: str) -> None:
    allowed = {f"router.{folder}", *MAY_USE[folder]}
    wrong = [
        f"{name(path)} imports {module}"
        for path in python_files(ROUTER / folder)
        for module in imports(path)
        if module.split(".")[0] == "router"
        and module not in SHARED
        and not any(module == root or module.startswith(f"{root}.") for root in allowed)
    ]
    assert wrong == []


def test_every_folder_has_a_rule() -> None:
    folders = {path.parent.name for path in ROUTER.glob("*/__init__.py")}
    assert folders == set(MAY_USE)


@pytest.mark.parametrize("package", ONLY_IMPORTERS)
def test_libraries_have_one_door(package: str) -> None:
    found = {name(path) for path in python_files() if any(m.split(".")[0] == package for m in imports(path))}
    assert found == ONLY_IMPORTERS[package]


@pytest.mark.parametrize("folder", ENGINE_FOR_TYPES_ONLY)
def test_engine_is_imported_for_types_only(folder: str) -> None:
    for path in python_files(ROUTER / folder):
        for node in ast.parse(path.read_text()).body:
            assert not (isinstance(node, ast.ImportFrom) and node.module == "router._engine"), name(path)


def test_real_clocks_have_one_door() -> None:
    readers = {name(path) for path in python_files() if "time" in set(imports(path))}
    assert readers == {"router/clock.py"}


def test_files_are_short() -> None:
    texts = [path for suffix in ("py", "pyi", "rs", "js", "css", "html") for path in source_files(suffix)]
    long = {name(path): count for path in texts if (count := count_lines(path)) > MAX_LINES}
    assert long == {}


def source_files(suffix: str) -> Iterator[Path]:
    for top in ("router", "tests", "loadtest"):
        for path in (ROOT / top).rglob(f"*.{suffix}"):
            if not {"target", "node_modules", "output"} & set(path.relative_to(ROOT).parts):
                yield path


def count_lines(path: Path) -> int:
    """Without the tests at the bottom of a Rust file."""
    text = path.read_text()
    if path.suffix == ".rs":
        text = text.split("\n#[cfg(test)]\nmod ", 1)[0]
    return text.count("\n")


def test_every_source_file_says_what_it_is() -> None:
    silent = [name(path) for path in python_files() if ast.get_docstring(ast.parse(path.read_text())) is None]
    silent += [name(path) for path in rust_files() if not path.read_text().startswith("//!")]
    assert silent == []


@pytest.mark.parametrize("folder", RUST_MAY_USE)
def test_rust_modules_depend_in_one_direction(folder: str) -> None:
    wrong = [
        f"{name(path)} uses crate::{used}"
        for path in sorted((ENGINE / "src" / folder).rglob("*.rs"))
        for used in re.findall(r"\bcrate::([a-z_]+(?:::[a-z_]+)?)", without_comments(path))
        if not {used, used.split("::")[0]} & (RUST_MAY_USE[folder] | {TEST_SCENERY})
    ]
    assert wrong == []


def test_unsafe_code_is_fenced_in_and_explained() -> None:
    for path in rust_files():
        place = path.relative_to(ENGINE / "src").as_posix()
        text = without_comments(path)
        if re.search(r"\bunsafe\s*(\{|fn|impl|extern)", text):
            assert place.startswith(UNSAFE_ALLOWED), name(path)
            blocks = len(re.findall(r"\bunsafe\s*\{", text))
            assert path.read_text().count("SAFETY:") >= blocks, f"{name(path)}: a block without its SAFETY line"


def test_only_the_binding_knows_python() -> None:
    users = {path.relative_to(ENGINE / "src").parts[0] for path in rust_files() if "pyo3::" in without_comments(path)}
    assert users <= {"py", "lib.rs"}


def without_comments(path: Path) -> str:
    return re.sub(r"//.*", "", path.read_text())


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_pin_hashes_and_name_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)
    pins = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==[^\\]+\\\n +--hash=sha256:[0-9a-f]{64}", text, re.M)
    assert len(pins) == len(re.findall(r"^[\w.-]+.*==", text, re.M)) > 20


def test_lock_files_agree() -> None:
    def pins(lock: str) -> dict[str, str]:
        lines = re.findall(r"^([\w.-]+)==([^ ;\\]+)(.*?)\\$", (ROOT / lock).read_text(), re.M)
        return {package + marker.strip(): version for package, version, marker in lines}

    small, large = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {package: large.get(package) for package in small} == small
