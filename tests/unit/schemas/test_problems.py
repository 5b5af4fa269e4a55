"""Codes of problems: each has its status, its sentence, and its section in the runbook."""

import re
from pathlib import Path

import pytest

from schemas.codes import Code
from schemas.problems import KINDS, ProblemCode

RUNBOOK = (Path(__file__).parents[3] / "docs" / "runbook.md").read_text()


@pytest.mark.parametrize("code", ProblemCode)
def test_the_runbook_says_what_the_problem_says(code: ProblemCode) -> None:
    section = " ".join(RUNBOOK.partition(f"### {code.anchor}\n")[2].split("\n###")[0].split())
    assert section.startswith(f"**Status {code.status}.** {code.sentence}")


def test_every_code_has_its_kind_and_its_own_name() -> None:
    assert list(KINDS) == list(ProblemCode)
    assert all(code.value == code.name.lower() for code in ProblemCode)
    assert all(400 <= code.status < 600 for code in ProblemCode)
    assert {code.value for code in ProblemCode}.isdisjoint(Code)
    assert [kind.status for kind in KINDS.values()] == sorted(kind.status for kind in KINDS.values())


@pytest.mark.parametrize("code", ProblemCode)
def test_every_sentence_says_what_to_do(code: ProblemCode) -> None:
    assert re.fullmatch(r"[A-Z].+\.", code.sentence)
