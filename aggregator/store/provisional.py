"""What a period would come to with all that has been counted so far."""

from aggregator.rating.schedule import Due, Terms, due_at
from aggregator.store import status, terms
from aggregator.store.connection import Connection
from aggregator.store.errors import NoSuchPeriod, NoSuchSubscription, PeriodIsRated
from aggregator.store.rate import rate
from aggregator.store.statements import STATEMENTS
from aggregator.store.terms import RatingCatalog
from schemas.rated import ProvisionalTotal


async def provisional(
    connection: Connection,
    catalog: RatingCatalog,
    subscription: str,
    instant_us: int | None = None,
) -> ProvisionalTotal:
    """What a period of a subscription comes to so far; nothing is written.

    Args:
        connection: of any role, in a transaction that sees one state.
        catalog: what `terms.rating_catalog` gives in this transaction.
        subscription: its name.
        instant_us: some time in the period; by default the period that is open, or the last one.

    Raises:
        NoSuchSubscription: there is none of this name.
        NoSuchPeriod: it has no period then.
        PeriodIsRated: the period has a final version, which is to be read instead.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("read what a period comes to from one state of the database")
    found = (await terms.terms(connection, catalog, [subscription])).get(subscription)
    if found is None:
        raise NoSuchSubscription(subscription)
    frontiers_us = [one.frontier_us for one in await status.partitions(connection)]
    reached_us = [one for one in frontiers_us if one is not None]
    if instant_us is None:
        due = _current(found, catalog, max(reached_us, default=found.start_us))
    else:
        due = due_at(found, catalog.meters, instant_us)
    if due is None:
        raise NoSuchPeriod(subscription)
    if await connection.fetchval(STATEMENTS["has_version"], subscription, due.period.start_us):
        raise PeriodIsRated(subscription)
    (one,) = await rate(connection, catalog.meters, [(due.period, None)])
    return one.as_provisional(
        min(reached_us) if reached_us and len(reached_us) == len(frontiers_us) else None
    )


def _current(found: Terms, catalog: RatingCatalog, now_us: int) -> Due | None:
    """The period that is open; before the first one begins that one, and once the last has ended that one."""
    due = due_at(found, catalog.meters, max(now_us, found.start_us))
    if due is None and found.stretches:
        last = found.stretches[-1]
        last_us = last.start_us if last.end_us is None else last.end_us - 1
        due = due_at(found, catalog.meters, min(now_us, last_us))
    return due
