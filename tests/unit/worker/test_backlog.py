import asyncio
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from aggregator.reading import read
from metering.settings import Settings
from metering.worker.backlog import Backlog, Stretch, joined


def small(flush_interval_s: float = 60.0, rest_interval_s: float = 60.0) -> Backlog:
    given: dict[str, Any] = {
        "flush_records": 10,
        "flush_bytes": 1_000,
        "buffer_records": 30,
        "buffer_bytes": 3_000,
    }
    return Backlog(Settings(**given), flush_interval_s, rest_interval_s)


def stretch(
    partition: int, first: int, following: int, *, records: int | None = None, size: int = 1
) -> Stretch:
    offsets = range(first, following if records is None else first + records)
    held = [ConsumerRecord("t", partition, n, 0, 1, None, None, None, -1, -1, ()) for n in offsets]
    return Stretch(read(partition, first, following, held), 0, size * len(held), first, following)


async def is_due(backlog: Backlog) -> bool | None:
    """What `due` says; None if it waits."""
    task = asyncio.create_task(backlog.due())
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


async def test_a_batch_is_due_when_it_is_full() -> None:
    backlog = small()
    assert await is_due(backlog) is None
    backlog.add(stretch(0, 0, 9))
    assert await is_due(backlog) is None
    backlog.add(stretch(1, 0, 1))
    assert await is_due(backlog) is True
    assert [one.partition for one in backlog.take()] == [0, 1]
    assert await is_due(backlog) is None


async def test_a_batch_is_due_when_its_bytes_are_many() -> None:
    backlog = small()
    backlog.add(stretch(0, 0, 2, size=500))
    assert await is_due(backlog) is True


async def test_a_batch_is_due_sooner_when_nothing_more_is_to_come() -> None:
    backlog = small(rest_interval_s=0.01)
    waiting = asyncio.create_task(backlog.due())
    backlog.add(stretch(0, 0, 5))
    backlog.rest(is_at_rest=False)
    assert await is_due(backlog) is None
    backlog.rest(is_at_rest=True)
    assert await waiting is True
    backlog.take()
    backlog.add(stretch(0, 5, 6))
    backlog.rest(is_at_rest=False)
    assert await is_due(backlog) is None


async def test_a_batch_that_is_old_is_due_even_if_it_is_only_a_gap() -> None:
    backlog = small(flush_interval_s=0.01)
    waiting = asyncio.create_task(backlog.due())
    backlog.add(stretch(0, 0, 5, records=0))
    assert await asyncio.wait_for(waiting, 10)
    (gap,) = backlog.take()
    assert (gap.reading.first_offset, gap.reading.next_offset, gap.reading.offsets.tolist()) == (0, 5, [])


async def test_what_wakes_a_waiting_pipeline() -> None:
    backlog = small()
    waiting = asyncio.create_task(backlog.due())
    await asyncio.sleep(0)
    backlog.add(stretch(0, 0, 10))
    assert await asyncio.wait_for(waiting, 10)


async def test_when_closed_what_waits_is_due_and_then_nothing_is() -> None:
    backlog = small()
    backlog.add(stretch(0, 0, 1))
    backlog.close()
    assert await is_due(backlog) is True
    backlog.take()
    assert await is_due(backlog) is False


async def test_a_batch_takes_from_every_partition_in_turn_and_in_order() -> None:
    backlog = small()
    for first in range(0, 12, 4):
        backlog.add(stretch(0, first, first + 4))
    backlog.add(stretch(1, 0, 4))
    taken = {one.partition: (one.reading.first_offset, one.reading.next_offset) for one in backlog.take()}
    assert taken == {0: (0, 8), 1: (0, 4)}
    assert [(one.reading.first_offset, one.reading.next_offset) for one in backlog.take()] == [(8, 12)]


async def test_what_is_put_back_comes_first_again() -> None:
    backlog = small()
    backlog.add(stretch(0, 0, 4))
    (taken,) = backlog.take()
    backlog.add(stretch(0, 4, 8))
    backlog.put_back(taken)
    (again,) = backlog.take()
    assert again.reading.offsets.tolist() == list(range(8))
    assert (again.reading.first_offset, again.reading.next_offset) == (0, 8)


async def test_fetching_waits_until_what_is_held_is_released() -> None:
    backlog = small()
    backlog.add(stretch(0, 0, 30))
    waiting = asyncio.create_task(backlog.room())
    taken = backlog.take()
    await asyncio.sleep(0)
    assert not waiting.done(), "taken is not released: it is still in memory"
    backlog.release(taken)
    assert await asyncio.wait_for(waiting, 10) == 30


async def test_bytes_bound_the_room_too() -> None:
    backlog = small()
    backlog.add(stretch(0, 0, 5, size=500))
    assert backlog.room_records == (3_000 - 2_500) // 501
    backlog.add(stretch(0, 5, 6, size=500))
    assert backlog.room_records == 0


async def test_what_is_dropped_is_no_longer_held() -> None:
    backlog = small()
    backlog.add(stretch(0, 0, 9))
    backlog.add(stretch(1, 0, 3))
    backlog.drop(0)
    backlog.drop(7)
    assert (backlog.held_records, backlog.held_bytes) == (3, 3)
    assert [one.partition for one in backlog.take()] == [1]


def test_stretches_join() -> None:
    one = joined([stretch(0, 0, 4), stretch(0, 4, 9, records=2)])
    assert (one.reading.first_offset, one.reading.next_offset, one.reading.offsets.tolist()) == (
        0,
        9,
        [0, 1, 2, 3, 4, 5],
    )
    assert (one.size_bytes, one.fetch_began_ns, one.fetch_ended_ns) == (6, 0, 9)


@pytest.mark.parametrize("records", [0, 3])
async def test_nothing_is_lost_between_adding_and_taking(records: int) -> None:
    backlog = small()
    for number in range(20):
        first = number // 3 * 5
        backlog.add(stretch(number % 3, first, first + 5, records=records))
    taken: list[Stretch] = []
    while some := backlog.take():
        taken += some
    assert sum(one.reading.next_offset - one.reading.first_offset for one in taken) == 100
    assert sum(len(one.records) for one in taken) == 20 * records == backlog.held_records
