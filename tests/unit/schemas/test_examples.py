"""The examples are executed: what they show is what happens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import jsonschema
import pytest

import schemas
from schemas.binding import content_mode
from schemas.codes import EVENT_CODES, Code
from schemas.wire import Event, Refusal, decode

FOLDER: Final = Path(schemas.__file__).parent
VALID: Final = FOLDER / "examples" / "valid"
INVALID: Final = FOLDER / "examples" / "invalid"

BEYOND_JSON_SCHEMA: Final = {
    Code.BAD_UTF8: "texts of JSON Schema are Unicode already",
    Code.NESTED_TOO_DEEPLY: "there is no keyword for depth",
    Code.NUL_CHARACTER: "it would be a pattern on every text",
    Code.OVERSIZE: "there is no keyword for bytes",
    Code.NUMBER_TOO_LONG: "there is no keyword for digits",
    Code.EXPONENT_OUT_OF_RANGE: "there is no keyword for digits",
}
IMPOSSIBLE_DATES: Final = {"no-such-day", "before-year-1"}


class Example(NamedTuple):
    """A record beside what must become of it."""

    name: str
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def is_structured_json(self) -> bool:
        return content_mode(self.headers).attributes is None and self.value is not None


def examples(folder: Path) -> Iterator[Example]:
    stems = sorted({path.name.removesuffix(".headers.json").rsplit(".", 1)[0] for path in folder.iterdir()})
    for stem in stems:
        headers = folder / f"{stem}.headers.json"
        named = json.loads(headers.read_text()) if headers.exists() else []
        values = [path for suffix in ("json", "bin") if (path := folder / f"{stem}.{suffix}").exists()]
        value = values[0].read_bytes() if values else None
        yield Example(stem, value, [(name, text.encode()) for name, text in named])


INVALID_EXAMPLES: Final = [
    (Code(folder.name), example) for folder in sorted(INVALID.iterdir()) for example in examples(folder)
]
INVALID_DOCUMENTS: Final = [
    (code, example)
    for code, example in INVALID_EXAMPLES
    if example.is_structured_json and not example.headers
]


def named(example: object) -> str:
    return example.name if isinstance(example, Example) else str(example)


def no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((FOLDER / "generated" / "usage-event.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_code_of_an_event_has_an_example() -> None:
    assert {folder.name for folder in INVALID.iterdir()} == {code.value for code in EVENT_CODES}


@pytest.mark.parametrize("example", list(examples(VALID)), ids=named)
def test_valid_examples_are_events(example: Example, validator: jsonschema.Draft202012Validator) -> None:
    assert isinstance(decode(example.value, example.headers), Event)
    if example.is_structured_json:
        validator.validate(json.loads(example.value or b""))


@pytest.mark.parametrize(("code", "example"), INVALID_EXAMPLES, ids=named)
def test_invalid_examples_are_refused_with_the_code_of_their_folder(code: Code, example: Example) -> None:
    refusal = decode(example.value, example.headers)
    assert isinstance(refusal, Refusal)
    assert refusal.code is code


@pytest.mark.parametrize(("code", "example"), INVALID_DOCUMENTS, ids=named)
def test_the_json_schema_agrees_where_it_can_say_so(
    code: Code, example: Example, validator: jsonschema.Draft202012Validator
) -> None:
    try:
        document = json.loads((example.value or b"").decode(), parse_constant=no_json)
    except (ValueError, RecursionError):
        assert code in {Code.NOT_JSON, Code.NOT_A_NUMBER, Code.BAD_UTF8, Code.NESTED_TOO_DEEPLY}
        return
    if code in BEYOND_JSON_SCHEMA or example.name in IMPOSSIBLE_DATES:
        validator.validate(document)
    else:
        assert not validator.is_valid(document)
