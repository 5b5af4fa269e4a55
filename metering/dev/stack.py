"""`metering dev up|down|status`: which stack is used, started and ended."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from metering.dev import addresses
from metering.dev.addresses import Addresses
from metering.dev.cache import locked
from metering.dev.docker import DockerStack
from metering.dev.errors import StackError
from metering.dev.kafka.jars import KAFKA_VERSION, kafka_is_fetched
from metering.dev.local import LocalStack
from metering.dev.status import StackStatus

HEAP_MB: Final = 512

Say = Callable[[str], None]
"""Tells a person, in a sentence, what is going on."""


async def up(state: Path, *, say: Say, brokers: int = 1, heap_mb: int = HEAP_MB) -> Addresses:
    """Give a running Kafka and Postgres: those in the environment, in Docker, or as local processes.

    What runs already is used as it is; what does not run is started with the data it had.

    Raises:
        StackError: when the stack cannot be had as asked.
    """
    given = addresses.from_environment(os.environ)
    if given is not None:
        say("Kafka and Postgres: those that the environment names.")
        return given
    with locked(state / "lock"):
        running = await _start(state, brokers=brokers, heap_mb=heap_mb, say=say)
        addresses.publish(running, state)
    return running


async def down(state: Path) -> None:
    """Stop what `up` started, and nothing else; the data stay for the next `up`.

    Raises:
        StackError: when a server does not stop.
    """
    with locked(state / "lock"):
        addresses.withdraw(state)
        await DockerStack(state).stop()
        await LocalStack(state).stop()


async def purge(state: Path) -> None:
    """End what `up` started and delete its data.

    Raises:
        StackError: `docker_failed`.
    """
    with locked(state / "lock"):
        addresses.withdraw(state)
        await DockerStack(state).remove()
        LocalStack(state).remove()


async def status(state: Path) -> StackStatus:
    """Tell what is up, by asking each server."""
    given = addresses.from_environment(os.environ)
    if given is not None:
        return StackStatus(given, ())
    running = addresses.published(state)
    stack = DockerStack(state) if running and running.source == "docker" else LocalStack(state)
    return StackStatus(running, await stack.servers())


async def _start(state: Path, *, brokers: int, heap_mb: int, say: Say) -> Addresses:
    docker, local = DockerStack(state), LocalStack(state)
    # A stack that was set up here as local processes stays that, with its data, until it is purged.
    if not local.exists() and brokers == 1 and docker.is_reachable():
        say("Kafka and Postgres: in Docker.")
        try:
            return await docker.start(heap_mb=heap_mb)
        except StackError as failure:
            say(f"{failure.sentence} Going on with local processes.")
    say("Kafka and Postgres: as local processes.")
    if not kafka_is_fetched():
        say(f"Fetching Kafka {KAFKA_VERSION} with Maven, this once.")
    return await local.start(brokers=brokers, heap_mb=heap_mb)
