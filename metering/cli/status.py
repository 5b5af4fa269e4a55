"""`metering status`: how far every partition is, and what is final."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.text import Text

from aggregator.store import finality, load, migrate, outbox, quarantine
from aggregator.store import status as store
from aggregator.store.status import PartitionStatus
from metering.broker import read_ends
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.output import Json, duration_text, print_json, print_table, say, time_text
from metering.database import database
from metering.errors import UnreachableError
from metering.settings import Settings, load_settings
from metering.topics import load_contract


@dataclass(frozen=True, slots=True)
class _Seen:
    topic: str
    partitions: Sequence[PartitionStatus]
    ends: Mapping[int, int]  # empty: no broker answers
    catalog_head: int
    closing_us: int | None  # log time; None: nothing was closed yet
    outbox_pending: int
    quarantine: Mapping[str, int]

    @property
    def newest_us(self) -> int | None:
        """The frontier furthest ahead."""
        return max((one.frontier_us for one in self.partitions if one.frontier_us is not None), default=None)

    def lag(self, one: PartitionStatus) -> int | None:
        """Records in the log that are not counted yet."""
        end = self.ends.get(one.partition)
        return None if end is None else max(0, end - one.next_offset)

    def behind_us(self, one: PartitionStatus) -> int | None:
        """How far its frontier is behind the one furthest ahead; None: it has none."""
        newest_us = self.newest_us
        return None if newest_us is None or one.frontier_us is None else newest_us - one.frontier_us


def status(*, as_json: Json = False) -> Exit:
    """Show owners, offsets, lag and frontiers; the frontier furthest behind decides what becomes final."""
    settings = load_settings()
    seen = asyncio.run(_look(settings))
    code = Exit.OK
    try:
        ends = asyncio.run(read_ends(settings, seen.topic, len(seen.partitions)))
        seen = replace(seen, ends=ends)
    except UnreachableError as error:
        report(error.code, error.sentence, as_json=as_json)
        code = Exit.UNREACHABLE
    if as_json:
        print_json(_document(seen))
    else:
        _show(seen)
    return code


async def _look(settings: Settings) -> _Seen:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return _Seen(
            topic=load_contract(settings).name,
            partitions=await store.partitions(connection),
            ends={},
            catalog_head=await load.catalog_head(connection),
            closing_us=await finality.closing(connection),
            outbox_pending=await outbox.pending(connection),
            quarantine=await quarantine.counts(connection),
        )


def _show(seen: _Seen) -> None:
    print_table(
        f"Topic {seen.topic}",
        ["Partition", "Owner", "Next offset", "Lag", "Frontier", "Behind", "Accepted", "Refused", "Flushed"],
        (_row(seen, one) for one in seen.partitions),
    )
    say(_finality(seen))
    refused = ", ".join(f"{count:,} {code}" for code, count in seen.quarantine.items())
    say(f"Catalog head {seen.catalog_head}. In quarantine: {refused or 'nothing'}.")
    if seen.outbox_pending:
        say(f"{seen.outbox_pending:,} misplaced records wait to be republished.", "yellow")


def _row(seen: _Seen, one: PartitionStatus) -> tuple[object, ...]:
    lag = seen.lag(one)
    behind_us = seen.behind_us(one)
    return (
        one.partition,
        one.owner or Text("nobody", "yellow"),
        one.next_offset,
        lag,
        time_text(one.frontier_us) or "no record yet",
        None if behind_us is None else duration_text(behind_us),
        one.outcomes.accepted,
        one.outcomes.quarantined + one.outcomes.conflict,
        time_text(one.flushed_us),
    )


def _finality(seen: _Seen) -> str:
    waiting = [one.partition for one in seen.partitions if one.frontier_us is None]
    if waiting:
        return f"Nothing more can become final: no record yet in partitions {', '.join(map(str, waiting))}."
    if seen.closing_us is None:
        return "Nothing is final yet: run `metering close`."
    last = min(seen.partitions, key=lambda one: one.frontier_us or 0)
    until = time_text(seen.closing_us)
    return f"Final up to {until} less each meter's grace: partition {last.partition} is last."


def _document(seen: _Seen) -> dict[str, Any]:
    return {
        "topic": seen.topic,
        "catalog_head": seen.catalog_head,
        "closing": time_text(seen.closing_us),
        "outbox_pending": seen.outbox_pending,
        "quarantine": dict(seen.quarantine),
        "partitions": [
            {
                "partition": one.partition,
                "owner": one.owner,
                "epoch": one.epoch,
                "first_offset": one.first_offset,
                "next_offset": one.next_offset,
                "end_offset": seen.ends.get(one.partition),
                "lag_records": seen.lag(one),
                "frontier": time_text(one.frontier_us),
                "newest_event_time": time_text(one.newest_time_us),
                "behind_s": None if (behind := seen.behind_us(one)) is None else behind / 1_000_000,
                "flushed_at": time_text(one.flushed_us),
                "outcomes": one.outcomes._asdict(),
                "unmetered": one.unmetered,
            }
            for one in seen.partitions
        ],
    }
