"""`/docs`: the API as one plain page made from its OpenAPI document. No script and nothing from other hosts."""

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
code { font: 14px ui-monospace, monospace; overflow-wrap: anywhere }
section { border-top: 1px solid #8884; padding: .5rem 0 }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } a { color: #8bf } }
"""


@router.get("/docs")
async def read_docs(request: Request) -> HTMLResponse:
    """The page."""
    document: dict[str, Any] = request.app.openapi()
    sections = "".join(
        _write_operation(path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(document["info"]["title"])
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>'
        f'<p>{escape(document["info"]["description"])} <a href="openapi.json">OpenAPI document</a></p>{sections}</html>'
    )


def _write_operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<li><code>{escape(item['name'])}</code> in {escape(item['in'])}. {escape(item.get('description', ''))}</li>"
        for item in operation.get("parameters", ())
    )
    codes = ", ".join(operation["responses"])
    summary, text = escape(operation.get("summary", "")), escape(operation.get("description", ""))
    heading = f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    return (
        f"<section>{heading}<p><b>{summary}</b><br>{text}</p><ul>{parameters}</ul>"
        f"{_write_examples(operation)}<p>Answers: {escape(codes)}</p></section>"
    )


def _write_examples(operation: dict[str, Any]) -> str:
    """The body to send and what comes back, where they are JSON."""
    bodies = {"Request": operation.get("requestBody", {})}
    bodies |= {status: body for status, body in operation["responses"].items() if status.startswith("2")}
    return "".join(
        f"<details><summary>{name}</summary><pre>{escape(json.dumps(media['example'], indent=1))}</pre></details>"
        for name, body in bodies.items()
        for media_type, media in body.get("content", {}).items()
        if media_type == "application/json" and "example" in media
    )
