"""Which column of a CSV file goes where in an event: the mapping file, as people write it in YAML."""

from decimal import Decimal
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from metering.errors import InputRefusedError, unreadable
from schemas.document import DocumentCode, DocumentError, problem_error, read_document, validate

ROW: Final = "row"
BUCKET: Final = "bucket"
ATTRIBUTES: Final = ("id", "source", "type", "subject")


def _not_allowed(sentence: str) -> PydanticCustomError:
    return problem_error(DocumentCode.NOT_ALLOWED, sentence)


def template_parts(template: str) -> list[tuple[str, str | None, str]]:
    """Split a template into texts, each followed by a name (None at the end) and how to format it.

    Raises:
        PydanticCustomError: it is no template.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _not_allowed(f"this is no template: {error}") from None
    if any(conversion or "{" in (spec or "") or name == "" for _, name, spec, conversion in parts):
        raise _not_allowed("a template has names in braces, such as `{row}` or `{row:06d}`")
    return [(text, name, spec or "") for text, name, spec, _ in parts]


def _template(template: str) -> str:
    template_parts(template)
    return template


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise _not_allowed(f"there is no time zone {name}: use a name such as UTC or Europe/Berlin") from None
    return name


def _shorthand(source: object) -> object:
    return {"template": source} if isinstance(source, str) else source


class Source(BaseModel):
    """Where a value comes from: exactly one of a column, a template, a constant. A text alone is a template.

    A template names columns, `row` (1, 2, …) and, with `buckets: N`, `bucket`: `row` modulo N, from 0 to N-1.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    column: str | None = None
    template: Annotated[str, AfterValidator(_template)] | None = None
    constant: str | int | Decimal | bool | None = None
    buckets: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [self.column, self.template, self.constant]
        if sum(one is not None for one in given) != 1:
            raise _not_allowed("give exactly one of `column`, `template` and `constant`")
        names = {name for _, name, _ in template_parts(self.template or "")}
        if (BUCKET in names) != (self.buckets is not None):
            raise _not_allowed("`{bucket}` in a template and `buckets: N` belong together")
        return self


class TimeSource(Source):
    """Where the event's time comes from.

    `format` is `iso` (RFC 3339, a space instead of the T allowed, any number of fractional digits), `unix_s`,
    `unix_ms`, `unix_us`, or a pattern of Python's `strptime`. `zone` is for texts that name none; of an hour
    that a clock change repeats, the first is meant.
    """

    format: str = "iso"
    zone: Annotated[str, AfterValidator(_zone)] | None = None


class DataSource(Source):
    """Where a field of `data` comes from, and its type; an empty number or bool leaves the field out."""

    type: Literal["number", "string", "bool"] = "string"


class EventMapping(BaseModel):
    """The attributes of the CloudEvent."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Annotated[Source, BeforeValidator(_shorthand)]
    source: Annotated[Source, BeforeValidator(_shorthand)]
    type: Annotated[Source, BeforeValidator(_shorthand)]
    subject: Annotated[Source, BeforeValidator(_shorthand)]
    time: Annotated[TimeSource, BeforeValidator(_shorthand)]


class CsvMapping(BaseModel):
    """A whole mapping file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    event: EventMapping
    data: dict[str, Annotated[DataSource, BeforeValidator(_shorthand)]] = Field(default_factory=dict)

    def sources(self) -> dict[str, Source]:
        """Every source by its path in the file."""
        attributes: dict[str, Source] = {f"event.{name}": getattr(self.event, name) for name in ATTRIBUTES}
        return attributes | {"event.time": self.event.time} | {f"data.{k}": v for k, v in self.data.items()}


KNOWN_KEYS: Final = [
    name for model in (CsvMapping, EventMapping, DataSource, TimeSource) for name in model.model_fields
]


def load_mapping(path: Path) -> CsvMapping:
    """Read a mapping file.

    Raises:
        InputRefusedError: it cannot be read (`mapping_unreadable`) or is no mapping (`mapping_invalid`); the
            sentence names the lines.
    """
    try:
        return validate(read_document(path.read_text("utf-8"), str(path)), CsvMapping, KNOWN_KEYS)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable("mapping", path, error) from error
    except DocumentError as error:
        raise InputRefusedError("mapping_invalid", str(error)) from error


def needed_columns(mapping: CsvMapping) -> dict[str, str]:
    """The columns that a mapping needs, each with the path in the file that first asks for it."""
    needed: dict[str, str] = {}
    for path, source in mapping.sources().items():
        names: list[Any] = [name for _, name, _ in template_parts(source.template or "")]
        for name in [source.column, *(name for name in names if name not in {ROW, BUCKET})]:
            if name is not None:
                needed.setdefault(name, path)
    return needed
