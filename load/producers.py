"""Writes the workload to a topic as fast as the broker takes it: librdkafka, in several processes."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from typing import Final, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from workload import HEADERS, Totals, Workload

PROCESSES: Final = 2
PIECE: Final = 20_000
_ATTEMPT_S: Final = 0.05
_FLUSH_S: Final = 60

Headers = dict[str, str | bytes | None]


class Share(NamedTuple):
    """What one process writes."""

    bootstrap_servers: str
    topic: str
    seed: int
    process: int
    events: int


def produce(bootstrap_servers: str, topic: str, events: int, seed: int) -> Totals:
    """Write `events` events and give what they come to.

    Raises:
        RuntimeError: not every event has arrived, once.
    """
    before = log_records(bootstrap_servers, topic)
    each, more = divmod(events, PROCESSES)
    shares = [
        Share(bootstrap_servers, topic, seed, process, each + (process < more))
        for process in range(PROCESSES)
    ]
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        totals = reduce(Totals.plus, pool.map(_write, shares), Totals.none())
    arrived = log_records(bootstrap_servers, topic) - before
    if not arrived == totals.events == events:
        msg = f"{events} events were to be written, {totals.events} were made and {arrived} arrived"
        raise RuntimeError(msg)
    return totals


def log_records(bootstrap_servers: str, topic: str) -> int:
    """How many offsets the topic's logs have."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "load-offsets"})
    try:
        partitions = consumer.list_topics(topic).topics[topic].partitions
        marks = [consumer.get_watermark_offsets(TopicPartition(topic, number)) for number in partitions]
        return sum(high - low for low, high in marks)
    finally:
        consumer.close()


def _write(share: Share) -> Totals:
    producer = Producer(
        {
            "bootstrap.servers": share.bootstrap_servers,
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 262_144,
            "queue.buffering.max.messages": 200_000,
            "log_level": 3,  # errors; a broker that is still loading is none
        }
    )
    workload = Workload((share.seed, share.process))
    totals = Totals.none()
    headers: Headers = dict(HEADERS)
    left = share.events
    while left:
        events = workload.events(min(left, PIECE), time.time_ns() // 1000)
        for key, value in zip(events.keys, events.values, strict=True):
            _send(producer, share.topic, key, value, headers)
        totals = totals.plus(events.totals)
        left -= len(events.values)
    unsent = producer.flush(_FLUSH_S)
    if unsent:
        msg = f"{unsent} events are still not written after {_FLUSH_S} s"
        raise RuntimeError(msg)
    return totals


def _send(producer: Producer, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
    while True:
        try:
            producer.produce(topic, value, key, headers=headers)
        except BufferError:
            producer.poll(_ATTEMPT_S)
        else:
            return
