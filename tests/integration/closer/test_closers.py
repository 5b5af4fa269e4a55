"""Closers as processes: one is at work; another goes on when it stops, dies, freezes or loses the server."""

import asyncio
import json
import signal

import asyncpg
import pytest
from integration.closer.partitions import HOUR_US, T0, Partitions
from integration.worker.world import asked
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from support.processes import CommandProcess, Commands

from aggregator.store import finality, turns
from metering.cli.exits import Exit
from metering.closer import Closer
from metering.dev.conditions import until
from metering.dev.postgres.server import PostgresServer
from metering.process.exclusive import Turn
from metering.settings import Settings
from metering.telemetry import make_telemetry


async def two_closers(partitions: Partitions, commands: Commands) -> tuple[CommandProcess, CommandProcess]:
    """One that has closed, and one that waits for its turn."""
    await partitions.reach(T0, T0 + HOUR_US)
    first = commands.start("close", METERING_INSTANCE="first")
    await first.logged("closed")
    second = commands.start("close", METERING_INSTANCE="second")
    waiting = await second.logged("waiting_for_turn")
    assert waiting["holder"] == "metering closer first"
    await partitions.closes(T0)
    return first, second


async def test_when_one_is_told_to_stop_the_other_goes_on(partitions: Partitions, commands: Commands) -> None:
    first, second = await two_closers(partitions, commands)
    assert not second.events("turn_taken")
    first.send_signal(signal.SIGTERM)
    assert await first.ended() == Exit.OK
    assert first.events("stopped", code=None, duty="closer")
    await second.logged("turn_taken")
    await partitions.reach(T0 + 3 * HOUR_US, T0 + 2 * HOUR_US)
    await partitions.closes(T0 + 2 * HOUR_US)
    second.send_signal(signal.SIGTERM)
    assert await second.ended() == Exit.OK


