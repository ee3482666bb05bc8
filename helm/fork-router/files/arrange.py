"""Writes the router's settings for the pod that it runs in: the UDP port by the pod's index, the addresses to announce
from the node, from the pod's own load balancer or from a list. An init container of the chart, with Python and PyYAML
of the router's image; only it holds a token for the Kubernetes API.

A pod that cannot learn its address does not start: a router that announces a wrong one looks well and connects nobody.
"""

import json
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ACCESS = Path("/var/run/secrets/fork-router")
API = "https://kubernetes.default.svc"
RETRY_S = 2.0
REQUEST_TIMEOUT_S = 5.0

Environment = Mapping[str, str]
Read = Callable[[str], dict[str, Any]]


class NotYetError(Exception):
    """The address is not known now; later it may be."""


def split(text: str) -> list[str]:
    """The values between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def addresses_of_node(node: dict[str, Any], annotation: str) -> list[str]:
    """The annotation, or else every ExternalIP; never the InternalIP, which clients elsewhere cannot reach."""
    annotated = split(node["metadata"].get("annotations", {}).get(annotation, ""))
    external = [entry["address"] for entry in node["status"].get("addresses", []) if entry["type"] == "ExternalIP"]
    if found := annotated or external:
        return found
    name = node["metadata"]["name"]
    raise NotYetError(f"node {name} has neither the annotation {annotation} nor an ExternalIP")


def addresses_of_service(service: dict[str, Any], resolve: Callable[[str], list[str]]) -> list[str]:
    """What the cloud's load balancer reports, host names resolved: candidates hold addresses."""
    entries = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    found = [
        address for entry in entries for address in ([entry["ip"]] if "ip" in entry else resolve(entry["hostname"]))
    ]
    if not found:
        raise NotYetError(f"service {service['metadata']['name']} has no load balancer address yet")
    return found


def discover(environment: Environment, read: Read, resolve: Callable[[str], list[str]]) -> list[str]:
    """Addresses to announce; empty where the environment of the router says them, or nobody needs to."""
    source = environment["DISCOVERY"]
    if source == "node":
        return addresses_of_node(read(f"/api/v1/nodes/{environment['NODE_NAME']}"), environment["NODE_ANNOTATION"])
    if source == "service":
        name = f"{environment['SERVICE_PREFIX']}{environment['POD_INDEX']}"
        return addresses_of_service(read(f"/api/v1/namespaces/{environment['NAMESPACE']}/services/{name}"), resolve)
    if source == "fixedPerPod":
        return [split(environment["ADDRESSES"])[int(environment["POD_INDEX"])]]
    return []


def arrange(settings: dict[str, Any], environment: Environment, addresses: list[str]) -> dict[str, Any]:
    """The settings with what is this pod's own."""
    media = dict(settings.get("media", {}))
    if addresses:
        media["announced_addresses"] = addresses
    if "FIRST_NODE_PORT" in environment:
        index, workers = int(environment["POD_INDEX"]), int(environment["WORKERS"])
        media["udp_port"] = int(environment["FIRST_NODE_PORT"]) + index * workers
    return {**settings, "media": media}


def read_api(path: str) -> dict[str, Any]:
    """One object, with the token that the kubelet renews."""
    context = ssl.create_default_context(cafile=str(ACCESS / "ca.crt"))
    headers = {"Authorization": f"Bearer {(ACCESS / 'token').read_text()}", "Accept": "application/json"}
    request = urllib.request.Request(API + path, headers=headers)  # noqa: S310 - https
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S, context=context) as reply:  # noqa: S310
            found: dict[str, Any] = json.load(reply)
            return found
    except (OSError, urllib.error.URLError) as error:
        raise NotYetError(f"{path}: {error}") from error


def resolve_name(name: str) -> list[str]:
    """All addresses of a host name."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)})
    except OSError as error:
        raise NotYetError(f"{name}: {error}") from error


def wait_for_addresses(environment: Environment) -> list[str]:
    """Asks until there is an answer or the time is up. A program of its own: it may read the clock, and sleep."""
    deadline_s = time.monotonic() + float(environment["TIMEOUT_S"])  # noqa: TID251
    while True:
        try:
            return discover(environment, read_api, resolve_name)
        except NotYetError as error:
            print(error, file=sys.stderr, flush=True)
        if time.monotonic() >= deadline_s:  # noqa: TID251
            sys.exit("gave up: nobody could reach this pod")
        time.sleep(RETRY_S)  # noqa: TID251


def main(environment: Environment = os.environ) -> None:
    """Reads the settings, completes and writes them."""
    addresses = wait_for_addresses(environment)
    settings = yaml.safe_load(Path(environment["SETTINGS"]).read_text()) or {}
    arranged = arrange(settings, environment, addresses)
    Path(environment["ARRANGED"]).write_text(yaml.safe_dump(arranged))
    port = arranged["media"].get("udp_port", "as set")
    print(f"announced addresses: {', '.join(addresses) or 'as set'}; UDP port: {port}", flush=True)


if __name__ == "__main__":
    main()
