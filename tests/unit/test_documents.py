"""What the documents name exists: files, anchors, commands, and each code's own sentence."""

import re
from pathlib import Path

import pytest
from cyclopts import App

from metering.cli.app import app
from schemas.codes import EVENT_CODES, SENTENCES, Code

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], key=str)
FOLDERS = ("schemas", "aggregator", "metering", "tests", "load", "deploy", "docs", "requirements")

by_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(document.relative_to(ROOT)) for document in DOCUMENTS]
)


def paths(text: str) -> set[str]:
    """Files and folders of this repository, as they stand in a sentence or a picture."""
    found = re.findall(rf"(?<![\w/.:-])(?:{'|'.join(FOLDERS)})/[\w./-]*[\w/]", text)
    return {path for path in found if not re.search(r"NNNN|…", path)}


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as the forges make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def subcommands(group: App) -> set[str]:
    return {name for name in group if not name.startswith("-")}


@by_document
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    missing = {path for path in paths(document.read_text()) if not (ROOT / path).exists()}
    assert not missing


@by_document
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target


@by_document
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    for line in re.findall(r"(?:^|`|&& )metering ((?:[a-z]+ ?){1,2})", document.read_text(), re.MULTILINE):
        command, *rest = line.split()
        assert command in subcommands(app), line
        group = subcommands(app[command])
        assert not group or not rest or rest[0] in group, line


@pytest.mark.parametrize("code", EVENT_CODES)
def test_the_runbook_says_what_the_code_says(code: Code) -> None:
    runbook = " ".join((ROOT / "docs" / "runbook.md").read_text().split())
    assert f"### {code.runbook} {SENTENCES[code]}" in runbook
