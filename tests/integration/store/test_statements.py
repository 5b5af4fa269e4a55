import re
from pathlib import Path

import pytest

import aggregator.store
from aggregator.store.statements import STATEMENTS, parse


def test_a_statement_ends_where_the_next_name_begins() -> None:
    statements = parse(["-- a file\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT 2\n"])
    assert statements == {"one": "-- why\nSELECT 1", "two": "SELECT 2"}


@pytest.mark.parametrize(
    "texts",
    [
        ["-- name: one\nSELECT 1\n", "-- name: one\nSELECT 2\n"],
        ["-- name: one\n\n-- name: two\nSELECT 2\n"],
        ["SELECT 1\n-- name: two\nSELECT 2\n"],
    ],
    ids=["twice", "empty", "nameless"],
)
def test_files_that_leave_a_doubt_are_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"named|empty|without a name"):
        parse(texts)


def test_statements_are_frozen() -> None:
    with pytest.raises(TypeError):
        STATEMENTS["begin"] = "SELECT 1"  # type: ignore[index]


def test_code_and_files_name_the_same_statements() -> None:
    files = Path(aggregator.store.__file__).parent.glob("*.py")
    text = "\n".join(file.read_text() for file in files)
    used = set(re.findall(r'"([a-z][a-z0-9_]+)"', text))
    checks = {name for name in STATEMENTS if name.startswith("doctor_")}
    assert set(STATEMENTS) - checks <= used
    assert {name.removeprefix("doctor_") for name in checks} <= used
