"""Storms and silences of producers."""

import time
from collections.abc import Sequence

import pytest
from drills.drill import Drill
from drills.rehearsal import Rehearsal
from drills.system import CATALOG, Make
from faults.traffic import Sent
from oracle.logs import rfc3339

from metering.dev.conditions import until

HOUR_US = 3_600_000_000


@pytest.mark.drill(Drill("MeteringPoisonStorm", doctor={"refused"}, console="not_json"))
async def test_poison_storm(rehearsal: Rehearsal) -> None:
    await storm(rehearsal, lambda count: [Sent(b"subject-1", b"{")] * count)


@pytest.mark.drill(Drill("MeteringConflictStorm", doctor={"refused"}, console=" conflict"))
async def test_conflict_storm(rehearsal: Rehearsal) -> None:
    system = rehearsal.system
    await storm(rehearsal, lambda count: system.copies(count, data={"n": 2, "model": "large"}))


@pytest.mark.drill(Drill("MeteringDuplicateStorm", doctor={"copies"}, console="copies arrived, and"))
async def test_duplicate_storm(rehearsal: Rehearsal) -> None:
    system = rehearsal.system
    await storm(rehearsal, lambda count: system.copies(count) * 5)


@pytest.mark.drill(Drill("MeteringProducerClockAhead", doctor={"refused"}, console="in_future"))
async def test_clock_skew_of_a_producer(rehearsal: Rehearsal) -> None:
    system = rehearsal.system

    def ahead(count: int) -> Sequence[Sent]:
        return system.events(count, time=rfc3339(time.time_ns() // 1000 + HOUR_US))

    await storm(rehearsal, ahead)


@pytest.mark.drill(
    Drill("MeteringCardinalityExplosion", doctor={"other_groups"}, console="were counted in the series")
)
async def test_cardinality_explosion(rehearsal: Rehearsal) -> None:
    """An id has got into a field that a meter groups by."""
    system = rehearsal.system

    def exploding(count: int) -> Sequence[Sent]:
        return [
            one
            for number in range(count)
            for one in system.events(
                1, subject="subject-1", data={"n": 1, "model": f"{time.time_ns()}-{number}"}
            )
        ]

    await storm(rehearsal, exploding)


@pytest.mark.drill(
    Drill(
        "MeteringMeterCannotRead", doctor={"refused"}, console="value_missing", act=["metering catalog apply"]
    )
)
async def test_catalog_with_an_error(rehearsal: Rehearsal) -> None:
    """A meter is told to read a field that no event has."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    wrong = CATALOG.replace("value: n", "value: amount")
    assert wrong != CATALOG

    async def in_force() -> None:
        await system.apply_catalog(wrong)

        async def cannot_read() -> bool:
            return bool(await rehearsal.prometheus.query('metering_meter_events_total{outcome="error"} > 0'))

        assert await until(cannot_read, deadline_s=120)

    await rehearsal.fires(in_force)
    await rehearsal.clears(FILE=system.write("catalog.yaml", CATALOG))


@pytest.mark.drill(Drill("MeteringSourceSilent", doctor={"silence"}, console="had no events for longer"))
async def test_source_silent(rehearsal: Rehearsal) -> None:
    """A meter that had events every second has none; by the log's time that is known after a minute."""
    system = rehearsal.system
    system.start("worker")
    await system.storm(lambda count: system.events(count, type="upload"))
    await rehearsal.all_is_well()

    async def has_a_past() -> bool:
        return bool(await rehearsal.prometheus.query('metering_meter_silent{meter="uploads"} == 0'))

    assert await until(has_a_past, deadline_s=180)
    await rehearsal.fires(system.end_storm, within_s=100)
    await rehearsal.clears(lambda: system.storm(lambda count: system.events(count, type="upload")))


async def storm(rehearsal: Rehearsal, make: Make) -> None:
    """A producer begins to send such records beside the others, and stops."""
    system = rehearsal.system
    system.start("worker")
    await rehearsal.all_is_well()
    await rehearsal.fires(lambda: system.storm(make))
    await rehearsal.clears(system.end_storm)
