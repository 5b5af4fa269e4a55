"""What was refused, by code, source and meter: what has become of it, and the money at risk."""

from collections.abc import Iterable
from typing import Any, Final

from aggregator.rating.amounts import exact_text
from aggregator.rating.refused import Money
from aggregator.store import migrate
from aggregator.store import quarantine as store
from aggregator.store.at_risk import Alike, money_at_risk
from aggregator.store.quarantine import State
from aggregator.store.redrive import Selection
from metering.cli.output import print_json, print_table, say, time_text
from metering.database import database
from metering.quarantine.groups import Refusals, alike
from metering.settings import Settings
from schemas.codes import SENTENCES, Code

_COLUMNS: Final = (
    "Code",
    "Source",
    "Meter",
    "Waits",
    "Redriven",
    "Ended",
    "Usage",
    "At risk",
    "Not estimated",
    "Oldest",
    "Newest",
)


async def groups_of(
    settings: Settings, code: str | None, source: str | None, subject: str | None
) -> list[Refusals]:
    """What there is, with estimates of what waits."""
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        found = alike(await store.groups(connection, code, source, subject))
        waiting = {Alike(one.code, one.source, one.meter): one.waiting for one in found}
        money = {}
        if await store.may_read_payloads(connection):
            money = await money_at_risk(connection, Selection(code, source, subject), waiting)
    for one in found:
        one.at_risk = money.get(Alike(one.code, one.source, one.meter))
    return found


def print_groups(found: Iterable[Refusals], *, as_json: bool) -> None:
    """Tell a person, or a machine."""
    found = list(found)
    if as_json:
        print_json(*map(_document, found))
        return
    print_table(
        "Quarantine",
        _COLUMNS,
        (
            (
                one.code,
                one.source,
                one.meter,
                one.waiting,
                one.states[State.REDRIVEN],
                one.ended,
                *_money(one),
                time_text(one.oldest_us),
                time_text(one.newest_us),
            )
            for one in found
        ),
    )
    for code in dict.fromkeys(one.code for one in found):
        count = sum(one.waiting for one in found if one.code == code)
        say(f"{count:,} {code}: {SENTENCES[Code(code)]}")


def _document(one: Refusals) -> dict[str, Any]:
    return {
        "code": one.code,
        "source": one.source,
        "meter": one.meter,
        "records": sum(one.states.values()),
        "waiting": one.waiting,
        "states": {state.value: count for state, count in one.states.items()},
        "oldest": time_text(one.oldest_us),
        "newest": time_text(one.newest_us),
        "usage": [
            {"meter": each.meter, "events": each.events, "quantity": exact_text(each.quantity)}
            for each in ([] if one.at_risk is None else one.at_risk.quantities)
        ],
        "at_risk": [
            {"currency": each.currency, "least": exact_text(each.least), "most": exact_text(each.most)}
            for each in ([] if one.at_risk is None else one.at_risk.money)
        ],
        "not_estimated": one.waiting if one.at_risk is None else one.at_risk.not_estimated,
    }


def _money(one: Refusals) -> tuple[str | None, str | None, int]:
    """Cells: what waits comes to, what it would cost, and how many records are in neither."""
    at_risk = one.at_risk
    if at_risk is None:
        return None, None, one.waiting
    usage = ", ".join(f"{exact_text(each.quantity)} {each.meter}" for each in at_risk.quantities)
    return usage or None, ", ".join(map(_range, at_risk.money)) or None, at_risk.not_estimated


def _range(money: Money) -> str:
    least, most = exact_text(money.least), exact_text(money.most)
    return f"{money.currency} {least}" if least == most else f"{money.currency} {least} to {most}"
