"""Which later cuts rated periods have: adjustments call for them, and terms that were promoted."""

from collections.abc import Iterator

from aggregator.rating.questions import meters_read
from aggregator.rating.schedule import Later, Terms, due_at, later_cut, next_due, promoted_cuts
from aggregator.store import prices, rating, terms
from aggregator.store.connection import Connection
from aggregator.store.errors import Overtaken
from aggregator.store.statements import STATEMENTS
from aggregator.store.terms import RatingCatalog


async def collect_cuts(connection: Connection, catalog: RatingCatalog, closing_us: int, step_us: int) -> bool:
    """Note the later cuts that a stretch of log time calls for; whether more of it is to be looked at.

    All that has a log time before the closing is visible: every frontier is beyond that.
    """
    async with connection.transaction():
        await prices.share(connection)
        from_us, _ = await rating.progress(connection)
        if from_us >= closing_us:
            return False
        first_us = await connection.fetchval(STATEMENTS["first_to_look_at"], from_us)
        to_us = closing_us if first_us is None else min(closing_us, first_us + step_us)
        rows = await connection.fetch(STATEMENTS["adjusted_usage"], from_us, to_us)
        catalog = await terms.rating_catalog(connection, catalog)
        names = await prices.subscriptions_of_subjects(connection, {row["subject"] for row in rows})
        promoted = await prices.promoted_subscriptions(connection, from_us, to_us)
        found = await terms.terms(connection, catalog, promoted.union(*names.values()))
        cuts = {
            (name, later.period.start_us, later.cut_us)
            for row in rows
            for name in names.get(row["subject"], ())
            for later in _adjusted_cuts(
                found[name], catalog, row["meter_version_id"], row["window_start"], row["log_time"]
            )
        }
        cuts |= {
            (name, later.period.start_us, later.cut_us)
            for name in promoted
            for later in promoted_cuts(found[name], catalog.meters, from_us, to_us)
        }
        if cuts:
            await connection.execute(STATEMENTS["insert_pending_cuts"], *zip(*sorted(cuts), strict=True))
        if not await connection.fetchval(STATEMENTS["move_adjusted_through"], from_us, to_us):
            raise Overtaken
    return to_us < closing_us


def _adjusted_cuts(
    one: Terms, catalog: RatingCatalog, meter_version_id: int, window_start_us: int, log_time_us: int
) -> Iterator[Later]:
    """The periods that an adjustment changes after they were rated, each as of the cut that holds it.

    That is the period of its window; and of a gauge, which is carried on, those that follow.
    """
    is_gauge = meter_version_id in catalog.gauges
    due = due_at(one, catalog.meters, window_start_us)
    if due is None and is_gauge:  # no period is open then, but the next one has it carried in
        due = next_due(one, catalog.meters, window_start_us)
    while due is not None and due.first_cut_us <= log_time_us:
        later = later_cut(one, catalog.meters, due, log_time_us)
        if meter_version_id in meters_read(later.period, catalog.meters):
            yield later
        if not is_gauge:
            return
        due = next_due(one, catalog.meters, due.period.end_us)
