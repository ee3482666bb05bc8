"""Puts JSON schemas where kubeconform finds them: `python -m helm.schemas FOLDER TARGET`, called by install-tools.

FOLDER has the wheel of kubernetes-validate, which carries Kubernetes' own schemas (those that take no unknown field are
kept, of the oldest, a middle and the newest version that the chart is for), and YAML of custom resource definitions,
whose schemas are made to take no unknown field either.
"""

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import yaml

Json = dict[str, Any]

KUBERNETES: Final = ("1.30.0", "1.34.0", "1.37.0")
SOURCE: Final = "kubernetes_validate/kubernetes-json-schema"
REFERENCE: Final = re.compile(r'"\$ref": "[^"#]*#/\$defs/([^"]+)"')


def extract_kubernetes(wheel: Path, target: Path) -> None:
    """`v1.37.0-strict/deployment-apps-v1.json` and so on, each complete in itself."""
    with zipfile.ZipFile(wheel) as archive:
        for version in KUBERNETES:
            source = f"{SOURCE}/v{version}-local-strict/"
            definitions = json.loads(archive.read(f"{source}_definitions.json"))["$defs"]
            place = target / f"v{version}-strict"
            place.mkdir(parents=True, exist_ok=True)
            for name in archive.namelist():
                schema = json.loads(archive.read(name)) if name.startswith(source) and name.endswith(".json") else {}
                if {"apiVersion", "kind"} <= schema.get("properties", {}).keys():
                    (place / Path(name).name).write_text(json.dumps(complete(schema, definitions)))


def complete(schema: Json, definitions: Json) -> Json:
    """With all that it refers to, in the words of draft 4, which kubeconform reads."""
    used: Json = {}
    waiting = names_in(schema)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = definitions[name]
            waiting |= names_in(definitions[name])
    text = json.dumps({**schema, "definitions": used})
    return dict(json.loads(REFERENCE.sub(r'"$ref": "#/definitions/\1"', text)))


def names_in(schema: Json) -> set[str]:
    """Definitions that it refers to."""
    return set(REFERENCE.findall(json.dumps(schema)))


def make_strict(schema: Json) -> Json:
    """Refuses fields that the API server would drop in silence."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if "properties" in schema:
        made["properties"] = {name: make_strict(part) for name, part in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            made[name] = make_strict(schema[name])
    return made


def convert_resource(definition: Json, target: Path) -> None:
    """`monitoring.coreos.com/podmonitor_v1.json` and so on."""
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = make_strict(version["schema"]["openAPIV3Schema"])
        # Kubernetes checks metadata itself; a definition says only that it is an object.
        schema["properties"]["metadata"] = {"type": "object"}
        place = target / spec["group"] / f"{spec['names']['kind'].lower()}_{version['name']}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(schema))


def main(folder: Path, target: Path) -> None:
    """All that is in the folder."""
    for wheel in folder.glob("kubernetes_validate-*.whl"):
        extract_kubernetes(wheel, target / "kubernetes")
    for path in folder.glob("**/*.yaml"):
        for definition in yaml.safe_load_all(path.read_text()):
            if definition and definition.get("kind") == "CustomResourceDefinition":
                convert_resource(definition, target / "resources")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
