"""Each alert has its page, each page its alert, and every command and link on it is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.rules import PAGES, Alert, alerts

from metering.cli.app import app

if TYPE_CHECKING:
    from cyclopts import App

ALERTS = alerts()
HEADINGS = ["What it means", "Who is hurt", "Check", "Act", "Over"]
PAGE_FILES = sorted(PAGES.glob("*.md"))
names = [page.stem for page in PAGE_FILES]


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert {alert.page for alert in ALERTS} == set(PAGE_FILES)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.name for alert in ALERTS])
def test_a_page_names_its_alert_and_has_every_section(alert: Alert) -> None:
    text = alert.page.read_text()
    labels = alert.labels
    kinds = {None: "", "slow": ", slow", "slo": ", SLO"}
    assert f"`{alert.name}`, {labels['severity']}{kinds[labels.get('kind')]}.\n" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", PAGE_FILES, ids=names)
def test_every_command_on_a_page_exists(page: Path) -> None:
    for line in commands(page.read_text()):
        words = shlex.split(line, comments=True)[1:]
        command: App = app
        while words and words[0] in {name for name in command if not name.startswith("-")}:
            command = command[words.pop(0)]
        assert command is not app, f"there is no `{line}`"
        taken = command.assemble_argument_collection() if command.default_command else []
        known = {name for one in taken for name in (one.parameter.name or ())} | {"--help"}
        for word in words:
            assert command.default_command or word.startswith("-"), f"there is no `{line}`"
            if word.startswith("--"):
                assert word.partition("=")[0] in known, f"`{line}`: there is no {word}"


def commands(text: str) -> Iterator[str]:
    """What is to be typed: lines of a block, and code in a sentence that begins with the command."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from re.findall(r"^(metering .+)$", block, re.MULTILINE)
        yield from re.findall(r"(?:# or: |, )(metering [a-z]+)", block)
    prose = re.sub(r"^```sh\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (code.replace("\n", " ") for code in re.findall(r"`(metering [^`]+)`", prose))


@pytest.mark.parametrize("page", PAGE_FILES, ids=names)
def test_every_link_on_a_page_leads_somewhere(page: Path) -> None:
    for path, anchor in re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", page.read_text()):
        target = (page.parent / path).resolve()
        assert target.exists(), f"{page.name} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in anchors, f"{page.name} links to {path}#{anchor}"
