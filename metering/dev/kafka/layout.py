"""What a local Kafka cluster is made of, and the broker settings that follow from it."""

import base64
import uuid
from pathlib import Path
from typing import Self

import msgspec

from metering.dev.ports import free_ports


class Node(msgspec.Struct, frozen=True):
    """One process, broker and controller at once."""

    id: int
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"


class Layout(msgspec.Struct, frozen=True):
    """The nodes of one cluster; kept with the data, so that it comes back as it was."""

    cluster_id: str
    nodes: tuple[Node, ...]
    heap_mb: int

    @classmethod
    def new(cls, *, brokers: int, heap_mb: int) -> Self:
        """Lay out a cluster of `brokers` nodes on free ports."""
        ports = free_ports(2 * brokers)
        nodes = tuple(
            Node(id=number + 1, port=ports[2 * number], controller_port=ports[2 * number + 1])
            for number in range(brokers)
        )
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        return cls(cluster_id=cluster_id, nodes=nodes, heap_mb=heap_mb)

    def with_heap(self, heap_mb: int) -> Self:
        """Give the same cluster with another heap."""
        return msgspec.structs.replace(self, heap_mb=heap_mb)

    @property
    def bootstrap_servers(self) -> str:
        """Every node's address, as Kafka clients take them."""
        return ",".join(node.address for node in self.nodes)


def server_properties(layout: Layout, node: Node, data: Path) -> str:
    """Write the broker's settings: a small cluster that loses nothing and fails over within seconds."""
    replicas = len(layout.nodes)
    in_sync = min(2, replicas)
    voters = ",".join(f"{other.id}@127.0.0.1:{other.controller_port}" for other in layout.nodes)
    settings: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": voters,
        "listeners": f"CLIENT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{node.port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "log.dirs": str(data),
        # Topics are declared and applied; one that appears by a typo would be counted as empty.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # A group starts with its first member, and tests may evict one within a second or two.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # A killed broker is noticed in 3 s instead of 9.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        # Room for the cleaner in a small heap (its default takes 128 MB).
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "log.segment.bytes": 64 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
