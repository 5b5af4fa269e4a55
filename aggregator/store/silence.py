"""Reads which subscriptions have fallen silent, in pages, with what their meters came to before."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aggregator.finality import meter_final_before_us
from aggregator.rating.meters import Meters
from aggregator.rating.silence import (
    AmountBefore,
    ChargedMeter,
    ChargedTime,
    NotKnown,
    PastUse,
    Silence,
    SilenceKind,
    charged_for,
    fallen_silent,
    never_used,
)
from aggregator.store import finality, prices
from aggregator.store.connection import END_US, Connection
from aggregator.store.statements import STATEMENTS
from schemas.rated import RatedTotal

SUBSCRIPTIONS_AT_ONCE: Final = 500
"""So many subscriptions are looked at for one page: it may end early, and the next goes on behind it."""


class Place(NamedTuple):
    """Where a silence stands in the order of pages."""

    subscription: str
    meter: str


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    meters: Meters  # those looked at, with all of their versions
    subject: str | None  # only subscriptions that ever named it
    customers: Collection[str] | None  # None: everybody's


@dataclass(frozen=True, slots=True)
class Page:
    """Some silences in order, and the place to go on from; None: there are no more."""

    rows: Sequence[Silence]
    end: Place | None


class AtRisk(NamedTuple):
    """A silence, and the money at risk in each period that it lasts."""

    silence: Silence
    before: AmountBefore | None
    not_known: NotKnown | None


async def page(connection: Connection, query: Query, after: Place | None, limit: int) -> Page:
    """The next behind a place; call it within a transaction that sees one state."""
    names, more = await _names(connection, query, after)
    found = [one for one in await _silences(connection, query, names) if after is None or _place(one) > after]
    if len(found) > limit:
        return Page(found[:limit], _place(found[limit - 1]))
    return Page(found, Place(names[-1], "\U0010ffff") if more else None)


async def at_risk(connection: Connection, silences: Sequence[Silence]) -> list[AtRisk]:
    """With what each meter came to in the last period before; within the page's transaction."""
    asked = [
        (place, one.charged.subscription, one.since_us)
        for place, one in enumerate(silences)
        if one.kind is SilenceKind.SILENT
    ]
    rows = await connection.fetch(STATEMENTS["last_periods_before"], *_columns(asked, 3))
    periods = {row["request"]: dict(row) for row in rows}
    return [_at_risk(one, periods.get(place)) for place, one in enumerate(silences)]


async def count(connection: Connection, meters: Meters) -> int:
    """How many meters of subscriptions are silent: a probe per series, so ask once in some minutes."""
    query = Query(meters, None, None)
    found, after = 0, None
    while True:
        names, more = await _names(connection, query, after)
        found += len(await _silences(connection, query, names))
        if not more:
            return found
        after = Place(names[-1], "")


async def _names(connection: Connection, query: Query, after: Place | None) -> tuple[list[str], bool]:
    """The next subscriptions, from the one of a place on, and whether there may be more."""
    if query.subject is not None:
        named = (await prices.subscriptions_of_subjects(connection, [query.subject]))[query.subject]
        return sorted(name for name in named if after is None or name >= after.subscription), False
    first = [] if after is None else [after.subscription]
    following = await prices.subscription_page(
        connection,
        customers=query.customers,
        after="" if after is None else after.subscription,
        limit=SUBSCRIPTIONS_AT_ONCE,
    )
    return first + following, len(following) == SUBSCRIPTIONS_AT_ONCE


async def _silences(connection: Connection, query: Query, names: Sequence[str]) -> list[Silence]:
    state = await finality.finality(connection)
    final_us = {
        meter: meter_final_before_us(rules, state.final_before_us) for meter, rules in state.meters.items()
    }
    charged = [
        (one, until_us)
        for one in await _charged(connection, names)
        if one.meter in query.meters
        and (query.customers is None or one.customer in query.customers)
        and (until_us := final_us.get(one.meter)) is not None
        and one.is_charged(until_us)
    ]
    numbered = dict(enumerate(charged))
    ends = await _fetch(connection, "last_uses", query.meters, {n: one for n, (one, _) in numbered.items()})
    quiet = {n: one for n, (one, until_us) in numbered.items() if n in ends and ends[n][0] < until_us}
    past = await _fetch(connection, "longest_gaps", query.meters, quiet)
    found = []
    for number, (one, until_us) in numbered.items():
        if number not in ends:
            silence = never_used(one, until_us)
        elif number in past:
            first_us, gap_us = past[number]
            silence = fallen_silent(one, PastUse(first_us, gap_us or 0), ends[number][0], until_us)
        else:
            silence = None
        if silence is not None:
            found.append(silence)
    return found


async def _charged(connection: Connection, names: Sequence[str]) -> list[ChargedMeter]:
    """In order of subscription and meter."""
    found: dict[Place, ChargedMeter] = {}
    for row in await connection.fetch(STATEMENTS["charged_times"], names):
        place = Place(row["subscription"], row["meter"])
        to_us = row["charged_to"]
        time = ChargedTime(row["subject"], row["charged_from"], to_us)
        times = found[place].times if place in found else []
        found[place] = ChargedMeter(row["subscription"], row["customer"], row["meter"], [*times, time])
    return [one for _, one in sorted(found.items())]


async def _fetch(
    connection: Connection, name: str, meters: Meters, asked: Mapping[int, ChargedMeter]
) -> dict[int, tuple[Any, ...]]:
    """What a statement says of each charged meter, by its number."""
    rows = [
        (
            number,
            version.meter_version_id,
            version.definition.window_us,
            time.subject,
            time.start_us,
            END_US if time.end_us is None else time.end_us,
        )
        for number, one in asked.items()
        for version in meters[one.meter]
        for time in one.times
    ]
    found = await connection.fetch(STATEMENTS[name], *_columns(rows, 6))
    return {row["request"]: tuple(row)[1:] for row in found}


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]


def _place(one: Silence) -> Place:
    return Place(one.charged.subscription, one.charged.meter)


def _at_risk(one: Silence, row: Mapping[str, Any] | None) -> AtRisk:
    if row is None:
        never = one.kind is SilenceKind.NEVER_USED
        return AtRisk(one, None, NotKnown.NEVER_USED if never else NotKnown.NO_FINAL_PERIOD)
    amount = charged_for(RatedTotal.model_validate_json(row["document"]), one.charged.meter)
    return AtRisk(one, AmountBefore(row["currency"], amount, row["period_start"], row["version"]), None)
