"""The yardstick: how fast the bare Kafka client gives the topic's records to a process that ignores them.

It is the worker's own consumer with the worker's settings, in a process like the worker's; it only calls
`getmany` until the end of the logs. Run as a program, it prints one JSON object.
"""

import gc
import json
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from commands import Environment, run_program

from metering.process.tuning import GC_THRESHOLDS
from metering.settings import Settings, load_settings
from metering.worker.clients import group_consumer
from metering.worker.intake import POLL_MS


class Bare(NamedTuple):
    """What reading the whole topic has taken, from the first fetch to the last record."""

    records: int
    seconds: float
    cpu_seconds: float  # of this process, user and system

    @property
    def events_per_s(self) -> float:
        """Throughput."""
        return self.records / self.seconds


def read_bare(environment: Environment) -> Bare:
    """Read the whole topic in a process of its own."""
    return Bare(**json.loads(run_program(environment, sys.executable, __file__)))


async def read_all(settings: Settings) -> Bare:
    """Take every record of the topic once."""
    consumer = group_consumer(settings)
    await consumer.start()
    try:
        logs = await _logs(consumer, settings.topic)
        ends = await consumer.end_offsets(logs)
        gc.set_threshold(*GC_THRESHOLDS)
        gc.collect()
        gc.freeze()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        consumer.assign(logs)
        for log in logs:
            consumer.seek(log, 0)
        records = 0
        wanted = sum(ends.values())
        while records < wanted:
            taken = await consumer.getmany(timeout_ms=POLL_MS, max_records=settings.max_poll_records)
            records += sum(map(len, taken.values()))
        return Bare(records, time.perf_counter() - began_s, time.process_time() - began_cpu_s)
    finally:
        await consumer.stop()


async def _logs(consumer: AIOKafkaConsumer, topic: str) -> Sequence[TopicPartition]:
    await consumer._client._wait_on_metadata(topic)  # noqa: SLF001 - for topics of no subscription
    return [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]


if __name__ == "__main__":
    print(json.dumps(uvloop.run(read_all(load_settings()))._asdict()))
