"""Marks and skips of the end-to-end tests: a missing program skips by name, it never passes silently."""

import shutil
from pathlib import Path

import pytest

from tests.e2e import netns

HERE = Path(__file__).parent
OUTPUT = HERE / "output"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is e2e, with the machine to itself; browser tests need their browsers."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.alone)
        if item.get_closest_marker("browser") and shutil.which("chromium") is None:
            item.add_marker(pytest.mark.skip(reason="needs Debian's chromium"))
        if item.get_closest_marker("firefox") and (shutil.which("firefox-esr") is None or not netns.available()):
            item.add_marker(pytest.mark.skip(reason="needs firefox-esr, root and network namespaces"))


@pytest.fixture
def output() -> Path:
    """Where screenshots go."""
    OUTPUT.mkdir(exist_ok=True)
    return OUTPUT
