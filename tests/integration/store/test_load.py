from integration.store.batches import METER_IDS, T0, Spoken
from integration.store.counting import Store

from aggregator.groups import GroupKey
from aggregator.store import load
from schemas.instant import HOUR_US

HOUR = T0 // HOUR_US


async def test_entries_come_back_as_they_were_written(store: Store) -> None:
    written: dict[int, list[bytes]] = {}
    for hours in (0, 1, 0, 2):
        batch = store.logs[0].batch([Spoken(time_us=T0 + hours * HOUR_US)] * 5)
        await store.flush(batch)
        written.setdefault(HOUR + hours, []).append(batch.ids[HOUR + hours])
    await store.flush(store.logs[1].batch([Spoken()]))
    for since in (0, HOUR, HOUR + 1, HOUR + 3):
        expected = [entries for hour, chunks in written.items() if hour >= since for entries in chunks]
        assert _entries(await load.memory_entries(store.worker, 0, since)) == _entries(b"".join(expected))
    archived = await load.archive(store.worker, 0, [HOUR, HOUR + 7])
    assert _entries(archived[HOUR]) == _entries(b"".join(written[HOUR]))
    assert archived[HOUR + 7] == b""


async def test_more_chunks_than_are_fetched_at_once(store: Store) -> None:
    for _ in range(40):
        await store.flush(store.logs[0].batch(unmetered=2))
    assert len(await load.memory_entries(store.worker, 0, 0)) == 40 * 2 * 16


async def test_groups_are_those_with_a_window_or_an_adjustment(store: Store) -> None:
    version = METER_IDS["sum"]
    later = T0 + HOUR_US
    await store.flush(
        store.logs[0].batch(
            [
                Spoken(groups=("a", None)),
                Spoken(groups=("a", None)),
                Spoken(groups=(None, "b"), is_late=True),
                Spoken(groups=None),
                Spoken(groups=("a", None), is_void=True),
                Spoken(groups=("c", "d"), time_us=later),
                Spoken(groups=("x", "y"), subject="other"),
            ]
        )
    )
    await store.flush(store.logs[1].batch([Spoken(groups=("elsewhere", None))]))
    keys = {
        GroupKey(version, "acme", T0): {("a", None), (None, "b")},
        GroupKey(version, "acme", later): {("c", "d")},
        GroupKey(version, "acme", later + HOUR_US): set(),
        GroupKey(version, "other", T0): {("x", "y")},
        GroupKey(version, "nobody", T0): set(),
        GroupKey(METER_IDS["count"], "acme", T0): {()},
    }
    assert await load.groups(store.worker, 0, keys) == keys
    assert await load.groups(store.worker, 0, []) == {}


def _entries(packed: bytes | bytearray) -> list[bytes]:
    """In one order: hours are stored in none."""
    return sorted(bytes(packed[place : place + 16]) for place in range(0, len(packed), 16))
