"""The observer goes on to report while a server is away: which one, and nothing that it cannot know."""

from integration.closer.partitions import T0, Partitions
from support.processes import Commands
from support.telemetry import Samples, scraped

from metering.cli.exits import Exit
from metering.dev.conditions import until
from metering.dev.postgres.server import PostgresServer

DATABASE = ("metering_server_up", (("server", "database"),))
BROKERS = ("metering_server_up", (("server", "brokers"),))
AT_WORK = ("metering_at_work", (("duty", "observer"),))
OF_THE_DATABASE = {"metering_partition_owned", "metering_duty_held", "metering_frontier_timestamp_seconds"}


def names(seen: Samples) -> set[str]:
    return {name for name, _ in seen}


async def sees(port: int, *, database: bool, brokers: bool, at_work: bool) -> Samples:
    """Wait until it says so, and give all that it says then."""
    seen: Samples = {}

    async def is_said() -> bool:
        nonlocal seen
        seen = await scraped(port)
        said = (seen.get(DATABASE), seen.get(BROKERS), seen.get(AT_WORK))
        return said == (database, brokers, at_work) and at_work is (names(seen) >= OF_THE_DATABASE)

    assert await until(is_said, deadline_s=60), seen
    return seen


async def test_whichever_server_is_away_is_said_and_what_it_knew_is_forgotten(
    own_postgres: PostgresServer, kafka_bootstrap: str, commands: Commands
) -> None:
    partitions = await Partitions.make(own_postgres.dsn())
    await partitions.reach(T0, T0)
    commands.environment.update(partitions.environment)
    commands.environment |= {
        "METERING_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "METERING_OBSERVE_INTERVAL_S": "0.2",
        "METERING_ADMIN_PORT": "0",
    }
    observer = commands.start("observe")
    await observer.logged("turn_taken")
    alone = commands.start("observe", METERING_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    ports = [(await one.logged("admin_listening"))["port"] for one in (observer, alone)]
    await sees(ports[0], database=True, brokers=True, at_work=True)
    waiting = await sees(ports[1], database=True, brokers=False, at_work=False)
    assert not names(waiting) & OF_THE_DATABASE, "who waits for a turn leaves it to the one at work"
    partitions.connection.terminate()

    await own_postgres.stop()
    seen = await sees(ports[0], database=False, brokers=True, at_work=False)
    assert not names(seen) & OF_THE_DATABASE
    late_comer = commands.start("observe")
    seen = await sees(
        (await late_comer.logged("admin_listening"))["port"], database=False, brokers=True, at_work=False
    )
    observer.kill()
    late_comer.kill()
    await own_postgres.start()
    await sees(ports[1], database=True, brokers=False, at_work=True)


async def test_a_single_look_ends(own_postgres: PostgresServer, commands: Commands) -> None:
    partitions = await Partitions.make(own_postgres.dsn())
    partitions.connection.terminate()
    commands.environment.update(partitions.environment)
    commands.environment["METERING_KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    once = commands.start("observe", "--once")
    assert await once.ended(deadline_s=90) == Exit.OK
    assert once.events("stopped", duty="observer", steps=1, code=None)
    assert once.events("group_state", state="no_owner", partitions=[0, 1])
