"""Storms and silences of producers."""

import time
from collections.abc import Sequence

from drills.drill import Drill
from drills.system import CATALOG, Make
from faults.traffic import Sent
from oracle.logs import rfc3339

from metering.dev.conditions import until

HOUR_US = 3_600_000_000


async def test_poison_storm(drill: Drill) -> None:
    await storm(drill, "MeteringPoisonStorm", lambda count: [Sent(b"subject-1", b"{")] * count, "refused")


async def test_conflict_storm(drill: Drill) -> None:
    system = drill.system
    await storm(
        drill,
        "MeteringConflictStorm",
        lambda count: system.copies(count, data={"n": 2, "model": "large"}),
        "refused",
    )


async def test_duplicate_storm(drill: Drill) -> None:
    system = drill.system
    await storm(drill, "MeteringDuplicateStorm", lambda count: system.copies(count) * 5, "copies")


async def test_clock_skew_of_a_producer(drill: Drill) -> None:
    system = drill.system

    def ahead(count: int) -> Sequence[Sent]:
        return system.events(count, time=rfc3339(time.time_ns() // 1000 + HOUR_US))

    await storm(drill, "MeteringProducerClockAhead", ahead, "refused")


async def test_cardinality_explosion(drill: Drill) -> None:
    """An id has got into a field that a meter groups by."""
    system = drill.system

    def exploding(count: int) -> Sequence[Sent]:
        return [
            one
            for number in range(count)
            for one in system.events(
                1, subject="subject-1", data={"n": 1, "model": f"{time.time_ns()}-{number}"}
            )
        ]

    await storm(drill, "MeteringCardinalityExplosion", exploding, "other_groups")


async def test_catalog_with_an_error(drill: Drill) -> None:
    """A meter is told to read a field that no event has."""
    system = drill.system
    system.start("worker")
    await drill.all_is_well()
    wrong = CATALOG.replace("value: n", "value: amount")
    assert wrong != CATALOG

    async def in_force() -> None:
        await system.apply_catalog(wrong)

        async def cannot_read() -> bool:
            return bool(await drill.prometheus.query('metering_meter_events_total{outcome="error"} > 0'))

        assert await until(cannot_read, deadline_s=120)

    await drill.fires("MeteringMeterCannotRead", in_force, doctor={"refused"})
    await drill.clears(lambda: system.apply_catalog(CATALOG), command="metering catalog apply")


async def test_source_silent(drill: Drill) -> None:
    """A meter that had events every second has none; by the log's time that is known after a minute."""
    system = drill.system
    system.start("worker")
    await system.storm(lambda count: system.events(count, type="upload"))
    await drill.all_is_well()

    async def has_a_past() -> bool:
        return bool(await drill.prometheus.query('metering_meter_silent{meter="uploads"} == 0'))

    assert await until(has_a_past, deadline_s=180)
    await drill.fires("MeteringSourceSilent", system.end_storm, doctor={"silence"}, within_s=100)
    await drill.clears(lambda: system.storm(lambda count: system.events(count, type="upload")))


async def storm(drill: Drill, alert: str, make: Make, doctor: str) -> None:
    """A producer begins to send such records beside the others, and stops."""
    system = drill.system
    system.start("worker")
    await drill.all_is_well()
    await drill.fires(alert, lambda: system.storm(make), doctor={doctor})
    await drill.clears(system.end_storm)
