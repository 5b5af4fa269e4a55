"""What rating reads of the catalog: meters and plans as a whole, subscriptions by name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from aggregator.rating.meters import Meters, timelines
from aggregator.rating.schedule import Terms, terms_of
from aggregator.rating.terms import PlanVersion, Span, in_force
from aggregator.store import load, prices
from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Known(NamedTuple):
    """The greatest id of each kind of version: which versions somebody knows of."""

    subscription_version_id: int
    plan_version_id: int
    meter_version_id: int


@dataclass(frozen=True, slots=True)
class RatingCatalog:
    """All meters and plans, as of some versions."""

    meters: Meters
    plans: Mapping[str, Sequence[Span[PlanVersion]]]
    promoted_plans: Mapping[str, Sequence[PlanVersion]]  # every version of those of which some were promoted
    newest_plans: Mapping[str, int]  # each plan's greatest plan_version_id
    newest_meters: Mapping[str, int]  # each meter's greatest meter_version_id
    gauges: frozenset[int]  # meter versions whose values hold on until they change
    known: Known


async def known(connection: Connection) -> Known:
    """The newest versions that there are."""
    row = await connection.fetchrow(STATEMENTS["newest_versions_known"])
    return Known(*(row or (0, 0, 0)))


async def rating_catalog(connection: Connection, before: RatingCatalog | None = None) -> RatingCatalog:
    """The meters and plans; quick if they are those that were read before."""
    newest = await known(connection)
    if before is not None:
        if before.known == newest:
            return before
        if before.known[1:] == newest[1:]:
            return replace(before, known=newest)
    meters = await load.meter_versions(connection)
    plans = await prices.plans(connection)
    return RatingCatalog(
        timelines(meters),
        {plan: in_force(versions) for plan, versions in plans.items()},
        {
            plan: versions
            for plan, versions in plans.items()
            if any(one.known_from_us is not None for one in versions)
        },
        {plan: max(one.plan_version_id for one in versions) for plan, versions in plans.items()},
        {one.meter: one.meter_version_id for one in sorted(meters, key=lambda one: one.meter_version_id)},
        frozenset(one.meter_version_id for one in meters if one.definition["aggregation"] == "gauge"),
        newest,
    )


async def terms(connection: Connection, catalog: RatingCatalog, names: Collection[str]) -> dict[str, Terms]:
    """What each of these subscriptions is rated on; unknown ones are left out."""
    found = await prices.subscriptions(connection, names)
    return {
        name: terms_of(versions, catalog.plans, catalog.promoted_plans) for name, versions in found.items()
    }


async def changed_subscriptions(connection: Connection, catalog: RatingCatalog, since: Known) -> list[str]:
    """Subscriptions with terms that some versions do not know of yet, be it by their plans or meters."""
    meters = {meter for meter, newest in catalog.newest_meters.items() if newest > since.meter_version_id}
    plans = [
        plan
        for plan, newest in catalog.newest_plans.items()
        if newest > since.plan_version_id
        or any(
            charge.meter in meters for span in catalog.plans[plan] for charge in span.version.terms.metered
        )
    ]
    rows = await connection.fetch(STATEMENTS["subscriptions_since"], since.subscription_version_id)
    return sorted(
        {row["subscription"] for row in rows} | await prices.subscriptions_on_plans(connection, plans)
    )


async def with_thresholds(connection: Connection) -> list[str]:
    """The subscriptions that have, or had, thresholds."""
    return sorted(
        row["subscription"] for row in await connection.fetch(STATEMENTS["subscriptions_with_thresholds"])
    )