async def test_one_that_is_killed_in_the_middle_of_a_close_leaves_nothing_half_done(
    partitions: Partitions, commands: Commands
) -> None:
    first, second = await two_closers(partitions, commands)
    async with partitions.connection.transaction():
        await partitions.connection.execute("LOCK TABLE meter_watermark IN ACCESS EXCLUSIVE MODE")
        await partitions.reach(T0 + 5 * HOUR_US, T0 + 5 * HOUR_US)
        looking = await asyncpg.connect(partitions.dsn)

        async def waits() -> bool:
            return bool(await looking.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        assert await until(waits, deadline_s=30)
        first.kill()
        await looking.close()
    await second.logged("turn_taken")
    await partitions.closes(T0 + 5 * HOUR_US)


async def test_one_that_is_frozen_loses_its_turn_and_waits_for_the_next(
    partitions: Partitions, commands: Commands
) -> None:
    first, second = await two_closers(partitions, commands)
    first.freeze()
    await second.logged("turn_taken")
    await partitions.reach(T0 + 2 * HOUR_US, T0 + 2 * HOUR_US)
    await partitions.closes(T0 + 2 * HOUR_US)
    first.thaw()
    await first.logged("turn_lost")
    waiting = await first.logged("waiting_for_turn")
    assert waiting["holder"] == "metering closer second"


async def test_a_single_run_closes_what_can_be_closed(partitions: Partitions, commands: Commands) -> None:
    await commands.run("close", "--once")  # no partition has a record: there is nothing to do
    assert await finality.closing(partitions.connection) is None
    await partitions.reach(T0, T0)
    await commands.run("close", "--once")
    await partitions.closes(T0)
    (line,) = (await commands.run("finality", "--json")).splitlines()
    assert json.loads(line) == {
        "meter": "calls",
        "version": 1,
        "final_before": "2026-09-21T13:00:00Z",
        "next_end": "2026-09-21T14:00:00Z",
        "needed_log_time": "2026-09-21T14:15:00Z",
        "waiting_for": "time",
        "partition": 0,
        "frontier": "2026-09-21T14:00:00Z",
        "missing_s": 900.0,
        "overdue_s": 0.0,
        "closing": "2026-09-21T14:00:00Z",
        "closer": None,
    }
    assert "No closer is at work" in await commands.run("finality")


async def test_a_single_run_is_done_when_the_one_at_work_has_done_it(
    partitions: Partitions, commands: Commands
) -> None:
    first, _ = await two_closers(partitions, commands)
    await commands.run("close", "--once")
    first.freeze()  # it keeps its turn for a while, and does nothing with it
    await partitions.reach(T0 + 2 * HOUR_US, T0 + 2 * HOUR_US)
    await commands.run("close", "--once")
    await partitions.closes(T0 + 2 * HOUR_US)


async def test_a_schema_that_is_not_set_up_is_said_so(database: str, commands: Commands) -> None:
    commands.environment["METERING_POSTGRES_DSN"] = database
    assert await commands.start("close", "--once").ended() == Exit.UNREACHABLE
    refused = commands.start("close", METERING_POSTGRES_ROLE="nobody_like_that")
    assert await refused.ended() == Exit.UNREACHABLE
    assert "postgres_refused" in refused.log.read_text()


async def test_who_waits_is_ready_and_who_has_no_database_is_not(
    own_postgres: PostgresServer, commands: Commands
) -> None:
    """A restart of the server while closing: both find it again, one of them goes on."""
    partitions = await Partitions.make(own_postgres.dsn())
    commands.environment.update(partitions.environment)
    await partitions.reach(T0, T0)
    probed = {"METERING_ADMIN_PORT": "0"}
    first, second = (commands.start("close", **probed), commands.start("close", **probed))
    ports = [(await one.logged("admin_listening"))["port"] for one in (first, second)]

    async def are_ready() -> bool:
        return [(await asked(port, "/readyz"))[0] for port in ports] == [200, 200]

    assert await until(are_ready, deadline_s=30)
    assert (await asked(ports[0], "/healthz"))[0] == 200
    assert len(first.events("turn_taken")) + len(second.events("turn_taken")) == 1
    await partitions.closes(T0)
    await own_postgres.stop()
    for one, port in zip((first, second), ports, strict=True):
        await one.logged("server_away")
        status, said = await asked(port, "/readyz")
        assert (status, "database" in said["reasons"]) == (503, True)
    await own_postgres.start()
    partitions.connection.terminate()
    partitions = await Partitions.again(own_postgres.dsn())
    await partitions.reach(T0 + 2 * HOUR_US, T0 + 2 * HOUR_US)
    await partitions.closes(T0 + 2 * HOUR_US)
    assert await until(are_ready, deadline_s=30)
    assert await turns.holder(partitions.connection, "closer") is not None
    for one in (first, second):
        one.send_signal(signal.SIGTERM)
    assert await asyncio.gather(first.ended(), second.ended()) == [Exit.OK, Exit.OK]
    partitions.connection.terminate()


async def test_a_step_measures_how_far_finality_is_behind(partitions: Partitions) -> None:
    """The next window ends an hour after T0 and waits a quarter more; one partition is only half-way."""
    instruments = make_telemetry(NoOpMeterProvider(), NoOpTracerProvider()).instruments
    turn = Turn(partitions.connection, instruments, asyncio.Event())
    await partitions.reach(T0 + 2 * HOUR_US, T0 + HOUR_US // 2)
    assert not await Closer(Settings()).step(turn)
    values = {
        (name, *(value for _, value in labels)): seconds
        for name, measured in instruments._gauges.items()
        for labels, seconds in measured.items()
    }
    assert values == {
        ("metering.closing.timestamp",): (T0 + HOUR_US // 2) / 1e6,
        ("metering.frontier.behind", "0"): 0,
        ("metering.frontier.behind", "1"): 5_400,
        ("metering.finality.delay", "calls"): 7_200,
        ("metering.finality.overdue", "calls"): 2_700,
    }


@pytest.mark.usefixtures("partitions")
async def test_one_that_waits_ends_at_once_when_told(commands: Commands) -> None:
    first = commands.start("close")
    await first.logged("turn_taken")
    second = commands.start("close", "--once", METERING_SESSION_TIMEOUT_S="60")
    assert await second.ended() == Exit.OK  # no partition has a record: nothing is left to wait for
    third = commands.start("close")
    await third.logged("waiting_for_turn")
    third.send_signal(signal.SIGTERM)
    assert await third.ended() == Exit.OK
    assert third.events("stopped", steps=0)
