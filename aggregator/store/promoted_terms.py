"""The terms that a replay was rated on and the counted schema lacks: found, judged, and known from now on."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

from aggregator.applying.backdated_terms import backdating_refusals
from aggregator.applying.billing_change import BillingState, Section, TermsChange
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.comparison import Row, paired
from aggregator.promotion import Refused
from aggregator.store import comparison, load, price_changes, prices
from aggregator.store.connection import Connection, stored_us
from aggregator.store.replay import Promotion, Shadow
from aggregator.store.statements import STATEMENTS
from schemas.instant import format_time
from schemas.number import EXACT, plain_text
from schemas.plan import Plan
from schemas.subscription import Subscription


class PeriodMoney(NamedTuple):
    """What a rated period came to on both sides, by the newest versions that the replay could know."""

    subscription: str
    period_start_us: int
    currency: str
    counted: Decimal
    replayed: Decimal

    @property
    def difference(self) -> Decimal:
        """What the replay has more."""
        with localcontext(EXACT):
            return self.replayed - self.counted


@dataclass(slots=True)
class LackingTerms:
    """What the counted schema lacks; nothing is written if anything is refused."""

    revision: int  # of its terms, as long as nobody changes them
    changes: list[TermsChange] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    money: list[PeriodMoney] = field(default_factory=list)


async def lacking(counted: Connection, replayed: Connection, shadow: Shadow) -> LackingTerms:
    """The versions that a replay has more, and by how much its rated periods come to something else."""
    found = LackingTerms(await prices.revision(counted))
    sides = comparison.Sides(counted, replayed)
    async for pair in sides.pairs(comparison.TERMS):
        if pair.replayed is None:
            continue
        if pair.counted is None:
            found.changes.append(_change(pair.replayed))
        elif _content(pair.counted) != _content(pair.replayed):
            kind, name, _ = pair.key
            sentence = "it was changed since the replay began: replay once more, and promote that"
            found.refused.append(Refused("terms_changed", f"{kind} {name}", sentence))
    if found.changes and not found.refused:
        found.refused = await _refused(counted, found.changes)
        if shadow.log_time_us is not None:
            found.money = [one async for one in _money(sides, shadow.log_time_us, shadow.begins.since_us)]
    return found


async def write(connection: Connection, found: LackingTerms, made: Promotion) -> None:
    """Make them terms that cuts know after a promotion's log time, under the billing lock."""
    revision = await price_changes.insert(connection, found.changes, made.who, made.log_time_us)
    await connection.execute(
        STATEMENTS["insert_terms_promotion"],
        revision,
        made.log_time_us,
        made.who,
        made.reason,
        made.shadow_schema,
        made.evidence,
    )


async def _refused(counted: Connection, changes: Sequence[TermsChange]) -> list[Refused]:
    state = BillingState({}, await prices.plans(counted), await prices.subscriptions(counted), {})
    refusals = backdating_refusals(state, await load.meter_versions(counted), changes)
    return [
        Refused(one.code, f"{one.section.removesuffix('s')} {one.name}", one.sentence) for one in refusals
    ]


async def _money(
    sides: comparison.Sides, log_time_us: int, since_us: int | None
) -> AsyncIterator[PeriodMoney]:
    arguments = log_time_us, stored_us(since_us)
    async for pair in paired(
        _newest(sides.rows(sides.counted, comparison.RATED_TOTALS, arguments)),
        _newest(sides.rows(sides.replayed, comparison.RATED_TOTALS, arguments)),
    ):
        if pair.counted is not None and pair.replayed is not None and pair.counted != pair.replayed:
            subscription, period_start_us = pair.key
            currency, counted = pair.counted.values
            yield PeriodMoney(subscription, period_start_us, currency, counted, pair.replayed.values[1])


async def _newest(versions: AsyncIterator[Row]) -> AsyncIterator[Row]:
    """Of each period its newest version: currency and amount."""
    async for row in versions:
        columns = dict(zip(comparison.RATED_TOTALS.values, row.values, strict=True))
        if columns["is_newest"]:
            yield Row(row.key[:2], (columns["currency"], columns["amount"]))


def terms_document(one: TermsChange) -> dict[str, Any]:
    """A version as it is printed and digested."""
    return {
        "what": one.section.removesuffix("s"),
        "name": one.name,
        "version": one.version,
        "effective_from": None if one.effective_from_us is None else format_time(one.effective_from_us),
        "retired": one.kind is ChangeKind.RETIRED,
        "definition": one.terms.definition(),
    }


def money_document(one: PeriodMoney) -> dict[str, Any]:
    """What a period would come to, as it is printed and digested."""
    return {
        "what": "rated_total",
        "subscription": one.subscription,
        "period": format_time(one.period_start_us),
        "currency": one.currency,
        "counted": plain_text(one.counted),
        "replayed": plain_text(one.replayed),
        "difference": plain_text(one.difference),
    }


def _change(row: Row) -> TermsChange:
    section = Section(f"{row.key[0]}s")
    columns = dict(zip(comparison.TERMS.values, row.values, strict=True))
    read = Plan.from_definition if section is Section.PLANS else Subscription.from_definition
    terms = read(json.loads(columns["definition"]))
    kind = ChangeKind.RETIRED if columns["retired"] else ChangeKind.CHANGED
    return TermsChange(kind, section, terms.name, row.key[2], terms, columns["effective_from"], ())


def _content(row: Row) -> dict[str, Any]:
    """All but from when it is known, which a promotion has decided."""
    columns = dict(zip(comparison.TERMS.values, row.values, strict=True))
    return {name: value for name, value in columns.items() if name != "known_from"}
