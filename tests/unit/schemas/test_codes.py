"""Every code says what to do, in one place for each reader."""

import re
from pathlib import Path

import pytest

from schemas.codes import DECISION_CODES, EVENT_CODES, METER_CODES, SENTENCES, STOP_CODES, Code

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_sentence(code: Code) -> None:
    sentence = SENTENCES[code]
    assert re.fullmatch(r"[A-Z`].+\.", sentence)
    assert ": " in sentence  # what is wrong: what to do


def test_every_code_is_of_one_kind() -> None:
    assert [*EVENT_CODES, *DECISION_CODES, *METER_CODES, *STOP_CODES] == list(Code)
    assert len(STOP_CODES) == 8
    assert Code.CONFLICT in DECISION_CODES
    assert Code.VALUE_MISSING in METER_CODES


def test_codes_are_spelled_so_that_they_never_change() -> None:
    assert all(code.value == code.name.lower() for code in Code)


@pytest.mark.parametrize("code", Code)
def test_the_page_for_engineers_has_every_code_with_its_sentence(code: Code) -> None:
    assert f"| `{code}` | {SENTENCES[code]} |\n" in (DOCS / "contracts.md").read_text()


@pytest.mark.parametrize("code", Code)
def test_the_runbook_has_a_section_for_every_code(code: Code) -> None:
    assert f"### {code.runbook}\n" in (DOCS / "runbook.md").read_text()
