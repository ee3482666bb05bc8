"""What the documents tell somebody to type, open or look at is there: links, commands with their options, log lines and
panels that runbooks name."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from router.cli import app
from router.commands.groups import ListGroup

ROOT = Path(__file__).parent.parent
RUNBOOKS = sorted((ROOT / "config" / "runbooks").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CHANGELOG.md",
    ROOT / "helm" / "fork-router" / "README.md",
    ROOT / "helm" / "fork-router" / "templates" / "NOTES.txt",
    ROOT / "router" / "examples" / "README.md",
    ROOT / "loadtest" / "README.md",
    *RUNBOOKS,
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
COMMAND = re.compile(r"(?:^|[;&|(`]|: ) *router ((?:[a-z-]+)(?: +[^;&|#`\n)]+)?)", re.M)
IN_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
IN_LINE = re.compile(r"`router [^`\n]+`")
TITLE = re.compile(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)")
NOT_PANELS = {"Status, Targets"}
"""A menu of Prometheus."""


def commands(text: str) -> list[str]:
    """Of blocks of shell and of `router …` in a line; of NOTES.txt those that begin a line."""
    places = [*IN_BLOCK.findall(text), *IN_LINE.findall(text)]
    if not places:
        places = [line for line in text.splitlines() if line.strip().startswith("router ")]
    return [found.strip() for place in places for found in COMMAND.findall(place.replace("\\\n", " "))]


def check(line: str) -> None:
    """`LookupError` for a command or an option that there is not."""
    words = line.split()
    command: Any = get_command(app)  # the library's click is its own
    while words and hasattr(command, "commands"):
        if words[0] in command.commands:
            command, words = command.commands[words[0]], words[1:]
        elif isinstance(command, ListGroup):
            command = command.commands[command.meant]
        elif words[0].startswith("-"):
            break
        else:
            raise LookupError(f"no command {words[0]}")
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("--") and word.partition("=")[0] not in known:
            raise LookupError(f"no option {word}, there are {', '.join(sorted(known))}")


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@each_page
def test_commands_exist_with_their_options(page: Path) -> None:
    for line in commands(page.read_text()):
        try:
            check(line)
        except LookupError as error:
            pytest.fail(f"router {line}: {error}")


def test_the_readme_is_read_for_commands() -> None:
    found = commands((ROOT / "README.md").read_text())
    assert {"rooms lock tea", "drain --wait", "top", "doctor"} <= {" ".join(line.split()) for line in found}
    with pytest.raises(LookupError):
        check("romms list")
    with pytest.raises(LookupError):
        check("drain --for-ever")


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_runbooks_name_panels_that_the_boards_have(page: Path) -> None:
    boards = [json.loads(path.read_text()) for path in (ROOT / "config" / "grafana").glob("*.json")]
    titles = {panel["title"] for board in boards for panel in board["panels"]}
    assert set(TITLE.findall(page.read_text())) - titles - NOT_PANELS == set()


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("SfuJoinsFailing", "join failed"),
        ("SfuHandlerErrors", "an event handler raised"),
        ("SfuWebhooksLost", "webhook given up"),
    ],
)
def test_log_lines_that_runbooks_name_are_written(page: str, line: str) -> None:
    assert f"`{line}`" in (ROOT / "config" / "runbooks" / f"{page}.md").read_text()
    assert any(f'"{line}"' in path.read_text() for path in (ROOT / "router").rglob("*.py"))
