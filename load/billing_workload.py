"""The work that the figures of billing speak of: subscriptions, their usage of a month, and its price.

Each subscription has one subject. An event counts for all five meters, so that usage is read in every form:
sums by group, a count, a maximum, different members, and a gauge by the hour. What a month costs is computed
here a second time, with plain arithmetic and nothing of the rater's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil
from random import Random
from typing import Final, NamedTuple

from schemas.instant import format_time, parse_time_us

HOUR_US: Final = 3_600_000_000
START_US: Final = parse_time_us("2026-01-01T00:00:00Z")
END_US: Final = parse_time_us("2026-02-01T00:00:00Z")
FINAL_US: Final = END_US + 2 * HOUR_US
"""A tick of this time lets the month be rated: beyond its end and the meters' grace."""

MODELS: Final = ("gpt-large", "gpt-medium", "gpt-small")
SUBSCRIPTIONS_A_CUSTOMER: Final = 10

METERS: Final = """\
meters:
  - name: tokens
    event_type: llm.usage
    aggregation: sum
    value: tokens
    group_by: [model]
    window: 1h
    grace: 1h
  - {name: requests, event_type: llm.usage, aggregation: count, window: 1h, grace: 1h}
  - {name: seats, event_type: llm.usage, aggregation: max, value: seats, window: 1h, grace: 1h}
  - {name: users, event_type: llm.usage, aggregation: unique, value: user, window: 1h, grace: 1h}
  - {name: stored, event_type: llm.usage, aggregation: gauge, value: gib, window: 1h, grace: 1h}
"""

PLANS: Final = """\
plans:
  - name: graduated
    currency: USD
    rounding: {places: 2, mode: half_up, at: line}
    charges:
      - name: tokens
        meter: tokens
        group_by: [model]
        price: {model: graduated, per: 1000, tiers: [{up_to: 4000, unit_price: 3}, {unit_price: 2.5}]}
      - {name: requests, meter: requests, price: {model: per_unit, unit_price: 0.01}}
      - {name: seats, meter: seats, price: {model: per_unit, unit_price: 8}}
      - {name: users, meter: users, price: {model: per_unit, unit_price: 1.25}}
      - name: stored
        meter: stored
        rollup: integral
        per: hour
        price: {model: per_unit, unit_price: 0.0003}
  - name: volume
    currency: USD
    rounding: {places: 2, mode: half_up, at: line}
    charges:
      - name: tokens
        meter: tokens
        price: {model: volume, per: 1000, tiers: [{up_to: 8000, unit_price: 3}, {unit_price: 2}]}
      - {name: requests, meter: requests, price: {model: per_unit, unit_price: 0.02}}
      - name: seats
        meter: seats
        price: {model: volume, tiers: [{up_to: 20, unit_price: 9}, {unit_price: 7}]}
      - {name: users, meter: users, price: {model: per_unit, unit_price: 1}}
      - name: stored
        meter: stored
        rollup: integral
        per: hour
        price: {model: per_unit, unit_price: 0.0002}
  - name: package
    currency: EUR
    rounding: {places: 2, mode: half_up, at: line}
    charges:
      - {name: tokens, meter: tokens, price: {model: package, size: 1000, unit_price: 2}}
      - {name: requests, meter: requests, price: {model: package, size: 3, unit_price: 0.05}}
      - {name: seats, meter: seats, price: {model: package, size: 5, unit_price: 30}}
      - {name: users, meter: users, price: {model: per_unit, unit_price: 2}}
      - name: stored
        meter: stored
        rollup: integral
        per: hour
        price: {model: per_unit, unit_price: 0.0004}
"""
PLAN_NAMES: Final = ("graduated", "volume", "package")

_EVENT: Final = (
    '{"specversion":"1.0","id":"%s","source":"/llm/gateway","type":"llm.usage","subject":"%s","time":"%s",'
    '"datacontenttype":"application/json",'
    '"data":{"model":"%s","tokens":%d,"seats":%d,"user":"user-%d","gib":%d}}'
)


class Use(NamedTuple):
    """What one event says."""

    model: str
    tokens: int
    seats: int
    user: int
    gib: int


class Record(NamedTuple):
    """An event on its way to Kafka."""

    key: str
    value: str
    time_us: int  # of the event, and of the log


