"""Workers that are killed, frozen, or not there."""

import pytest
from drills.drill import Drill
from drills.rehearsal import Rehearsal
from drills.system import CATALOG, PARTITIONS, TOPIC, System
from faults.administering import Administrator
from support.proxy import Proxy

from metering.dev.conditions import until


@pytest.mark.drill(Drill("MeteringNotScraped", act=["metering worker"]))
async def test_worker_killed(rehearsal: Rehearsal) -> None:
    """Another takes its partitions, so nobody is hurt."""
    killed, _ = rehearsal.system.start("worker", "worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(killed.kill)
    await rehearsal.clears()


@pytest.mark.drill(
    Drill(
        "MeteringNoWorker",
        doctor={"partitions"},
        console="without an owner",
        act=["metering worker"],
        consequences={"MeteringNotScraped", "MeteringPartitionLate"},
    )
)
async def test_no_worker(rehearsal: Rehearsal) -> None:
    (worker,) = rehearsal.system.start("worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(worker.kill)
    await rehearsal.clears()


@pytest.mark.drill(
    Drill(
        "MeteringPartitionUnowned",
        doctor={"partitions"},
        console="without an owner",
        act=["metering worker"],
        consequences={
            "MeteringNotScraped",
            "MeteringFinalityBlocked",
            "MeteringPartitionLate",
            "MeteringNotReady",  # the new worker, while the group waits once more for the dead one
        },
    )
)
async def test_partition_unowned(rehearsal: Rehearsal) -> None:
    """The group was told to wait ten minutes for a worker that is dead."""
    (survivor,) = rehearsal.system.start("worker")
    await survivor.process.logged("partitions_claimed", deadline_s=120)  # who is there hears of who joins
    (dead,) = rehearsal.system.start("worker", METERING_SESSION_TIMEOUT_S="600")
    await dead.process.logged("partitions_claimed", deadline_s=120)
    await rehearsal.all_is_well()
    await rehearsal.fires(dead.kill)
    await rehearsal.clears()


@pytest.mark.drill(
    Drill(
        "MeteringPartitionLate",
        doctor={"late"},
        console="What is counted is more than two minutes older",
        act=["kill PID", "metering worker"],
        consequences={"MeteringNotScraped", "MeteringNoWorker"},
    )
)
async def test_partition_late(rehearsal: Rehearsal) -> None:
    """Somebody has set flushes so small that each, far from its database, takes longer than its records."""
    system = rehearsal.system
    way = Proxy(system.postgres.port)
    await way.listen()
    try:
        (worker,) = system.start("worker", METERING_POSTGRES_DSN=system.postgres.dsn(port=way.port))
        await rehearsal.all_is_well()

        async def backlog() -> None:
            way.latency_s = 0.05
            worker.kill()
            worker.set(METERING_FLUSH_RECORDS="4")
            worker.start()

            async def nearly_late() -> bool:
                return bool(await rehearsal.prometheus.query("max(metering_lag_time_seconds) > 110"))

            assert await until(nearly_late, deadline_s=400)

        await rehearsal.fires(backlog)
        worker.set(METERING_FLUSH_RECORDS="")  # as if it were not set
        await rehearsal.clears(PID=worker.process.pid)
    finally:
        await way.close()


@pytest.mark.drill(
    Drill(
        "MeteringPartitionRewound",
        doctor={"stops"},
        console="log_replaced",
        act=[
            "metering migrate",
            "metering topics apply",
            "metering catalog apply",
            "metering worker",
            "metering close",
            "metering rate",
            "metering observe",
            "metering prove",
            "metering api",
        ],
        consequences={
            "MeteringPartitionStopped",
            "MeteringNotReady",
            "MeteringLedgerBroken",
            "MeteringObserverDead",  # all are ended, and start again in the new schema
            "MeteringDutyDead",
            "MeteringNoWorker",
            "MeteringNotScraped",
            "MeteringFinalityBlocked",
        },
    )
)
async def test_topic_made_anew(rehearsal: Rehearsal) -> None:
    """Somebody deletes the topic, and makes it once more: a person hands over to a schema that counts it."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()

    async def made_anew() -> None:
        await Administrator(system.kafka.address, TOPIC).delete_topic()
        await system.run("metering topics apply")

    def another_schema() -> None:
        for part in system.parts:
            part.kill()
        system.set(METERING_POSTGRES_SCHEMA="second")

    await rehearsal.fires(made_anew)
    await rehearsal.clears(another_schema, FILE=system.write("catalog.yaml", CATALOG))


@pytest.mark.drill(
    Drill(
        "MeteringPartitionStopped",
        doctor={"partition_count", "stops"},
        console="partition_count_changed",
        act=[
            "metering migrate",
            "metering topics apply",
            "metering catalog apply",
            "metering close",
            "metering rate",
            "metering observe",
            "metering prove",
            "metering api",
            "metering worker",
        ],
        consequences={
            "MeteringNoWorker",
            "MeteringNotScraped",
            "MeteringPartitionLate",
            "MeteringObserverDead",  # all are ended, and start again in the new schema
            "MeteringDutyDead",
            "MeteringNotReady",
        },
    )
)
async def test_partitions_added(rehearsal: Rehearsal) -> None:
    """Somebody gives the topic one more: a person hands over to a topic and a schema that have as many."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()

    def another_topic_and_schema() -> None:
        for part in system.parts:
            part.kill()
        system.take_topic("usage.second", PARTITIONS + 1)
        system.set(METERING_POSTGRES_SCHEMA="second")

    await rehearsal.fires(lambda: Administrator(system.kafka.address, TOPIC).set_partitions(PARTITIONS + 1))
    await rehearsal.clears(another_topic_and_schema, FILE=system.write("catalog.yaml", CATALOG))

    async def all_are_counted() -> bool:
        ok = f'count(metering_partition_state{{state="ok"}} == 1) == {PARTITIONS + 1}'
        return bool(await rehearsal.prometheus.query(ok))

    assert await until(all_are_counted, deadline_s=120)


@pytest.mark.drill(
    Drill(
        "MeteringPartitionStalled",
        doctor={"partitions"},
        console="stalled: there are records to count",
        act=["kill -9", "metering worker"],
        consequences={"MeteringNotScraped", "MeteringNoWorker", "MeteringFinalityBlocked"},
    )
)
async def test_worker_frozen(rehearsal: Rehearsal) -> None:
    """It keeps its connection and its partitions; only that nothing moves gives it away."""
    (worker,) = rehearsal.system.start("worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(worker.freeze)
    await rehearsal.clears(PID=worker.process.pid)


@pytest.mark.drill(
    Drill(
        "MeteringPartitionStopped",
        doctor={"stops"},
        console="offset_out_of_range",
        act=["metering partition skip", "kill PID", "metering worker"],
        consequences={
            "MeteringDataLost",
            "MeteringNotReady",
            "MeteringFinalityBlocked",
            "MeteringNotScraped",
            "MeteringNoWorker",
            "MeteringPartitionUnowned",
        },
    )
)
async def test_partition_stopped(rehearsal: Rehearsal) -> None:
    """Retention has deleted what nobody counted: a person books it as lost."""
    system = rehearsal.system
    (worker,) = system.start("worker")
    await rehearsal.all_is_well()
    worker.kill()
    begins = await beyond_what_is_counted(system)

    async def deleted() -> None:
        await Administrator(system.kafka.address, TOPIC).delete_records({0: begins})
        worker.start()

    await rehearsal.fires(deleted)
    await rehearsal.clears(PARTITION=0, OFFSET=begins, WHY="drill", PID=worker.process.pid)


@pytest.mark.drill(
    Drill(
        "MeteringDataLost",
        doctor={"data_loss"},
        console="without an owner",
        act=["metering partition skip", "metering worker"],
        consequences={
            "MeteringNoWorker",
            "MeteringNotScraped",
            "MeteringPartitionLate",
            "MeteringFinalityBlocked",
        },
    )
)
async def test_data_lost(rehearsal: Rehearsal) -> None:
    """No worker was there for as long as the log is kept: known before one is back to find it."""
    system = rehearsal.system
    (worker,) = system.start("worker")
    await rehearsal.all_is_well()
    worker.kill()
    begins = await beyond_what_is_counted(system)
    await rehearsal.fires(lambda: Administrator(system.kafka.address, TOPIC).delete_records({0: begins}))
    await rehearsal.clears(PARTITION=0, OFFSET=begins, WHY="drill")


async def beyond_what_is_counted(system: System) -> int:
    """An offset of partition 0 that nobody has counted, once its log has come so far."""
    async with system.database() as connection:
        next_offset = await connection.fetchval(
            "SELECT next_offset FROM ingest_partition WHERE partition = 0"
        )
    begins: int = next_offset + 20

    async def grown() -> bool:
        return await system.end_offset(0) > begins

    assert await until(grown, deadline_s=60)
    return begins
