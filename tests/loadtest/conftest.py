"""Loads and links run in real time: these tests have the machine to themselves."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.alone)
