"""From the answers of the store to the lines of a charge: groups merged, quantities rolled up.

Each subject is rolled up by itself, and its quantities are added to those of the others; so are meter
versions that aggregate differently.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from aggregator.rating import rollup
from aggregator.rating.meters import MeterVersion, carrying
from aggregator.rating.pricing import Usage
from aggregator.rating.questions import WINDOWED, Answers, HalfOpen
from aggregator.rating.rollup import Tally
from aggregator.rating.usage import Groups, Members, Point, Sum, Window
from schemas.price import MeteredCharge

LineGroup: TypeAlias = tuple[str | None, ...] | None
"""Values of a charge's `group_by`, in its order; None for `other`."""


class Quantity(NamedTuple):
    """A part of a line."""

    group: LineGroup
    quantity: Fraction
    events: int


def charge_lines(
    charge: MeteredCharge,
    segment: HalfOpen,
    versions: Sequence[MeterVersion],
    requests: Iterable[int],
    answers: Answers,
) -> list[Usage]:
    """The lines of a charge in a segment, in their lasting order: by group values, `other` last.

    Args:
        charge: of the segment's plan.
        segment: in which it is charged.
        versions: what `versions_read` gave for both.
        requests: the numbers of its requests, one a subject.
        answers: of the store.
    """
    lines = _Lines(charge, segment, versions)
    quantities: dict[LineGroup, Fraction] = defaultdict(Fraction)
    events: dict[LineGroup, int] = defaultdict(int)
    if not charge.group_by:  # one line, whatever was used
        quantities[()], events[()] = Fraction(0), 0
    for request in requests:
        for part in lines.of_subject(
            answers.sums.get(request, ()),
            answers.windows.get(request, ()),
            answers.members.get(request, ()),
            answers.points.get(request, ()),
        ):
            quantities[part.group] += part.quantity
            events[part.group] += part.events
    return [
        Usage(_named(charge, group), quantities[group], events[group])
        for group in sorted(quantities, key=group_order)
    ]


def group_order(group: LineGroup) -> tuple[bool, tuple[tuple[bool, str], ...]]:
    """A key to sort by: values that an event did not have come first, `other` last."""
    return group is None, tuple((value is not None, value or "") for value in group or ())


