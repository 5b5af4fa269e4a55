"""Servers that are away, or slow."""

from drills.drill import Drill
from drills.system import TOPIC
from faults.administering import Administrator


async def test_postgres_down(drill: Drill) -> None:
    drill.system.start("worker")
    await drill.all_is_well()
    await drill.fires("MeteringPostgresDown", drill.system.postgres.kill, doctor={"postgres"})
    await drill.clears(drill.system.postgres.start)


async def test_kafka_down(drill: Drill) -> None:
    drill.system.start("worker")
    await drill.all_is_well()
    await drill.fires("MeteringKafkaDown", drill.system.kafka.kill, doctor={"kafka"})
    await drill.clears(drill.system.kafka.start)


async def test_postgres_slow(drill: Drill) -> None:
    """Each of its answers takes long, and no one of them too long."""
    system = drill.system
    system.start("worker")
    await drill.all_is_well()

    def takes(latency_s: float) -> None:
        system.proxy.latency_s = latency_s

    await drill.fires("MeteringPostgresSlow", lambda: takes(0.25), doctor={"speed"})
    await drill.clears(lambda: takes(0))


async def test_retention_short(drill: Drill) -> None:
    """Somebody shortens it, as for a disk that is filling."""
    system = drill.system
    system.start("worker")
    await drill.all_is_well()
    somebody = Administrator(system.kafka.address, TOPIC)
    await drill.fires(
        "MeteringDataLossNear",
        lambda: somebody.set_config("retention.ms", "3600000"),
        doctor={"topic_config", "retention"},
    )
    command = "metering topics apply"
    await drill.clears(lambda: system.run(command), command=command)


async def test_wrong_password(drill: Drill) -> None:
    """A login's password is changed, and the sessions that it had end."""
    system = drill.system
    async with system.database() as owner:
        await owner.execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'right'")
        dsn = f"postgresql://app:right@127.0.0.1:{system.proxy.port}/postgres"
        (worker,) = system.start("worker", METERING_POSTGRES_DSN=dsn)
        await drill.all_is_well()

        async def changed() -> None:
            await owner.execute("ALTER ROLE app PASSWORD 'other'")
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
            )

        await drill.fires(
            "MeteringNoWorker",
            changed,
            consequences={"MeteringNotScraped", "MeteringNotReady"},
            doctor={"partitions"},
        )
        worker.kill()
        right = f"postgresql://app:other@127.0.0.1:{system.proxy.port}/postgres"
        await drill.clears(lambda: worker.start(METERING_POSTGRES_DSN=right), command=worker.command)
