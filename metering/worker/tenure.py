"""One assignment, from the claim until the group takes it away: fetch, fold, flush, tick."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from metering.telemetry import catalogue
from metering.worker.backlog import Backlog
from metering.worker.claiming import claim_all
from metering.worker.counting import Counting
from metering.worker.folder import Work
from metering.worker.lag import LagWatch
from metering.worker.mirror import OffsetMirror
from metering.worker.services import Services
from metering.worker.stops import TOPIC_CODES, Stop, first_cause, stopped_error
from metering.worker.ticks import Ticker
from schemas.codes import SENTENCES

if TYPE_CHECKING:
    from metering.worker.owned import Owned

log = structlog.get_logger(__name__)


class Tenure:
    """What is done with the partitions of one assignment."""

    def __init__(
        self, services: Services, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition]
    ) -> None:
        self._services = services
        self._consumer = consumer
        self._assigned = assigned
        self._owned: dict[int, Owned] = {}
        self._mirror = OffsetMirror(consumer, services.telemetry.instruments)
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Take nothing more, finish what was taken, and then return from `run`."""
        self._services.readiness.because("worker", "draining")
        self._draining.set()

    async def run(self) -> None:
        """Claim and count until drained.

        Raises:
            Fenced: another owner has claimed a partition.
            StoppedError: the topic is at fault.
            Exception: anything else that nobody can go on after.
        """
        services = self._services
        services.telemetry.instruments.add(catalogue.REBALANCES)
        services.readiness.because("worker", "claiming its partitions")
        try:
            if await self._claim():
                await self._count()
        except ExceptionGroup as group:
            raise first_cause(group) from group
        finally:
            services.measures.let_go(self._owned)
            for partition in self._owned:
                services.readiness.clear(f"partition {partition}")
            services.readiness.because("worker", "has no assignment")

    async def _claim(self) -> bool:
        """Take the partitions over; False if told to drain before that was done."""
        services, began_s = self._services, time.monotonic()
        claiming = asyncio.create_task(
            claim_all(
                self._assigned,
                services.rules,
                services.database,
                services.patience,
                services.settings.instance,
            )
        )
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait((claiming, draining), return_when=asyncio.FIRST_COMPLETED)
            if not claiming.done():
                return False
            self._owned.update({owned.partition: owned for owned in claiming.result()})
        finally:
            draining.cancel()
            claiming.cancel()
        services.telemetry.instruments.record(catalogue.CLAIM_DURATION, time.monotonic() - began_s)
        services.measures.holding(self._owned)
        for owned in self._owned.values():
            if owned.stop is not None:
                self.stopped(owned.stop)
        return True

    async def _count(self) -> None:
        services = self._services
        watchers = [self._mirror.run()]
        watchers.append(LagWatch(services.topic.reader, self._owned, services.measures).run())
        if services.rules.clock == "broker" and not services.until_caught_up:
            instruments = services.telemetry.instruments
            watchers.append(Ticker(services.settings, self._owned, services.producer, instruments).run())
        counting = Counting(services, self._consumer, self._owned, self)
        await counting.run(self._draining, watchers)
        await self._mirror.commit()

    def committed(self, works: Sequence[Work], backlog: Backlog) -> None:
        """A flush is committed."""
        services = self._services
        for work in works:
            self._mirror.note(work.owned.log, work.batch.next_offset)
        services.measures.committed(works, backlog, services.current.catalog)
        services.housekeeping.committed(works)
        services.counted.set()
        if any(row.target_partition is not None for work in works for row in work.batch.quarantined):
            services.outbox.wake()
        log.info(
            "flushed",
            partitions={work.owned.partition: work.batch.next_offset for work in works},
            records=sum(len(work.reading.records) for work in works),
        )

    def resumed(self) -> None:
        """The guard has let partitions go on."""
        if not any(owned.suspended and owned.stop is None for owned in self._owned.values()):
            self._services.readiness.clear("worker")
            self._services.checked.set()

    def stopped(self, stop: Stop) -> None:
        """Set a partition aside, loudly; end the process if there is no point in going on."""
        services, owned = self._services, self._owned[stop.partition]
        if owned.stop not in (None, stop):
            return  # the first reason stands
        owned.stop = stop
        self._consumer.pause(owned.log)
        log.error(
            "partition_stopped",
            code=stop.code.value,
            partition=stop.partition,
            offset=stop.offset,
            seen=stop.seen,
            advice=SENTENCES[stop.code],
        )
        services.stop_notes.note(stop, owned.epoch)
        services.telemetry.instruments.set(
            catalogue.STOPPED_PARTITIONS, 1, partition=stop.partition, code=stop.code
        )
        services.readiness.because(f"partition {stop.partition}", f"{stop.code}: {stop.seen}")
        if stop.code in TOPIC_CODES:
            raise stopped_error(stop)
        if services.until_caught_up or all(owned.stop is not None for owned in self._owned.values()):
            services.shutdown.request(stopped_error(stop))
