"""Prices: what a quantity costs, as people write it in a plan."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Final, Literal, NamedTuple, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    model_validator,
)

from schemas.amount import ONE, ZERO, Amount, Positive
from schemas.document import DocumentCode, Finding, choice, findings_error, problem_error
from schemas.names import MAX_GROUPS, FilterValue, GroupName, Name, sorted_unique

Rollup: TypeAlias = Literal["natural", "p95", "avg", "sum_of_max", "integral", "time_average"]
TimeUnit: TypeAlias = Literal["second", "minute", "hour", "day"]

MAX_TIERS: Final = 100
MAX_PRICES: Final = 1000


class _Written(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Tier(_Written):
    """A stretch of quantities with a price of its own."""

    up_to: Positive | None = Field(
        None,
        description="The greatest quantity in it, none for the last; it starts where the one before ends.",
    )
    unit_price: Amount = Field(description="For `per` units.")
    flat: Amount = Field(ZERO, description="Once, if anything is in this tier.")


def _ascending(tiers: list[Tier]) -> list[Tier]:
    """Each tier ends above the one before it, and only the last is open.

    Raises:
        pydantic.ValidationError: naming each tier that does not.
    """
    found: list[Finding] = []
    for place, tier in enumerate(tiers):
        is_last = place == len(tiers) - 1
        before = None if place == 0 else tiers[place - 1].up_to
        if is_last and tier.up_to is not None:
            sentence = "the last tier has no end: remove `up_to`, or add a tier for what is above it"
            found.append(Finding((place, "up_to"), DocumentCode.LAST_TIER_NOT_OPEN, sentence))
        elif not is_last and tier.up_to is None:
            sentence = "only the last tier is without an end: add `up_to`"
            found.append(Finding((place,), DocumentCode.MISSING_KEY, sentence))
        elif tier.up_to is not None and before is not None and tier.up_to <= before:
            sentence = "tiers ascend: end this one above the one before it"
            found.append(Finding((place, "up_to"), DocumentCode.TIERS_NOT_ASCENDING, sentence))
    if found:
        raise findings_error("tiers", found)
    return tiers


_Tiers = Annotated[list[Tier], Field(min_length=1, max_length=MAX_TIERS), AfterValidator(_ascending)]
_Per = Annotated[
    Positive, Field(description="`unit_price` is for this many units: 1000000 for a price per million.")
]


class Step(NamedTuple):
    """A tier as it is reckoned with: `start` is outside it, `end` (None: open) is in it."""

    start: Fraction
    end: Fraction | None
    unit_price: Fraction
    per: Fraction
    flat: Fraction


class PerUnit(_Written):
    """Every unit costs the same."""

    model: Literal["per_unit"]
    unit_price: Amount
    per: _Per = ONE

    @cached_property
    def step(self) -> Step:
        """The one tier that there is."""
        return Step(Fraction(), None, Fraction(self.unit_price), Fraction(self.per), Fraction())


class _Tiered(_Written):
    tiers: _Tiers
    per: _Per = ONE

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The tiers, from zero on."""
        per = Fraction(self.per)
        ends = [None if tier.up_to is None else Fraction(tier.up_to) for tier in self.tiers]
        return tuple(
            Step(start or Fraction(), end, Fraction(tier.unit_price), per, Fraction(tier.flat))
            for tier, start, end in zip(self.tiers, [None, *ends], ends, strict=False)
        )


class Graduated(_Tiered):
    """Each unit costs what its own tier says: the first 100 at one price, the next at another."""

    model: Literal["graduated"]


class Volume(_Tiered):
    """All units cost what the tier says in which the whole quantity lands."""

    model: Literal["volume"]


class Package(_Written):
    """Only whole packages are sold: a package that is begun is paid for."""

    model: Literal["package"]
    size: Positive = Field(description="Units in a package.")
    unit_price: Amount = Field(description="For a package.")

    @cached_property
    def step(self) -> Step:
        """The one tier that there is, of whole packages."""
        return Step(Fraction(), None, Fraction(self.unit_price), Fraction(self.size), Fraction())


def _named_model(value: object) -> str | None:
    name = value.get("model") if isinstance(value, Mapping) else getattr(value, "model", None)
    return choice(name).tag if isinstance(name, str) else None


PriceModel = Annotated[
    Annotated[PerUnit, choice("per_unit")]
    | Annotated[Graduated, choice("graduated")]
    | Annotated[Volume, choice("volume")]
    | Annotated[Package, choice("package")],
    Discriminator(
        _named_model,
        custom_error_type=DocumentCode.NOT_ALLOWED.value,
        custom_error_message="write `model: per_unit`, `graduated`, `volume` or `package`, and its numbers",
    ),
]
"""What a quantity costs."""


def _one_or_more(texts: object) -> object:
    return texts if isinstance(texts, list) else [texts]


_Texts = Annotated[
    list[FilterValue],
    Field(min_length=1),
    BeforeValidator(
        _one_or_more, json_schema_input_type=FilterValue | Annotated[list[FilterValue], Field(min_length=1)]
    ),
    AfterValidator(sorted_unique),
]


def _by_group(when: dict[str, list[str]]) -> dict[str, list[str]]:
    return dict(sorted(when.items()))


