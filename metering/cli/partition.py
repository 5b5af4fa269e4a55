"""`metering partition`: what a person decides about a partition that has stopped."""

import asyncio
from typing import Annotated

import asyncpg
from cyclopts import App, Parameter

from aggregator.store import interventions, load, migrate, status
from aggregator.store.connection import Connection
from metering.broker import read_ends
from metering.cli.instants import instant_us
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json, print_json, say
from metering.database import database
from metering.errors import StoppedError, UsageError
from metering.settings import Settings, load_settings

app = App(name="partition", help="Decide about a partition that has stopped.")

Reason = Annotated[str, Parameter(help="Why; it is kept for good.")]


@app.command
def skip(
    partition: int,
    *,
    to: Annotated[int, Parameter(help="The offset to go on at.")],
    reason: Reason,
    from_: Annotated[
        int | None, Parameter(name="--from", help="Where the partition must stand; by default where it does.")
    ] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Give up the records up to an offset as `lost`; counting goes on behind them after the next claim.

    For records that cannot be fetched (`undecodable_record`, `offset_out_of_range`). Restart the workers
    after it.
    """
    first = asyncio.run(_skip(load_settings(), partition, from_, to, reason, decided_by(who)))
    if as_json:
        print_json({"partition": partition, "lost_from": first, "lost_to": to})
    else:
        say(f"Partition {partition}: offsets {first} to {to - 1} are booked as lost. Restart the workers.")


@app.command
def cap(
    partition: int,
    offset: int,
    *,
    time: Annotated[str, Parameter(help="The time the record really had (RFC 3339).")],
    reason: Reason,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Let a record with a timestamp from the future (`clock_jump`) count as appended at another time.

    Restart the workers after it; a replay reads it too.
    """
    cap_us = instant_us(time, "--time")
    asyncio.run(_cap(load_settings(), partition, offset, cap_us or 0, reason, decided_by(who)))
    if as_json:
        print_json({"partition": partition, "offset": offset, "time": time})
    else:
        say(f"Partition {partition}: record {offset} counts as appended at {time}. Restart the workers.")


async def _skip(settings: Settings, partition: int, first: int | None, to: int, reason: str, who: str) -> int:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        stands = await _stands(connection, partition)
        first = stands if first is None else first
        if first != stands:
            raise StoppedError(
                "partition_elsewhere",
                f"Partition {partition} stands at {stands}, not at {first}: look again.",
            )
        if to <= first:
            raise UsageError("usage", f"--to {to} is not behind {first}, where partition {partition} stands.")
        rules = await load.topic_rules(connection)
        end = (await read_ends(settings, rules.name, rules.partitions))[partition]
        if to > end:
            raise UsageError(
                "beyond_the_log",
                f"--to {to} is beyond {end}, where the log of partition {partition} ends: what is not there "
                "yet cannot be lost.",
            )
        await interventions.skip(connection, partition, first, to, reason=reason, who=who)
        return first


async def _cap(settings: Settings, partition: int, offset: int, cap_us: int, reason: str, who: str) -> None:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        stands = await _stands(connection, partition)
        if offset < stands:
            raise UsageError(
                "offset_counted",
                f"Partition {partition} has counted up to {stands}: what was counted keeps its time, or a "
                "replay would differ.",
            )
        try:
            await interventions.cap_clock(connection, partition, offset, cap_us, reason=reason, who=who)
        except asyncpg.UniqueViolationError as error:
            raise UsageError(
                "cap_exists",
                f"There is a cap for offset {offset} of partition {partition}: caps never change.",
            ) from error


async def _stands(connection: Connection, partition: int) -> int:
    """How far the partition is counted."""
    stands = {one.partition: one.next_offset for one in await status.partitions(connection)}
    if partition not in stands:
        raise UsageError(
            "unknown_partition", f"There is no partition {partition}; there are {sorted(stands)}."
        )
    return stands[partition]
