"""What becomes final, and what holds it back."""

import pytest
from drills.drill import Drill

from metering.dev.conditions import until

HOLD = "SELECT 1 FROM ingest_partition WHERE partition = $1 FOR UPDATE"


@pytest.mark.parametrize(
    ("duty", "doctor"),
    [("closer", {"closer"}), ("rater", set()), ("auditor", {"auditor"})],
    ids=["closer", "rater", "auditor"],
)
async def test_duty_dead(drill: Drill, duty: str, doctor: set[str]) -> None:
    """Nobody waits to take over. The doctor finds no fault with a rater that has nothing to rate."""
    system = drill.system
    system.start("worker")
    await drill.all_is_well()
    holder = next(part for part in system.parts if part.kind == duty)
    await drill.fires("MeteringDutyDead", holder.kill, consequences={"MeteringNotScraped"}, doctor=doctor)
    await drill.clears(holder.start, command=holder.command)


async def test_observer_dead(drill: Drill) -> None:
    system = drill.system
    system.start("worker")
    await drill.all_is_well()
    observer = next(part for part in system.parts if part.kind == "observer")
    await drill.fires(
        "MeteringObserverDead", observer.kill, consequences={"MeteringNotScraped"}, doctor={"observer"}
    )
    await drill.clears(observer.start, command=observer.command)


async def test_finality_blocked_by_one_partition(drill: Drill) -> None:
    """Somebody's open transaction holds its row; the window of a minute ends, and all others are past it."""
    system = drill.system
    system.start(*["worker"] * 4)
    await drill.all_is_well()
    async with system.database() as somebody:
        transaction = somebody.transaction()

        async def held() -> None:
            await transaction.start()
            await somebody.execute(HOLD, 3)

            async def overdue() -> bool:
                return bool(await drill.prometheus.query("max(metering_finality_overdue_seconds) > 5"))

            assert await until(overdue, deadline_s=120)

        await drill.fires(
            "MeteringFinalityBlocked",
            held,
            consequences={
                "MeteringPartitionStalled",
                "MeteringPartitionLate",
                "MeteringPostgresSlow",
                "MeteringNotReady",
            },
            doctor={"finality", "partitions"},
        )
        await drill.clears(transaction.rollback)
