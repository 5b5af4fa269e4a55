import pytest
from integration.store.batches import T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.store import doctor, outbox
from aggregator.store.outbox import Published, Repair
from schemas.codes import Code
from schemas.repair import RepairOrigin

HEADERS = [("ce_id", b"\xff\0"), ("nul \0", b""), ("ce_id", b"2")]


async def test_a_misplaced_record_is_taken_until_it_is_published(store: Store, connected: Connect) -> None:
    await store.flush(
        store.logs[0].batch(
            [
                Spoken(refused="misplaced", target_partition=1, headers=HEADERS),
                Spoken(refused="too_old"),
                Spoken(refused="misplaced", target_partition=1, key=None),
            ]
        )
    )
    assert await outbox.pending(store.worker) == 2
    assert await outbox.targets(store.worker) == {}
    async with store.worker.transaction():
        taken = await outbox.take(store.worker, 10)
        origin = RepairOrigin(0, 0, Code.MISPLACED)
        assert taken[0] == Repair(origin, None, 1, T0, b"acme", b'{"value": 1}', HEADERS, "acme")
        assert [(row.origin.offset, row.key) for row in taken] == [(0, b"acme"), (2, None)]
        other = await connected(role="metering_worker")
        async with other.transaction():
            assert await outbox.take(other, 10) == []  # one process at a time
        await outbox.mark_published(store.worker, [Published(taken[0], 1, 41)])
    assert await outbox.pending(store.worker) == 1
    assert await outbox.targets(store.worker) == {1: 42}
    async with store.worker.transaction():
        assert [row.origin.offset for row in await outbox.take(store.worker, 10)] == [2]
        await outbox.mark_published(store.worker, [Published(taken[1], 1, 40)])
        await outbox.mark_published(store.worker, [])
    assert await outbox.pending(store.worker) == 0
    assert await outbox.targets(store.worker) == {1: 42}
    assert await doctor.checks(store.owner) == []


async def test_no_more_are_taken_than_asked_for(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken(refused="misplaced", target_partition=1)] * 5))
    async with store.worker.transaction():
        assert [row.origin.offset for row in await outbox.take(store.worker, 3)] == [0, 1, 2]


async def test_taking_needs_a_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError, match="within a transaction"):
        await outbox.take(store.worker, 1)
