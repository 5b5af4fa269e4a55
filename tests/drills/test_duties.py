"""What becomes final, and what holds it back."""

from collections.abc import Collection

import pytest
from drills.drill import Drill
from drills.rehearsal import Rehearsal

from metering.dev.conditions import until
from metering.telemetry.kinds import Process

HOLD = "SELECT 1 FROM ingest_partition WHERE partition = $1 FOR UPDATE"


def dead(kind: Process, command: str, doctor: Collection[str]) -> pytest.MarkDecorator:
    """Nobody waits to take over."""
    return pytest.mark.drill(
        Drill(
            "MeteringDutyDead",
            doctor=doctor,
            console=f"{kind} nobody",
            act=[command],
            consequences={"MeteringNotScraped"},
        )
    )


@dead("closer", "metering close", {"closer", "duties"})
async def test_closer_dead(rehearsal: Rehearsal) -> None:
    await dies(rehearsal, "closer")


@dead("rater", "metering rate", {"duties"})
async def test_rater_dead(rehearsal: Rehearsal) -> None:
    await dies(rehearsal, "rater")


@dead("auditor", "metering prove", {"auditor"})
async def test_auditor_dead(rehearsal: Rehearsal) -> None:
    await dies(rehearsal, "auditor")


@pytest.mark.drill(
    Drill(
        "MeteringObserverDead",
        doctor={"observer"},
        console="observer nobody",
        act=["metering observe"],
        consequences={"MeteringNotScraped"},
    )
)
async def test_observer_dead(rehearsal: Rehearsal) -> None:
    await dies(rehearsal, "observer")


async def dies(rehearsal: Rehearsal, kind: Process) -> None:
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(next(part for part in system.parts if part.kind == kind).kill)
    await rehearsal.clears()


@pytest.mark.drill(
    Drill(
        "MeteringFinalityBlocked",
        doctor={"finality", "partitions", "blocking"},
        console="which lacks",
        consequences={
            "MeteringPartitionStalled",
            "MeteringPartitionLate",
            "MeteringPostgresSlow",
            "MeteringNotReady",
        },
    )
)
async def test_finality_blocked_by_one_partition(rehearsal: Rehearsal) -> None:
    """Somebody's open transaction holds its row; the window of a minute ends, and all others are past it."""
    system = rehearsal.system
    system.start(*["worker"] * 4)
    await rehearsal.all_is_well()
    async with system.database() as somebody:
        transaction = somebody.transaction()

        async def held() -> None:
            await transaction.start()
            await somebody.execute(HOLD, 3)

            async def overdue() -> bool:
                return bool(await rehearsal.prometheus.query("max(metering_finality_overdue_seconds) > 5"))

            assert await until(overdue, deadline_s=120)

        await rehearsal.fires(held)
        await rehearsal.clears(transaction.rollback)
