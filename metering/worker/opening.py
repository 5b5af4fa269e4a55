"""Opens what a process reads the log with, and gives up soon if a server is not there to begin with."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

import asyncpg
from aiokafka.errors import UnknownTopicOrPartitionError

from aggregator.state import TopicRules
from metering.errors import UnreachableError
from metering.process.health import Readiness
from metering.process.patience import Patience
from metering.settings import Settings
from metering.worker.clients import close_consumer, close_in_time, reading_consumer, watching_client
from metering.worker.guard import Topic
from metering.worker.log_reader import LogReader
from metering.worker.stops import TopicStoppedError
from metering.worker.topic_watch import TopicWatch
from metering.worker.verification import topic_fault
from schemas.codes import Code

START_S: Final = 60.0
"""Longest wait for the servers before the first record."""


async def open_topic(
    settings: Settings, rules: TopicRules, brokers: Patience, opened: AsyncExitStack
) -> Topic:
    """The topic as it is now; from here on it must not change its identity."""
    watch = TopicWatch(watching_client(settings), rules.name)
    opened.push_async_callback(close_in_time, "watch", watch.close)
    await brokers.until_done("connect", watch.start)
    consumer = reading_consumer(settings)
    opened.push_async_callback(close_consumer, consumer)
    await brokers.until_done("connect", consumer.start)
    try:
        view = await brokers.until_done("look", lambda: watch.look(range(rules.partitions)))
    except UnknownTopicOrPartitionError as error:
        raise TopicStoppedError(Code.TOPIC_MISMATCH, f"The brokers have no topic {rules.name}") from error
    fault = topic_fault(rules, view.topic_id, view)
    if fault is not None:
        raise TopicStoppedError(fault.code, f"Topic {rules.name} has {fault.seen}")
    return Topic(rules, view.topic_id, watch, LogReader(consumer, rules.name), brokers)


@contextmanager
def impatient(readiness: Readiness) -> Iterator[None]:
    """At the start a server that is away may as well be a wrong address: tell, rather than wait for ever."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _refused(error) from error
    except TimeoutError as error:
        server = "postgres" if "database" in readiness.reasons else "kafka"
        waited = "; ".join(reason for name, reason in readiness.reasons.items() if name != "worker")
        raise UnreachableError(
            f"{server}_unreachable", f"No answer within {START_S:.0f} s ({waited}): check the address."
        ) from error


@contextmanager
def let_in() -> Iterator[None]:
    """A login that the database refuses in the middle of the work is named as it is at the start."""
    try:
        yield
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise _refused(error) from error


def _refused(error: asyncpg.PostgresError) -> UnreachableError:
    return UnreachableError("postgres_refused", f"The database refused ({error.sqlstate}: {error}).")
