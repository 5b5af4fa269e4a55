"""Tells Kafka what Postgres has: lag tools and autoscalers read the group's offsets there, nobody else."""

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from metering.telemetry import Instruments, catalogue

log = structlog.get_logger(__name__)

COMMIT_TIMEOUT_S: Final = 5.0


class OffsetMirror:
    """Commits the newest offsets to Kafka, one commit at a time, and never makes counting wait."""

    def __init__(self, consumer: AIOKafkaConsumer, instruments: Instruments) -> None:
        self._consumer = consumer
        self._instruments = instruments
        self._offsets: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._noted = asyncio.Event()

    def note(self, log: TopicPartition, next_offset: int) -> None:
        """This is committed in Postgres."""
        self._offsets[log] = next_offset
        self._noted.set()

    async def run(self) -> None:
        """Mirror what is noted until cancelled."""
        while True:
            await self._noted.wait()
            await self.commit()

    async def commit(self) -> None:
        """Mirror what has been noted so far; a failure is logged, and the next commit makes it good."""
        self._noted.clear()
        offsets = dict(self._offsets)
        if offsets == self._told:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(offsets)
            self._told = offsets
        except (KafkaError, TimeoutError) as error:
            self._instruments.add(catalogue.MIRROR_FAILURES)
            log.warning("mirror_failed", error=repr(error))
