"""Writes rated totals: each step is one transaction, which also tells the feed what it has written.

Whatever a step reads it reads under the terms' shared lock, and what it writes rests on the periods being
where it found them: of two raters at one time, one is rolled back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aggregator.rating.canonical import canonical, read_canonical
from aggregator.rating.questions import meters_read
from aggregator.rating.schedule import next_due, period_at_cut
from aggregator.rating.segments import RatedPeriod
from aggregator.rating.thresholds import crossed
from aggregator.store import feed, prices, terms
from aggregator.store.connection import END_US, Connection
from aggregator.store.errors import Overtaken
from aggregator.store.feed import News
from aggregator.store.rate import rate
from aggregator.store.statements import STATEMENTS
from aggregator.store.terms import Known, RatingCatalog
from schemas import rated

Key = tuple[str, int]
"""A subscription and the start of one of its periods."""


class Done(NamedTuple):
    """What a step has done."""

    periods: int  # looked at
    versions: int  # written
    crossings: int = 0
    written: Sequence[RatedPeriod] = ()  # the periods of the versions


@dataclass(frozen=True, slots=True)
class _Version:
    """A version to be written."""

    document: rated.RatedTotal
    period: RatedPeriod
    cut_us: int
    catalog: RatingCatalog


async def reschedule(connection: Connection, catalog: RatingCatalog, names: Sequence[str]) -> None:
    """Say anew when the next period of each subscription can be rated, in a transaction of its own."""
    async with connection.transaction():
        await prices.share(connection)
        found = await terms.terms(connection, catalog, names)
        through = await prices.rated_through(connection, found)
        scheduled = []
        for name, one in found.items():
            through_us = through.get(name, one.start_us)
            due = next_due(one, catalog.meters, through_us)
            scheduled.append((name, through_us, END_US if due is None else due.first_cut_us))
        if scheduled:
            await connection.execute(STATEMENTS["schedule_subscriptions"], *zip(*scheduled, strict=True))


async def is_rated(connection: Connection, log_time_us: int, known: Known) -> bool:
    """Whether all is rated that could be at this log time by these versions."""
    return bool(await connection.fetchval(STATEMENTS["is_rated"], log_time_us, *known))


async def progress(connection: Connection) -> tuple[int, Known]:
    """The log time up to which adjustments were looked at, and the versions that the schedule knows of."""
    row = await connection.fetchrow(STATEMENTS["rater_progress"])
    if row is None:
        raise RuntimeError("rater_progress has lost its row")
    return row[0], Known(*row[1:])


async def schedule_knows(connection: Connection, known: Known) -> None:
    """Remember that the schedule knows of all versions up to these."""
    await connection.execute(STATEMENTS["move_known_versions"], *known)


async def rate_due(
    connection: Connection, catalog: RatingCatalog, log_time_us: int, limit: int
) -> tuple[Done, RatingCatalog]:
    """Write the first version of periods that can have one, at most `limit` of them."""
    async with connection.transaction():
        await prices.share(connection)
        rows = await connection.fetch(STATEMENTS["due_periods"], log_time_us, limit)
        if not rows:
            return Done(0, 0), catalog
        catalog = await terms.rating_catalog(connection, catalog)
        through_us = {row["subscription"]: row["next_period_start"] for row in rows}
        found = await terms.terms(connection, catalog, list(through_us))
        dues = {name: next_due(found[name], catalog.meters, through_us[name]) for name in found}
        # What was scheduled under older terms may be due later, or not at all.
        ready = {
            name: due for name, due in dues.items() if due is not None and due.first_cut_us <= log_time_us
        }
        totals = await rate(
            connection, catalog.meters, [(due.period, due.first_cut_us) for due in ready.values()]
        )
        versions = [
            _Version(one.as_first_version(due.first_cut_us), due.period, due.first_cut_us, catalog)
            for one, due in zip(totals, ready.values(), strict=True)
        ]
        notices = {
            (name, due.period.start_us): crossed(one, due.period)
            for (name, due), one in zip(ready.items(), totals, strict=True)
        }
        moves = []
        for name, before_us in through_us.items():
            done = ready.get(name)
            after_us = before_us if done is None else done.period.end_us
            due = dues.get(name) if done is None else next_due(found[name], catalog.meters, after_us)
            moves.append((name, before_us, after_us, END_US if due is None else due.first_cut_us))
        await _advance(connection, moves)
        new = await _new(connection, notices)
        await _write(connection, versions, new)
    return Done(len(rows), len(versions), len(new), [one.period for one in versions]), catalog


async def rate_cuts(
    connection: Connection, catalog: RatingCatalog, log_time_us: int, limit: int
) -> tuple[Done, RatingCatalog]:
    """Look at later cuts that every frontier has reached; those that change something make versions."""
    async with connection.transaction():
        await prices.share(connection)
        rows = await connection.fetch(STATEMENTS["due_cuts"], log_time_us, limit)
        cuts: dict[Key, int] = {}
        for row in rows:  # of one period the earliest; the others come after it
            cuts.setdefault((row["subscription"], row["period_start"]), row["cut"])
        if not cuts:
            return Done(0, 0), catalog
        catalog = await terms.rating_catalog(connection, catalog)
        before = await _newest(connection, list(cuts))
        found = await terms.terms(connection, catalog, {name for name, _ in cuts})
        periods: dict[Key, RatedPeriod] = {}
        for name, start_us in before:
            period = period_at_cut(found[name], start_us, cuts[name, start_us])
            if period is not None:
                periods[name, start_us] = period
        totals = await rate(
            connection, catalog.meters, [(period, cuts[key]) for key, period in periods.items()]
        )
        versions = []
        for (key, period), one in zip(periods.items(), totals, strict=True):
            document = one.as_next_version(before[key], cuts[key])
            if document is not None:
                versions.append(_Version(document, period, cuts[key], catalog))
        looked_at = [(*key, cut_us) for key, cut_us in cuts.items()]
        await connection.execute(STATEMENTS["delete_pending_cuts"], *zip(*looked_at, strict=True))
        await _write(connection, versions, [])
    return Done(len(cuts), len(versions), 0, [one.period for one in versions]), catalog


async def cross(connection: Connection, notices: Mapping[Key, Sequence[rated.ThresholdNotice]]) -> int:
    """Write the crossings that were not written before; how many there were."""
    async with connection.transaction():
        new = await _new(connection, notices)
        await _write(connection, [], new)
    return len(new)


class BatchSpan(NamedTuple):
    """Where a batch stands in its trace: both ids in hexadecimal."""

    trace_id: str
    span_id: str


async def batch_spans(
    connection: Connection, period: RatedPeriod, catalog: RatingCatalog, limit: int
) -> list[BatchSpan]:
    """The spans of batches that counted what a period was rated on, some of them."""
    subjects = {subject for segment in period.segments for subject in segment.subscription.terms.subjects}
    rows = await connection.fetch(
        STATEMENTS["batch_spans"],
        sorted(meters_read(period, catalog.meters)),
        sorted(subjects),
        period.start_us,
        period.end_us,
        limit,
    )
    return [BatchSpan(*row) for row in rows]


async def _advance(connection: Connection, moves: Sequence[tuple[str, int, int, int]]) -> None:
    rows = await connection.fetch(STATEMENTS["advance_subscriptions"], *zip(*moves, strict=True))
    if len(rows) != len(moves):
        raise Overtaken


async def _newest(connection: Connection, keys: Sequence[Key]) -> dict[Key, rated.RatedTotal]:
    rows = await connection.fetch(STATEMENTS["newest_versions"], *zip(*keys, strict=True))
    return {
        (row["subscription"], row["period_start"]): read_canonical(row["document"], rated.RatedTotal)
        for row in rows
    }


async def _new(
    connection: Connection, notices: Mapping[Key, Sequence[rated.ThresholdNotice]]
) -> list[tuple[Key, rated.ThresholdNotice]]:
    """The crossings that nobody has written yet."""
    keys = [key for key, found in notices.items() if found]
    if not keys:
        return []
    rows = await connection.fetch(STATEMENTS["threshold_crossings"], *zip(*keys, strict=True))
    written = {(row["subscription"], row["period_start"], row["threshold"]) for row in rows}
    return [
        (key, notice) for key in keys for notice in notices[key] if (*key, notice.threshold) not in written
    ]


async def _write(
    connection: Connection,
    versions: Sequence[_Version],
    crossings: Sequence[tuple[Key, rated.ThresholdNotice]],
) -> None:
    """Versions and crossings, and the feed's news of them; the last thing in a transaction."""
    rows, news = [], []
    for one in versions:
        document, (text, digest) = one.document, canonical(one.document)
        rows.append(_row(one, text, digest))
        notice = canonical(_notice(document, digest))
        news.append(News("rated_total", _id(document), document.customer, document.subscription, notice.text))
    for _, crossing in crossings:
        notice = canonical(crossing)
        news.append(News("threshold", crossing.id, crossing.customer, crossing.subscription, notice.text))
    positions = await feed.append(connection, news)
    if rows:
        columns = zip(*rows, strict=True)
        await connection.execute(STATEMENTS["insert_rated_totals"], *columns, positions[: len(rows)])
    if crossings:
        columns = zip(*((*key, crossing.threshold) for key, crossing in crossings), strict=True)
        await connection.execute(STATEMENTS["insert_threshold_crossings"], *columns, positions[len(rows) :])


