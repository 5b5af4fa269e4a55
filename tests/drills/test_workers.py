"""Workers that are killed, frozen, or not there."""

from drills.drill import Drill


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
