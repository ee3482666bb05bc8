"""One router for all attacks: what one of them breaks, the next one finds broken."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.attack.stage import Stage, run_stage


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared_stage() -> AsyncIterator[Stage]:
    async with run_stage() as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="package")
async def stage(shared_stage: Stage) -> Stage:
    """With its people, who are put out when their media does not come."""
    await shared_stage.people()
    return shared_stage
