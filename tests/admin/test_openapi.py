"""The OpenAPI document, route by route: summaries, examples that fit their schemas, the problems each may answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from router import errors
from router.admin.openapi import PROBLEMS
from tests.admin.conftest import Router

Json = dict[str, Any]


@pytest.fixture
async def document(router: Router) -> Json:
    return router.app().openapi()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


async def test_every_route_says_what_it_does(document: Json) -> None:
    for path, method, operation in operations(document):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert operation["tags"], (method, path)
    assert len(document["paths"]) >= 20


async def test_every_body_has_an_example(document: Json) -> None:
    for path, method, operation in operations(document):
        bodies = [(status, body) for status, body in operation["responses"].items() if "content" in body]
        if "requestBody" in operation:
            bodies.append(("request", operation["requestBody"]))
        assert bodies or next(iter(operation["responses"])) == "204", (method, path)
        for name, body in bodies:
            for media_type, media in body["content"].items():
                assert "example" in media, (method, path, name, media_type)


async def test_every_route_names_its_problems(document: Json) -> None:
    for path, method, operation in operations(document):
        if not path.startswith("/v1/"):
            continue
        expected = {401, 429}
        if method != "get":
            expected |= {403, 408, 413, 415}
        if method == "post":
            expected |= {409, 422}
        if "{" in path:
            expected |= {404}
        if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ())):
            expected |= {412}
        found = {int(status) for status in operation["responses"]}
        assert expected <= found, (method, path, expected - found)
        assert operation["security"] == [{"adminToken": []}]


async def test_every_problem_is_one(document: Json) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            example = response["content"]["application/problem+json"]["example"]
            assert set(example) == {"type", "title", "status", "detail", "slug"}, (method, path)
            assert example["status"] == int(status)
            assert example["type"].endswith(example["slug"])


async def test_idempotency_keys_are_for_posts(document: Json) -> None:
    for path, method, operation in operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert ("Idempotency-Key" in names) == (method == "post" and path.startswith("/v1/")), (method, path)


async def test_operations_that_change_rooms_and_people_take_if_match(document: Json) -> None:
    expected = {
        ("patch", "/v1/rooms/{room}"),
        ("delete", "/v1/rooms/{room}"),
        ("post", "/v1/rooms/{room}/lock"),
        ("post", "/v1/rooms/{room}/unlock"),
        ("patch", "/v1/rooms/{room}/participants/{participant}"),
        ("delete", "/v1/rooms/{room}/participants/{participant}"),
    }
    found = {
        (method, path)
        for path, method, operation in operations(document)
        if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ()))
    }
    assert found >= expected


def models(root: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in root.__subclasses__():
        if model.__module__.startswith("router.admin"):
            yield model
        yield from models(model)


def test_examples_fit_their_schemas() -> None:
    checked = 0
    for model in {*models(BaseModel)}:
        extra: Any = model.model_config.get("json_schema_extra") or {}
        for example in extra.get("examples", ()):
            model.model_validate_json(json.dumps(example))
            checked += 1
    assert checked >= 15


def test_problems_have_statuses_of_our_errors() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    known = {kind.status for kind in kinds if issubclass(kind, errors.RouterError)}
    assert set(PROBLEMS) <= known
