"""Where the brokers say that logs begin and end, against how far they were counted."""

from collections.abc import Mapping
from typing import Final

from aggregator.health.finding import Finding, Kind
from aggregator.store import status
from aggregator.store.connection import Connection
from aggregator.store.proof import Proof
from metering.auditor.awake import awake
from metering.observer.logs import Counted, LogPosition, TopicLogs
from metering.settings import Settings

BEYOND: Final = "Offsets are accounted for that the log does not have: it was cut, or is another one."
DELETED: Final = "The log begins behind what was counted: records were deleted before anybody counted them."


async def _positions(
    settings: Settings, topic: str, asked: Mapping[int, Counted]
) -> Mapping[int, LogPosition]:
    async with TopicLogs.connect(settings, topic) as logs:
        return await logs.look(asked)


async def look(
    connection: Connection, settings: Settings, topic: str
) -> tuple[Proof, Mapping[int, LogPosition]]:
    """Compare each partition's log with what was accounted for.

    Raises:
        UnreachableError: the brokers do not answer.
    """
    counted = {one.partition: one for one in await status.partitions(connection)}
    asked = {p: Counted(one.next_offset, one.frontier_us) for p, one in counted.items()}
    positions = await awake(connection, _positions(settings, topic, asked))
    # Both have gone on meanwhile: only what was counted before the end was asked for must lie before it, and
    # only what was not counted after the beginning was asked for can have been lost.
    later = {one.partition: one for one in await status.partitions(connection)}
    findings = [
        Finding(Kind.LOG, BEYOND, {"partition": p, "end": "last"}, one.next_offset, positions[p].end_offset)
        for p, one in counted.items()
        if one.next_offset > positions[p].end_offset
    ]
    findings += [
        Finding(
            Kind.LOG, DELETED, {"partition": p, "end": "first"}, one.next_offset, positions[p].start_offset
        )
        for p, one in later.items()
        if p in positions and positions[p].start_offset > one.next_offset
    ]
    return Proof("log", 2 * len(counted), len(findings), 0, findings), positions
