"""Ticks: records that move the frontier of a partition nobody writes to, so that its windows become final."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from metering.settings import Settings
from metering.telemetry import Instruments, catalogue
from metering.worker.owned import Owned
from schemas.control import tick

log = structlog.get_logger(__name__)

_CHECKS: Final = 10
"""Times that idleness is looked at in one tick interval."""


class Ticker:
    """Writes a tick to each partition that is owned, caught up and idle."""

    def __init__(
        self,
        settings: Settings,
        owned: Mapping[int, Owned],
        producer: AIOKafkaProducer,
        instruments: Instruments,
    ) -> None:
        self._settings = settings
        self._owned = owned
        self._producer = producer
        self._instruments = instruments

    async def run(self) -> None:
        """Tick until cancelled; a tick that cannot be written is written at the next look."""
        while True:
            await asyncio.sleep(self._settings.tick_interval_s / _CHECKS)
            for idle in self._idle(time.monotonic()):
                try:
                    await self._tick(idle)
                except KafkaError as error:
                    log.warning("tick_failed", partition=idle.partition, error=repr(error))

    def _idle(self, now_s: float) -> list[TopicPartition]:
        return [
            owned.log
            for owned in self._owned.values()
            if owned.fetchable
            and owned.caught_up
            and now_s - owned.active_at_s >= self._settings.tick_interval_s
        ]

    async def _tick(self, partition: TopicPartition) -> None:
        now_us = time.time_ns() // 1000
        value = tick(self._settings.instance, uuid.uuid4().hex, now_us, f"partition-{partition.partition}")
        await self._producer.send_and_wait(
            partition.topic,
            value,
            partition=partition.partition,
            headers=[("content-type", b"application/cloudevents+json; charset=UTF-8")],
        )
        self._instruments.add(catalogue.TICKS)