class GroupPrice(_Written):
    """A price for some values of a charge's groups."""

    when: Annotated[dict[GroupName, _Texts], Field(min_length=1), AfterValidator(_by_group)] = Field(
        json_schema_extra={"additionalProperties": False},
        description="The value, or values, of each group that it is for; compared as texts.",
    )
    price: PriceModel

    def matches(self, group: Mapping[str, str | None]) -> bool:
        """Whether it is the price of these group values; one that an event did not have matches nothing."""
        return all(group[name] in texts for name, texts in self.when.items())

    def covers(self, other: "GroupPrice") -> bool:
        """Whether it matches whatever the other matches."""
        return all(
            name in other.when and set(other.when[name]) <= set(texts) for name, texts in self.when.items()
        )


class FlatCharge(_Written):
    """A fee for a period, whatever is used in it."""

    name: Name
    description: str | None = None
    flat: Amount = Field(description="For a whole billing period.")

    @model_validator(mode="before")
    @classmethod
    def _nothing_metered(cls, value: object) -> object:
        keys = value.keys() if isinstance(value, Mapping) else ()
        metered = [key for key in MeteredCharge.model_fields if key in keys and key not in cls.model_fields]
        if metered:
            sentence = (
                f"a flat fee is for the period, whatever is used: make `{metered[0]}` a charge of its own"
            )
            raise problem_error(DocumentCode.CONTRADICTION, sentence)
        return value


class MeteredCharge(_Written):
    """What the usage of one meter costs: a line for each combination of values of `group_by`."""

    name: Name
    description: str | None = None
    meter: Name
    rollup: Rollup = Field(
        "natural",
        description="How windows become a period's quantity: as the meter aggregates (`natural`), "
        "their 95th percentile, average or summed peaks, or a gauge's integral or average over time.",
    )
    per: TimeUnit | None = Field(
        None, description="The unit of time of an `integral`: GiB and `hour` make GiB·h."
    )
    group_by: Annotated[list[GroupName], Field(max_length=MAX_GROUPS), AfterValidator(sorted_unique)] = Field(
        default_factory=list, description="The meter's groups that have lines of their own."
    )
    included: Amount = Field(ZERO, description="Of each line, in each period: free.")
    price: PriceModel | None = Field(None, description="Of the lines that no other price is for.")
    prices: Annotated[list[GroupPrice], Field(max_length=MAX_PRICES)] = Field(
        default_factory=list, description="By group values; the first that matches counts."
    )
    other: PriceModel | None = Field(
        None, description="Of usage whose group values exceeded the meter's `cardinality_limit`."
    )
    minimum: Amount | None = Field(None, description="Of the charge in a period.")
    maximum: Amount | None = Field(None, description="Of the charge in a period.")

    @model_validator(mode="before")
    @classmethod
    def _says_what_is_charged(cls, value: object) -> object:
        if isinstance(value, Mapping) and "meter" not in value:
            sentence = "say what is charged: a `flat` fee, or a `meter` and its `price`"
            raise problem_error(DocumentCode.MISSING_KEY, sentence)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.price is None and not self.prices:
            raise problem_error(DocumentCode.PRICE_REQUIRED, "nothing here has a price: add `price`")
        if (self.rollup == "integral") != (self.per is not None):
            sentence = "`rollup: integral` and its unit of time, such as `per: hour`, belong together"
            raise problem_error(DocumentCode.CONTRADICTION, sentence)
        if self.other is not None and not self.group_by:
            sentence = "without `group_by` all usage is in one line: remove `other`"
            raise problem_error(DocumentCode.CONTRADICTION, sentence)
        require_ordered(self.minimum, self.maximum)
        found = [
            Finding(
                ("prices", place, "when", name), DocumentCode.CONTRADICTION, f"add `{name}` to `group_by`"
            )
            for place, price in enumerate(self.prices)
            for name in price.when
            if name not in self.group_by
        ]
        found += [
            Finding(
                ("prices", place, "when"),
                DocumentCode.UNREACHABLE_PRICE,
                "a price above matches all that this one does: put this one before it, or remove it",
            )
            for place, price in enumerate(self.prices)
            if any(before.covers(price) for before in self.prices[:place])
        ]
        if found:
            raise findings_error("charge", found)
        return self


def require_ordered(minimum: Amount | None, maximum: Amount | None) -> None:
    """Let a minimum and a maximum pass that leave room between them.

    Raises:
        PydanticCustomError: they do not.
    """
    if minimum is not None and maximum is not None and minimum > maximum:
        raise problem_error(DocumentCode.CONTRADICTION, "`minimum` is above `maximum`: raise the maximum")


def _kind(value: object) -> str:
    is_flat = "flat" in value if isinstance(value, Mapping) else isinstance(value, FlatCharge)
    return choice("flat" if is_flat else "metered").tag


Charge = Annotated[
    Annotated[FlatCharge, choice("flat")] | Annotated[MeteredCharge, choice("metered")], Discriminator(_kind)
]
"""One thing that a plan charges for."""

_MODELS: Final = (FlatCharge, MeteredCharge, GroupPrice, PerUnit, Graduated, Volume, Package, Tier)

CHARGE_KEYS: Final = tuple(key for model in _MODELS for key in model.model_fields)
"""All keys within a charge, with which one that is unknown is compared."""
