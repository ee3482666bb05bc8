"""What is written from values.yaml is in step with it, and with the router's settings."""

import json

import pytest
import yaml

from helm.generate import CHART, DECIDED, make_config_schema, make_files, read_values
from tests.helm.chart import ROOT


def test_files_are_in_step() -> None:
    stale = [path.name for path, text in make_files().items() if path.read_text() != text]
    assert stale == [], "run: make chart"


def test_every_value_has_a_text_that_ends() -> None:
    assert [value.path for value in read_values() if not value.text.rstrip("/").endswith((".", "main", "ca.crt"))] == []


def test_settings_that_are_decided_elsewhere_name_a_value() -> None:
    paths = {value.path for value in read_values()}
    assert {value for value in DECIDED.values() if not value.startswith("never")} <= paths


def test_secrets_are_no_settings_of_the_config_map() -> None:
    text = json.dumps(make_config_schema())
    assert "writeOnly" not in text
    for word in ("token", "secrets", "credential", "password"):
        assert f'"{word}":' not in text


def test_versions_agree_with_the_package() -> None:
    from router import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


@pytest.mark.parametrize("name", ["grafana", "prometheus"])
def test_the_chart_carries_the_monitoring_of_config(name: str) -> None:
    assert (CHART / "files" / name).resolve() == ROOT / "config" / name
