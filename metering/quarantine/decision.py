"""What one request decides: as many records as can be decided while somebody waits, summed up."""

from contextlib import aclosing
from typing import Final, NamedTuple

from aggregator.rating.refused import AtRisk, RefusedUsage
from aggregator.remedy import Obstacle
from aggregator.store import at_risk
from aggregator.store.connection import Connection
from aggregator.store.redrive import BEGINNING, Place, Selection, place_of
from metering.quarantine.redrive import PAGE, Action, decided

MOST: Final = 10 * PAGE
"""Records looked at; whole pages, so that none is decided that is not told of."""


class Hindrance(NamedTuple):
    """Records that are left as they are, for one reason."""

    obstacle: Obstacle
    sentence: str  # of the first
    first: Place
    records: int


class Decided(NamedTuple):
    """What was decided, or would be."""

    records: int
    hindrances: list[Hindrance]
    at_risk: AtRisk  # what the records that were decided would have come to
    after: Place | None  # where the next request goes on; None: that was all


async def decide(
    connection: Connection,
    action: Action,
    selection: Selection,
    who: str,
    reason: str,
    *,
    dry_run: bool,
    after: Place = BEGINNING,
) -> Decided:
    """Decide about what waits behind a place, each record once, however often this is called.

    Args:
        connection: outside of any transaction.
        action: what to do with each record that can be.
        selection: of the records.
        who: decides it.
        reason: why; it is kept for good.
        dry_run: only say what would be done.
        after: where the request before this one stopped.
    """
    today = await at_risk.today(connection)
    usage = RefusedUsage()
    hindrances: dict[Obstacle, Hindrance] = {}
    looked_at, place = 0, BEGINNING
    deciding = decided(connection, action, selection, who, reason, dry_run=dry_run, after=after)
    async with aclosing(deciding) as told:
        async for outcome in told:
            looked_at += 1
            place = place_of(outcome.kept)
            if outcome.in_the_way is None:
                usage.add(today.would_be(outcome.kept))
            else:
                obstacle, sentence = outcome.in_the_way
                before = hindrances.setdefault(obstacle, Hindrance(obstacle, sentence, place, 0))
                hindrances[obstacle] = before._replace(records=before.records + 1)
            if looked_at == MOST:
                break
    return Decided(
        usage.records.total(),
        list(hindrances.values()),
        today.at_risk(usage),
        place if looked_at == MOST else None,
    )
