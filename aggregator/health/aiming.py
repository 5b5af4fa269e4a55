"""Where the auditor looks first: sums that are wrong while no window that was found wrong accounts for it."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

from aggregator.health.finding import Finding, Kind


class Place(NamedTuple):
    """What a sum is of."""

    partition: int
    meter_version_id: int


class _Difference(NamedTuple):
    """How much more is stored than there should be."""

    events: Fraction
    value: Fraction


_NONE: Final = _Difference(Fraction(), Fraction())


def unaccounted(totals: Iterable[Finding], rows: Iterable[Finding]) -> list[Place]:
    """Places of sums that differ by something else than what the rows that were found wrong differ by.

    Args:
        totals: sums that differ.
        rows: windows, and rows beside windows, that differ from what the log comes to.
    """
    found: dict[tuple[Place, str], _Difference] = {}
    for row in rows:
        what = _place(row), _sum_of(row)
        found[what] = _plus(found.get(what, _NONE), _of_row(row))
    return sorted(
        {
            _place(total)
            for total in totals
            if not _accounts(found.get((_place(total), _summed(total)), _NONE), _of_total(total))
        }
    )


def _place(finding: Finding) -> Place:
    return Place(finding.place["partition"], finding.place["meter_version_id"])


def _summed(total: Finding) -> str:
    """Which rows a sum is of: windows, or one kind of what stands beside them."""
    kind: str = total.place.get("kind", Kind.WINDOW)
    return kind


def _sum_of(row: Finding) -> str:
    """Which sum a row is in."""
    if row.kind is Kind.WINDOW:
        return Kind.WINDOW
    kind: str = (row.expected or row.found)["kind"]
    return kind


def _of_total(total: Finding) -> _Difference:
    is_beside = "kind" in total.place
    events, value = (
        ("adjustments", "sum_of_adjustments") if is_beside else ("events_in_windows", "sum_in_windows")
    )
    return _Difference(
        Fraction(total.found[events]) - Fraction(total.expected["events_in_ledger"]),
        Fraction(total.found[value]) - Fraction(total.expected["sum_in_ledger"]),
    )


def _of_row(row: Finding) -> _Difference:
    (events, value), (events_expected, value_expected) = (
        _counted(row.kind, side) for side in (row.found, row.expected)
    )
    return _Difference(events - events_expected, value - value_expected)


def _counted(kind: Kind, side: Mapping[str, Any] | None) -> _Difference:
    if side is None:
        return _NONE
    events = side["events"] if kind is Kind.WINDOW else 1  # a void stands for one, too
    return _Difference(Fraction(events), Fraction(side["value"] or 0))


def _plus(one: _Difference, other: _Difference) -> _Difference:
    return _Difference(one.events + other.events, one.value + other.value)


def _accounts(found: _Difference, wrong: _Difference) -> bool:
    """Values are summed of `sum` meters alone: where no sum differs, the events must."""
    return found.events == wrong.events and wrong.value in {0, found.value}
