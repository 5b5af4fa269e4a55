"""Runbook pages as somebody on call reads them: what to type, and where."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def section(page: Path, heading: str) -> str:
    """The text below a heading, to the next one."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no section {heading}"
    return found[1]


def typed(page: Path, heading: str) -> list[str]:
    """The lines of a section's blocks, each without its remark."""
    lines = [line for block in _BLOCK.findall(section(page, heading)) for line in block.splitlines()]
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


def command(page: Path, beginning: str) -> str:
    """The one line to be typed in the section *Act* that begins so."""
    lines = [line for line in typed(page, "Act") if line.startswith(beginning)]
    assert len(lines) == 1, f"{page.name} says {lines} for `{beginning}`, and should say one line"
    return lines[0]


def filled(line: str, blanks: dict[str, object]) -> str:
    """A line with its words in capitals filled in: each that it has must be given."""
    return " ".join(str(blanks[word]) if re.fullmatch(r"[A-Z]{2,}", word) else word for word in line.split())
