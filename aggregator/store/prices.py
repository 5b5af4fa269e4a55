"""Plans and subscriptions as they are stored: every version, found by name, by plan, by subject."""

from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple, TypeVar

import asyncpg

from aggregator.rating.terms import PlanVersion, SubscriptionVersion
from aggregator.store.connection import Connection, instant_us
from aggregator.store.statements import STATEMENTS
from schemas.plan import Plan
from schemas.subscription import Subscription

LONG_S: Final = 600.0
"""So long may take what reads or writes very many of them; the server may stop it sooner."""

AnyVersion = TypeVar("AnyVersion", PlanVersion, SubscriptionVersion)


class Terms(NamedTuple):
    """What some subscriptions are rated on: every version of theirs, and of every plan they were ever on."""

    plans: dict[str, list[PlanVersion]]
    subscriptions: dict[str, list[SubscriptionVersion]]


async def lock(connection: Connection) -> None:
    """Keep everybody from rating, and from applying, until the transaction ends."""
    await connection.execute(STATEMENTS["lock_billing"], timeout=LONG_S)


async def share(connection: Connection) -> None:
    """Keep plans and subscriptions as they are until the transaction ends; others may do so too."""
    await connection.execute(STATEMENTS["lock_billing_shared"])


async def revision(connection: Connection) -> int:
    """Names this state of all plans and subscriptions: grows with every apply; 0 before the first."""
    newest: int = await connection.fetchval(STATEMENTS["billing_revision"])
    return newest


async def terms(connection: Connection, subscriptions_named: Collection[str]) -> Terms:
    """Every version of some subscriptions and of their plans, by name; of an unknown name there is none."""
    found = await subscriptions(connection, subscriptions_named)
    return Terms(await plans(connection, _plans_of(found.values())), found)


async def plans(connection: Connection, names: Collection[str] | None = None) -> dict[str, list[PlanVersion]]:
    """Every version of some plans, or of all, in their order."""
    if names is None:
        rows = await connection.fetch(STATEMENTS["plan_versions"])
    else:
        rows = await connection.fetch(STATEMENTS["plan_versions_of"], list(names))
    return _by_name(rows, "plan", _plan_version)


async def subscriptions(
    connection: Connection, names: Collection[str] | None = None
) -> dict[str, list[SubscriptionVersion]]:
    """Every version of some subscriptions, or of all, in their order."""
    if names is None:
        rows = await connection.fetch(STATEMENTS["subscription_versions"], timeout=LONG_S)
    else:
        rows = await connection.fetch(STATEMENTS["subscription_versions_of"], list(names), timeout=LONG_S)
    return _by_name(rows, "subscription", _subscription_version)


async def subscriptions_of_subjects(
    connection: Connection, subjects: Collection[str]
) -> dict[str, frozenset[str]]:
    """The subscriptions of which a version has ever named each subject."""
    found: dict[str, set[str]] = {subject: set() for subject in subjects}
    for subject, subscription in await connection.fetch(STATEMENTS["subscriptions_of_subjects"], list(found)):
        found[subject].add(subscription)
    return {subject: frozenset(names) for subject, names in found.items()}


async def subscriptions_on_plans(connection: Connection, names: Collection[str]) -> set[str]:
    """The subscriptions of which a version has ever named one of the plans."""
    rows = await connection.fetch(STATEMENTS["subscriptions_on_plans"], list(names))
    return {row["subscription"] for row in rows}


async def promoted_subscriptions(connection: Connection, from_us: int, to_us: int) -> set[str]:
    """The subscriptions whose terms were changed by promotions of a stretch of log time."""
    rows = await connection.fetch(STATEMENTS["promoted_subscriptions"], from_us, to_us)
    return {row["subscription"] for row in rows}


async def subscription_page(
    connection: Connection, *, customers: Collection[str] | None = None, after: str = "", limit: int
) -> list[str]:
    """Names of subscriptions in order, retired ones too; of all customers or of some.

    Args:
        connection: of any role that reads.
        customers: None for all.
        after: the last name of the page before.
        limit: how many at most.
    """
    if customers is None:
        rows = await connection.fetch(STATEMENTS["subscription_page"], after, limit)
    else:
        rows = await connection.fetch(STATEMENTS["subscription_page_of"], [*set(customers)], after, limit)
    return [row["subscription"] for row in rows]


async def rated_through(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """The instant up to which each subscription's usage is in rated totals, where there are any."""
    rows = await connection.fetch(STATEMENTS["rated_through"], list(names))
    return {row["subscription"]: row["next_period_start"] for row in rows}


def _by_name(
    rows: Iterable[asyncpg.Record], column: str, read: Callable[[asyncpg.Record], AnyVersion]
) -> dict[str, list[AnyVersion]]:
    found: dict[str, list[AnyVersion]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(read(row))
    return found


def _plan_version(row: asyncpg.Record) -> PlanVersion:
    return PlanVersion(
        row["plan_version_id"],
        row["version"],
        instant_us(row["effective_from"]),
        row["retired"],
        Plan.from_definition(row["definition"]),
        row["known_from"],
    )


def _subscription_version(row: asyncpg.Record) -> SubscriptionVersion:
    return SubscriptionVersion(
        row["subscription_version_id"],
        row["version"],
        instant_us(row["effective_from"]),
        row["retired"],
        Subscription.from_definition(row["definition"]),
        row["known_from"],
    )


def _plans_of(histories: Iterable[list[SubscriptionVersion]]) -> set[str]:
    return {version.terms.plan for history in histories for version in history}
