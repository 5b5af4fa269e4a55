"""Servers that are away, or slow, or that somebody cannot get to."""

from pathlib import Path
from secrets import token_hex

import pytest
from drills.drill import Drill
from drills.rehearsal import Rehearsal
from drills.system import TOPIC
from faults.administering import Administrator
from support.certificates import Authority
from support.proxy import Proxy
from support.tls import TlsFront

from metering.dev.conditions import until


@pytest.mark.drill(Drill("MeteringPostgresDown", doctor={"postgres"}, console="database_unavailable"))
async def test_postgres_down(rehearsal: Rehearsal) -> None:
    rehearsal.system.start("worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(rehearsal.system.postgres.kill)
    await rehearsal.clears(rehearsal.system.postgres.start)


@pytest.mark.drill(Drill("MeteringKafkaDown", doctor={"kafka"}, console="kafka is away"))
async def test_kafka_down(rehearsal: Rehearsal) -> None:
    rehearsal.system.start("worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(rehearsal.system.kafka.kill)
    await rehearsal.clears(rehearsal.system.kafka.start)


@pytest.mark.drill(Drill("MeteringPostgresSlow", doctor={"speed"}, console="The database takes"))
async def test_postgres_slow(rehearsal: Rehearsal) -> None:
    """Each of its answers takes long, and no one of them too long."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()

    def takes(latency_s: float) -> None:
        system.proxy.latency_s = latency_s

    await rehearsal.fires(lambda: takes(0.25))
    await rehearsal.clears(lambda: takes(0))


@pytest.mark.drill(
    Drill(
        "MeteringDataLossNear",
        doctor={"topic_config", "retention"},
        console="events may be",
        act=["metering topics apply"],
    )
)
async def test_retention_short(rehearsal: Rehearsal) -> None:
    """Somebody shortens it, as for a disk that is filling."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    somebody = Administrator(system.kafka.address, TOPIC)
    await rehearsal.fires(lambda: somebody.set_config("retention.ms", "3600000"))
    await rehearsal.clears()


@pytest.mark.drill(
    Drill(
        "MeteringNoWorker",
        doctor={"partitions"},
        console="without an owner",
        act=["metering worker"],
        consequences={"MeteringNotScraped", "MeteringNotReady"},
    )
)
async def test_wrong_password(rehearsal: Rehearsal) -> None:
    """A login's password is changed, and the sessions that it had end."""
    system = rehearsal.system
    async with system.database() as owner:
        await owner.execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'right'")
        dsn = f"postgresql://app:right@127.0.0.1:{system.proxy.port}/postgres"
        (worker,) = system.start("worker", METERING_POSTGRES_DSN=dsn)
        await rehearsal.all_is_well()

        async def changed() -> None:
            await owner.execute("ALTER ROLE app PASSWORD 'other'")
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
            )

        await rehearsal.fires(changed)
        worker.set(METERING_POSTGRES_DSN=dsn.replace("right", "other"))
        await rehearsal.clears()


@pytest.mark.drill(Drill("MeteringPostgresDown", doctor={"postgres"}, console="database_unavailable"))
async def test_expired_certificate(rehearsal: Rehearsal, tmp_path: Path) -> None:
    """The database's certificate ends, and nobody who checks it logs in any more."""
    system = rehearsal.system
    authority = Authority(tmp_path)
    good, expired = authority.certificate("good", days=1), authority.certificate("expired", days=-1)
    front = TlsFront(system.proxy.port, good)
    await front.listen()
    try:
        system.start("worker")
        system.start_all_again(
            METERING_POSTGRES_DSN=f"{system.postgres.dsn(port=front.port)}"
            f"?sslmode=verify-full&sslrootcert={authority.file}"
        )
        await rehearsal.all_is_well()

        def shows(certificate: tuple[Path, Path]) -> None:
            front.certificate = certificate
            system.proxy.cut()

        await rehearsal.fires(lambda: shows(expired))
        await rehearsal.clears(lambda: shows(good))
    finally:
        await front.close()


@pytest.mark.drill(
    Drill(
        "MeteringNotReady",
        doctor={"partitions"},
        console="without an owner",
        act=["kill PID", "metering worker"],
        consequences={
            "MeteringNotScraped",
            "MeteringPartitionUnowned",
            "MeteringPartitionStalled",
            "MeteringPostgresSlow",
            "MeteringFinalityBlocked",
        },
    )
)
async def test_network_that_lets_one_worker_down(rehearsal: Rehearsal) -> None:
    """It keeps its place in the group, and cannot get at the database."""
    system = rehearsal.system
    way = Proxy(system.postgres.port)
    await way.listen()
    try:
        system.start("worker")
        (cut_off,) = system.start("worker", METERING_POSTGRES_DSN=system.postgres.dsn(port=way.port))
        await rehearsal.all_is_well()

        def broken() -> None:
            way.refuse()
            way.cut()

        await rehearsal.fires(broken)
        cut_off.set(METERING_POSTGRES_DSN=system.postgres.dsn(port=system.proxy.port))
        await rehearsal.clears(PID=cut_off.process.pid)
    finally:
        await way.close()


@pytest.mark.drill(
    Drill(
        "MeteringOutboxStuck",
        doctor={"topic_config"},
        console="config max.message.bytes",
        act=["metering topics apply"],
        consequences={"MeteringFinalityBlocked", "MeteringNotReady"},
    )
)
async def test_topic_that_takes_only_short_records(rehearsal: Rehearsal) -> None:
    """A long one lies in the wrong partition: better compressed by its producer than by a worker."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    somebody = Administrator(system.kafka.address, TOPIC)

    async def misplaced() -> None:
        await somebody.set_config("max.message.bytes", "3000")
        await system.misplace(system.events(1, data={"n": 1, "model": "small", "note": token_hex(2000)}))

        async def waits() -> bool:
            return bool(await rehearsal.prometheus.query("max(metering_outbox_pending) > 0"))

        assert await until(waits, deadline_s=60)

    await rehearsal.fires(misplaced)
    await rehearsal.clears()
