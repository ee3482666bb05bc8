"""Writes the chart's values.schema.json and README.md from values.yaml: `python -m helm.generate`, or `make chart`.

In values.yaml, `# -- text` above a value is its line in the README, and `# @schema {…}` adds to its JSON schema
(draft 7), whose type and default come from the value itself. Objects take no keys but those they have, unless said
otherwise. The schema of `config` is the router's own (`router.config.Settings`), without what other values decide and
without secrets, which belong into Secrets and not into a ConfigMap.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from router.config import Settings

Json = dict[str, Any]

CHART: Final = Path(__file__).parent / "fork-router"
TEMPLATE: Final = Path(__file__).parent / "README.md.in"

DECIDED: Final = {
    "dev": "never: a pod is no place for development",
    "public.port": "ports.public",
    "public.url": "publicUrl",
    "admin.port": "ports.admin",
    "admin.token": "auth.adminExistingSecret",
    "admin.metrics_without_token": "metrics.withoutToken",
    "media.workers": "media.workers",
    "media.udp_port": "media.udpPort",
    "media.announced_addresses": "media.announcedAddresses",
    "media.stun_servers": "media.stunServers",
    "auth.secrets": "auth.existingSecret",
    "auth.key_file": "auth.keyFile.existingSecret",
    "admin.token_file": "auth.tokenFile.existingSecret",
    "turn.urls": "turn.uris",
    "turn.secret": "turn.secretKey",
    "redis.url": "externalRedis.url",
    "redis.node": "never: it is the pod's name",
    "redis.admin_url": "never: it is the pod's address",
    "drain.deadline_s": "drain.timeoutSeconds",
    "webhooks.urls": "webhooks.urlsKey",
    "webhooks.secret": "webhooks.secretKey",
}
"""Settings that are no keys of `config`, and the values that decide them."""


@dataclass
class Value:
    """A leaf of values.yaml."""

    path: str
    default: Any
    text: str
    schema: Json


def read_values() -> list[Value]:
    """All of them, in order."""
    source = (CHART / "values.yaml").read_text()
    root = yaml.compose(source)
    assert isinstance(root, yaml.MappingNode)
    return list(_walk(root, source.splitlines(), ""))


def _walk(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key, child in node.value:
        text, schema = _comment_above(lines, key.start_mark.line)
        path = prefix + key.value
        if text is None and isinstance(child, yaml.MappingNode) and child.value:
            yield from _walk(child, lines, f"{path}.")
            continue
        if text is None:
            raise ValueError(f"{path}: no comment that begins with # --")
        default = yaml.safe_load(yaml.serialize(child))
        yield Value(path, default, text, {**_schema_of(default), **schema})


def _comment_above(lines: list[str], line: int) -> tuple[str | None, Json]:
    text, schema = [], {}
    for above in reversed(lines[:line]):
        comment = above.strip()
        if comment.startswith("# @schema "):
            schema = json.loads(comment.removeprefix("# @schema "))
        elif comment.startswith("#"):
            text.append(comment.removeprefix("#").strip())
            if comment.startswith("# --"):
                return " ".join(reversed(text)).removeprefix("-- "), schema
        else:
            break
    return None, schema


def _schema_of(value: Any) -> Json:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return {"type": kinds[type(value)]} if value is not None else {}


def make_schema(values: list[Value]) -> Json:
    """The whole schema: strict at every level that the chart knows."""
    root: Json = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart fork-router",
        "type": "object",
        "additionalProperties": False,
        # Helm adds it where the chart is a part of another.
        "properties": {"global": {"type": "object"}},
    }
    for value in values:
        *parents, name = value.path.split(".")
        section = root
        for parent in parents:
            fresh: Json = {"type": "object", "additionalProperties": False, "properties": {}}
            section = section["properties"].setdefault(parent, fresh)
        section["properties"][name] = {**value.schema, "description": value.text}
    root["properties"]["config"] = {**make_config_schema(), "description": "Settings of the router."}
    return root


def make_config_schema() -> Json:
    """The router's settings as `config` takes them."""
    whole = Settings.model_json_schema()
    return _plain(whole, whole.get("$defs", {}), "")


def _plain(schema: Json, definitions: Json, path: str) -> Json:
    """Without references, defaults, secrets, and settings that are decided elsewhere."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rpartition("/")[2]], definitions, path)
    kept = {name: part for name, part in schema.items() if name not in ("$defs", "default", "title", "description")}
    if "properties" in schema:
        parts = {
            name: _plain(part, definitions, f"{path}.{name}".lstrip("."))
            for name, part in schema["properties"].items()
            if f"{path}.{name}".lstrip(".") not in DECIDED and not is_secret(part, definitions)
        }
        kept["properties"] = parts
        kept["additionalProperties"] = False
    for pattern, part in schema.get("patternProperties", {}).items():
        kept["patternProperties"] = {pattern: _plain(part, definitions, path)}
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if name in schema:
            kept[name] = [_plain(part, definitions, path) for part in schema[name]]
    if isinstance(schema.get("items"), dict):
        kept["items"] = _plain(schema["items"], definitions, path)
    if isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = _plain(schema["additionalProperties"], definitions, path)
    return kept


def is_secret(schema: Json, definitions: Json) -> bool:
    """Whether it is a `SecretStr`, a collection of them, or of objects that cannot do without one."""
    if "$ref" in schema:
        return is_secret(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    inner = [*schema.get("anyOf", ())]
    inner += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    inner += schema.get("patternProperties", {}).values()
    inner += [part for name, part in schema.get("properties", {}).items() if name in schema.get("required", ())]
    return bool(schema.get("writeOnly")) or any(is_secret(part, definitions) for part in inner)


def make_readme(values: list[Value]) -> str:
    """The template with its table of values."""
    rows = ["| value | default | |", "|---|---|---|"]
    for value in values:
        default = json.dumps(value.default, ensure_ascii=False)
        text = value.text.replace("|", "\\|")
        if "enum" in value.schema:
            text += f" One of {', '.join(f'`{choice}`' for choice in value.schema['enum'])}."
        rows.append(f"| `{value.path}` | `{default}` | {text} |")
    decided = [f"| `{setting}` | `{value}` |" for setting, value in DECIDED.items() if not value.startswith("never")]
    text = TEMPLATE.read_text()
    text = text.replace("@VALUES@", "\n".join(rows))
    return text.replace("@DECIDED@", "\n".join(["| setting | value |", "|---|---|", *decided]))


def make_files() -> dict[Path, str]:
    """What belongs into each file."""
    values = read_values()
    return {
        CHART / "values.schema.json": json.dumps(make_schema(values), indent=1, ensure_ascii=False) + "\n",
        CHART / "README.md": make_readme(values),
    }


def main() -> None:
    """Writes them."""
    for path, text in make_files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
