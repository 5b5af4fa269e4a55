"""YAML documents that people write: strictly read, with a line for every problem.

Plain scalars follow JSON (the YAML 1.2 JSON schema): `NO`, `0x1F`, `1:30` and `2026-11-24` are texts, and a
number is exactly what its digits say.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from schemas.codes import Refused
from schemas.number import NumberRefused, exact_number
from schemas.text import storable

Path: TypeAlias = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_LITERALS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None, "": None}
_WRONG_TYPES: Final[Mapping[str, str]] = {
    "model_type": "write `key: value` lines here",
    "dict_type": "write `key: value` lines here",
    "list_type": "write a list here",
    "tuple_type": "write a list here",
    "string_type": "write a text here, in quotes if it looks like a number",
    "int_type": "write a whole number here",
}
_MAX_REPEATED: Final = 100_000  # values that are there by an alias: aliases of aliases grow without bound
_QUICK_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml, where PyYAML has it
_FIRST_OF_NUMBERS: Final = frozenset("-0123456789")
_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))


class DocumentCode(StrEnum):
    """What is wrong with a document. Codes are scripted against: never rename one."""

    NOT_YAML = "not_yaml"
    UNSUPPORTED_YAML = "unsupported_yaml"
    DUPLICATE_KEY = "duplicate_key"
    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    WRONG_TYPE = "wrong_type"
    NOT_ALLOWED = "not_allowed"
    DUPLICATE_METER = "duplicate_meter"
    VALUE_REQUIRED = "value_required"
    VALUE_FORBIDDEN = "value_forbidden"
    DUPLICATE_PLAN = "duplicate_plan"
    DUPLICATE_SUBSCRIPTION = "duplicate_subscription"
    DUPLICATE_CHARGE = "duplicate_charge"
    PRICE_REQUIRED = "price_required"
    UNREACHABLE_PRICE = "unreachable_price"
    TIERS_NOT_ASCENDING = "tiers_not_ascending"
    LAST_TIER_NOT_OPEN = "last_tier_not_open"
    CONTRADICTION = "contradiction"


class Problem(NamedTuple):
    """One thing to correct; lines and columns count from 1."""

    line: int
    column: int
    path: str
    code: DocumentCode
    sentence: str


class DocumentError(ValueError):
    """A document with problems; its text names the file and line of each."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        return [
            f"{self.name}:{line}: {path + ': ' if path else ''}{sentence}"
            for line, _, path, _, sentence in self.problems
        ]


@dataclass(frozen=True, slots=True)
class Written:
    """An annotation for pydantic: how a text must be written, and the sentence for one that is not."""

    pattern: str
    sentence: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The texts that match the whole pattern."""
        pattern = re.compile(self.pattern)

        def check(text: str) -> str:
            if pattern.fullmatch(text) is None:
                raise problem_error(DocumentCode.NOT_ALLOWED, self.sentence)
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The same pattern, which JSON Schema does not anchor by itself."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}


def choice(name: str) -> Tag:
    """The tag of one model among several; problems do not name it, for it is no part of the document."""
    return Tag(f"[{name}]")


def problem_error(code: DocumentCode, sentence: str) -> PydanticCustomError:
    """What a validator raises so that the problem it found has this code and sentence."""
    return PydanticCustomError(code.value, "{sentence}", {"sentence": sentence})


class Finding(NamedTuple):
    """A problem in a part of what a validator was given, at its path from there."""

    path: Path
    code: DocumentCode
    sentence: str


def findings_error(name: str, findings: Sequence[Finding]) -> ValidationError:
    """What a validator raises for problems in parts of what it was given, which `name` names."""
    errors = [
        InitErrorDetails(type=problem_error(one.code, one.sentence), loc=one.path, input=None)
        for one in findings
    ]
    return ValidationError.from_exception_data(name, errors)


class Place(NamedTuple):
    """A line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document's content and where each part of it stands."""

    name: str
    content: object
    places: Mapping[Path, Place]

    def problem(self, path: Path, code: DocumentCode, sentence: str) -> Problem:
        """A problem at a path, or at the nearest part around it that the document has."""
        nearest = path
        while nearest not in self.places:
            nearest = nearest[:-1]
        return Problem(*self.places[nearest], _dotted(path), code, sentence)


