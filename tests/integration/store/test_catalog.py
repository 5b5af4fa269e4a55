import asyncio
from decimal import Decimal

import asyncpg
import pytest
from integration.store.batches import METERS, T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.applying.catalog_plan import Change, ChangeKind, plan
from aggregator.catalog import compile_catalog
from aggregator.store import catalog, load
from aggregator.store.connection import Connection
from schemas.instant import HOUR_US


async def test_an_empty_catalog_has_head_zero(migrated: Connection) -> None:
    assert await load.catalog_head(migrated) == 0
    assert await load.catalog(migrated) == load.StoredCatalog(0, [])


async def test_versions_come_back_as_they_were_planned(store: Store) -> None:
    stored = await load.catalog(store.worker)
    assert stored.head == 1
    assert [(v.meter, v.version, v.effective_from_us, v.retired) for v in stored.versions] == [
        (meter.name, 1, None, False) for meter in METERS
    ]
    assert [v.definition for v in stored.versions] == [meter.definition() for meter in METERS]
    assert compile_catalog(stored).kinds == store.kinds


async def test_a_change_takes_effect_after_everything_counted(store: Store) -> None:
    await store.flush(store.logs[1].batch([Spoken(time_us=T0 + 5)]))
    rules = await load.topic_rules(store.owner)
    async with catalog.exclusive(store.owner) as state:
        assert state.frontiers_us == {0: None, 1: T0 + 5}
        planned = plan(state.catalog.versions, METERS[1:], state.frontiers_us.values(), rules)
        head = await catalog.insert_versions(store.owner, planned.effects, "ada")
    assert head == 2
    stored = await load.catalog(store.worker)
    assert stored.head == 2
    assert (stored.versions[-1].meter, stored.versions[-1].version) == ("usage_sum", 2)
    assert (stored.versions[-1].effective_from_us, stored.versions[-1].retired) == (T0 + HOUR_US, True)


async def test_a_block_that_fails_changes_nothing(store: Store) -> None:
    change = Change(ChangeKind.NEW, "m", 1, {"a": Decimal("0.10")}, None, [])

    async def fail() -> None:
        async with catalog.exclusive(store.owner):
            await catalog.insert_versions(store.owner, [change], "ada")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await load.catalog_head(store.worker) == 1


async def test_numbers_of_a_definition_stay_exact(store: Store) -> None:
    definition = {"limit": Decimal("0.1000000000000000000000000000001"), "big": 10**30}
    async with catalog.exclusive(store.owner):
        await catalog.insert_versions(
            store.owner, [Change(ChangeKind.NEW, "m", 1, definition, T0, [])], "ada"
        )
    assert (await load.catalog(store.worker)).versions[-1].definition == definition


async def test_of_two_applies_the_second_sees_the_first(store: Store, connected: Connect) -> None:
    other = await connected()

    async def apply(connection: Connection) -> int:
        async with catalog.exclusive(connection) as state:
            count = len(state.catalog.versions)
            change = Change(ChangeKind.NEW, f"m{count}", 1, {"a": 1}, None, [])
            await catalog.insert_versions(connection, [change], "ada")
            return count

    counts = await asyncio.gather(apply(store.owner), apply(other))
    assert sorted(counts) == [len(METERS), len(METERS) + 1]


async def test_one_version_is_written_once(store: Store) -> None:
    change = Change(ChangeKind.NEW, "usage_sum", 1, {"a": 1}, None, [])
    with pytest.raises(asyncpg.UniqueViolationError):
        async with catalog.exclusive(store.owner):
            await catalog.insert_versions(store.owner, [change], "ada")
