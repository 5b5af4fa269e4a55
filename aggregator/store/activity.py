"""Reads when meters had events and what subjects used in single hours, for who looks for what is unusual."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aggregator.store.connection import Connection, instant_us
from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US


class Hourly(NamedTuple):
    """What a subject used in an hour."""

    meter: str
    subject: str
    hour_us: int
    amount: float


async def batches_back(connection: Connection, batches: int) -> dict[int, int]:
    """The offset at which the newest batches of each partition begin."""
    rows = await connection.fetch(STATEMENTS["batches_back"], batches)
    return {row["partition"]: row["first_offset"] for row in rows}


class Beginning(NamedTuple):
    """Where a partition's batches begin, and at which log time the first of them ends."""

    offset: int
    log_us: int | None  # None: it holds no record


async def batches_before(
    connection: Connection, ends: Mapping[int, int], batches: int
) -> dict[int, Beginning]:
    """Where the newest batches before an offset of each partition begin; nothing of one that has none."""
    rows = await connection.fetch(STATEMENTS["batches_before"], list(ends), list(ends.values()), batches)
    return {row["partition"]: Beginning(row["first_offset"], instant_us(row["log_time"])) for row in rows}


async def newest_meter_activity(
    connection: Connection, stretches: Mapping[int, tuple[int, int]]
) -> dict[int, int]:
    """By meter version, the log time at which it had events last.

    Args:
        connection: to read through.
        stretches: by partition, the first offset whose batches are looked at, and the one behind the last.
    """
    ends = list(stretches.values())
    rows = await connection.fetch(
        STATEMENTS["newest_meter_activity"],
        list(stretches),
        [first for first, _ in ends],
        [behind for _, behind in ends],
    )
    found = {row["meter_version_id"]: instant_us(row["log_time"]) for row in rows}
    return {version: at_us for version, at_us in found.items() if at_us is not None}


async def meter_activity(connection: Connection, since: Mapping[int, int]) -> list[tuple[int, int]]:
    """Meter versions and log times at which they had events, in order of time.

    Args:
        connection: to read through.
        since: by partition, the first offset whose batches are looked at.
    """
    rows = await connection.fetch(STATEMENTS["meter_activity"], list(since), list(since.values()))
    found = [(row["meter_version_id"], instant_us(row["log_time"])) for row in rows]
    return [(meter_version_id, at_us) for meter_version_id, at_us in found if at_us is not None]


async def hourly_usage(connection: Connection, hours_us: Sequence[int], subjects: int) -> list[Hourly]:
    """What the subjects with the most usage used in these hours; nothing where they used nothing."""
    first_us, end_us = min(hours_us), max(hours_us) + HOUR_US
    rows = await connection.fetch(STATEMENTS["hourly_usage"], list(hours_us), first_us, end_us, subjects)
    return [Hourly(*row) for row in rows]
