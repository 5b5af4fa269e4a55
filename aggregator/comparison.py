"""What differs between two accounts of one log, in rows and in units."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from schemas.number import EXACT

SHOWN: Final = 20
"""Differences of each kind that are kept to be looked at; all of them are counted."""

ADDABLE: Final = frozenset({"sum", "count"})
"""Aggregations whose differences are units that can be added up."""


class Aspect(NamedTuple):
    """One kind of row: the columns that name it, and those that must be equal."""

    name: str
    key: Sequence[str]
    values: Sequence[str]


class Row(NamedTuple):
    """One row of an aspect, as columns in its order."""

    key: tuple[Any, ...]
    values: tuple[Any, ...]


class Pair(NamedTuple):
    """A row as it was counted and as it was replayed; None where there is none."""

    counted: Row | None
    replayed: Row | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What both are called."""
        row = self.counted or self.replayed
        assert row is not None  # noqa: S101 - a pair has at least one
        return row.key


class Difference(NamedTuple):
    """A row that is not the same on both sides; None for a side without it."""

    aspect: str
    key: Mapping[str, Any]
    counted: Mapping[str, Any] | None
    replayed: Mapping[str, Any] | None


@dataclass(slots=True)
class Amounts:
    """What both sides have of something that adds up: a meter's units, a currency's money."""

    counted: Decimal = Decimal(0)
    replayed: Decimal = Decimal(0)

    @property
    def difference(self) -> Decimal:
        """What the replay has more."""
        with localcontext(EXACT):
            return self.replayed - self.counted


@dataclass(slots=True)
class Comparison:
    """What was found; `rows` are those compared, by aspect."""

    rows: dict[str, int] = field(default_factory=dict)
    different: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)  # the first of each aspect
    units: dict[str, Amounts] = field(default_factory=dict)  # by meter, in windows and beside them
    money: dict[str, Amounts] = field(default_factory=dict)  # by currency: newest versions of rated totals
    grown_windows: int = 0  # that usage has been added to since the replay: not compared
    unrated_totals: int = 0  # that the counted schema has not come to yet: not compared
    since_us: int | None = None  # nothing is compared that is of before, for the replay is of a range
    cut_periods: int = 0  # rated periods that begin before and end after: not compared

    @property
    def identical(self) -> bool:
        """Whether nothing that was compared differs."""
        return not any(self.different.values())

    def take(self, aspect: Aspect, pair: Pair) -> None:
        """Compare the two sides of one row."""
        self.rows[aspect.name] = self.rows.get(aspect.name, 0) + 1
        self.different.setdefault(aspect.name, 0)
        if pair.counted == pair.replayed:
            return
        self.different[aspect.name] += 1
        if self.different[aspect.name] <= SHOWN:
            self.differences.append(_difference(aspect, pair))

    def add_units(self, meter: str, counted: Decimal, replayed: Decimal) -> None:
        """Add what both sides have of a meter."""
        units = self.units.setdefault(meter, Amounts())
        with localcontext(EXACT):
            units.counted += counted
            units.replayed += replayed

    def add_money(self, currency: str, amount: Decimal, *, is_replayed: bool) -> None:
        """Add what one side has of a currency."""
        money = self.money.setdefault(currency, Amounts())
        with localcontext(EXACT):
            if is_replayed:
                money.replayed += amount
            else:
                money.counted += amount


async def paired(counted: AsyncIterator[Row], replayed: AsyncIterator[Row]) -> AsyncIterator[Pair]:
    """The rows of two sides by key; each side is in the order of its keys."""
    left, right = await anext(counted, None), await anext(replayed, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.key < right.key):
            yield Pair(left, None)
            left = await anext(counted, None)
        elif left is None or right.key < left.key:
            yield Pair(None, right)
            right = await anext(replayed, None)
        else:
            yield Pair(left, right)
            left, right = await anext(counted, None), await anext(replayed, None)


def _difference(aspect: Aspect, pair: Pair) -> Difference:
    return Difference(
        aspect.name,
        dict(zip(aspect.key, pair.key, strict=True)),
        None if pair.counted is None else dict(zip(aspect.values, pair.counted.values, strict=True)),
        None if pair.replayed is None else dict(zip(aspect.values, pair.replayed.values, strict=True)),
    )
