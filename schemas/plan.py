"""Price plans: what a subscription's usage costs, as people write it in YAML."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.amount import Amount
from schemas.document import DocumentCode, Finding, Written, findings_error
from schemas.names import Name
from schemas.number import MAX_EXPONENT
from schemas.price import CHARGE_KEYS, Charge, MeteredCharge, require_ordered

RoundingMode: TypeAlias = Literal["half_up", "half_even", "up", "down", "ceiling", "floor"]

_CURRENCY: Final = Written("[A-Z]{3}", "write the three capitals of ISO 4217, such as `EUR`")


class Rounding(BaseModel):
    """How, and where, an exact amount becomes one that is paid."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    places: int = Field(ge=0, le=MAX_EXPONENT, description="Digits after the point.")
    mode: RoundingMode = Field(
        "half_up",
        description="Ties away from zero or to the even digit; always away from zero or towards it; "
        "always up or down.",
    )
    at: Literal["line", "total"] = Field(
        "line", description="Each line, so that lines add up to the total; or the total alone."
    )


def _one_charge_per_name(charges: list[Charge]) -> list[Charge]:
    names = [charge.name for charge in charges]
    found = [
        Finding(
            (place, "name"),
            DocumentCode.DUPLICATE_CHARGE,
            f"this plan has a charge `{name}` above already: rename or remove one",
        )
        for place, name in enumerate(names)
        if name in names[:place]
    ]
    if found:
        raise findings_error("charges", found)
    return charges


class Plan(BaseModel):
    """What is charged, at which prices, in one currency."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: Name = Field(description="A lasting name, such as `pro`.")
    description: str | None = None
    currency: Annotated[str, _CURRENCY] = Field(description="ISO 4217, such as `EUR`.")
    rounding: Rounding
    prorate: bool = Field(
        default=True,
        description="Whether a part of a period has only its share of what is for a whole one: flat fees, "
        "included quantities, minimum and maximum. Tiers keep their bounds.",
    )
    minimum: Amount | None = Field(None, description="Of all charges together in a period.")
    maximum: Amount | None = Field(None, description="Of all charges together in a period.")
    charges: Annotated[list[Charge], Field(min_length=1), AfterValidator(_one_charge_per_name)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_ordered(self.minimum, self.maximum)
        return self

    @property
    def metered(self) -> list[MeteredCharge]:
        """The charges that depend on usage."""
        return [charge for charge in self.charges if isinstance(charge, MeteredCharge)]

    def definition(self) -> dict[str, Any]:
        """The plan as it is stored: JSON in one canonical form, numbers as texts of their digits."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """The plan that `definition` gave.

        Raises:
            pydantic.ValidationError: it is no definition of a plan.
        """
        return cls.model_validate(definition)


PLAN_KEYS: Final = (*Plan.model_fields, *Rounding.model_fields, *CHARGE_KEYS)
"""All keys within a plan, with which one that is unknown is compared."""
