"""When each meter last had events, however long ago that was and however little is read at once."""

import pytest
from integration.store.batches import METER_IDS, T0, Spoken
from integration.store.counting import Store

from metering.api.console import freshness
from metering.api.console.freshness import Freshness, Newest
from metering.observer.counted import read_accounts
from schemas.instant import HOUR_US

QUIET = 7  # batches since any but one meter had events
EVERY_METER = {f"usage_{aggregation}" for aggregation in METER_IDS}


async def looked(seen: Freshness, store: Store) -> Newest:
    return await seen.read(store.owner, await read_accounts(store.owner))


async def test_a_meter_that_has_long_been_quiet_is_found_in_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "BATCHES_AT_ONCE", 2)
    await store.flush(store.logs[0].batch([Spoken()]), store.logs[1].batch([Spoken()]))
    for hour in range(1, QUIET + 1):
        for log in store.logs.values():
            await store.flush(log.batch([Spoken(time_us=T0 + hour * HOUR_US, meter_error="sum")]))
    await store.owner.execute(
        "UPDATE batch_meter SET matched = 0, errors = 0 WHERE meter_version_id = $1 AND errors > 0",
        METER_IDS["sum"],
    )
    seen = Freshness()
    last_us = T0 + QUIET * HOUR_US
    for look in range(1, 10):
        newest = await looked(seen, store)
        assert newest.at_us["usage_count"] == last_us
        if "usage_sum" in newest.at_us:
            break
        assert newest.since_us == last_us - (2 * look - 1) * HOUR_US
    assert newest.at_us["usage_sum"] == T0
    assert newest.at_us.keys() == EVERY_METER
    await store.flush(store.logs[1].batch([Spoken(time_us=last_us + HOUR_US)]))
    assert (await looked(seen, store)).at_us == dict.fromkeys(EVERY_METER, last_us + HOUR_US)


async def test_a_meter_that_never_had_events_is_known_not_to(store: Store) -> None:
    seen = Freshness()
    assert await looked(seen, store) == ({}, None)
    await store.flush(store.logs[0].batch(ticks=1))
    for _ in range(2):
        newest = await looked(seen, store)
    assert newest == ({}, None)
