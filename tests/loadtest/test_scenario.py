"""Scenario files: the shipped ones are good, and a wrong one is refused with file, key and reason."""

from pathlib import Path

import pytest

from loadtest.scenario import ScenarioError, load_scenario, parse_scenario, scenario_names
from loadtest.table import ROWS, SCENARIOS


@pytest.mark.parametrize("name", scenario_names())
def test_a_shipped_scenario_is_good(name: str) -> None:
    assert load_scenario(name).name == name


def test_the_table_has_its_scenarios() -> None:
    assert {row.scenario for row in ROWS} == set(SCENARIOS) <= set(scenario_names())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"title": "t", "receivers": 1}, "neither video nor audio"),
        ({"title": "t", "receivers": 0, "video": {}}, r"receivers\.0: .*greater than or equal to 1"),
        ({"title": "t", "receivers": 1, "video": {}, "receiver": 2}, "receiver: Extra inputs are not permitted"),
        ({"title": "t", "receivers": 1, "video": {"codec": "AV1"}}, r"video\.codec: Input should be 'VP8' or 'H264'"),
        ({"title": "t", "receivers": 1, "video": {"packet_bytes": 1500}}, r"video\.packet_bytes: "),
        ({"title": "t", "receivers": 1, "audio": {}, "knee": {}}, "only the rate of video"),
        ({"title": "t", "receivers": 1, "audio": {}, "kind": "slots"}, "kind slots needs the table slots"),
        ({"receivers": 1, "audio": {}}, "title: Field required"),
    ],
)
def test_a_wrong_one_is_refused_with_the_reason(data: dict[str, object], message: str) -> None:
    with pytest.raises(ScenarioError, match=f"x.toml: .*{message}"):
        parse_scenario(data, "x", "x.toml")


def test_what_is_no_file_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario absent; there are all-to-all-10, "):
        load_scenario("absent")
    broken = tmp_path / "broken.toml"
    broken.write_text("title = ")
    with pytest.raises(ScenarioError, match=r"broken.toml: Invalid value"):
        load_scenario(str(broken))


def test_subscriptions_are_counted_by_kind() -> None:
    parts: dict[str, object] = {"title": "t", "receivers": 10, "video": {}, "audio": {}}
    assert parse_scenario({**parts, "publishers": 2}, "x", "x").subscriptions(10) == 40
    assert parse_scenario({**parts, "kind": "all-to-all"}, "x", "x").subscriptions(10) == 180
