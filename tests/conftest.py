"""For all tests. Hypothesis is imported before any browser test runs: playwright's greenlets leave CPython 3.11's
compiler with a wrong recursion count, and its pytest plugin would import it as late as in the summary."""

import gc
import io
import logging
from collections.abc import Iterator

import hypothesis
import pytest

from router.log import configure_logging

# Machines of tests are shared: how long one example took says nothing.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Thousands of collected tests are no garbage: to look through them all took up to 0.6 s, in the midst of tests
    that measure how long something waits."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, a JSON text a line."""
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    yield stream
    configure_logging("json", "warning")
    logging.getLogger().setLevel(logging.WARNING)
