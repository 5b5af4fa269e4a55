"""What producers send: nothing of it makes a total wrong, but what is refused is charged to nobody."""

from typing import Final

from aggregator.health.severity import Severity
from aggregator.store import traffic as store
from aggregator.store.connection import Connection
from metering.doctor.check import Check, Result, found, holds, judged
from metering.observer.counted import Accounts
from metering.observer.meters import MeterPasts
from metering.observer.sources import SourcePasts
from metering.texts import time_text
from schemas.instant import DAY_US

RECENT_US: Final = 300_000_000

REFUSED: Final = Check(
    "refused",
    Severity.INFO,
    "Nothing that arrived in the last five minutes was refused.",
    "`metering quarantine list --code CODE` shows them: the producer is wrong, or the newest catalog.",
)
COPIES: Final = Check(
    "copies",
    Severity.INFO,
    "Most of what arrived in the last five minutes is new.",
    "Find the producer that repeats itself: copies are recognised, but take the room of usage.",
)
OTHER_GROUPS: Final = Check(
    "other_groups",
    Severity.INFO,
    "In the last day no window had more groups than its meter's limit allows.",
    "See what the producer writes into the fields of `group_by`; or raise `cardinality_limit`.",
)
SILENCE: Final = Check(
    "silence",
    Severity.INFO,
    "Every meter and source that has enough of a past had events as lately as it suggests.",
    "Ask the producer's owner whether there is nothing to report, or it does not reach us.",
)
CHECKS: Final = (REFUSED, COPIES, OTHER_GROUPS, SILENCE)


async def examine(connection: Connection, accounts: Accounts) -> list[Result]:
    """Look at what arrived lately."""
    refused = [one._asdict() for one in await store.refusals(connection, RECENT_US)]
    overflow = [one._asdict() for one in await store.overflow(connection, DAY_US)]
    return [
        judged(REFUSED, refused, "Records were refused in the last five minutes."),
        await _copies(connection),
        judged(OTHER_GROUPS, overflow, "Events were counted in the series `other` of a meter."),
        await _silence(connection, accounts),
    ]


async def _copies(connection: Connection) -> Result:
    outcomes = await store.outcomes(connection, RECENT_US)
    if outcomes.duplicate <= outcomes.accepted:
        return holds(COPIES)
    sentence = f"{outcomes.duplicate:,} copies arrived, and {outcomes.accepted:,} new events."
    return found(COPIES, sentence, [outcomes._asdict()])


async def _silence(connection: Connection, accounts: Accounts) -> Result:
    meters, sources = MeterPasts(), SourcePasts()
    await meters.read(connection, accounts)
    await sources.read(connection, accounts)
    rows: list[dict[str, str | None]] = [{"meter": meter} for meter in meters.silent(accounts)]
    rows += [{"source": one.source, "since": time_text(one.since_us)} for one in sources.silent(accounts)]
    return judged(SILENCE, rows, "A meter or a source had no events for longer than its past explains.")
