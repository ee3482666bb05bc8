"""The OpenAPI document against the admin port: requests that fit it and requests that do not, made by schemathesis.

No answer is a 5xx but that something is busy, each is of a status, a media type and a shape that the document has, a
wrong method is told the right ones, nothing is served without a token, and every refusal is a problem document. That a
request which fits the schema is served is not expected: it does not say which names exist, nor of which characters.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.attack.stage import NEED_NO_TOKEN, READER, WRITER, Stage, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="package")]

NOT_CHECKED: list[Any] = [positive_data_acceptance, not_a_server_error]
EXISTING_SHARE = 4
"""Of so many requests one is about something that does not exist."""


def attack_operation(operation: Any, values: dict[str, str], url: str, examples: int, *, repeat: bool) -> Counter[int]:
    """Runs on a thread of its own; raises for the first answer that breaks the rules."""
    statuses: Counter[int] = Counter()
    session = requests.Session()
    strategies = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=repeat,
        print_blob=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategies[0] | strategies[1])
    def attack(case: Case[Any]) -> None:
        if case.path_parameters and sum(statuses.values()) % EXISTING_SHARE:
            case.path_parameters.update({name: values[name] for name in case.path_parameters if name in values})
        reply = case.call(base_url=url, headers=bearer(WRITER), session=session, timeout=10)
        statuses[reply.status_code] += 1
        case.validate_response(reply, headers=bearer(WRITER), excluded_checks=NOT_CHECKED)
        assert reply.status_code < 500 or reply.status_code == 503, case
        if reply.status_code >= 400:
            assert reply.headers["content-type"] == ["application/problem+json"], case
            assert reply.json()["status"] == reply.status_code, case

    try:
        attack()
    finally:
        session.close()
    return statuses


async def attack_all(stage: Stage, examples: int, *, repeat: bool) -> None:
    """Every operation of the document whose response has an end."""
    schema = schemathesis.openapi.from_dict(stage.app.openapi())
    schema.config.generation.update(with_security_parameters=False)
    url = f"http://127.0.0.1:{stage.server.admin_port}"
    endless = {str(operation) for operation in stage.operations if operation.streams}
    found: dict[str, Counter[int]] = {}
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr] # raises what is wrong with the document
        if operation.label in endless:
            continue
        await stage.people()
        found[operation.label] = await asyncio.to_thread(
            attack_operation, operation, stage.values, url, examples, repeat=repeat
        )
        assert (await stage.admin.get("/healthz")).status_code == 200
    assert len(found) >= 13
    served = [label for label, statuses in found.items() if min(statuses) < 300]
    assert len(served) >= len(found) / 2, found


async def test_the_document_tells_the_truth(stage: Stage) -> None:
    await attack_all(stage, 3, repeat=True)


@pytest.mark.soak
async def test_the_document_tells_the_truth_for_long(stage: Stage) -> None:
    """A failure prints what repeats it."""
    await attack_all(stage, 500, repeat=False)


async def test_every_operation_says_who_may_ask_and_what_errors_are(stage: Stage) -> None:
    document = stage.app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert (operation.get("security") == [{"adminToken": []}]) == (path not in NEED_NO_TOKEN), (method, path)
            for status, response in operation["responses"].items():
                assert int(status) < 400 or "application/problem+json" in response["content"], (method, path, status)
    assert document["components"]["securitySchemes"]["adminToken"]["scheme"] == "bearer"


async def test_endless_responses_refuse_bad_parameters_and_end_with_their_reader(stage: Stage) -> None:
    """What schemathesis cannot try, for it would wait for the end."""
    endless = [operation for operation in stage.operations if operation.streams]
    assert endless
    for operation in endless:
        path = stage.fill(operation.path)
        for query in ("?kind=x", "?room=", "?room=a%0Ab", f"?room={'x' * 10_000}", "?kind=" + "&kind=".join("x" * 40)):
            reply = await stage.admin.get(path + query, headers=bearer(READER))
            assert reply.status_code == 400, (path, query)
        for _ in range(40):  # more than the listeners that may be there at once
            async with stage.admin.stream("GET", path, headers=bearer(READER)) as stream:
                assert stream.status_code == 200, path
                async for line in stream.aiter_lines():
                    assert line
                    break
