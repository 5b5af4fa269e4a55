"""Changing plans and subscriptions: nobody rates while they are compared with what is rated, and written."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aggregator.applying.billing_change import BillingState, Section, TermsChange, Wanted
from aggregator.applying.billing_plan import BillingPlan, concerned_plans, plan
from aggregator.applying.catalog_plan import ChangeKind, is_ahead
from aggregator.rating.terms import SubscriptionVersion
from aggregator.state import TopicRules
from aggregator.store import audit, catalog, load, prices
from aggregator.store.connection import Connection, json_text, stored_us
from aggregator.store.statements import STATEMENTS
from schemas.subscription import Subscription

_STATEMENTS: Final = {
    Section.PLANS: "insert_plan_versions",
    Section.SUBSCRIPTIONS: "insert_subscription_versions",
}

_NAMED_IN_AUDIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an apply; neither number is there if nothing changed or something was refused."""

    plan: BillingPlan
    head: int | None = None  # of the catalog of meters
    revision: int | None = None  # of plans and subscriptions


class _OvertakenError(Exception):
    """The log has reached the instant from which meters were to change, while the plan was made."""


async def current(
    connection: Connection, wanted: Wanted, effective_from_us: int | None = None
) -> BillingPlan:
    """What applying would change; writes nothing.

    Raises:
        NotApplied: it speaks of meters, and the schema counts no topic yet.
    """
    rules = await _rules(connection, wanted)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(STATEMENTS["be_patient"], wanted.is_whole)
        return await _plan(connection, wanted, rules, effective_from_us)


async def apply(
    connection: Connection, wanted: Wanted, applied_by: str, effective_from_us: int | None = None
) -> Applied:
    """Make what is wanted new versions, all or none.

    Nobody rates meanwhile, but everybody counts: flushes wait only while changes of meters are written, at
    the very end. If the log has reached the instant of those by then, all is planned once more.

    Raises:
        NotApplied: it speaks of meters, and the schema counts no topic yet.
    """
    rules = await _rules(connection, wanted)
    while True:
        try:
            return await _apply(connection, wanted, rules, applied_by, effective_from_us)
        except _OvertakenError:
            continue


async def _apply(
    connection: Connection,
    wanted: Wanted,
    rules: TopicRules | None,
    applied_by: str,
    effective_from_us: int | None,
) -> Applied:
    async with connection.transaction():
        await connection.execute(STATEMENTS["be_patient"], wanted.is_whole)
        await prices.lock(connection)
        found = await _plan(connection, wanted, rules, effective_from_us)
        if found.refusals:
            return Applied(found)
        revision = await insert(connection, found.effects, applied_by) if found.effects else None
        if not found.meter_effects or rules is None:
            return Applied(found, revision=revision)
        async with catalog.exclusive(connection) as now:
            if not is_ahead(found.meter_effects, now.frontiers_us.values(), rules):
                raise _OvertakenError
            head = await catalog.insert_versions(connection, found.meter_effects, applied_by)
        return Applied(found, head, revision)


async def _plan(
    connection: Connection, wanted: Wanted, rules: TopicRules | None, effective_from_us: int | None
) -> BillingPlan:
    frontiers_us = await catalog.frontiers(connection)
    meters = (await load.catalog_within(connection)).versions
    plans = await prices.plans(connection)
    if wanted.subscriptions is not None and wanted.is_whole:
        subscriptions = await prices.subscriptions(connection)
    else:
        subscriptions = await _concerned(connection, wanted, concerned_plans(plans, meters, wanted))
    rated_us = await prices.rated_through(connection, subscriptions)
    state = BillingState({}, plans, subscriptions, rated_us)
    # In a thread, because whoever serves others meanwhile must not be held up.
    return await asyncio.to_thread(
        plan, state, meters, wanted, frontiers_us.values(), rules, effective_from_us
    )


async def _concerned(
    connection: Connection, wanted: Wanted, plans: set[str]
) -> dict[str, list[SubscriptionVersion]]:
    """The subscriptions that a change names or reaches by their plan, and those that share their subjects."""
    names = {one.name for one in wanted.subscriptions or ()}
    names |= await prices.subscriptions_on_plans(connection, plans)
    found = await prices.subscriptions(connection, names)
    terms = [version.terms for versions in found.values() for version in versions]
    subjects = {subject for one in [*terms, *(wanted.subscriptions or ())] for subject in one.subjects}
    sharing = set().union(*(await prices.subscriptions_of_subjects(connection, subjects)).values())
    return found | await prices.subscriptions(connection, sharing - found.keys())


async def _rules(connection: Connection, wanted: Wanted) -> TopicRules | None:
    return None if wanted.meters is None else await load.topic_rules(connection)


async def insert(
    connection: Connection,
    changes: Sequence[TermsChange],
    applied_by: str,
    known_from_us: int | None = None,
) -> int:
    """Write the new versions of a plan (`BillingPlan.effects`), under the billing lock.

    Args:
        connection: in the transaction that holds the lock.
        changes: to be written.
        applied_by: who decided.
        known_from_us: the log time of a promotion, whose versions are known to cuts after it alone.

    Returns:
        The new revision.
    """
    rows = {
        section: [
            (
                change.name,
                change.version,
                json_text(change.terms.definition()),
                stored_us(change.effective_from_us),
                change.kind is ChangeKind.RETIRED,
            )
            for change in changes
            if change.section is section
        ]
        for section in _STATEMENTS
    }
    digest = sha256(json_text([*rows.values()]).encode()).digest()
    revision: int = await connection.fetchval(STATEMENTS["insert_billing_apply"], applied_by, digest)
    for section, statement in _STATEMENTS.items():
        if rows[section]:
            await connection.execute(
                STATEMENTS[statement],
                *zip(*rows[section], strict=True),
                revision,
                known_from_us,
                timeout=prices.LONG_S,
            )
    subjects = [
        (subject, change.name, change.terms.customer)
        for change in changes
        if isinstance(change.terms, Subscription)
        for subject in change.terms.subjects
    ]
    if subjects:
        statement = STATEMENTS["insert_subscription_subjects"]
        await connection.execute(statement, *zip(*subjects, strict=True), timeout=prices.LONG_S)
    await audit.record(connection, applied_by, "catalog.apply", f"revision {revision}", _detail(changes))
    return revision


def _detail(changes: Sequence[TermsChange]) -> dict[str, dict[str, list[str]]]:
    """The first names by what happened to them; the versions of this revision say the rest."""
    detail: dict[str, dict[str, list[str]]] = {}
    for change in changes:
        names = detail.setdefault(change.section, {}).setdefault(change.kind, [])
        if len(names) < _NAMED_IN_AUDIT:
            names.append(change.name)
    return detail
