"""`metering unrated`: usage that nobody pays for, silent subscriptions, and the money at risk."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from cyclopts import Parameter

from aggregator.rating.amounts import exact_text
from aggregator.rating.meters import Meters
from aggregator.rating.unrated import REASONS, Estimate, Reason
from aggregator.store import migrate, silence, terms, unrated
from aggregator.store.connection import Connection
from aggregator.store.reading import Stretch
from aggregator.store.silence import AtRisk
from aggregator.store.terms import RatingCatalog
from aggregator.store.unrated import Unrated
from metering.cli.instants import instant_us
from metering.cli.output import Json, duration_text, print_json, print_table, say, time_text
from metering.database import database
from metering.errors import UsageError
from metering.settings import Settings, load_settings

ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Query:
    meter: str | None  # None: every meter
    subject: str | None
    span: Stretch


@dataclass(frozen=True, slots=True)
class _Found:
    usage: Sequence[Unrated]
    silences: Sequence[AtRisk]


def show(
    *,
    meter: Annotated[str | None, Parameter(help="The meter's name; by default every meter.")] = None,
    subject: Annotated[
        str | None, Parameter(help="Only this subject, and subscriptions that name it.")
    ] = None,
    from_: Annotated[
        str | None, Parameter(name="--from", help="Usage of windows that start here or later.")
    ] = None,
    to: Annotated[str | None, Parameter(help="Usage of windows that start earlier than this.")] = None,
    as_json: Json = False,
) -> None:
    """Show usage that nobody pays for, and meters of subscriptions without events for longer than ever.

    The money at risk is an estimate: what that usage would cost on the cheapest and on the dearest plan of
    today, and what a silent meter came to in the last whole period before.
    """
    query = _Query(meter, subject, Stretch(instant_us(from_, "--from"), instant_us(to, "--to")))
    found = asyncio.run(_read(load_settings(), query))
    if as_json:
        print_json(*map(_usage_line, found.usage), *map(_silence_line, found.silences))
        return
    print_table(
        "Usage that nobody pays for",
        ["Meter", "Subject", "Group", "Reason", "From", "To", "Quantity", "Events", "Money at risk"],
        map(_usage_row, found.usage),
    )
    for reason in Reason:
        if any(one.usage.reason is reason for one in found.usage):
            say(f"{reason}: {REASONS[reason]}")
    print_table(
        "Silent subscriptions",
        ["Subscription", "Customer", "Meter", "Kind", "Since", "For", "Longest before", "Money at risk"],
        map(_silence_row, found.silences),
    )


async def _read(settings: Settings, query: _Query) -> _Found:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            catalog = await terms.rating_catalog(connection)
            meters = _chosen(catalog, query.meter)
            return _Found(
                await _usage(connection, catalog, unrated.Query(meters, query.subject, None, query.span)),
                await _silences(connection, silence.Query(meters, query.subject, None)),
            )


async def _usage(connection: Connection, catalog: RatingCatalog, query: unrated.Query) -> list[Unrated]:
    found: list[Unrated] = []
    after = None
    while True:
        page = await unrated.page(connection, query, after, ROWS_AT_ONCE)
        found += await unrated.estimated(connection, catalog.meters, catalog.plans, page.rows)
        if page.end is None:
            return found
        after = page.end


async def _silences(connection: Connection, query: silence.Query) -> list[AtRisk]:
    found: list[AtRisk] = []
    after = None
    while True:
        page = await silence.page(connection, query, after, ROWS_AT_ONCE)
        found += await silence.at_risk(connection, page.rows)
        if page.end is None:
            return found
        after = page.end


def _chosen(catalog: RatingCatalog, meter: str | None) -> Meters:
    if meter is None:
        return catalog.meters
    if meter not in catalog.meters:
        known = ", ".join(sorted(catalog.meters)) or "none"
        raise UsageError("unknown_meter", f"There is no meter {meter!r}; there are: {known}.")
    return {meter: catalog.meters[meter]}


def _usage_line(one: Unrated) -> dict[str, Any]:
    usage = one.usage
    return {
        "kind": "usage",
        "meter": usage.meter,
        "subject": usage.subject,
        "reason": usage.reason.value,
        "group": None if usage.group is None else dict(usage.group),
        "other": usage.group is None,
        "start": time_text(usage.start_us),
        "end": time_text(usage.end_us),
        "quantity": exact_text(one.quantity),
        "events": usage.events,
        "at_risk": [
            {
                "currency": estimate.currency,
                "least": exact_text(estimate.least),
                "least_plan": estimate.least_plan,
                "most": exact_text(estimate.most),
                "most_plan": estimate.most_plan,
            }
            for estimate in one.at_risk
        ],
        "not_estimated": one.not_estimated,
    }


def _usage_row(one: Unrated) -> tuple[object, ...]:
    usage = one.usage
    return (
        usage.meter,
        usage.subject,
        _group_text(usage.group),
        usage.reason.value,
        time_text(usage.start_us),
        time_text(usage.end_us),
        exact_text(one.quantity),
        usage.events,
        "; ".join(map(_estimate_text, one.at_risk)) or one.not_estimated,
    )


def _group_text(group: Mapping[str, str | None] | None) -> str:
    if group is None:
        return "(other)"
    return ", ".join(f"{name}={'-' if value is None else value}" for name, value in group.items())


def _estimate_text(one: Estimate) -> str:
    least = f"{exact_text(one.least)} {one.currency} ({one.least_plan})"
    return least if one.least == one.most else f"{least} to {exact_text(one.most)} ({one.most_plan})"


def _silence_line(one: AtRisk) -> dict[str, Any]:
    found, before = one.silence, one.before
    longest_us = found.longest_before_us
    return {
        "kind": found.kind.value,
        "subscription": found.charged.subscription,
        "customer": found.charged.customer,
        "meter": found.charged.meter,
        "subjects": found.charged.subjects,
        "since": time_text(found.since_us),
        "until": time_text(found.until_us),
        "silence_s": found.length_us // 1_000_000,
        "longest_before_s": None if longest_us is None else longest_us // 1_000_000,
        "at_risk": None
        if before is None
        else {
            "currency": before.currency,
            "amount": exact_text(before.amount),
            "period_start": time_text(before.period_start_us),
            "version": before.version,
        },
        "not_estimated": one.not_known,
    }


def _silence_row(one: AtRisk) -> tuple[object, ...]:
    found, before = one.silence, one.before
    longest_us = found.longest_before_us
    return (
        found.charged.subscription,
        found.charged.customer,
        found.charged.meter,
        found.kind.value,
        time_text(found.since_us),
        duration_text(found.length_us),
        None if longest_us is None else duration_text(longest_us),
        one.not_known if before is None else f"{exact_text(before.amount)} {before.currency} a period",
    )
