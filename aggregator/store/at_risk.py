"""The money at risk in quarantine: of what waits for somebody to decide, as far as it can be read."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Final, NamedTuple, TypeVar

from aggregator.catalog import Catalog, compile_catalog
from aggregator.rating.refused import AtRisk, RefusedUsage, WouldBe, would_be
from aggregator.remedy import decoded
from aggregator.store import finality, load, quarantine, redrive, terms
from aggregator.store.connection import Connection
from aggregator.store.quarantine import Kept
from aggregator.store.redrive import BEGINNING, Selection, place_of
from aggregator.store.terms import RatingCatalog

_PAGE: Final = 1_000
MOST_READ: Final = 20_000
"""Records read at most: an estimate is worth no more of anybody's time. The rest is not estimated."""

Kind = TypeVar("Kind", bound=Hashable)


class Alike(NamedTuple):
    """What is told of together; the meter is of those that one meter alone could not read."""

    code: str
    source: str | None
    meter: str | None


async def money_at_risk(
    connection: Connection, selection: Selection, waiting: Mapping[Alike, int]
) -> dict[Alike, AtRisk]:
    """What waits, with what it would cost on the plans of today; needs the worker's or the owner's rights.

    Args:
        connection: outside of any transaction.
        selection: of the records.
        waiting: how many of each kind wait, so that those which were not read can be told.
    """
    return await _money(connection, selection, waiting, Alike)


async def money_by_code(connection: Connection) -> dict[str, AtRisk]:
    """As `money_at_risk`, of each code: it reads up to 20,000 records, about a second: ask once a minute."""
    counts = {pile.code: pile.rows for pile in await quarantine.ages(connection)}
    return await _money(connection, Selection(), counts, lambda code, _source, _meter: code)


class Today(NamedTuple):
    """Meters and plans as they are: what refused usage is priced by."""

    catalog: Catalog
    rating: RatingCatalog
    now_us: int | None

    def would_be(self, kept: Kept) -> list[WouldBe]:
        """What meters would have made of a record."""
        version = kept.refusal.meter_version_id
        event = decoded(kept.key, kept.value, kept.headers)
        return would_be(event, version, self.catalog, self.rating.meters)

    def at_risk(self, usage: RefusedUsage, unread: int = 0) -> AtRisk:
        """What usage would cost; `unread` more records were not looked at."""
        return usage.at_risk(self.rating.plans, self.now_us, unread)


async def today(connection: Connection) -> Today:
    """Read them; outside of any transaction."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _today(connection)


async def _today(connection: Connection) -> Today:
    return Today(
        compile_catalog(await load.catalog_within(connection)),
        await terms.rating_catalog(connection),
        await finality.closing(connection),
    )


async def _money(
    connection: Connection,
    selection: Selection,
    waiting: Mapping[Kind, int],
    kind: Callable[[str, str | None, str | None], Kind],
) -> dict[Kind, AtRisk]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        prices = await _today(connection)
        usages: dict[Kind, RefusedUsage] = defaultdict(RefusedUsage)
        after, read = BEGINNING, 0
        while read < MOST_READ:
            page = await redrive.waiting(connection, selection, after, _PAGE)
            for one in page:
                version = one.refusal.meter_version_id
                meter = None if version is None else prices.catalog.versions[version].name
                usages[kind(one.refusal.code, one.refusal.source, meter)].add(prices.would_be(one))
            read += len(page)
            if len(page) < _PAGE:
                break
            after = place_of(page[-1])
    return {
        one: prices.at_risk(usages[one], max(count - usages[one].records.total(), 0))
        for one, count in waiting.items()
        if count
    }
