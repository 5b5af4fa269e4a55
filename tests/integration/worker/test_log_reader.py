from aiokafka import AIOKafkaProducer
from integration.worker.fixtures import SettingsFactory
from support.topics import TopicFactory

from metering.worker.clients import close_consumer, reading_consumer
from metering.worker.log_reader import Bounds, LogReader


async def test_single_records_and_where_logs_end(
    topic: TopicFactory,
    settings_for: SettingsFactory,
    producer: AIOKafkaProducer,
    transactions: AIOKafkaProducer,
) -> None:
    name = await topic(partitions=3)
    for number in range(5):
        await producer.send_and_wait(name, b"%d" % number, partition=0)
    await transactions.begin_transaction()
    await transactions.send_and_wait(name, b"gone", partition=1)
    await transactions.abort_transaction()
    await transactions.begin_transaction()
    await transactions.send_and_wait(name, b"open", partition=1)

    consumer = reading_consumer(settings_for(name))
    await consumer.start()
    reader = LogReader(consumer, name)
    try:
        bounds = await reader.bounds(range(3))
        assert bounds == {0: Bounds(0, 5), 1: Bounds(0, 2), 2: Bounds(0, 0)}
        third = await reader.record_at(0, 3)
        assert third is not None
        assert third.value == b"3"
        assert await reader.record_at(1, 0) is None
    finally:
        await close_consumer(consumer)
        await transactions.abort_transaction()