class _Lines:
    """How the series of a charge's meter belong to its lines."""

    def __init__(self, charge: MeteredCharge, segment: HalfOpen, versions: Sequence[MeterVersion]) -> None:
        self._charge = charge
        self._segment = segment
        self._versions = {version.meter_version_id: version for version in versions}
        self._places = {
            version.meter_version_id: [
                version.groups.index(name) if name in version.groups else None for name in charge.group_by
            ]
            for version in versions
        }

    def of_subject(
        self,
        sums: Sequence[Sum],
        windows: Sequence[Window],
        members: Sequence[Members],
        points: Sequence[Point],
    ) -> Iterable[Quantity]:
        """What one subject used, by line; a line may come in several parts."""
        yield from self._natural(sums)
        yield from self._windowed(windows)
        yield from self._distinct(members)
        yield from self._gauge(points)

    def _natural(self, sums: Sequence[Sum]) -> Iterable[Quantity]:
        alike: dict[tuple[LineGroup, str], list[Sum]] = defaultdict(list)
        for one in sums:
            alike[self._group(one.meter_version_id, one.groups), self._aggregation(one)].append(one)
        for (group, aggregation), parts in alike.items():
            events = sum(part.events for part in parts)
            # What a `unique` meter comes to is the number of its members, which are counted below.
            quantity = Fraction(0)
            if aggregation != "unique":
                quantity = rollup.natural(aggregation, _tallies(parts))  # type: ignore[arg-type] # one of them
            yield Quantity(group, quantity, events)

    def _windowed(self, windows: Sequence[Window]) -> Iterable[Quantity]:
        if self._charge.rollup not in WINDOWED:
            return
        alike: dict[tuple[LineGroup, str], list[Window]] = defaultdict(list)
        for one in windows:
            alike[self._group(one.meter_version_id, one.groups), self._aggregation(one)].append(one)
        for (group, aggregation), parts in alike.items():
            quantity = rollup.windowed(
                self._charge.rollup,  # type: ignore[arg-type] # one of WINDOWED
                aggregation,  # type: ignore[arg-type]
                [(part.start_us, tally) for part in parts for tally in _tallies([part])],
                self._windows_of(aggregation),
            )
            yield Quantity(group, quantity, sum(part.events for part in parts))

    def _distinct(self, members: Sequence[Members]) -> Iterable[Quantity]:
        by_group: dict[LineGroup, set[str]] = defaultdict(set)
        for one in members:
            by_group[self._group(one.meter_version_id, one.groups)] |= one.members
        for group, found in by_group.items():
            yield Quantity(group, rollup.distinct(found), 0)

    def _gauge(self, points: Sequence[Point]) -> Iterable[Quantity]:
        """Of each run of versions that carry on each other's points, in its part of the segment."""
        if not points:
            return
        gauges = [version for version in self._versions.values() if version.is_gauge]
        runs = carrying(gauges)
        for run in runs:
            start_us = max(self._segment.start_us, run[0].within(*self._span)[0])
            end_us = min(self._segment.end_us, run[-1].within(*self._span)[1])
            if start_us < end_us:
                yield from self._run(run, points, start_us, end_us, is_last=run is runs[-1])

    def _run(
        self,
        run: Sequence[MeterVersion],
        points: Sequence[Point],
        start_us: int,
        end_us: int,
        *,
        is_last: bool,
    ) -> Iterable[Quantity]:
        ids = {version.meter_version_id for version in run}
        by_line: dict[LineGroup, dict[object, list[rollup.Point]]] = defaultdict(lambda: defaultdict(list))
        events: dict[LineGroup, int] = defaultdict(int)
        for point in points:
            if point.meter_version_id in ids:
                group = self._group(point.meter_version_id, point.groups)
                series = self._series(point)
                by_line[group][series].append(
                    rollup.Point(point.time_us, point.offset, Fraction(point.value))
                )
                events[group] += point.time_us >= self._segment.start_us
        for group, by_series in by_line.items():
            series_points = list(by_series.values())
            yield Quantity(
                group, self._gauged(series_points, start_us, end_us, is_last=is_last), events[group]
            )

    def _gauged(
        self, series: list[list[rollup.Point]], start_us: int, end_us: int, *, is_last: bool
    ) -> Fraction:
        match self._charge.rollup, self._charge.per:
            case "integral", unit if unit is not None:
                return rollup.integral(series, start_us, end_us, unit)
            case "time_average", _:
                seconds = Fraction(self._segment.end_us - self._segment.start_us, 1_000_000)
                return rollup.integral(series, start_us, end_us, "second") / seconds
            case _:
                # What stands at the segment's end, so only the versions that are in force then have a say.
                return rollup.standing(series, end_us) if is_last else Fraction(0)

    @property
    def _span(self) -> tuple[int, int]:
        return self._segment.start_us, self._segment.end_us

    def _windows_of(self, aggregation: str) -> int:
        """How many windows the segment has of the versions that aggregate like this."""
        count = 0
        for version in self._versions.values():
            if version.definition.aggregation == aggregation:
                start_us, end_us = version.within(*self._span)
                count += (end_us - start_us) // version.definition.window_us
        return count

    def _aggregation(self, one: Sum | Window) -> str:
        return self._versions[one.meter_version_id].definition.aggregation

    def _group(self, meter_version_id: int, values: Groups) -> LineGroup:
        """The line that a series belongs to; without groups there is nothing to be other than."""
        places = self._places[meter_version_id]
        if values is None:
            return None if places else ()
        return tuple(None if place is None else values[place] for place in places)

    def _series(self, point: Point) -> object:
        """What the points of one gauge have in common, whatever the meter's version."""
        if point.groups is None:
            return None
        names = self._versions[point.meter_version_id].groups
        return frozenset(zip(names, point.groups, strict=True))


def _tallies(parts: Iterable[Sum | Window]) -> list[Tally]:
    """Those that come to something: a correction may have left nothing of a least, greatest or last value."""
    return [
        Tally(one.events, Fraction(one.value), one.value_time_us or 0, one.value_offset or 0)
        for one in parts
        if one.value is not None
    ]


def _named(charge: MeteredCharge, group: LineGroup) -> Mapping[str, str | None] | None:
    return None if group is None else dict(zip(charge.group_by, group, strict=True))