@dataclass(frozen=True, slots=True)
class Billing:
    """So many subscriptions, each with so many events, spread evenly over the month."""

    subscriptions: int
    events_each: int
    seed: int

    @property
    def events(self) -> int:
        """Of all subscriptions."""
        return self.subscriptions * self.events_each

    def catalog(self) -> str:
        """Plans and subscriptions as a file for `metering catalog apply`."""
        lines = [
            f"  - {{name: {name(number)}, customer: customer-{number // SUBSCRIPTIONS_A_CUSTOMER},"
            f" subjects: [{name(number)}], plan: {plan_of(number)}, start: {format_time(START_US)},"
            " billing_period: month}\n"
            for number in range(self.subscriptions)
        ]
        return f"{PLANS}subscriptions:\n{''.join(lines)}"

    def times_us(self) -> list[int]:
        """When each subscription's events happen; all of them at the same times."""
        step_us = (END_US - START_US) // self.events_each
        return [START_US + place * step_us for place in range(self.events_each)]

    def records(self) -> Iterator[Record]:
        """Every event, in the order of the log."""
        uses = [self.uses(number) for number in range(self.subscriptions)]
        for place, time_us in enumerate(self.times_us()):
            time = format_time(time_us)
            for number, of_one in enumerate(uses):
                subject = name(number)
                yield Record(subject, _EVENT % (f"{subject}/{place}", subject, time, *of_one[place]), time_us)

    def uses(self, number: int) -> list[Use]:
        """What the events of one subscription say."""
        random = Random(f"{self.seed} {number}")
        return [
            Use(
                random.choice(MODELS),
                random.randrange(1, 4_096),
                random.randrange(1, 40),
                random.randrange(4),
                random.randrange(1, 500),
            )
            for _ in range(self.events_each)
        ]

    def amount(self, number: int) -> Decimal:
        """What the month of one subscription costs."""
        uses = self.uses(number)
        price = _PRICES[plan_of(number)]
        tokens: dict[str, int] = defaultdict(int)
        for use in uses:
            tokens[use.model if plan_of(number) == "graduated" else ""] += use.tokens
        until_us = [*self.times_us()[1:], END_US]
        held_us = [after_us - at_us for at_us, after_us in zip(self.times_us(), until_us, strict=True)]
        stored = sum(
            (Fraction(use.gib * us, HOUR_US) for use, us in zip(uses, held_us, strict=True)), Fraction()
        )
        lines = [
            *(price["tokens"](Fraction(quantity)) for quantity in tokens.values()),
            price["requests"](Fraction(len(uses))),
            price["seats"](Fraction(max(use.seats for use in uses))),
            price["users"](Fraction(len({use.user for use in uses}))),
            price["stored"](stored),
        ]
        return sum(map(_cents, lines), Decimal())


def name(number: int) -> str:
    """The name of a subscription, and of its subject."""
    return f"acct-{number:06d}"


def plan_of(number: int) -> str:
    """The plan that a subscription is on."""
    return PLAN_NAMES[number % len(PLAN_NAMES)]


def _cents(amount: Fraction) -> Decimal:
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _each(price: str) -> Callable[[Fraction], Fraction]:
    return lambda quantity: quantity * Fraction(price)


def _packages(size: int, price: str) -> Callable[[Fraction], Fraction]:
    return lambda quantity: ceil(quantity / size) * Fraction(price)


_PRICES: Final[Mapping[str, Mapping[str, Callable[[Fraction], Fraction]]]] = {
    "graduated": {
        "tokens": lambda quantity: (
            min(quantity, 4_000) * Fraction(3, 1_000) + max(quantity - 4_000, 0) * Fraction(5, 2_000)
        ),
        "requests": _each("0.01"),
        "seats": _each("8"),
        "users": _each("1.25"),
        "stored": _each("0.0003"),
    },
    "volume": {
        "tokens": lambda quantity: quantity * Fraction(3 if quantity <= 8_000 else 2, 1_000),
        "requests": _each("0.02"),
        "seats": lambda quantity: quantity * (9 if quantity <= 20 else 7),
        "users": _each("1"),
        "stored": _each("0.0002"),
    },
    "package": {
        "tokens": _packages(1_000, "2"),
        "requests": _packages(3, "0.05"),
        "seats": _packages(5, "30"),
        "users": _each("2"),
        "stored": _each("0.0004"),
    },
}
