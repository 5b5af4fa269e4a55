"""What a window comes to whose differences are nothing to add: its extreme, last value, members or points."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple


class Element(NamedTuple):
    """One thing that a window holds: a value, a member or a point."""

    value: Decimal | None = None  # None: a member
    member: str | None = None
    time_us: int | None = None  # of a point, and of a `last` value
    offset: int | None = None


class Part(NamedTuple):
    """A row of a window or beside it."""

    events: int  # signed
    element: Element
    is_void: bool  # the element is taken away
    stands: bool  # whether the element counts; its events always do


class Content(NamedTuple):
    """What a window comes to; without elements, to nothing."""

    events: int
    elements: tuple[Element, ...]


def content(aggregation: str, parts: Iterable[Part]) -> Content:
    """What the parts of one window come to together, as the meter aggregates."""
    events, standing, voids = 0, [], Counter[tuple[int | None, Decimal | None]]()
    for part in parts:
        events += part.events
        if part.stands and part.is_void:
            voids[part.element.time_us, part.element.value] += 1
        elif part.stands:
            standing.append(part.element)
    return Content(events, tuple(_elements(aggregation, standing, voids)) if standing else ())


def _elements(
    aggregation: str, standing: list[Element], voids: Counter[tuple[int | None, Decimal | None]]
) -> Iterable[Element]:
    match aggregation:
        case "min":
            return [Element(min(_value(one) for one in standing))]
        case "max":
            return [Element(max(_value(one) for one in standing))]
        case "last":
            return [max(standing, key=_place)]
        case "unique":
            return [Element(member=member) for member in sorted({str(one.member) for one in standing})]
        case "gauge":
            return _not_voided(standing, voids)
        case _:
            raise ValueError(f"a {aggregation} meter adds up")


def _not_voided(
    points: list[Element], voids: Counter[tuple[int | None, Decimal | None]]
) -> Iterable[Element]:
    """Of points of one time and value a void takes away the one of the least offset."""
    for point in sorted(points, key=_place):
        if voids[point.time_us, point.value]:
            voids[point.time_us, point.value] -= 1
        else:
            yield point


def _place(one: Element) -> tuple[int, int]:
    assert one.time_us is not None and one.offset is not None  # noqa: S101, PT018 - the log has it
    return one.time_us, one.offset


def _value(one: Element) -> Decimal:
    assert one.value is not None  # noqa: S101 - of a meter of numbers
    return one.value
