"""Plans and subscriptions on the oracle's meters, as the product reads them and as the oracle does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from faults.traffic import SUBJECTS
from oracle.logs import HOUR_US, METERS, METERS_YAML
from oracle.rated import ChargeRule, MeterRule

START_US: Final = 1_780_012_800_000_000
"""Midnight, UTC: the first period of every subscription begins."""

START: Final = "2026-05-29T00:00:00Z"
PERIOD_US: Final = 24 * HOUR_US
GREATEST_GRACE_US: Final = HOUR_US
PLACES: Final = 2
FLAT: Final = 5
INCLUDED: Final = 2
PERCENT: Final = 150
THRESHOLD: Final = f"calls {PERCENT}%"

_UNIT: Final = {"model": "per_unit", "unit_price": "0.333", "per": 3}
_DEAR: Final = {"model": "per_unit", "unit_price": "1.37"}
_PACKAGE: Final = {"model": "package", "size": 2, "unit_price": "0.5"}
_VOLUME: Final = {"model": "volume", "tiers": [{"up_to": 2, "unit_price": "0.11"}, {"unit_price": "0.07"}]}

_METERS: Final = {
    meter.name: MeterRule("call", meter.aggregation, meter.value, meter.window_us, meter.grace_us)
    for meter in METERS
}
CHARGES: Final[Mapping[str, tuple[str, str, int, Mapping[str, Any]]]] = {
    "tokens": ("tokens", "natural", 0, _UNIT),
    "mean": ("tokens", "avg", 0, _DEAR),
    "calls": ("calls", "natural", INCLUDED, _PACKAGE),
    "usual": ("calls", "p95", 0, _DEAR),
    "peaks": ("most", "sum_of_max", 0, _UNIT),
    "least": ("least", "natural", 0, _DEAR),
    "newest": ("newest", "natural", 0, _UNIT),
    "models": ("models", "natural", 0, _VOLUME),
}
"""Each with its meter, roll-up, included quantity and price. Tiers are for what is never below zero."""

RULES: Final[Mapping[str, ChargeRule]] = {
    name: ChargeRule(_METERS[meter], rollup, included=Fraction(included), price=price)
    for name, (meter, rollup, included, price) in CHARGES.items()
}


@dataclass(frozen=True)
class Payer:
    """A subscription."""

    name: str
    subjects: Sequence[str]

    @property
    def customer(self) -> str:
        return f"of {self.name}"


PAYERS: Final[Sequence[Payer]] = [
    Payer(f"payer-{first // 2}", SUBJECTS[first : first + 2]) for first in range(0, len(SUBJECTS) - 4, 2)
]
"""The last subjects have none."""


def catalog() -> str:
    """All of it as a person writes it; JSON is YAML."""
    charges: list[Mapping[str, Any]] = [{"name": "base", "flat": FLAT}]
    for name, (meter, rollup, included, price) in CHARGES.items():
        charges.append({"name": name, "meter": meter, "rollup": rollup, "included": included, "price": price})
    plan = {"name": "all", "currency": "EUR", "rounding": {"places": PLACES}, "charges": charges}
    subscriptions = [
        {
            "name": payer.name,
            "customer": payer.customer,
            "plan": "all",
            "subjects": payer.subjects,
            "start": START,
            "billing_period": "day",
            "thresholds": [{"charge": "calls", "percent": PERCENT}],
        }
        for payer in PAYERS
    ]
    return f"{METERS_YAML}\nplans: {json.dumps([plan])}\nsubscriptions: {json.dumps(subscriptions)}\n"
