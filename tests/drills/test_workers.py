"""Workers that are killed, frozen, or not there."""

from drills.drill import Drill
from drills.system import TOPIC
from faults.administering import Administrator

from metering.dev.conditions import until


async def test_worker_killed(drill: Drill) -> None:
    """Another takes its partitions, so nobody is hurt."""
    killed, _ = drill.system.start("worker", "worker")
    await drill.all_is_well()
    await drill.fires("MeteringNotScraped", killed.kill)
    await drill.clears(killed.start, command=killed.command)


async def test_no_worker(drill: Drill) -> None:
    (worker,) = drill.system.start("worker")
    await drill.all_is_well()
    await drill.fires(
        "MeteringNoWorker",
        worker.kill,
        consequences={"MeteringNotScraped", "MeteringPartitionLate"},
        doctor={"partitions"},
    )
    await drill.clears(worker.start, command=worker.command)


async def test_worker_frozen(drill: Drill) -> None:
    """It keeps its connection and its partitions; only that nothing moves gives it away."""
    (worker,) = drill.system.start("worker")
    await drill.all_is_well()
    await drill.fires(
        "MeteringPartitionStalled",
        worker.freeze,
        consequences={"MeteringNotScraped", "MeteringNoWorker", "MeteringFinalityBlocked"},
        doctor={"partitions"},
    )
    await drill.clears(lambda: (worker.kill(), worker.start()), command=worker.command)


async def test_partition_stopped(drill: Drill) -> None:
    """Retention has deleted what nobody counted: a person books it as lost."""
    system = drill.system
    (worker,) = system.start("worker")
    await drill.all_is_well()
    worker.kill()
    async with system.database() as connection:
        next_offset = await connection.fetchval(
            "SELECT next_offset FROM ingest_partition WHERE partition = 0"
        )
    begins = next_offset + 20

    async def deleted() -> None:
        async def grown() -> bool:
            return await system.end_offset(0) > begins

        assert await until(grown, deadline_s=60)
        await Administrator(system.kafka.address, TOPIC).delete_records({0: begins})
        worker.start()

    async def decided() -> None:
        await system.run(f"metering partition skip 0 --to {begins} --reason drill")
        worker.kill()
        worker.start()

    await drill.fires(
        "MeteringPartitionStopped",
        deleted,
        consequences={
            "MeteringDataLost",
            "MeteringNotReady",
            "MeteringFinalityBlocked",
            "MeteringNotScraped",
            "MeteringNoWorker",
            "MeteringPartitionUnowned",
        },
        doctor={"stops"},
    )
    await drill.clears(decided, command="metering partition skip")
