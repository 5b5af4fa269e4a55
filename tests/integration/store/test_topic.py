import asyncio
from typing import Any

import asyncpg
import pytest
from integration.store.batches import Spoken
from integration.store.conftest import CONTRACT, Connect
from integration.store.counting import Store

from aggregator.store import doctor, interventions, load, status, topic
from aggregator.store.claim import claim
from aggregator.store.connection import Connection
from aggregator.store.errors import Fenced, NotApplied, TopicMismatch

HOUR_US = 3_600_000_000


async def test_the_first_apply_makes_the_rules_and_a_row_per_partition(migrated: Connection) -> None:
    with pytest.raises(NotApplied):
        await load.topic_rules(migrated)
    rules = await topic.apply(migrated, CONTRACT, {0: 7, 1: 0})
    assert rules == await load.topic_rules(migrated)
    assert (rules.name, rules.partitions, rules.clock, rules.partitioner) == (
        "usage.events",
        2,
        "broker",
        "murmur2",
    )
    assert (rules.acceptance_window_us, rules.skew_us) == (48 * HOUR_US, HOUR_US // 12)
    assert rules.repair_horizon_us == 35 * 24 * HOUR_US
    assert len(rules.identity_key) == 16
    rows = await status.partitions(migrated)
    assert [
        (row.partition, row.first_offset, row.next_offset, row.epoch, row.frontier_us) for row in rows
    ] == [
        (0, 7, 7, 0, None),
        (1, 0, 0, 0, None),
    ]


async def test_a_later_apply_changes_nothing(store: Store) -> None:
    before = await load.topic_rules(store.owner)
    assert await topic.apply(store.owner, CONTRACT, {}) == before
    assert await store.rows("ingest_partition") == 2


async def test_other_rules_are_refused(store: Store) -> None:
    changes: list[tuple[str, Any]] = [
        ("name", "other"),
        ("partitions", 3),
        ("clock", "record"),
        ("partitioner", "crc32"),
        ("acceptance_window_s", 3600),
        ("skew_s", 1),
        ("repair_horizon_s", 36 * 24 * 3600),
    ]
    for field, value in changes:
        with pytest.raises(TopicMismatch, match=field.removesuffix("_s")) as mismatch:
            await topic.apply(store.owner, CONTRACT.model_copy(update={field: value}), {})
        assert mismatch.value.code == "topic_mismatch"


async def test_two_first_applies_make_one_topic(migrated: Connection, connected: Connect) -> None:
    other = await connected()
    one, same = await asyncio.gather(
        topic.apply(migrated, CONTRACT, {0: 0, 1: 0}), topic.apply(other, CONTRACT, {0: 0, 1: 0})
    )
    assert one == same


async def test_offsets_of_other_partitions_are_refused(migrated: Connection) -> None:
    for offsets in ({}, {0: 0}, {0: 0, 1: 0, 2: 0}, {1: 0, 2: 0}):
        with pytest.raises(ValueError, match="beginning offsets"):
            await topic.apply(migrated, CONTRACT, offsets)
        with pytest.raises(NotApplied):
            await load.topic_rules(migrated)


async def test_a_skip_is_lost_with_a_reason_and_fences_the_owner(store: Store) -> None:
    batch = store.logs[0].batch(ticks=1)
    await store.flush(batch)
    with pytest.raises(Fenced):
        await interventions.skip(store.owner, 0, 0, 5, reason="disk", who="ada")
    await interventions.skip(store.owner, 0, 1, 5, reason="disk", who="ada")
    with pytest.raises(Fenced):
        await store.flush(store.logs[0].batch(ticks=1))
    (claimed,) = await claim(store.worker, [0], "tests")
    assert (claimed.next_offset, claimed.outcomes.lost, claimed.ledger_end) == (5, 4, 5)
    assert claimed.last is None
    assert await doctor.checks(store.owner) == []


async def test_a_cap_holds_for_whoever_counts_its_record(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken()]))
    for partition, offset in ((0, 0), (2, 0)):
        with pytest.raises(Fenced):
            await interventions.cap_clock(store.owner, partition, offset, 1_000, reason="clock", who="ada")
    assert await store.rows("clock_cap") == 0
    await interventions.cap_clock(store.owner, 0, 1, 1_000, reason="clock", who="ada")
    with pytest.raises(Fenced):  # its owner has claimed before the cap, and would count the record without it
        await store.flush(store.logs[0].batch([Spoken()]))
    await store.claim()
    assert await load.caps(store.worker, 0) == {1: 1_000}
    await store.flush(store.logs[0].batch([Spoken()]))


async def test_a_cap_is_read_back_and_never_changed(store: Store) -> None:
    await interventions.cap_clock(store.owner, 0, 5, 1_000, reason="clock", who="ada")
    assert await load.caps(store.worker, 0) == {5: 1_000}
    assert await load.caps(store.worker, 1) == {}
    with pytest.raises(asyncpg.UniqueViolationError):
        await interventions.cap_clock(store.owner, 0, 5, 2_000, reason="clock", who="ada")
