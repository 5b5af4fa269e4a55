"""Reads usage that nobody pays for, in pages, with what it would cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple, Protocol, TypeVar

from aggregator.rating.lines import charge_lines
from aggregator.rating.meters import Meters, MeterVersion
from aggregator.rating.pricing import Usage
from aggregator.rating.questions import WINDOWED, Answers, Questions, versions_read
from aggregator.rating.terms import PlanVersion, Span
from aggregator.rating.unrated import (
    Estimate,
    NotEstimated,
    Place,
    Reason,
    SeriesGap,
    Unpaid,
    amount_on,
    estimates,
    order_of,
    prices_of_today,
    unpaid,
)
from aggregator.rating.usage import Groups
from aggregator.store import finality
from aggregator.store.connection import BEGINNING_US, END_US, Connection, instant_us
from aggregator.store.rate import answered
from aggregator.store.reading import Stretch, Visible, next_subjects, stretches_seen
from aggregator.store.statements import STATEMENTS
from schemas.plan import Plan
from schemas.price import MeteredCharge

_LATEST_US: Final = 2**63 - 1  # no gap begins then; and a cursor has room for it
SUBJECTS_AT_ONCE: Final = 1000
"""About so many subjects are looked at for one page: it may end early, and the next goes on behind it."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    meters: Meters  # those looked at, with all of their versions
    subject: str | None
    visible: Visible | None  # None: every subject, ever
    span: Stretch  # of window starts


@dataclass(frozen=True, slots=True)
class Page:
    """Some of it in order, and the place to go on from; None: there is no more."""

    rows: Sequence[Unpaid]
    end: Place | None


class _Answer(Protocol):
    @property
    def meter_version_id(self) -> int: ...

    @property
    def groups(self) -> Groups: ...


AnAnswer = TypeVar("AnAnswer", bound=_Answer)


class Unrated(NamedTuple):
    """Usage that nobody pays for, and the money at risk; `quantity` is its natural roll-up."""

    usage: Unpaid
    quantity: Fraction
    at_risk: Sequence[Estimate]
    not_estimated: NotEstimated | None


async def page(connection: Connection, query: Query, after: Place | None, limit: int) -> Page:
    """The next behind a place; call it within a transaction that sees one state."""
    found: list[Unpaid] = []
    looked_at = 0
    for meter, versions in sorted(query.meters.items()):
        if after is not None and meter < after.meter:
            continue
        first = after.subject if after is not None and meter == after.meter else ""
        subjects = await _subjects(connection, query, versions, first)
        found += [
            one
            for one in await _unpaid(connection, query, meter, versions, subjects)
            if after is None or order_of(one.place) > order_of(after)
        ]
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].place)
        looked_at += len(subjects)
        if looked_at >= SUBJECTS_AT_ONCE:
            return Page(found, _all_of(meter, subjects[-1]))
    return Page(found, None)


async def estimated(
    connection: Connection,
    meters: Meters,
    plans: Mapping[str, Sequence[Span[PlanVersion]]],
    rows: Sequence[Unpaid],
) -> list[Unrated]:
    """What a page's usage comes to, and what it would cost on the plans of today; within its transaction."""
    now_us = await finality.closing(connection)
    todays = {meter: prices_of_today(plans, meter, now_us) for meter in {one.meter for one in rows}}
    questions = Questions()
    requests = [_ask(one, meters, todays[one.meter], questions) for one in rows]
    answers = await answered(connection, questions)
    return [
        _estimated(one, meters, todays[one.meter], asked, answers)
        for one, asked in zip(rows, requests, strict=True)
    ]


async def events(connection: Connection, meters: Meters) -> int:
    """How many events of some meters nobody pays for: a probe per series, so ask once in some minutes."""
    query = Query(meters, None, None, Stretch(None, None))
    found = 0
    for versions in meters.values():
        first = ""
        while subjects := await _subjects(connection, query, versions, first):
            gaps = await _gaps(connection, query, versions, [one for one in subjects if one > first])
            found += sum(gap.events for gap in gaps)
            if len(subjects) < SUBJECTS_AT_ONCE:
                break
            first = subjects[-1]
    return found


