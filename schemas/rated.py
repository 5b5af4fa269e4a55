"""Rated documents: what a subscription's period comes to, line by line, in its lasting form.

Quantities and amounts are texts, for a JSON number would be read as a float: plain decimals, or `n/d` in
lowest terms where no decimal is exact. Instants are RFC 3339 in UTC. Nothing here says when or by whom it was
computed.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

EXACT_PATTERN: Final = r"^-?[0-9]+(\.[0-9]+|/[1-9][0-9]*)?$"

Exact: TypeAlias = Annotated[
    str, Field(pattern=EXACT_PATTERN, description="A decimal, or `n/d` in lowest terms.")
]
Instant: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Group: TypeAlias = dict[str, str | None]
BillingPeriod: TypeAlias = Literal["hour", "day", "week", "month", "quarter", "year"]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", populate_by_name=True)


class Period(_Part):
    """A billing period, half-open."""

    start: Instant
    end: Instant
    timezone: str
    billing_period: BillingPeriod


class TierAmount(_Part):
    """What a line's quantity comes to in one tier."""

    from_: Exact = Field(alias="from")
    up_to: Exact | None = Field(description="None: no tier follows.")
    quantity: Exact
    unit_price: Exact = Field(description="For `per` units.")
    per: Exact
    flat: Exact
    amount: Exact = Field(description="Never rounded.")


class Line(_Part):
    """The usage of one meter and one combination of group values, or a flat fee."""

    kind: Literal["usage", "flat"]
    group: Group | None = Field(description="By name; empty without groups, None for `other`.")
    is_other: bool = Field(description="Whether it holds what the meter's cardinality limit turned away.")
    quantity: Exact
    events: int = Field(description="Events behind it, less those withdrawn.")
    included: Exact = Field(description="Of the quantity, what costs nothing at most.")
    billable: Exact
    price: str = Field(description="`default`, `when 1`, `when 2`, …, `other` or `flat`.")
    tiers: list[TierAmount]
    unrounded_amount: Exact
    amount: Exact = Field(description="Rounded, if the plan rounds lines.")


class Bound(_Part):
    """What a minimum adds, or a maximum takes away."""

    kind: Literal["minimum", "maximum"]
    limit: Exact = Field(description="Of the segment: its share of what the plan says for a period.")
    unrounded_amount: Exact
    amount: Exact


class ChargeTotal(_Part):
    """One charge of a plan: its lines, and what its minimum or maximum makes of them."""

    charge: str
    meter: str | None = Field(description="None: a flat fee.")
    meter_versions: list[int] = Field(description="Those in force in the segment.")
    rollup: str | None
    lines: list[Line]
    bounds: list[Bound]
    unrounded_amount: Exact
    amount: Exact


class Segment(_Part):
    """A part of the period in which one version of the plan and of the subscription were in force."""

    start: Instant
    end: Instant
    share: Exact = Field(description="Of the whole calendar period.")
    plan: str
    plan_version: int
    subscription_version: int
    charges: list[ChargeTotal]
    bounds: list[Bound] = Field(description="The plan's own.")
    unrounded_amount: Exact
    amount: Exact


class UnpricedLine(_Part):
    """Usage that a charge counts and for which its plan has no price."""

    segment: Instant = Field(description="The segment's start.")
    charge: str
    meter: str
    group: Group | None
    is_other: bool
    quantity: Exact
    events: int


class LineDifference(_Part):
    """How a line differs from the version before; a line that only one of them has is 0 in the other."""

    segment: Instant = Field(description="The segment's start.")
    charge: str | None = Field(description="None: the minimum or maximum of the whole plan.")
    kind: Literal["usage", "flat", "unpriced", "minimum", "maximum"]
    group: Group | None
    is_other: bool
    quantity: Exact
    amount: Exact


class Difference(_Part):
    """How a version differs from the one before."""

    amount: Exact
    lines: list[LineDifference]


class _Rated(_Part):
    subscription: str
    customer: str
    currency: str
    period: Period
    segments: list[Segment]
    unpriced: list[UnpricedLine]
    unrounded_amount: Exact
    amount: Exact = Field(description="What is to be paid: rounded as the plan says.")


class RatedTotal(_Rated):
    """One immutable version of what a period comes to."""

    version: int = Field(ge=1)
    cut: Instant = Field(description="Log time: it holds exactly the adjustments that are older.")
    difference: Difference | None = Field(description="None in the first version.")


class ProvisionalTotal(_Rated):
    """What a period would come to with what has been counted so far; it may still change."""

    provisional: Literal[True]
    log_time: Instant | None = Field(
        description="The frontier furthest behind: all older is in it. None: a partition has no record."
    )


class RatedTotalNotice(_Part):
    """A new version, as the feed tells of it."""

    id: str = Field(description="`SUBSCRIPTION/PERIOD_START/VERSION`.")
    subscription: str
    customer: str
    period: Period
    version: int
    cut: Instant
    currency: str
    unrounded_amount: Exact
    amount: Exact
    difference: Exact | None
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the document's bytes.")


class ThresholdNotice(_Part):
    """A threshold that was crossed, as the feed tells of it: once a period."""

    id: str = Field(description="`SUBSCRIPTION/PERIOD_START/THRESHOLD`.")
    subscription: str
    customer: str
    period: Period
    threshold: str = Field(description="Such as `input 80%` or `amount 50`.")
    charge: str | None
    percent: Exact | None = Field(description="Of the included quantity of a line of that charge.")
    currency: str
    amount: Exact | None = Field(description="Of the provisional total.")


def version_id(subscription: str, period_start: str, version: int) -> str:
    """How a version is named in texts: `acme-pro/2026-01-01T00:00:00Z/1`."""
    return f"{subscription}/{period_start}/{version}"
