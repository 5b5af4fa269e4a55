"""Subscriptions: who pays for which subjects' usage, on which plan, from when, in what periods."""

import difflib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from schemas.amount import ZERO, Positive
from schemas.document import DocumentCode, problem_error
from schemas.event import MAX_SUBJECT_CHARACTERS
from schemas.instant import DATE_TIME_PATTERN, EPOCH, TimeRefused, format_time, parse_time_us
from schemas.names import Name, sorted_unique
from schemas.number import plain_text
from schemas.zone import zone, zone_names

BillingPeriod: TypeAlias = Literal["hour", "day", "week", "month", "quarter", "year"]

MAX_CUSTOMER_CHARACTERS: Final = 256
MAX_SUBJECTS: Final = 10_000
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2999

FIXED_FIELDS: Final = ("customer", "start", "billing_period", "timezone", "anchor")
"""What no later version of a subscription may change: its periods and who pays for them."""

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_LOCAL_PATTERN: Final = rf"^{_DATE}(T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?)?$"
_LOCAL: Final = re.compile(_LOCAL_PATTERN)


def _refuse_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise problem_error(DocumentCode.NOT_ALLOWED, f"choose a year from {FIRST_YEAR} to {LAST_YEAR}")


def _instant(text: str) -> str:
    """The instant in its one form, in UTC."""
    try:
        time_us = parse_time_us(text)
    except TimeRefused:
        sentence = "write an instant with its zone, such as `2026-01-01T00:00:00+01:00`"
        raise problem_error(DocumentCode.NOT_ALLOWED, sentence) from None
    canonical = format_time(time_us)
    _refuse_year(int(canonical[:4]))
    return canonical


def _local(text: str) -> str:
    """The local time in its one form: midnight is its date."""
    try:
        local = datetime.fromisoformat(text) if _LOCAL.fullmatch(text) else None
    except ValueError:
        local = None
    if local is None:
        sentence = "write a local date or time without a zone, such as `2026-01-31` or `2026-01-31T06:00`"
        raise problem_error(DocumentCode.NOT_ALLOWED, sentence)
    _refuse_year(local.year)
    return _local_text(local)


def _local_text(local: datetime) -> str:
    text = local.isoformat().removesuffix("T00:00:00")
    return text.rstrip("0") if "." in text else text


def _zone_name(name: str) -> str:
    if name not in zone_names():
        near = difflib.get_close_matches(name, zone_names(), n=1) or ["Europe/Berlin"]
        sentence = f"write a zone of the IANA database, such as `{near[0]}`"
        raise problem_error(DocumentCode.NOT_ALLOWED, sentence)
    return name


Instant = Annotated[
    str, AfterValidator(_instant), WithJsonSchema({"type": "string", "pattern": DATE_TIME_PATTERN})
]
"""An instant (RFC 3339), kept in UTC."""

_Local = Annotated[str, AfterValidator(_local), WithJsonSchema({"type": "string", "pattern": _LOCAL_PATTERN})]
_Subject = Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT_CHARACTERS)]


class Threshold(BaseModel):
    """Usage that somebody wants to hear of: a share of what a charge includes, or an amount of money."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    charge: Name | None = Field(None, description="A charge of the plan that includes a quantity.")
    percent: Positive | None = Field(None, description="Of the charge's included quantity; may exceed 100.")
    amount: Positive | None = Field(None, description="Of the period so far, in the plan's currency.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        has_charge, has_percent, has_amount = (
            value is not None for value in (self.charge, self.percent, self.amount)
        )
        if has_charge != has_percent or has_charge == has_amount:
            sentence = "name either a `charge` with a `percent`, or an `amount`"
            raise problem_error(DocumentCode.CONTRADICTION, sentence)
        return self

    @property
    def text(self) -> str:
        """Its one text, which names it among those of a subscription: `input 80%`, `amount 50`."""
        if self.amount is not None:
            return f"amount {plain_text(self.amount)}"
        return f"{self.charge} {plain_text(self.percent or ZERO)}%"


def _sorted_thresholds(thresholds: list[Threshold]) -> list[Threshold]:
    by_text = {threshold.text: threshold for threshold in thresholds}
    return sorted(by_text.values(), key=lambda one: (one.charge or "", one.percent or one.amount or ZERO))


class Subscription(BaseModel):
    """What a customer has agreed to: a plan for some subjects' usage, billed in periods of their own zone."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: Name = Field(description="A lasting name; its customer, start and periods are fixed for its life.")
    customer: str = Field(min_length=1, max_length=MAX_CUSTOMER_CHARACTERS, description="Who pays.")
    subjects: Annotated[
        list[_Subject], Field(min_length=1, max_length=MAX_SUBJECTS), AfterValidator(sorted_unique)
    ] = Field(description="The events' subjects whose usage it pays for.")
    plan: Name
    start: Instant = Field(description="From when usage is charged.")
    end: Instant | None = Field(None, description="Until when; none: until it is changed.")
    billing_period: BillingPeriod
    timezone: Annotated[str, AfterValidator(_zone_name)] = Field(
        "UTC", description="The zone (IANA) on whose wall clock periods begin."
    )
    anchor: _Local | None = Field(
        None, description="A local date or time at which a period begins; by default `start` in the zone."
    )
    thresholds: Annotated[list[Threshold], AfterValidator(_sorted_thresholds)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_us is not None and self.end_us <= self.start_us:
            raise problem_error(DocumentCode.CONTRADICTION, "`end` must be later than `start`")
        return self

    @property
    def start_us(self) -> int:
        """The start, microseconds since the epoch."""
        return parse_time_us(self.start)

    @property
    def end_us(self) -> int | None:
        """The end, microseconds since the epoch."""
        return None if self.end is None else parse_time_us(self.end)

    @property
    def local_anchor(self) -> datetime:
        """The anchor on the zone's wall clock, without a zone."""
        if self.anchor is not None:
            return datetime.fromisoformat(self.anchor)
        start = (EPOCH + timedelta(microseconds=self.start_us)).astimezone(zone(self.timezone))
        return start.replace(tzinfo=None, fold=0)

    def definition(self) -> dict[str, Any]:
        """The subscription as it is stored: JSON in one canonical form, with the anchor that it has."""
        anchored = self.model_copy(update={"anchor": _local_text(self.local_anchor)})
        return anchored.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """The subscription that `definition` gave.

        Raises:
            pydantic.ValidationError: it is no definition of a subscription.
        """
        return cls.model_validate(definition)