def read_document(text: str, name: str) -> Document:
    """The content of a YAML text.

    Raises:
        DocumentError: it is not one YAML document, or gives a key twice.
    """
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        raise DocumentError(name, [_not_yaml(place, error.problem)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(name, [_not_yaml(Place(1, 1), str(error).splitlines()[0])]) from None
    reading = _Reading()
    content = None if root is None else reading.read(root, ())
    reading.places.setdefault((), Place(1, 1))
    if reading.problems:
        raise DocumentError(name, reading.problems)
    return Document(name, content, reading.places)


def _compose(text: str) -> yaml.Node | None:
    """The nodes of a text: quickly if it can be read, else with PyYAML's own words for what is wrong."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=_QUICK_LOADER)
    except yaml.YAMLError:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    return root


def validate(document: Document, model: type[Model], known_keys: Sequence[str]) -> Model:
    """The document as a model; `known_keys` are those that an unknown key is compared with.

    Raises:
        DocumentError: it does not fit; every problem is named.
    """
    try:
        return model.model_validate(document.content)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        problems = [document.problem(_path(error), *_explain(error, known_keys)) for error in errors]
        raise DocumentError(document.name, problems) from None


@dataclass(slots=True)
class _Reading:
    """One pass over a composed document: its content, the place of each part, and what cannot be read."""

    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)  # nodes being read: an alias to one of them never ends
    _seen: set[int] = field(default_factory=set)  # nodes that were read
    _repeated: int = 0

    def read(self, node: yaml.Node, path: Path) -> object:
        obstacle = self._obstacle(node)
        if obstacle is not None:
            self._unsupported(node, path, obstacle)
            return None
        self.places.setdefault(path, _place(node))
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        self._open.add(id(node))
        content = self._content(node, path)
        self._open.discard(id(node))
        return content

    def _obstacle(self, node: yaml.Node) -> str | None:
        if node.tag not in _PLAIN_TAGS:
            return "leave out the tag: only plain values are read"
        if id(node) in self._open:
            return "this alias leads back into itself: write it out"
        if self._repeated > _MAX_REPEATED:
            return f"aliases stand for more than {_MAX_REPEATED} values: write some of them out"
        if isinstance(node, yaml.ScalarNode):
            try:
                storable(node.value)
            except Refused:
                return "remove U+0000 and half surrogate pairs: they cannot be stored"
        return None

    def _content(self, node: yaml.Node, path: Path) -> object:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        return [self.read(item, (*path, place)) for place, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key, item in node.value:
            obstacle = self._obstacle(key) if isinstance(key, yaml.ScalarNode) else "write a plain key"
            if obstacle is not None:
                self._unsupported(key, path, obstacle)
                continue
            name = str(key.value)
            if name in mapping:
                sentence = f"`{name}` is given twice: keep one"
                self.problems.append(
                    Problem(*_place(key), _dotted((*path, name)), DocumentCode.DUPLICATE_KEY, sentence)
                )
            self.places[(*path, name)] = _place(key)
            mapping[name] = self.read(item, (*path, name))
        return mapping

    def _unsupported(self, node: yaml.Node, path: Path, sentence: str) -> None:
        code = DocumentCode.UNSUPPORTED_YAML
        self.problems.append(Problem(*_place(node), _dotted(path), code, sentence))


def _not_yaml(place: Place, reason: str | None) -> Problem:
    return Problem(*place, "", DocumentCode.NOT_YAML, f"this is not YAML: {reason or 'it cannot be read'}")


def _scalar(node: yaml.ScalarNode) -> object:
    text = str(node.value)
    if node.style:  # quoted, or a block
        return text
    if text in _LITERALS:
        return _LITERALS[text]
    if text[0] not in _FIRST_OF_NUMBERS:
        return text
    try:
        return exact_number(text)
    except NumberRefused:
        return text


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _path(error: ErrorDetails) -> Path:
    """Where pydantic found it. What stands in brackets is no part of the document.

    `[key]` is pydantic's word for the key itself, others are `choice` tags: which of several models was read.
    """
    return tuple(part for part in error["loc"] if not _is_bracketed(part))


def _is_bracketed(part: str | int) -> bool:
    return isinstance(part, str) and part.startswith("[") and part.endswith("]")


def _explain(error: ErrorDetails, known_keys: Sequence[str]) -> tuple[DocumentCode, str]:
    """The code and sentence of what pydantic found."""
    kind, message = error["type"], error["msg"]
    if kind == "missing":
        return DocumentCode.MISSING_KEY, "this key is required: add it"
    if kind == "extra_forbidden":
        return DocumentCode.UNKNOWN_KEY, _unknown_key(str(error["loc"][-1]), known_keys)
    if kind in _WRONG_TYPES:
        return DocumentCode.WRONG_TYPE, _WRONG_TYPES[kind]
    if kind in set(DocumentCode):  # our own validators name their errors by code
        return DocumentCode(kind), message
    return DocumentCode.NOT_ALLOWED, message[0].lower() + message[1:]


def _unknown_key(name: str, known_keys: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known_keys, n=1)
    return f"there is no such key: did you mean `{near[0]}`?" if near else "there is no such key: remove it"
