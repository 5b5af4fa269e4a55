"""`metering rated`: what periods come to, in final versions or provisionally."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

from aggregator.store import migrate, terms
from aggregator.store import rated as store
from aggregator.store.connection import Connection
from aggregator.store.errors import NoSuchPeriod, NoSuchSubscription, PeriodIsRated
from aggregator.store.provisional import provisional as read_provisional
from aggregator.store.rated import Version
from metering.cli.exits import Exit
from metering.cli.failures import sentence_of
from metering.cli.instants import instant_us
from metering.cli.output import Json, print_json, print_table, say, time_text
from metering.database import database
from metering.errors import UsageError
from metering.settings import Settings, load_settings
from schemas.number import plain_text
from schemas.rated import Bound, Group, ProvisionalTotal, RatedTotal


class _Query(NamedTuple):
    subscription: str
    period_us: int | None  # some time in it
    version: int | None


def rated(
    subscription: Annotated[
        str | None, Parameter(help="Its name; by default all, each with its newest.")
    ] = None,
    *,
    period: Annotated[
        str | None, Parameter(help="Show the period that this instant lies in, by line.")
    ] = None,
    version: Annotated[int | None, Parameter(help="Which version of it; by default the newest.")] = None,
    provisional: Annotated[
        bool, Parameter(negative=(), help="What a period that is not final would come to so far.")
    ] = False,
    as_json: Json = False,
) -> Exit | None:
    """Show rated totals: of all subscriptions, of all periods of one, or one version line by line."""
    settings, period_us = load_settings(), instant_us(period, "--period")
    if subscription is None:
        if provisional or period is not None or version is not None:
            raise UsageError("usage", "Name the subscription whose period you mean.")
        _show_versions(asyncio.run(_all(settings)), "Rated totals", as_json=as_json)
    elif provisional:
        _show_document(asyncio.run(_provisional(settings, subscription, period_us)), as_json=as_json)
    elif period_us is None:
        if version is not None:
            raise UsageError("usage", "Name the period whose version you mean with --period.")
        _show_versions(asyncio.run(_periods(settings, subscription)), subscription, as_json=as_json)
    else:
        text = asyncio.run(_document(settings, _Query(subscription, period_us, version)))
        if as_json:
            print_json(json.loads(text))
        else:
            _show_document(RatedTotal.model_validate_json(text), as_json=False)
    return None


async def _all(settings: Settings) -> list[Version]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await store.subscriptions(connection)


async def _periods(settings: Settings, subscription: str) -> list[Version]:
    async with database(settings) as connection:
        await _require(connection, subscription)
        return await store.periods(connection, subscription)


async def _document(settings: Settings, query: _Query) -> str:
    async with database(settings) as connection:
        await _require(connection, query.subscription)
        found = [
            one
            for one in await store.periods(connection, query.subscription)
            if query.period_us is not None and one.period_start_us <= query.period_us < one.period_end_us
        ]
        text = None
        for one in found:
            number = one.version if query.version is None else query.version
            text = await store.document(connection, query.subscription, one.period_start_us, number)
    if text is None:
        raise UsageError(
            "not_rated",
            f"{query.subscription} has no such version: `metering rated {query.subscription}` lists those "
            "that there are; add --provisional for a period that is not final.",
        )
    return text


async def _provisional(settings: Settings, subscription: str, period_us: int | None) -> ProvisionalTotal:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                catalog = await terms.rating_catalog(connection)
                return await read_provisional(connection, catalog, subscription, period_us)
        except (NoSuchSubscription, NoSuchPeriod, PeriodIsRated) as error:
            raise UsageError(error.code, sentence_of(error)) from None


async def _require(connection: Connection, subscription: str) -> None:
    await migrate.require_migrated(connection)
    catalog = await terms.rating_catalog(connection)
    if not await terms.terms(connection, catalog, [subscription]):
        error = NoSuchSubscription(subscription)
        raise UsageError(error.code, sentence_of(error))


def _show_versions(versions: Sequence[Version], title: str, *, as_json: bool) -> None:
    if as_json:
        print_json(*map(_object, versions))
        return
    print_table(
        title,
        ["Subscription", "Customer", "Period", "Until", "Version", "Amount", "Currency", "Difference"],
        (
            (
                one.subscription,
                one.customer,
                time_text(one.period_start_us),
                time_text(one.period_end_us),
                one.version,
                one.amount,
                one.currency,
                one.difference,
            )
            for one in versions
        ),
    )


def _object(one: Version) -> dict[str, Any]:
    return {
        "subscription": one.subscription,
        "customer": one.customer,
        "period_start": time_text(one.period_start_us),
        "period_end": time_text(one.period_end_us),
        "version": one.version,
        "cut": time_text(one.cut_us),
        "currency": one.currency,
        "amount": plain_text(one.amount),
        "unrounded_amount": one.unrounded_amount,
        "difference": None if one.difference is None else plain_text(one.difference),
        "digest": one.digest.hex(),
        "position": one.feed_position,
    }


def _show_document(document: RatedTotal | ProvisionalTotal, *, as_json: bool) -> None:
    if as_json:
        print_json(document.model_dump(by_alias=True))
        return
    print_table(
        f"{document.subscription} of {document.customer}, {document.period.start} to {document.period.end}",
        [
            "From",
            "Plan",
            "Charge",
            "Group",
            "Quantity",
            "Included",
            "Billable",
            "Price",
            "Unrounded",
            "Amount",
        ],
        _rows(document),
    )
    for free in document.unpriced:
        say(f"Without a price: {free.quantity} of {free.meter}, {_group(free.group)}.", "yellow")
    say(f"{document.amount} {document.currency} (unrounded {document.unrounded_amount}). {_state(document)}")


def _rows(document: RatedTotal | ProvisionalTotal) -> Iterator[tuple[object, ...]]:
    for segment in document.segments:
        where = (segment.start, f"{segment.plan} {segment.plan_version}")
        for charge in segment.charges:
            for line in charge.lines:
                yield (
                    *where,
                    charge.charge,
                    _group(line.group),
                    line.quantity,
                    line.included,
                    line.billable,
                    line.price,
                    line.unrounded_amount,
                    line.amount,
                )
            yield from ((*where, charge.charge, *_bound(bound)) for bound in charge.bounds)
        yield from ((*where, "(all)", *_bound(bound)) for bound in segment.bounds)


def _bound(bound: Bound) -> tuple[object, ...]:
    return ("", None, None, None, f"{bound.kind} {bound.limit}", bound.unrounded_amount, bound.amount)


def _group(group: Group | None) -> str:
    if group is None:
        return "(other)"
    return ", ".join(f"{name} {text if text is not None else '-'}" for name, text in group.items())


def _state(document: RatedTotal | ProvisionalTotal) -> str:
    if isinstance(document, ProvisionalTotal):
        if document.log_time is None:
            return "Provisional: what is counted so far is in it; not every partition has a record yet."
        return f"Provisional: all until {document.log_time} is in it."
    return f"Version {document.version}{_change(document)}: all adjustments until {document.cut} are in it."


def _change(document: RatedTotal) -> str:
    if document.difference is None:
        return ""
    amount = document.difference.amount
    than = "less" if amount.startswith("-") else "more"
    return f", {amount.removeprefix('-')} {than} than the one before"
