"""What a close writes, and that the database believes no closer that is wrong."""

import asyncio

import asyncpg
import pytest
from integration.store.batches import METER_IDS, MINUTE_US, T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.applying.catalog_plan import plan
from aggregator.store import catalog, doctor, finality, load, turns
from aggregator.store.connection import Connection
from metering.dev.conditions import until
from schemas.catalog import Meter
from schemas.instant import HOUR_US

EVERY = set(METER_IDS.values())


async def test_nothing_is_final_before_every_partition_has_a_record(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken(time_us=T0 + 5 * HOUR_US)]))
    closed = await finality.close(store.worker)
    assert (closed.state.reached_us, closed.state.closing_us, list(closed.advanced)) == (None, None, [])
    assert (await store.rows("closing"), await store.rows("meter_watermark")) == (0, 0)


async def test_the_partition_furthest_behind_decides(store: Store) -> None:
    await store.flush(
        store.logs[0].batch([Spoken(time_us=T0 + 5 * HOUR_US)]),
        store.logs[1].batch([Spoken(time_us=T0 + 90 * MINUTE_US)]),
    )
    closed = await finality.close(store.worker)
    assert closed.state.closing_us == await finality.closing(store.worker) == T0 + 90 * MINUTE_US
    assert {mark.meter_version_id for mark in closed.advanced} == EVERY
    assert await finality.final_before(store.worker) == dict.fromkeys(EVERY, T0 + HOUR_US)
    assert closed.state == await finality.finality(store.worker)

    await store.flush(store.logs[1].batch([Spoken(time_us=T0 + 110 * MINUTE_US)]))
    closed = await finality.close(store.worker)
    assert (closed.state.closing_us, list(closed.advanced)) == (T0 + 110 * MINUTE_US, [])
    assert await finality.closing(store.worker) == T0 + 110 * MINUTE_US
    assert await finality.final_before(store.worker) == dict.fromkeys(EVERY, T0 + HOUR_US)


async def test_the_row_of_a_closing_stays_as_it_is_when_nothing_has_moved(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken()]), store.logs[1].batch([Spoken()]))
    await finality.close(store.worker)
    row = await store.owner.fetchrow("SELECT xmin::text, closed_at FROM closing")
    await finality.close(store.worker)
    assert await store.owner.fetchrow("SELECT xmin::text, closed_at FROM closing") == row


async def test_a_new_meter_version_is_closed_with_the_next_close(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken()]), store.logs[1].batch([Spoken()]))
    await finality.close(store.worker)
    daily = Meter(name="daily", event_type="usage", aggregation="count", window="1d", grace="2h")
    await _apply(store, daily)
    marks = await finality.final_before(store.worker)
    assert set(marks) == EVERY
    closed = await finality.close(store.worker)
    (mark,) = closed.advanced
    assert (mark.window_us, mark.grace_us) == (24 * HOUR_US, 2 * HOUR_US)
    assert mark.final_before_us == (T0 - 2 * HOUR_US) // (24 * HOUR_US) * (24 * HOUR_US)
    assert list((await finality.close(store.worker)).advanced) == []


async def test_one_that_closes_less_takes_nothing_back(store: Store) -> None:
    """A meter that is new goes by what was closed already, not by the little that was asked for."""
    await store.flush(*(log.batch([Spoken(time_us=T0 + 5 * HOUR_US)]) for log in store.logs.values()))
    await finality.close(store.worker)
    await _apply(store, Meter(name="new", event_type="usage", aggregation="count", window="1h", grace="1h"))
    closed = await finality.close(store.worker, until_us=T0)
    assert closed.state.closing_us == await finality.closing(store.worker) == T0 + 5 * HOUR_US
    assert [mark.final_before_us for mark in closed.advanced] == [T0 + 4 * HOUR_US]
    assert await doctor.checks(store.owner) == []


