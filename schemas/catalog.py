"""The catalog as people write it: meters, which say what is counted, and plans, which say what it costs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.document import (
    Document,
    DocumentCode,
    DocumentError,
    Written,
    problem_error,
    read_document,
    validate,
)
from schemas.event import MAX_TYPE_CHARACTERS
from schemas.names import MAX_GROUPS, DataPath, FilterValue, GroupName, Name, sorted_unique
from schemas.plan import PLAN_KEYS, Plan
from schemas.subscription import Subscription, Threshold

Aggregation: TypeAlias = Literal["sum", "count", "min", "max", "last", "unique", "gauge"]
Window: TypeAlias = Literal["1m", "5m", "15m", "1h", "1d"]

DEFAULT_CARDINALITY_LIMIT: Final = 1000
MAX_CARDINALITY_LIMIT: Final = 1_000_000

_UNIT_S: Final[Mapping[str, int]] = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = Written("(0|[1-9][0-9]{0,7})[smhd]", "write a duration such as `0s`, `15m`, `1h` or `1d`")


class CatalogError(DocumentError):
    """A catalog that cannot be used; `problems` has the line, column, path, code and sentence of each."""


def duration_s(text: str) -> int:
    """Seconds of a duration such as `15m`, `1h` or `24h`."""
    return int(text[:-1]) * _UNIT_S[text[-1]]


def format_duration(seconds: int) -> str:
    """The shortest text of a duration: 3600 is `1h`, 5400 is `90m`."""
    unit, unit_s = next(item for item in _UNIT_S.items() if seconds % item[1] == 0) if seconds else ("s", 1)
    return f"{seconds // unit_s}{unit}"


def _canonical_duration(text: str) -> str:
    return format_duration(duration_s(text))


def _named_groups(groups: object) -> object:
    """A list of paths as a mapping: each group is named by its path."""
    if not isinstance(groups, list):
        return groups
    named = {path: path for path in groups if isinstance(path, str)}
    if len(named) < len(groups):
        raise problem_error(DocumentCode.NOT_ALLOWED, "list each path once, as a text")
    return named


_Groups: TypeAlias = (
    Annotated[list[DataPath], Field(max_length=MAX_GROUPS)]
    | Annotated[
        dict[GroupName, DataPath],
        Field(max_length=MAX_GROUPS, json_schema_extra={"additionalProperties": False}),
    ]
)


class Meter(BaseModel):
    """What to count: which events, which value of them, by which groups, in which windows.

    An average needs no meter of its own: it is a `sum` meter's value divided by its events, on read.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: Name = Field(description="A lasting name, such as `input_tokens`.")
    description: str | None = None
    unit: str | None = Field(None, description="The unit of the value, for people: `tokens`, `GiB·h`.")
    event_type: str = Field(
        min_length=1, max_length=MAX_TYPE_CHARACTERS, description="The CloudEvents `type` that is metered."
    )
    filter: dict[
        DataPath, Annotated[list[FilterValue], Field(min_length=1), AfterValidator(sorted_unique)]
    ] = Field(
        default_factory=dict,
        json_schema_extra={"additionalProperties": False},
        description="Only events whose value at each path is one of those listed; compared as texts.",
    )
    aggregation: Aggregation
    value: DataPath | None = Field(None, description="The path of what is aggregated; none for `count`.")
    group_by: Annotated[
        dict[GroupName, DataPath],
        Field(max_length=MAX_GROUPS),
        BeforeValidator(_named_groups, json_schema_input_type=_Groups),
    ] = Field(default_factory=dict, description="Paths, or names for paths, that split the totals.")
    window: Window
    grace: Annotated[str, _DURATION, AfterValidator(_canonical_duration)] = Field(
        description="How long after its end a window waits for late events: `0s`, `15m`, `1h`, `1d`.",
    )
    cardinality_limit: int = Field(
        DEFAULT_CARDINALITY_LIMIT,
        ge=1,
        le=MAX_CARDINALITY_LIMIT,
        description="Group-value combinations per subject and window; the rest goes to one `other` series.",
    )

    @model_validator(mode="after")
    def _value_fits_aggregation(self) -> Self:
        if self.aggregation == "count" and self.value is not None:
            raise problem_error(DocumentCode.VALUE_FORBIDDEN, "`count` counts events: remove `value`")
        if self.aggregation != "count" and self.value is None:
            raise problem_error(
                DocumentCode.VALUE_REQUIRED, f"`{self.aggregation}` needs a path: add `value`"
            )
        return self

    @property
    def window_us(self) -> int:
        """The window's length in microseconds."""
        return duration_s(self.window) * 1_000_000

    @property
    def grace_us(self) -> int:
        """The grace in microseconds."""
        return duration_s(self.grace) * 1_000_000

    def definition(self) -> dict[str, Any]:
        """The meter as it is stored: JSON in one canonical form; a list keeps the order of the groups."""
        definition = self.model_dump(exclude_none=True)
        definition["filter"] = {path: list(texts) for path, texts in sorted(self.filter.items())}
        definition["group_by"] = [{"name": name, "path": path} for name, path in self.group_by.items()]
        return definition

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """The meter that `definition` gave.

        Raises:
            pydantic.ValidationError: it is no definition of a meter.
        """
        groups = {group["name"]: group["path"] for group in definition["group_by"]}
        return cls.model_validate({**definition, "group_by": groups})


