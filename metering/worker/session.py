"""One membership of the consumer group, from joining to leaving: it runs one tenure per assignment.

aiokafka calls its listener inside the task that joins the group: an exception there is swallowed, and until
`on_partitions_assigned` returns no heartbeat is sent. So the listener only starts and ends tenures, and
whatever goes wrong in one is kept here and ends the session.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from metering.settings import Settings
from metering.worker.clients import check_background, close_consumer

log = structlog.get_logger(__name__)

CHECK_INTERVAL_S: Final = 1.0


class Tenure(Protocol):
    """What is done with an assignment for as long as it lasts."""

    async def run(self) -> None:
        """Claim and count, until cancelled or drained; raises what ended it."""

    def drain(self) -> None:
        """Take nothing more, finish what was taken, and then return from `run`."""


class Session(ConsumerRebalanceListener):  # type: ignore[misc]
    """A consumer and the tenure of its current assignment."""

    def __init__(
        self,
        settings: Settings,
        consumer: AIOKafkaConsumer,
        new_tenure: Callable[[AIOKafkaConsumer, Collection[TopicPartition]], Tenure],
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._new_tenure = new_tenure
        self._tenure: Tenure | None = None
        self._task: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving = False

    async def run(self, stop: asyncio.Event) -> None:
        """Be a member until told to stop; then drain and leave.

        Raises:
            Exception: whatever ended a tenure, or the membership, before that.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            await self._consumer.start()
            self._consumer.subscribe([self._settings.topic], listener=self)
            while not stopping.done() and not self._over.done():
                check_background(self._consumer)
                await asyncio.wait(
                    (stopping, self._over),
                    timeout=CHECK_INTERVAL_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            self._leaving = True
            if not self._over.done():
                await self._release()
        finally:
            self._leaving = True
            stopping.cancel()
            await self._abandon()
            await close_consumer(self._consumer)
        if self._over.done():
            self._over.result()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin a tenure; nothing may be delivered before its claim."""
        self._consumer.pause(*assigned)
        for partition in assigned:
            # Any position will do until the claim: with none, the client looks for Kafka's stored offset and
            # fails if there is no such thing.
            self._consumer.seek(partition, 0)
        if self._leaving:
            return
        try:
            self._tenure = self._new_tenure(self._consumer, assigned)
            self._task = asyncio.create_task(self._tenure.run(), name="tenure")
            self._task.add_done_callback(self._ended)
        except Exception as error:  # noqa: BLE001 - the client would swallow it; it ends the session instead
            self._fail(error)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """End the tenure: drain first; whoever has the partitions next fences us."""
        try:
            if revoked:
                log.info("partitions_revoked", partitions=sorted(tp.partition for tp in revoked))
            await self._release()
        except Exception as error:  # noqa: BLE001 - the client would swallow it; it ends the session instead
            self._fail(error)

    async def _release(self) -> None:
        """Drain the tenure within the deadline; what is not committed by then is for the next owner."""
        task, tenure = self._task, self._tenure  # while this waits, somebody else may abandon them
        if task is None or tenure is None:
            return
        tenure.drain()
        await asyncio.wait([task], timeout=self._settings.drain_deadline_s)
        if not task.done():
            log.warning("drain_deadline_passed", deadline_s=self._settings.drain_deadline_s)
        await self._abandon()

    async def _abandon(self) -> None:
        """Stop the tenure where it is: its uncommitted work is fetched again by the next owner."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._task = self._tenure = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._over.done():
            self._over.set_exception(error)
