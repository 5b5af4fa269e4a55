"""Publishes repair records to their subject's partition; whichever process gets the lock does it.

They are of misplaced records, and of those that a person brings back from quarantine.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from aggregator.state import TopicRules
from aggregator.store import outbox, status
from aggregator.store.connection import Connection
from aggregator.store.outbox import Published, Repair
from metering.process.patience import Patience
from metering.telemetry import Instruments, catalogue
from metering.worker.database import Database
from schemas.repair import REPAIR_HEADER

log = structlog.get_logger(__name__)

LIMIT: Final = 1_000
"""Records republished in one transaction."""

INTERVAL_S: Final = 1.0


class Outbox:
    """Drains the outbox for as long as the process lives."""

    def __init__(
        self,
        rules: TopicRules,
        database: Database,
        patience: Patience,
        producer: AIOKafkaProducer,
        instruments: Instruments,
    ) -> None:
        self._rules = rules
        self._database = database
        self._patience = patience
        self._producer = producer
        self._instruments = instruments
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was put into it."""
        self._wake.set()

    async def run(self) -> None:
        """Drain until cancelled."""
        while True:
            self._wake.clear()
            try:
                sent = await self._patience.until_done("drain the outbox", self._drain)
            except KafkaError as error:
                log.warning("outbox_waiting", error=repr(error))
                sent = 0
            if sent < LIMIT:
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL_S):
                        await self._wake.wait()

    async def _drain(self) -> int:
        """Publish the oldest repairs; how many. Should it fail half-way, the copies are duplicates."""
        async with self._database.outbox.use() as connection:
            await self._count_pending(connection)  # before: what the brokers do not take waits too
            async with connection.transaction():
                repairs = await outbox.take(connection, LIMIT)
                if repairs:
                    frontiers_us = {
                        row.partition: row.frontier_us for row in await status.partitions(connection)
                    }
                    await outbox.mark_published(connection, await self._publish(repairs, frontiers_us))
            if repairs:
                await self._count_pending(connection)
        if repairs:
            self._instruments.add(catalogue.OUTBOX_SENT, len(repairs))
            log.info("repairs_published", records=len(repairs))
        return len(repairs)

    async def _count_pending(self, connection: Connection) -> None:
        self._instruments.set(catalogue.OUTBOX_PENDING, await outbox.pending(connection))

    async def _publish(
        self, repairs: Sequence[Repair], frontiers_us: dict[int, int | None]
    ) -> list[Published]:
        deliveries = [
            await self._producer.send(
                self._rules.name,
                repair.value,
                key=repair.key,
                partition=repair.target_partition,
                timestamp_ms=self._timestamp_ms(repair, frontiers_us),
                headers=[
                    # A repair that one meter could not read has a header already: one hop ends, one begins.
                    *((name, value) for name, value in repair.headers if name != REPAIR_HEADER),
                    (REPAIR_HEADER, repair.origin.encode()),
                ],
            )
            for repair in repairs
        ]
        return [
            Published(repair, sent.partition, sent.offset)
            for repair, sent in zip(repairs, await asyncio.gather(*deliveries), strict=True)
        ]

    def _timestamp_ms(self, repair: Repair, frontiers_us: dict[int, int | None]) -> int | None:
        """None where the broker stamps records; else one that keeps the target's log in order."""
        if self._rules.clock == "broker":
            return None
        frontier_us = frontiers_us[repair.target_partition]
        return (repair.timestamp_us if frontier_us is None else frontier_us) // 1000
