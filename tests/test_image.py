"""The Dockerfile without Docker: what it copies is in the build context, what its steps need is there, and its image is
the one that the chart and the documents speak of. Not tried: the base images and the build itself."""

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from router.config import CONFIG_VARIABLE, Settings

ROOT = Path(__file__).parent.parent
INSTRUCTIONS = [
    line.strip()
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
CARGO = shutil.which("cargo", path=f"{Path.home()}/.cargo/bin") or shutil.which("cargo")


def instructions(word: str) -> list[str]:
    return [line.removeprefix(f"{word} ") for line in INSTRUCTIONS if line.startswith(f"{word} ")]


def copies() -> list[tuple[list[str], str]]:
    """Sources and target of each COPY from the context."""
    words = [line.split() for line in instructions("COPY") if not line.startswith("--")]
    return [(sources, target) for *sources, target in words]


def is_sent(path: str) -> bool:
    """Whether .dockerignore leaves it in the context: the last rule that matches it or a folder above it decides."""
    parts = path.split("/")
    names = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        if any(matches(name, pattern) for name in names):
            sent = line.startswith("!")
    return sent


def matches(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(name.rpartition("/")[2], pattern.removeprefix("**/"))
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in done.stdout.splitlines() if (ROOT / path).is_file()]


def test_what_is_copied_is_sent_and_nothing_that_was_built() -> None:
    sent = [path for path in tracked() if is_sent(path)]
    for sources, _ in copies():
        for source in sources:
            assert any(path == source or path.startswith(f"{source}/") for path in sent), source
    assert not is_sent("router/_engine.abi3.so")
    assert not is_sent("router/rtc/__pycache__/dtls.cpython-311.pyc")
    assert not is_sent("target/release/x")
    assert not is_sent(".venv/bin/python")


@pytest.mark.skipif(CARGO is None, reason="needs cargo")
def test_cargo_finds_all_members_of_the_workspace(tmp_path: Path) -> None:
    """It refuses to build one member where the manifest of another is missing."""
    assert CARGO is not None
    sent = [path for path in tracked() if is_sent(path)]
    for sources, target in copies():
        if not target.startswith("./") or any(
            source.endswith(".lock") and source != "Cargo.lock" for source in sources
        ):
            continue
        for path in sent:
            if any(path == source or path.startswith(f"{source}/") for source in sources):
                place = tmp_path / path
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place)
    command = [CARGO, "metadata", "--no-deps", "--locked", "--offline", "--format-version", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "fork-router-engine" in done.stdout


def test_only_maturin_is_taken_from_the_lock_of_development(tmp_path: Path) -> None:
    (line,) = [line for line in instructions("RUN") if "maturin.lock" in line]
    script = line.partition("&& ")[2].partition(" && /venv")[0]
    shutil.copy(ROOT / "requirements-dev.lock", tmp_path)
    subprocess.run(["/bin/sh", "-ec", script], cwd=tmp_path, check=True, timeout=50)
    first, *hashes = (tmp_path / "maturin.lock").read_text().splitlines()
    assert re.fullmatch(r"maturin==[\d.]+ \\", first)
    assert hashes
    assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", text) for text in hashes)
    assert not hashes[-1].endswith("\\")


def test_the_container_runs_what_the_documents_say() -> None:
    default = Settings()
    ports = f"{default.public.port}/tcp {default.admin.port}/tcp {default.media.udp_port}/udp"
    assert instructions("EXPOSE") == [ports]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert (instructions("ENTRYPOINT"), instructions("CMD")) == (['["router"]'], ['["serve"]'])
    (environment,) = instructions("ENV")
    assert f"{CONFIG_VARIABLE}={dict(copies_by_source())['config/router.yaml']}" in environment
    (check,) = instructions("HEALTHCHECK")
    assert f"http://{default.admin.host}:{default.admin.port}/healthz" in check
    assert INSTRUCTIONS.index("USER 10001") > INSTRUCTIONS.index(
        next(line for line in INSTRUCTIONS if "wheels" in line)
    )


def copies_by_source() -> list[tuple[str, str]]:
    return [(source, target) for sources, target in copies() for source in sources]


def test_versions_are_those_that_the_package_needs() -> None:
    given = dict(line.split("=", 1) for line in instructions("ARG") if "=" in line)
    needed = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert needed is not None
    assert [int(part) for part in given["PYTHON"].split(".")] >= [int(part) for part in needed[1].split(".")]
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.M)
    assert "otel" in extras, "Dockerfile and helm/README.md.in name it"