async def test_two_that_close_at_once_agree(store: Store, connected: Connect) -> None:
    await store.flush(store.logs[0].batch([Spoken()]), store.logs[1].batch([Spoken()]))
    closers = [await connected(role="metering_worker") for _ in range(4)]
    for minutes in range(30, 300, 30):
        moves = [log.batch([Spoken(time_us=T0 + minutes * MINUTE_US)]) for log in store.logs.values()]
        await asyncio.gather(store.flush(*moves), *map(finality.close, closers))
    closed = await finality.close(store.worker)
    assert closed.state.closing_us == T0 + 270 * MINUTE_US
    assert await finality.final_before(store.worker) == dict.fromkeys(EVERY, T0 + 4 * HOUR_US)


LIES = [
    "UPDATE closing SET log_time = log_time - interval '1 second'",
    "UPDATE closing SET log_time = log_time + interval '1 second'",
    "UPDATE closing SET log_time = 'infinity'",
    "DELETE FROM closing",
    "TRUNCATE closing",
    "UPDATE meter_watermark SET final_before = final_before - interval '1 hour'",
    "UPDATE meter_watermark SET final_before = final_before + interval '1 hour'",
    "UPDATE meter_watermark SET final_before = final_before + interval '1 second'",
    "UPDATE meter_watermark SET final_before = 'infinity'",
    "UPDATE meter_watermark SET window_length = '1 minute'",
    "UPDATE meter_watermark SET grace = '1 minute'",
    "UPDATE meter_watermark SET meter_version_id = 99 WHERE meter_version_id = 1",
    "DELETE FROM meter_watermark",
    "TRUNCATE meter_watermark",
    "INSERT INTO meter_watermark SELECT 99, window_length, grace, final_before FROM meter_watermark LIMIT 1",
]


@pytest.mark.parametrize("role", [None, "metering_owner", "metering_worker"])
async def test_what_is_final_can_be_neither_taken_back_nor_run_ahead(
    store: Store, connected: Connect, role: str | None
) -> None:
    for log in store.logs.values():
        await store.flush(log.batch([Spoken(time_us=T0 + 90 * MINUTE_US)]))
    await finality.close(store.worker)
    before = await _state(store.owner)
    liar = await connected(role=role)
    believed = [statement for statement in LIES if not await _is_refused(liar, statement)]
    assert believed == []
    assert await _state(store.owner) == before


async def test_a_first_closing_is_compared_with_the_frontiers_too(store: Store) -> None:
    lie = "INSERT INTO closing (log_time) VALUES ($1)"
    with pytest.raises(asyncpg.RestrictViolationError, match="not every frontier"):
        await store.worker.execute(lie, T0)
    await store.flush(store.logs[0].batch([Spoken()]))  # the other partition has no record yet
    with pytest.raises(asyncpg.RestrictViolationError, match="not every frontier"):
        await store.worker.execute(lie, T0)
    await store.flush(store.logs[1].batch([Spoken()]))
    await store.worker.execute(lie, T0)


async def test_a_turn_is_one_connections_until_that_is_gone(store: Store, connected: Connect) -> None:
    first, second = await connected(application_name="first"), await connected(role="metering_worker")
    assert await turns.holder(store.worker, "closer") is None
    assert await turns.take(first, "closer")
    assert not await turns.take(second, "closer")
    assert await turns.take(second, "rater")  # another duty
    holder = await turns.holder(store.worker, "closer")
    assert holder is not None
    assert holder.name == "first"
    await first.close()
    assert await until(lambda: turns.take(second, "closer"), deadline_s=20)


async def _apply(store: Store, meter: Meter) -> None:
    rules = await load.topic_rules(store.owner)
    async with catalog.exclusive(store.owner) as state:
        kept = [
            Meter.from_definition(one.definition) for one in state.catalog.versions if one.meter != meter.name
        ]
        planned = plan(state.catalog.versions, [*kept, meter], state.frontiers_us.values(), rules)
        assert not planned.errors
        await catalog.insert_versions(store.owner, planned.effects, "tests")


async def _state(connection: Connection) -> list[object]:
    return [
        await connection.fetch("SELECT * FROM closing"),
        await connection.fetch("SELECT * FROM meter_watermark ORDER BY 1"),
    ]


async def _is_refused(connection: Connection, statement: str) -> bool:
    try:
        await connection.execute(statement)
    except (
        asyncpg.RestrictViolationError,
        asyncpg.InsufficientPrivilegeError,
        asyncpg.CheckViolationError,
    ):
        return True
    return False
