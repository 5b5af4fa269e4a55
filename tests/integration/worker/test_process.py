"""The worker as a process: signals, exit codes, and what it says at its end."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from integration.worker.fixtures import NewWorld
from integration.worker.world import World, usages, waits_for_a_lock
from support.processes import CommandProcess, Commands, plain_environment

from metering.cli.exits import Exit
from schemas.codes import Code


class Workers:
    """Starts `metering worker` for a world."""

    def __init__(self, directory: Path) -> None:
        self._commands = Commands(directory, plain_environment())

    def start(self, world: World, *arguments: str) -> CommandProcess:
        settings = world.settings
        shared = {
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
            "POSTGRES_ROLE": str(settings.postgres_role),
            "TOPIC": settings.topic,
            "CONSUMER_GROUP": settings.consumer_group,
            "FLUSH_INTERVAL_S": str(settings.flush_interval_s),
            "FLUSH_RECORDS": str(settings.flush_records),
            "MAX_POLL_RECORDS": str(settings.max_poll_records),
            "DRAIN_DEADLINE_S": str(settings.drain_deadline_s),
            "LOG_FORMAT": "json",
        }
        environment = {f"METERING_{name}": value for name, value in shared.items()}
        return self._commands.start("worker", *arguments, **environment)

    def kill_all(self) -> None:
        self._commands.kill_all()


@pytest_asyncio.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    started = Workers(tmp_path)
    yield started
    started.kill_all()


async def test_sigterm_drains(new_world: NewWorld, workers: Workers) -> None:
    world = await new_world(flush_records=100, max_poll_records=30, flush_interval_s=60)
    await world.publish(usages(150))
    worker = workers.start(world)
    await worker.logged("flushed")  # what is fetched after that is not due for a minute
    worker.send_signal(signal.SIGTERM)
    assert await worker.ended() == Exit.OK
    (drained,) = worker.events("drained")
    stored = await world.rows("SELECT partition, next_offset FROM ingest_partition")
    assert drained["partitions"] == {str(row["partition"]): row["next_offset"] for row in stored}
    assert worker.events("stopped", code=None, accepted=sum(drained["partitions"].values()))
    assert await world.catch_up() == 0
    await world.is_exact()


async def test_a_second_sigterm_ends_it_where_it_is(new_world: NewWorld, workers: Workers) -> None:
    world = await new_world(drain_deadline_s=60)
    worker = workers.start(world)
    await worker.logged("partitions_checked")
    async with world.database.transaction():
        await world.database.execute("LOCK TABLE series IN ACCESS EXCLUSIVE MODE")
        await world.publish(usages(100))
        await waits_for_a_lock(world.settings.postgres_dsn.get_secret_value())
        worker.send_signal(signal.SIGTERM)
        await worker.logged("stopping")
        worker.send_signal(signal.SIGTERM)
        assert await worker.ended() == 128 + signal.SIGTERM
    assert await world.catch_up() == 0
    await world.is_exact()


async def test_a_worker_killed_in_the_middle_changes_nothing(new_world: NewWorld, workers: Workers) -> None:
    world = await new_world()
    await world.publish(usages(500))
    first = workers.start(world)
    await first.logged("flushed")
    await world.publish(usages(500))
    first.kill()
    second = workers.start(world, "--until-caught-up")
    assert await second.ended(deadline_s=60) == Exit.OK
    assert second.events("caught_up")
    await world.is_exact()


async def test_the_reason_to_stop_is_the_exit_code_the_last_line_and_a_sentence(
    new_world: NewWorld, workers: Workers
) -> None:
    world = await new_world()
    await world.publish(usages(10))
    assert await world.catch_up() == 0
    await world.database.execute("DELETE FROM batch WHERE partition = 0")
    worker = workers.start(world, "--until-caught-up")
    assert await worker.ended() == Exit.STOPPED
    assert worker.events("stopped", code=Code.CORRUPT_LEDGER)
    assert "metering doctor" in worker.log.read_text().splitlines()[-1]


async def test_a_worker_of_another_topic_says_so(new_world: NewWorld, workers: Workers) -> None:
    world = await new_world()
    world.settings = world.with_settings(topic="another")
    worker = workers.start(world)
    assert await worker.ended() == Exit.STOPPED
    assert worker.events("stopped", code=Code.TOPIC_MISMATCH)