def _row(one: _Version, text: str, digest: bytes) -> tuple[object, ...]:
    document, period = one.document, one.period
    subscriptions = {segment.subscription.subscription_version_id for segment in period.segments}
    plans = {segment.plan.plan_version_id for segment in period.segments}
    return (
        document.subscription,
        period.start_us,
        document.version,
        document.customer,
        period.end_us,
        one.cut_us,
        document.currency,
        document.amount,
        document.unrounded_amount,
        None if document.difference is None else document.difference.amount,
        _array(subscriptions),
        _array(plans),
        _array(meters_read(period, one.catalog.meters)),
        digest,
        text,
    )


def _array(ids: Iterable[int]) -> str:
    return f"{{{','.join(map(str, sorted(ids)))}}}"


def _id(document: rated.RatedTotal) -> str:
    return rated.version_id(document.subscription, document.period.start, document.version)


def _notice(document: rated.RatedTotal, digest: bytes) -> rated.RatedTotalNotice:
    return rated.RatedTotalNotice(
        id=_id(document),
        subscription=document.subscription,
        customer=document.customer,
        period=document.period,
        version=document.version,
        cut=document.cut,
        currency=document.currency,
        unrounded_amount=document.unrounded_amount,
        amount=document.amount,
        difference=None if document.difference is None else document.difference.amount,
        digest=digest.hex(),
    )
