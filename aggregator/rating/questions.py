"""Which usage a period's charges read: the questions that the store answers for many periods at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from aggregator.rating.cuts import UsedMeter
from aggregator.rating.meters import Meters, MeterVersion, carrying
from aggregator.rating.segments import RatedPeriod
from aggregator.rating.usage import Asked, Members, Point, Sum, Window
from schemas.price import MeteredCharge

WINDOWED: Final = frozenset({"p95", "avg", "sum_of_max"})


class HalfOpen(Protocol):
    """A stretch of time whose usage is read: a segment, or one that nobody has on a plan."""

    @property
    def start_us(self) -> int:
        """When it begins."""

    @property
    def end_us(self) -> int:
        """When it ends."""


@dataclass(slots=True)
class Questions:
    """What is asked, by the form of its answer; `number` gives each request a number of its own."""

    sums: list[Asked] = field(default_factory=list)
    windows: list[Asked] = field(default_factory=list)
    members: list[Asked] = field(default_factory=list)
    points: list[Asked] = field(default_factory=list)
    asked: int = 0

    def ask(
        self,
        charge: MeteredCharge,
        versions: Iterable[MeterVersion],
        segment: HalfOpen,
        subject: str,
        cut_us: int | None,
    ) -> int:
        """Ask for what a charge reads of one subject in one segment; the number of the request."""
        self.asked += 1
        for version in versions:
            aggregation = version.definition.aggregation
            one = Asked(
                self.asked,
                version.meter_version_id,
                subject,
                segment.start_us,
                segment.end_us,
                cut_us,
                aggregation,
            )
            if version.is_gauge:
                self.points.append(one)
            elif charge.rollup in WINDOWED:
                self.windows.append(one)
            else:
                self.sums.append(one)
                if aggregation == "unique":
                    self.members.append(one)
        return self.asked


class Answers(NamedTuple):
    """What the store answered, by the number of the request."""

    sums: Mapping[int, Sequence[Sum]]
    windows: Mapping[int, Sequence[Window]]
    members: Mapping[int, Sequence[Members]]
    points: Mapping[int, Sequence[Point]]


Requests = Mapping[tuple[int, str, str], int]
"""Numbers of the requests of one period, by place of the segment, charge and subject."""


def ask(period: RatedPeriod, meters: Meters, cut_us: int | None, questions: Questions) -> Requests:
    """Ask for all that a period's charges read."""
    requests = {}
    for place, segment in enumerate(period.segments):
        for charge in segment.plan.terms.metered:
            versions = list(versions_read(charge, meters, segment))
            for subject in segment.subscription.terms.subjects:
                number = questions.ask(charge, versions, segment, subject, cut_us)
                requests[place, charge.name, subject] = number
    return requests


def versions_read(charge: MeteredCharge, meters: Meters, segment: HalfOpen) -> Iterator[MeterVersion]:
    """The versions of a charge's meter whose usage counts in a segment.

    Those in force in it; and of a gauge those before, whose last point is carried in.
    """
    versions = meters.get(charge.meter, ())
    for run in carrying([version for version in versions if version.is_gauge]):
        if any(version.is_in_force(segment.start_us, segment.end_us) for version in run):
            yield from (v for v in run if v.start_us is None or v.start_us < segment.end_us)
    yield from (
        version
        for version in versions
        if not version.is_gauge and version.is_in_force(segment.start_us, segment.end_us)
    )


def meters_read(period: RatedPeriod, meters: Meters) -> dict[int, UsedMeter]:
    """Every meter version that a period reads, by its id, with what decides when its windows are final."""
    used = {}
    for segment in period.segments:
        for charge in segment.plan.terms.metered:
            for version in versions_read(charge, meters, segment):
                is_past = version.end_us is not None and version.end_us <= period.start_us
                until_us = version.end_us if is_past else None
                used[version.meter_version_id] = UsedMeter(version.definition.grace_us, until_us)
    return used
