"""Turns pydantic's findings into one line that names the key, the value, what was expected, and where it was set."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

SECRET_WORDS: Final = ("secret", "token", "credential", "password", "auth", "redis", "webhooks")
MAX_VALUE_CHARS: Final = 60


def describe(error: ValidationError, model: type[BaseModel], origins: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for the first mistake; the others are counted. `origins` in order of precedence."""
    findings = error.errors(include_url=False)
    line = _describe_one(findings[0], model, origins)
    return line if len(findings) == 1 else f"{line}; {len(findings) - 1} more after this one"


def _describe_one(finding: ErrorDetails, model: type[BaseModel], origins: Mapping[str, Mapping[str, Any]]) -> str:
    path = finding["loc"]
    key = ".".join(str(part) for part in path)
    where = _origin(path, origins)
    if finding["type"] == "extra_forbidden":
        return f"{key}: unknown key{where}, {_suggest(path, model)}"
    return f"{key}{_shown_value(path, finding)}: {_expected(finding)}{where}"


def _shown_value(path: tuple[int | str, ...], finding: ErrorDetails) -> str:
    if any(word in str(part) for part in path for word in SECRET_WORDS):
        return ""
    shown = repr(finding["input"])
    return f" is {shown if len(shown) <= MAX_VALUE_CHARS else shown[:MAX_VALUE_CHARS] + '…'}"


def _expected(finding: ErrorDetails) -> str:
    text = finding["msg"].removeprefix("Value error, ")
    if finding["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a group of keys"
    return text.replace("Input should be", "expected", 1)


def _suggest(path: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = _known_keys(path[:-1], model)
    close = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(known)}"


def _known_keys(path: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _origin(path: tuple[int | str, ...], origins: Mapping[str, Mapping[str, Any]]) -> str:
    for name, tree in origins.items():
        node: Any = tree
        for part in path:
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                break
        else:
            return f" ({node})" if name == "environment" and isinstance(node, str) else f" ({name})"
        if name == "environment" and isinstance(node, str):
            return f" ({node})"
    return ""
