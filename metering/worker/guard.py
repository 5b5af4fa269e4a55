"""Watches over the logs of owned partitions: nothing is counted of a log that was not checked.

A partition is suspended when it is claimed, when another broker leads it, and when the broker says that it
has not the offset we want. It goes on when its log has been compared with what is committed.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import UnknownTopicOrPartitionError

from aggregator.state import PartitionState, TopicRules
from metering.process.patience import Patience
from metering.worker.backlog import Backlog, Stretch
from metering.worker.log_reader import Bounds, LogReader, UnreadableRecordError
from metering.worker.owned import Owned
from metering.worker.stops import Stop, TopicStoppedError
from metering.worker.topic_watch import LogView, TopicWatch
from metering.worker.verification import Fault, log_fault, offset_to_compare, topic_fault
from schemas.codes import Code

log = structlog.get_logger(__name__)

LOOK_INTERVAL_S: Final = 10.0
"""How often the brokers are asked about partitions that nothing is fetched from."""

LEADERLESS_RETRY_S: Final = 0.5


class Topic:
    """The topic as this process found it when it began, and whom to ask about it since."""

    def __init__(
        self, rules: TopicRules, topic_id: bytes, watch: TopicWatch, reader: LogReader, brokers: Patience
    ) -> None:
        self.rules = rules
        self.reader = reader
        self._topic_id = topic_id
        self._watch = watch
        self.brokers = brokers

    async def look(self, partitions: Collection[int]) -> LogView:
        """What the brokers say now, after waiting for one that says anything.

        Raises:
            StoppedError: the topic is gone, is another one, or has another number of partitions.
        """
        try:
            view = await self.brokers.until_done("look", lambda: self._watch.look(partitions))
        except UnknownTopicOrPartitionError as error:
            raise TopicStoppedError(Code.LOG_REPLACED, "The topic is gone") from error
        fault = topic_fault(self.rules, self._topic_id, view)
        if fault is not None:
            raise TopicStoppedError(fault.code, f"The topic: {fault.seen}")
        return view


class Guard:
    """Checks logs, and lets partitions go on or stops them."""

    def __init__(
        self,
        topic: Topic,
        consumer: AIOKafkaConsumer,
        owned: Mapping[int, Owned],
        backlog: Backlog,
        on_stopped: Callable[[Stop], None],
        on_resumed: Callable[[], None],
    ) -> None:
        self._topic = topic
        self._consumer = consumer
        self._owned = owned
        self._backlog = backlog
        self._on_stopped = on_stopped
        self._on_resumed = on_resumed
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Check what is suspended, and look at the rest now and then, until cancelled.

        Raises:
            StoppedError: the topic itself is at fault.
        """
        while True:
            self._wanted.clear()
            view = await self._topic.look(self._owned)
            for owned in self._owned.values():
                epoch = view.leader_epochs.get(owned.partition, owned.leader_epoch)
                if owned.fetchable and epoch != owned.leader_epoch:
                    self.suspend(owned, "another leader")
            await self._check([o for o in self._to_check() if o.partition in view.leader_epochs], view)
            self._on_resumed()
            await self._wait(LEADERLESS_RETRY_S if self._to_check() else LOOK_INTERVAL_S)

    def suspend(self, owned: Owned, why: str) -> None:
        """Take nothing more of this partition until its log is checked again."""
        log.warning(
            "partition_suspended", partition=owned.partition, why=why, leader_epoch=owned.leader_epoch
        )
        owned.suspend()
        self._backlog.drop(owned.partition)
        self._wanted.set()

    async def sift(self, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Of stretches just fetched, those that came from the log that was checked; no others are counted.

        What cannot be told now, for its partition has no leader, is kept for later.

        Raises:
            StoppedError: the topic itself is at fault.
        """
        view = await self._topic.look([stretch.partition for stretch in stretches])
        good = []
        for stretch in stretches:
            owned = self._owned[stretch.partition]
            epoch = view.leader_epochs.get(owned.partition)
            if stretch.generation != owned.generation:
                self._backlog.release([stretch])
            elif epoch is None:
                self._backlog.put_back(stretch)
            elif epoch != owned.leader_epoch:
                self._backlog.release([stretch])
                self.suspend(owned, "another leader")
            else:
                good.append(stretch)
        if not good:
            await asyncio.sleep(LEADERLESS_RETRY_S)
        return good

    def _to_check(self) -> list[Owned]:
        return [owned for owned in self._owned.values() if owned.suspended and owned.stop is None]

    async def _check(self, suspended: Sequence[Owned], view: LogView) -> None:
        """Compare logs with what is committed, when nothing of them is in flight."""
        if not suspended:
            return
        flights = [owned.flight for owned in suspended if owned.flight is not None]
        if flights:
            await asyncio.wait(flights)
        faults = await self._topic.brokers.until_done("check", lambda: self._faults(suspended))
        for owned in suspended:
            if owned.partition in faults:
                self._on_stopped(faults[owned.partition])
                continue
            owned.resume(view.leader_epochs[owned.partition])
            self._consumer.seek(owned.log, owned.position)
            self._consumer.resume(owned.log)
        log.info(
            "partitions_checked",
            partitions={owned.partition: owned.position for owned in suspended if owned.fetchable},
        )

    async def _faults(self, suspended: Sequence[Owned]) -> dict[int, Stop]:
        states = {owned.partition: owned.committed for owned in suspended}
        bounds = await self._topic.reader.bounds(states)
        faults = {}
        for partition, state in states.items():
            fault = await self._fault(state, bounds[partition])
            if fault is not None:
                faults[partition] = Stop(fault.code, partition, state.next_offset, fault.seen)
        return faults

    async def _fault(self, committed: PartitionState, bounds: Bounds) -> Fault | None:
        offset, found = offset_to_compare(committed, bounds), None
        if offset is not None:
            try:
                found = await self._topic.reader.record_at(committed.partition, offset)
            except UnreadableRecordError as error:
                return Fault(Code.UNDECODABLE_RECORD, f"the last counted record, at {offset}: {error}")
        return log_fault(committed, bounds, found)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
