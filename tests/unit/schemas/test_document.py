"""YAML is read strictly, and every problem has its line."""

from decimal import Decimal

import pytest

from schemas.document import DocumentCode, DocumentError, read_document


def content(text: str) -> object:
    return read_document(text, "file.yaml").content


def problems(text: str) -> list[tuple[int, int, str, DocumentCode]]:
    with pytest.raises(DocumentError) as error:
        read_document(text, "file.yaml")
    return [(line, column, path, code) for line, column, path, code, _ in error.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0x1F", "0x1F"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("2026-11-24", "2026-11-24"),
        ("~", "~"),
        (".5", ".5"),
        ("5", 5),
        ("0.1", Decimal("0.1")),
        ("12345678901234567890123456789012345678", 12345678901234567890123456789012345678),
        ("true", True),
        ("null", None),
        ('"5"', "5"),
        ("'true'", "true"),
        ("|\n  5", "5"),
        ("[1, two]", [1, "two"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("", None),
    ],
)
def test_scalars_are_those_of_json(text: str, value: object) -> None:
    assert content(text) == value
    assert type(content(text)) is type(value)


def test_a_key_given_twice_is_refused_where_it_stands() -> None:
    assert problems("a:\n  b: 1\n  c: 2\n  b: 3\n") == [(4, 3, "a.b", DocumentCode.DUPLICATE_KEY)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a: 1\n\tb: 2", 2, 1), ("a: [1\nb: 2", 2, 2), ("a: 1\n---\nb: 2", 2, 1), ("a: *nowhere", 1, 4)],
)
def test_what_is_no_yaml_is_refused_where_it_breaks(text: str, line: int, column: int) -> None:
    assert problems(text) == [(line, column, "", DocumentCode.NOT_YAML)]


def test_control_characters_and_deep_nesting_are_no_yaml() -> None:
    assert problems("a: \x01") == [(1, 1, "", DocumentCode.NOT_YAML)]
    assert problems("[" * 5000) == [(1, 1, "", DocumentCode.NOT_YAML)]


@pytest.mark.parametrize(
    ("text", "line", "column", "path"),
    [
        ("a: 1\nb: !!python/object:os.system x", 2, 4, "b"),
        ("a: !!int '5'", 1, 4, "a"),
        ("a: &x\n  - *x", 1, 4, "a[0]"),
        ("? [a, b]\n: 1", 1, 3, ""),
        ('a: "\\0"', 1, 4, "a"),
        ('a:\n  "\\ud83e": 1', 2, 3, "a"),
    ],
)
def test_what_json_cannot_say_is_refused(text: str, line: int, column: int, path: str) -> None:
    assert problems(text) == [(line, column, path, DocumentCode.UNSUPPORTED_YAML)]


def test_aliases_of_aliases_end() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(DocumentError) as error:
        read_document(bomb, "bomb.yaml")
    assert {problem.code for problem in error.value.problems} == {DocumentCode.UNSUPPORTED_YAML}


def test_an_error_names_the_file_and_the_line() -> None:
    with pytest.raises(DocumentError) as error:
        read_document("a: 1\na: 2\n", "meters.yaml")
    assert str(error.value) == "meters.yaml:2: a: `a` is given twice: keep one"