def _not_null(section: object) -> object:
    if section is None:
        sentence = "write a list here; `[]` retires all that there are, no section at all leaves them alone"
        raise problem_error(DocumentCode.WRONG_TYPE, sentence)
    return section


class CatalogDocument(BaseModel):
    """One catalog file: a section that is there lists all of its kind, one that is not leaves them alone."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    meters: Annotated[list[Meter] | None, BeforeValidator(_not_null, json_schema_input_type=list[Meter])] = (
        Field(None, description="All meters; one that is not named is retired.")
    )
    plans: Annotated[list[Plan] | None, BeforeValidator(_not_null, json_schema_input_type=list[Plan])] = (
        Field(None, description="All price plans; one that is not named is retired.")
    )
    subscriptions: Annotated[
        list[Subscription] | None, BeforeValidator(_not_null, json_schema_input_type=list[Subscription])
    ] = Field(None, description="All subscriptions; one that is not named is retired.")

    @model_validator(mode="after")
    def _has_a_section(self) -> Self:
        if not self.model_fields_set:
            sentence = f"there is nothing here: write {' or '.join(f'`{name}:`' for name in _SECTIONS)}"
            raise problem_error(DocumentCode.MISSING_KEY, sentence)
        return self


_SECTIONS: Final = {
    "meters": DocumentCode.DUPLICATE_METER,
    "plans": DocumentCode.DUPLICATE_PLAN,
    "subscriptions": DocumentCode.DUPLICATE_SUBSCRIPTION,
}
"""The kinds of things in a catalog, and the code of two that have one name."""

_KNOWN_KEYS: Final = (
    *Meter.model_fields,
    *CatalogDocument.model_fields,
    *PLAN_KEYS,
    *Subscription.model_fields,
    *Threshold.model_fields,
)


def load_catalog(text: str, name: str) -> CatalogDocument:
    """The catalog in a YAML text; `name` is what problems call it.

    Raises:
        CatalogError: the text is no catalog.
    """
    return load_catalog_at(text, name)[0]


def load_catalog_at(text: str, name: str) -> tuple[CatalogDocument, Document]:
    """As `load_catalog`, with the places of everything in it.

    Raises:
        CatalogError: the text is no catalog.
    """
    try:
        document = read_document(text, name)
        catalog = validate(document, CatalogDocument, _KNOWN_KEYS)
    except DocumentError as error:
        raise CatalogError(error.name, error.problems) from None
    problems = [
        document.problem(
            (section, place, "name"), code, f"`{repeated}` is defined above already: rename or remove one"
        )
        for section, code in _SECTIONS.items()
        for place, repeated in _repeated(getattr(catalog, section) or [])
    ]
    if problems:
        raise CatalogError(name, problems)
    return catalog, document


def _repeated(things: Sequence[Meter | Plan | Subscription]) -> Iterator[tuple[int, str]]:
    """The places and names of those whose name was given before."""
    seen = set()
    for place, thing in enumerate(things):
        if thing.name in seen:
            yield place, thing.name
        seen.add(thing.name)
