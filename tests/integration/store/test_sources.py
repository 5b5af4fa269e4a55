"""When sources were heard, as flushes note it: as exact as the ledger, and most often without a statement."""

from collections import defaultdict
from dataclasses import replace

import pytest
from integration.store.batches import MINUTE_US, T0, Spoken
from integration.store.counting import Store

from aggregator.batch import Increment, WindowKey
from aggregator.health import sources as watched
from aggregator.health.sources import times_us
from aggregator.store import sources
from aggregator.store.cache import StoreCache
from aggregator.store.errors import StoreRejected
from aggregator.store.sources import HeardHour
from schemas.instant import HOUR_US


def said(minute: int, *names: str) -> list[Spoken]:
    return [Spoken(time_us=T0 + minute * MINUTE_US, source=name) for name in names]


async def heard(store: Store) -> dict[str, list[int]]:
    """The minutes from T0 on in which each source was heard."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for one in await sources.heard_since(store.owner, 0):
        found[one.source] += [(at_us - T0) // MINUTE_US for at_us in times_us(one.hour_us, one.minutes)]
    return dict(found)


async def test_each_source_is_noted_in_the_minute_that_its_batch_ends_in(store: Store) -> None:
    zero, one = store.logs[0], store.logs[1]
    await store.flush(zero.batch(said(0, "/a", "/b", "/a")), one.batch(said(3, "/a", "/c")))
    await store.flush(zero.batch(said(59, "/b")))
    await store.flush(zero.batch(said(61, "/a")), one.batch(ticks=1))
    await store.flush(zero.batch([Spoken(time_us=T0 + 70 * MINUTE_US, source="/d", refused="too_old")]))
    assert await heard(store) == {"/a": [0, 3, 61], "/b": [0, 59], "/c": [3]}
    assert await sources.heard_since(store.owner, T0 + HOUR_US + 1) == [
        HeardHour(T0 + HOUR_US, "/a", 0b10, 0)
    ]


async def test_a_flush_has_a_statement_more_only_in_a_new_minute(store: Store) -> None:
    log = store.logs[0]
    await store.flush(log.batch(said(0, "/a", "/b")))
    plain = await store.flush(log.batch(said(0, "/b", "/a")))
    assert await store.flush(log.batch(said(1, "/a"))) == plain + 1
    assert await store.flush(log.batch(said(1, "/a"))) == plain
    assert await store.flush(log.batch(said(1, "/b"))) == plain + 1
    await store.claim()  # another epoch: what is stored is read once
    again = Spoken(time_us=T0 + MINUTE_US, source="/b")
    assert await store.flush(store.logs[0].batch([again])) == plain + 2
    assert await store.flush(store.logs[0].batch([again])) == plain


async def test_what_was_rolled_back_is_noted_by_the_flush_that_is_committed(store: Store) -> None:
    log = store.logs[0]
    await store.flush(log.batch(said(0, "/a")))
    batch = log.batch(said(1, "/a", "/b"))
    refused = replace(batch, increments={WindowKey(1, "nul \0", (), T0): Increment(1, 1, 0, 0)})
    with pytest.raises(StoreRejected):  # after the sources were written
        await store.flush(refused)
    assert await heard(store) == {"/a": [0]}
    await store.flush(batch)
    assert await heard(store) == {"/a": [0, 1], "/b": [1]}


async def test_another_owner_knows_who_has_a_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "NAMED", 2)
    await store.flush(
        store.logs[0].batch(said(0, "/a", "/b", "/c", "/d")), store.logs[1].batch(said(0, "/d"))
    )
    assert await heard(store) == {"/a": [0], "/b": [0], "/d": [0], "": [0]}
    store.cache = StoreCache()
    await store.claim()
    await store.flush(
        store.logs[0].batch(said(2, "/d", "/c", "/b", "/e")), store.logs[1].batch(said(2, "/c"))
    )
    assert await heard(store) == {"/a": [0], "/b": [0, 2], "/c": [2], "/d": [0], "": [0, 2]}
    rows = await sources.heard_since(store.owner, T0)
    assert [row.others for row in rows if row.source == ""] == [3]


async def test_hours_older_than_silence_looks_back_are_dropped(store: Store) -> None:
    day = 24 * 60
    await store.flush(store.logs[0].batch(said(0, "/a")), store.logs[1].batch(said(0, "/b")))
    await store.flush(store.logs[0].batch(said(15 * day, "/c")))
    assert await sources.drop_old(store.worker) == 0
    await store.flush(store.logs[0].batch(said(15 * day + 1, "/c")))
    assert await sources.drop_old(store.worker) == 1
    assert await heard(store) == {"/b": [0], "/c": [15 * day, 15 * day + 1]}
