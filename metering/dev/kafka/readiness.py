"""When a broker is really there: it answers, and the cluster's metadata lists it."""

import asyncio
from collections.abc import Set as AbstractSet
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

_REQUEST_MS: Final = 2000


async def live_brokers(address: str) -> AbstractSet[int]:
    """Ask the broker at `address` for the ids of the brokers alive; empty when it does not answer."""
    if not await _listens(address):  # asked first, because the client logs every refused connection
        return frozenset()
    client = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=_REQUEST_MS)
    try:
        await client.start()
        cluster = await client.describe_cluster()
    except (KafkaError, OSError):
        return frozenset()
    finally:
        await client.close()
    return frozenset(broker["node_id"] for broker in cluster["brokers"])


async def _listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        async with asyncio.timeout(_REQUEST_MS / 1000):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    await writer.wait_closed()
    return True
