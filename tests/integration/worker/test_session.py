"""A member of the group: nothing is delivered before the claim, and every tenure is drained or abandoned."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from integration.worker.fixtures import SettingsFactory
from support.topics import TopicFactory

from metering.dev.conditions import until
from metering.settings import Settings
from metering.worker.clients import group_consumer
from metering.worker.session import Session


class RecordingTenure:
    """Holds its partitions until told to drain, and notes what happens to it."""

    def __init__(self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition]) -> None:
        self.consumer = consumer
        self.assigned = frozenset(tp.partition for tp in assigned)
        self.logs = list(assigned)
        self.events: list[str] = []
        self.drained = asyncio.Event()
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.error: Exception | None = None
        self.may_die = asyncio.Event()
        self.may_die.set()
        self.fail = asyncio.Event()

    async def run(self) -> None:
        self.events.append("running")
        try:
            waits = [asyncio.create_task(event.wait()) for event in (self.drained, self.fail)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if self.fail.is_set():
                raise ValueError("the tenure has failed")
            self.events.append("draining")
            await self.may_finish.wait()
            self.events.append("drained")
        except asyncio.CancelledError:
            self.events.append("abandoned")
            await self.may_die.wait()
            raise

    def drain(self) -> None:
        self.drained.set()


class Member:
    """A session that runs in a task, and the tenures it was given."""

    def __init__(self, settings: Settings) -> None:
        self.tenures: list[RecordingTenure] = []
        self.stop = asyncio.Event()
        self.consumer = group_consumer(settings)
        self.session = Session(settings, self.consumer, self._tenure)
        self.task = asyncio.create_task(self.session.run(self.stop))

    def _tenure(self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition]) -> RecordingTenure:
        self.tenures.append(RecordingTenure(consumer, assigned))
        return self.tenures[-1]

    def holds(self, count: int) -> bool:
        return bool(self.tenures) and len(self.tenures[-1].assigned) == count

    async def leave(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 30)


async def becomes(condition: Callable[[], Any], deadline_s: float = 40) -> None:
    async def holds() -> bool:
        return bool(condition())

    assert await until(holds, deadline_s=deadline_s)


async def test_nothing_is_delivered_before_the_claim_wherever_kafka_thinks_we_were(
    topic: TopicFactory, settings_for: SettingsFactory, producer: AIOKafkaProducer
) -> None:
    name = await topic(partitions=2)
    for number in range(10):
        await producer.send_and_wait(name, b"%d" % number, partition=number % 2)
    member = Member(settings_for(name))
    await becomes(lambda: member.holds(2))
    (tenure,) = member.tenures
    # Partition 0 has a stored offset from now on, partition 1 has none: neither may matter.
    await tenure.consumer.commit({TopicPartition(name, 0): 4})
    await member.leave()

    again = Member(settings_for(name))
    await becomes(lambda: again.holds(2))
    (tenure,) = again.tenures
    assert await tenure.consumer.getmany(*tenure.logs, timeout_ms=1000) == {}
    for log, offset in zip(sorted(tenure.logs), (2, 3), strict=True):
        tenure.consumer.seek(log, offset)
        tenure.consumer.resume(log)
    offsets: dict[int, list[int]] = {0: [], 1: []}
    while sum(map(len, offsets.values())) < 5:
        for log, records in (await tenure.consumer.getmany(*tenure.logs, timeout_ms=1000)).items():
            offsets[log.partition] += [record.offset for record in records]
    assert offsets == {0: [2, 3, 4], 1: [3, 4]}
    await again.leave()
    assert tenure.events == ["running", "draining", "drained"]


async def test_a_revoked_tenure_drains_before_the_next_owner_has_its_partitions(
    topic: TopicFactory, settings_for: SettingsFactory
) -> None:
    name = await topic(partitions=2)
    first = Member(settings_for(name))
    await becomes(lambda: first.holds(2))
    (tenure,) = first.tenures
    tenure.may_finish.clear()
    second = Member(settings_for(name))
    await becomes(lambda: "draining" in tenure.events)
    assert not second.tenures, "the group waits for those who drain"
    tenure.may_finish.set()
    await becomes(lambda: first.holds(1) and second.holds(1))
    assert tenure.events == ["running", "draining", "drained"]
    await asyncio.gather(first.leave(), second.leave())


async def test_a_tenure_that_does_not_drain_in_time_is_abandoned(
    topic: TopicFactory, settings_for: SettingsFactory
) -> None:
    name = await topic()
    member = Member(settings_for(name, drain_deadline_s=0.2))
    await becomes(lambda: member.holds(1))
    member.tenures[0].may_finish.clear()
    await member.leave()
    assert member.tenures[0].events == ["running", "draining", "abandoned"]


async def test_partitions_may_be_revoked_while_their_tenure_is_being_abandoned(
    topic: TopicFactory, settings_for: SettingsFactory
) -> None:
    name = await topic()
    member = Member(settings_for(name, drain_deadline_s=0.2))
    await becomes(lambda: member.holds(1))
    (tenure,) = member.tenures
    tenure.may_finish.clear()
    tenure.may_die.clear()
    member.stop.set()
    await becomes(lambda: "abandoned" in tenure.events)
    revoked = asyncio.create_task(member.session.on_partitions_revoked(tenure.logs))  # as the client does
    await asyncio.sleep(0)
    tenure.may_die.set()
    await revoked
    await asyncio.wait_for(member.task, 30)


async def test_a_failed_tenure_ends_the_session_with_its_error(
    topic: TopicFactory, settings_for: SettingsFactory
) -> None:
    name = await topic()
    member = Member(settings_for(name))
    await becomes(lambda: member.holds(1))
    member.tenures[0].fail.set()
    with pytest.raises(ValueError, match="the tenure has failed"):
        await asyncio.wait_for(member.task, 30)


async def test_a_member_that_is_told_to_stop_in_the_middle_of_a_join_leaves_soon(
    topic: TopicFactory, settings_for: SettingsFactory
) -> None:
    name = await topic(partitions=2)
    settings = settings_for(name, drain_deadline_s=30)
    first = Member(settings)
    await becomes(lambda: first.holds(2))
    first.tenures[0].may_finish.clear()  # the group now waits for it
    second = Member(settings)
    await becomes(lambda: "draining" in first.tenures[0].events)
    await second.leave()
    first.tenures[0].may_finish.set()
    await becomes(lambda: first.holds(2) and len(first.tenures) > 1)
    await first.leave()
