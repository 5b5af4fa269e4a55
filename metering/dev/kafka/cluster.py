"""A local Kafka cluster of one broker or three."""

import asyncio
from pathlib import Path
from typing import Self

import msgspec

from metering.dev.kafka.jvm import SMALL_HEAP_MB
from metering.dev.kafka.layout import Layout
from metering.dev.kafka.server import KafkaServer
from metering.dev.kafka.training import train


class KafkaCluster:
    """Brokers that share a directory; what they are is kept there, so another process finds them again."""

    def __init__(self, layout: Layout, directory: Path) -> None:
        self.layout = layout
        self._directory = directory
        self.servers = tuple(KafkaServer(layout, node, directory / str(node.id)) for node in layout.nodes)

    @classmethod
    def create(cls, directory: Path, *, brokers: int = 1, heap_mb: int = SMALL_HEAP_MB) -> Self:
        """Lay out a new cluster in `directory`; nothing runs yet."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(_keep(Layout.new(brokers=brokers, heap_mb=heap_mb), directory), directory)

    @classmethod
    def open(cls, directory: Path) -> Self | None:
        """Find the cluster that was laid out in `directory`, running or not."""
        try:
            written = _layout_file(directory).read_bytes()
        except FileNotFoundError:
            return None
        return cls(msgspec.json.decode(written, type=Layout), directory)

    def with_heap(self, heap_mb: int) -> Self:
        """Give the same cluster with another heap for the brokers that start from now on."""
        return type(self)(_keep(self.layout.with_heap(heap_mb), self._directory), self._directory)

    @property
    def bootstrap_servers(self) -> str:
        """Every broker's address, as Kafka clients take them."""
        return self.layout.bootstrap_servers

    def server(self, node_id: int) -> KafkaServer:
        """Give the broker with this id."""
        return next(server for server in self.servers if server.node.id == node_id)

    async def start(self) -> None:
        """Start every broker and wait until all serve.

        Raises:
            StackError: when one does not start.
        """
        await asyncio.to_thread(train)
        # Formatting runs one JVM for each node: side by side, off the loop.
        await asyncio.gather(*(asyncio.to_thread(server.spawn) for server in self.servers))
        await asyncio.gather(*(server.ready() for server in self.servers))

    async def stop(self) -> None:
        """Shut every broker down in good order.

        Raises:
            StackError: when one does not stop.
        """
        await asyncio.gather(*(server.stop() for server in self.servers))

    def kill(self) -> None:
        """End every broker at once (SIGKILL)."""
        for server in self.servers:
            server.kill()


def _keep(layout: Layout, directory: Path) -> Layout:
    _layout_file(directory).write_bytes(msgspec.json.encode(layout))
    return layout


def _layout_file(directory: Path) -> Path:
    return directory / "cluster.json"
