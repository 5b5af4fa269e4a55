"""The worker's Kafka clients, each with the options that its part in the commit protocol needs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from metering.kafka_options import kafka_options
from metering.settings import Settings
from metering.worker.topic_watch import LOOK_TIMEOUT_MS

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_S: Final = 5.0
"""A consumer that waits for a broker (a join, a goodbye) longer than this is torn down."""

NEVER_MS: Final = 24 * 3600 * 1000
"""aiokafka leaves the group when nobody polls; waiting for a database that is away is no reason to leave."""

REBALANCE_MARGIN_S: Final = 10.0
"""The group waits for a draining worker this much longer than the worker takes at most."""

REPUBLISHED_BYTES: Final = 64 * 1024 * 1024
"""Longest repair record that is sent: longer than any that a topic's contract has room for."""

_LOOK_BYTES: Final = 65_536

_EXACT: Final[dict[str, Any]] = {
    "auto_offset_reset": "none",  # Postgres says where to read; any other place would lose or repeat
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    "check_crcs": True,
}


def group_consumer(settings: Settings) -> AIOKafkaConsumer:
    """A member of the consumer group, not yet subscribed."""
    rebalance_s = settings.drain_deadline_s + REBALANCE_MARGIN_S
    return AIOKafkaConsumer(
        **kafka_options(settings),
        **_EXACT,
        client_id=settings.instance,
        group_id=settings.consumer_group,
        session_timeout_ms=round(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=round(settings.session_timeout_s * 1000 / 5),
        rebalance_timeout_ms=round(rebalance_s * 1000),
        # The broker answers a join when the last member has drained: the request must outlast that.
        request_timeout_ms=round((rebalance_s + REBALANCE_MARGIN_S) * 1000),
        max_poll_interval_ms=NEVER_MS,
    )


def replaying_consumer(settings: Settings) -> AIOKafkaConsumer:
    """A consumer outside of any group, for counting a log once more."""
    return AIOKafkaConsumer(
        **kafka_options(settings), **_EXACT, client_id=f"{settings.instance}-replay", group_id=None
    )


def reading_consumer(settings: Settings) -> AIOKafkaConsumer:
    """A consumer outside of any group, for looking at single records."""
    return AIOKafkaConsumer(
        **kafka_options(settings),
        **_EXACT,
        client_id=f"{settings.instance}-reader",
        group_id=None,
        max_partition_fetch_bytes=_LOOK_BYTES,
    )


def watching_client(settings: Settings) -> AIOKafkaClient:
    """A bare connection to the brokers, for asking about the topic."""
    return AIOKafkaClient(
        **kafka_options(settings), client_id=f"{settings.instance}-watch", request_timeout_ms=LOOK_TIMEOUT_MS
    )


def control_producer(settings: Settings) -> AIOKafkaProducer:
    """A producer for ticks and repair records, acknowledged by all replicas.

    It need not be idempotent: a second tick counts as little as the first, and a second copy of a repair
    record is a duplicate. So it has no sequence to lose, and works for as long as the process does. What the
    topic took from others it has to take again: compressed, for the topic's limit is that of the compressed
    batch, while the client's is that of the record.
    """
    return AIOKafkaProducer(
        **kafka_options(settings),
        client_id=f"{settings.instance}-control",
        acks="all",
        compression_type="lz4",
        max_request_size=REPUBLISHED_BYTES,
    )


def check_background(consumer: AIOKafkaConsumer) -> None:
    """Raise what has ended one of the client's own tasks: it would be silent for as long as nobody polls.

    Raises:
        KafkaError: the group or the cluster refuses this member, or the client is broken.
    """
    consumer._coordinator.check_errors()  # noqa: SLF001 - only `getmany` asks, and only of its own accord
    fetching = consumer._fetcher.error_future  # noqa: SLF001 - nobody asks
    if fetching.done():
        fetching.result()
        raise KafkaError("the client's fetcher has ended")


async def close_in_time(what: str, close: Callable[[], Awaitable[object]]) -> bool:
    """Close a client, unless a broker that does not answer keeps it from ending; whether it is closed."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await close()
    except (TimeoutError, KafkaError, OSError) as error:
        log.warning("client_abandoned", client=what, error=repr(error))
        return False
    return True


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group if the broker answers; the session timeout does it otherwise."""
    if await close_in_time("consumer", consumer.stop):
        return
    # What `stop` would have done next; a member whose heart beats on would hold up the group.
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    if hasattr(coordinator, "_stop_heartbeat_task"):
        await close_in_time("heartbeat", coordinator._stop_heartbeat_task)  # noqa: SLF001
    if fetcher is not None:
        await close_in_time("fetcher", fetcher.close)
    await close_in_time("connections", consumer._client.close)  # noqa: SLF001