async def _subjects(
    connection: Connection, query: Query, versions: Sequence[MeterVersion], first: str
) -> list[str]:
    version_ids = [version.meter_version_id for version in versions]
    return await next_subjects(connection, version_ids, query.subject, query.visible, first, SUBJECTS_AT_ONCE)


async def _unpaid(
    connection: Connection,
    query: Query,
    meter: str,
    versions: Sequence[MeterVersion],
    subjects: Sequence[str],
) -> list[Unpaid]:
    gaps = await _gaps(connection, query, versions, subjects)
    return unpaid(meter, {one.meter_version_id: one for one in versions}, gaps, BEGINNING_US)


async def _gaps(
    connection: Connection, query: Query, versions: Sequence[MeterVersion], subjects: Iterable[str]
) -> list[SeriesGap]:
    window_us = max(version.definition.window_us for version in versions)
    seen = [
        (subject, stretch)
        for subject in subjects
        for stretch in stretches_seen(query.visible, query.span, window_us, subject)
    ]
    rows = await connection.fetch(
        STATEMENTS["unpaid_gaps"],
        [version.meter_version_id for version in versions],
        [subject for subject, _ in seen],
        [BEGINNING_US if stretch.from_us is None else stretch.from_us for _, stretch in seen],
        [END_US if stretch.to_us is None else stretch.to_us for _, stretch in seen],
    )
    return [
        SeriesGap(
            row["subject"],
            row["meter_version_id"],
            None if row["groups"] is None else tuple(row["groups"]),
            Reason(row["reason"]),
            instant_us(row["gap_start"]),
            row["first_start"],
            row["last_start"],
            row["events"],
        )
        for row in rows
    ]


def _all_of(meter: str, subject: str) -> Place:
    """The place behind everything of a meter's subject."""
    return Place(meter, subject, _LATEST_US, "", is_other=True, groups=())


def _ask(one: Unpaid, meters: Meters, plans: Sequence[Plan], questions: Questions) -> dict[bool, int]:
    """Ask for the usage as its charges read it: the requests by whether they read windows."""
    requests: dict[bool, int] = {}
    for charge in [_natural(one.meter), *_charges(plans, one.meter)]:
        if (charge.rollup in WINDOWED) not in requests:
            versions = versions_read(charge, meters, one)
            requests[charge.rollup in WINDOWED] = questions.ask(charge, versions, one, one.subject, None)
    return requests


def _estimated(
    one: Unpaid,
    meters: Meters,
    plans: Sequence[Plan],
    requests: Mapping[bool, int],
    answers: Answers,
) -> Unrated:
    theirs = _of_series(one, requests, answers) if one.reason is Reason.NO_PRICE else answers

    def lines_of(charge: MeteredCharge) -> list[Usage]:
        versions = list(versions_read(charge, meters, one))
        return charge_lines(charge, one, versions, [requests[charge.rollup in WINDOWED]], theirs)

    amounts = [(plan, amount_on(plan, one.meter, lines_of)) for plan in plans]
    at_risk = estimates((plan, amount) for plan, amount in amounts if amount is not None)
    not_estimated = None
    if not at_risk:
        not_estimated = NotEstimated.NO_PLAN_PRICES_ALL if plans else NotEstimated.NO_PLAN
    quantity = sum((line.quantity for line in lines_of(_natural(one.meter))), Fraction(0))
    return Unrated(one, quantity, at_risk, not_estimated)


def _of_series(one: Unpaid, requests: Mapping[bool, int], answers: Answers) -> Answers:
    """The answers of those series alone that have no price."""

    def theirs(kind: Mapping[int, Sequence[AnAnswer]]) -> dict[int, list[AnAnswer]]:
        return {
            number: [
                answer
                for answer in kind.get(number, ())
                if (answer.meter_version_id, answer.groups) in one.series
            ]
            for number in requests.values()
        }

    return Answers(
        theirs(answers.sums), theirs(answers.windows), theirs(answers.members), theirs(answers.points)
    )


def _charges(plans: Iterable[Plan], meter: str) -> list[MeteredCharge]:
    return [charge for plan in plans for charge in plan.metered if charge.meter == meter]


def _natural(meter: str) -> MeteredCharge:
    """All of a meter's usage in one line, as the meter itself aggregates it."""
    return MeteredCharge.model_validate(
        {"name": "quantity", "meter": meter, "price": {"model": "per_unit", "unit_price": 0}}
    )
