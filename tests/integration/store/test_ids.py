"""Single ids are found wherever they are stored, and nothing is said of what was not looked at."""

import secrets

import pytest
import pytest_asyncio
from integration.store.conftest import Connect
from integration.store.counting import Store
from pydantic import SecretStr

from aggregator.store import ids
from metering.doctor.check import Outcome
from metering.doctor.ids import examine
from metering.settings import Settings
from schemas.instant import HOUR_US

HOUR = 495_000
CHUNKS = {
    (HOUR, 0, 10): 500,
    (HOUR, 0, 20): 3,
    (HOUR, 1, 10): 3,
    (HOUR + 1, 0, 10): 3,
}
"""Entries, by event hour, partition and first offset."""


@pytest_asyncio.fixture
async def entries(store: Store) -> dict[tuple[int, int, int], list[bytes]]:
    """What is stored."""
    made = {chunk: [secrets.token_bytes(16) for _ in range(count)] for chunk, count in CHUNKS.items()}
    hours_us = [hour * HOUR_US for hour, _, _ in made]
    await store.worker.fetchval("SELECT ensure_partitions('dedupe_chunk', $1)", hours_us)
    await store.owner.executemany(
        "INSERT INTO dedupe_chunk (event_hour, partition, first_offset, entries) VALUES ($1, $2, $3, $4)",
        [(hour * HOUR_US, partition, offset, b"".join(of)) for (hour, partition, offset), of in made.items()],
    )
    return made


async def test_what_is_stored_of_an_hour_and_a_partition_is_found_and_nothing_else(
    store: Store, entries: dict[tuple[int, int, int], list[bytes]]
) -> None:
    here = {*entries[HOUR, 0, 10][::7], *entries[HOUR, 0, 20]}
    elsewhere = {*entries[HOUR, 1, 10], *entries[HOUR + 1, 0, 10]}
    (one, *_) = entries[HOUR, 0, 10]
    nearly = {one[:place] + bytes([one[place] ^ 1]) + one[place + 1 :] for place in (0, 7, 8, 15)}
    across = {b"".join(entries[HOUR, 0, 20])[8:24]}  # no entry begins there
    seen = await ids.look_for(store.worker, 0, HOUR, here | elsewhere | nearly | across, ids.MOST_BYTES)
    assert seen == (here, 16 * 503, True)
    assert await ids.look_for(store.worker, 0, HOUR, nearly | across, ids.MOST_BYTES) == (
        set(),
        16 * 503,
        True,
    )
    newest = set(entries[HOUR, 0, 20])
    assert await ids.look_for(store.worker, 0, HOUR, newest, ids.MOST_BYTES) == (newest, 16 * 3, True)
    assert await ids.look_for(store.worker, 1, HOUR + 1, elsewhere, ids.MOST_BYTES) == (set(), 0, True)


@pytest.mark.parametrize("most_bytes", [16 * 3, 16 * 502])
async def test_where_it_would_take_too_long_what_was_not_found_may_be_there(
    store: Store, entries: dict[tuple[int, int, int], list[bytes]], most_bytes: int
) -> None:
    old, new = entries[HOUR, 0, 10][0], entries[HOUR, 0, 20][0]
    assert await ids.look_for(store.worker, 0, HOUR, {old, new}, most_bytes) == ({new}, 16 * 3, False)
    assert await ids.look_for(store.worker, 0, HOUR, {new}, most_bytes) == ({new}, 16 * 3, True)


async def test_a_day_that_was_dropped_is_known(store: Store) -> None:
    day = HOUR // 24 * 24
    await store.owner.execute(
        "INSERT INTO dropped_ids (event_day, partition, ids) VALUES ($1, 0, 1)", day * HOUR_US
    )
    said = [await ids.is_dropped(store.worker, 0, hour) for hour in (day - 1, day, day + 23, day + 24)]
    assert said == [False, True, True, False]
    assert not await ids.is_dropped(store.worker, 1, day)


async def test_slices_are_of_whole_entries_and_anybody_may_ask(
    entries: dict[tuple[int, int, int], list[bytes]], connected: Connect
) -> None:
    slices = await ids.some_slices(await connected(role="metering_reader"))
    found = {(one.hour, one.partition, one.first_offset): one for one in slices}
    assert found.keys() == entries.keys()
    for chunk, of in entries.items():
        one = found[chunk]
        packed = b"".join(of)
        assert len(one) == min(256, len(of))
        assert packed.find(one.entries) % 16 == 0
        assert one.entries in packed


@pytest.mark.parametrize("bit", [1, 128])
async def test_the_doctor_sees_an_id_that_is_of_another_hour(store: Store, bit: int) -> None:
    settings = Settings(
        postgres_dsn=SecretStr(store.dsn), postgres_schema=store.schema, postgres_role="metering_reader"
    )
    await store.worker.fetchval("SELECT ensure_partitions('dedupe_chunk', $1)", [HOUR * HOUR_US])
    chunk = b"".join(secrets.token_bytes(15) + bytes([HOUR % 256]) for _ in range(200))
    await store.owner.execute(
        "INSERT INTO dedupe_chunk (event_hour, partition, first_offset, entries) VALUES ($1, 1, 7, $2)",
        HOUR * HOUR_US,
        chunk,
    )
    (result,) = await examine(settings)
    assert (result.outcome, "200 ids of 1 chunks" in result.sentence) == (Outcome.OK, True)
    changed = "UPDATE dedupe_chunk SET entries = set_byte(entries, 16 * 99 + 15, $1)"
    await store.owner.execute(changed, HOUR % 256 ^ bit)
    (result,) = await examine(settings)
    assert (result.check.code, result.outcome) == ("id_entries", Outcome.FOUND)
    assert [(row["partition"], row["first_offset"], row["of_other_hours"]) for row in result.rows] == [
        (1, 7, 1)
    ]
