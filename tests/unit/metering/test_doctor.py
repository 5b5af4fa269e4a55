"""Every check of the doctor has its section, its words and its place; the exit code is the worst's."""

import re
from pathlib import Path

import pytest

from aggregator.health.severity import Severity, worst
from aggregator.store.errors import MigrationError, NotMigrated
from metering.cli.doctor import exit_of
from metering.cli.exits import Exit
from metering.doctor.check import Check, found, holds, unknown
from metering.doctor.run import CHECKS
from metering.errors import UnreachableError

ROOT = Path(__file__).parents[3]


def section_of(check: Check) -> str:
    """The text under the heading that the check links to."""
    path, _, anchor = check.runbook.partition("#")
    parts = re.split(r"^#+ (.+)$", (ROOT / path).read_text(), flags=re.MULTILINE)
    sections = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"): text
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    assert anchor in sections, f"{path} has no section #{anchor}"
    return sections[anchor]


@pytest.mark.parametrize("check", CHECKS, ids=[check.code for check in CHECKS])
def test_each_check_has_a_section_that_says_what_to_do(check: Check) -> None:
    text = section_of(check)
    assert "**Act:**" in text or "runbook.md#" in text, "say what to do, or link to where it is said"
    if check.section is not None:
        assert f"| `{check.code}` | {check.sentence} |" in text


def test_codes_are_unique_and_sentences_whole() -> None:
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    for check in CHECKS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", check.code)
        assert check.sentence.endswith(".")
        assert check.next_step.endswith(".")


def a_check(severity: Severity) -> Check:
    return Check(severity.value, severity, "It holds.", "Do this.")


def test_the_exit_code_is_that_of_the_worst() -> None:
    info, warning, critical = (a_check(severity) for severity in Severity)
    away = UnreachableError("postgres_unreachable", "Away.")
    results = [holds(critical), holds(warning)]
    for result, code in [
        (found(info), Exit.OK),
        (unknown(critical, "Away.", away), Exit.UNREACHABLE),
        (unknown(critical, "Not set up.", NotMigrated("not migrated")), Exit.UNREACHABLE),
        (found(warning), Exit.PROBLEMS),
        (found(critical), Exit.PROBLEMS),
        (unknown(critical, "Another release.", MigrationError("changed")), Exit.STOPPED),
    ]:
        results.append(result)
        assert exit_of(results) is code
    assert exit_of([]) is Exit.OK


def test_rows_are_few_and_counted() -> None:
    result = found(a_check(Severity.INFO), rows=[{"n": number} for number in range(50)])
    assert (len(result.rows), result.row_count) == (20, 50)


def test_the_worst_severity_is_the_greatest() -> None:
    assert worst([]) is None
    assert worst([Severity.INFO, Severity.CRITICAL, Severity.WARNING]) is Severity.CRITICAL
    assert worst([Severity.INFO, Severity.WARNING]) is Severity.WARNING
