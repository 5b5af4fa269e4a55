"""What has become of refused records, read from the ledgers alone."""

from collections import Counter
from decimal import Decimal

import asyncpg
import pytest
from integration.store.batches import METER_IDS, T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.store import doctor, outbox, quarantine, redrive
from aggregator.store.outbox import Published
from aggregator.store.quarantine import WAITING, State
from aggregator.store.redrive import BEGINNING, Decision, Place, Selection
from aggregator.store.replay import Correction, Promotion, insert_corrections
from schemas.codes import Code
from schemas.instant import HOUR_US
from schemas.repair import RepairOrigin


async def states(store: Store) -> dict[tuple[int, int], State]:
    rows = await store.owner.fetch("SELECT partition, record_offset FROM quarantine")
    places = {(row["partition"], row["record_offset"]) for row in rows}
    return {
        place: one.refusal.state
        for place in places
        for one in await quarantine.of_record(store.owner, *place)
    }


async def piles_are_those_that_wait(store: Store) -> None:
    """The quick counts of what waits, and of what is alike, are those of a look at each record."""
    rows = await store.owner.fetch("SELECT partition, record_offset FROM quarantine")
    expected: Counter[str] = Counter()
    alike: Counter[tuple[str, str | None, State]] = Counter()
    for partition, offset in {(row["partition"], row["record_offset"]) for row in rows}:
        for one in await quarantine.of_record(store.owner, partition, offset):
            expected[one.refusal.code] += one.refusal.state in WAITING
            alike[one.refusal.code, one.refusal.source, one.refusal.state] += 1
    piles = {pile.code: pile.rows for pile in await quarantine.ages(store.owner)}
    assert piles == +expected
    groups: Counter[tuple[str, str | None, State]] = Counter()
    for group in await quarantine.groups(store.owner, None, None, None):
        groups[group.code, group.source, group.state] += group.records
    assert groups == alike
    for code in {code for code, _, _ in alike}:
        found = await quarantine.groups(store.owner, code, None, None)
        assert {group.code for group in found} == {code}
        assert sum(group.records for group in found) == sum(
            count for (other, _, _), count in alike.items() if other == code
        )


async def decide(store: Store, action: redrive.Action, offset: int) -> None:
    async with store.owner.transaction():
        await redrive.lock(store.owner)
        (one,) = await redrive.waiting(store.owner, Selection(partition=0, offset=offset), BEGINNING, 10)
        target = None if action == "discard" else 1
        await redrive.decide(store.owner, action, [Decision(one, {"why": 1}, target)], "al", "mended")


async def publish(store: Store, offset: int) -> None:
    """Publish what waits in the outbox, from an offset of partition 1 on."""
    async with store.worker.transaction():
        taken = await outbox.take(store.worker, 10)
        published = [Published(one, 1, place) for place, one in enumerate(taken, start=offset)]
        await outbox.mark_published(store.worker, published)


async def test_what_becomes_of_a_record_is_read_where_its_repair_lies(store: Store) -> None:
    refused = ["too_old", "too_old", "too_old", "in_future", "too_old"]
    await store.flush(store.logs[0].batch([Spoken(refused=code) for code in refused]))
    assert set((await states(store)).values()) == {State.OPEN}
    await piles_are_those_that_wait(store)
    for offset in (0, 1, 2):
        await decide(store, "redrive", offset)
    await decide(store, "discard", 3)
    redriven, discarded = State.REDRIVEN, State.DISCARDED
    assert await states(store) == {
        (0, 0): redriven,
        (0, 1): redriven,
        (0, 2): redriven,
        (0, 3): discarded,
        (0, 4): State.OPEN,
    }
    assert await outbox.pending(store.worker) == 3
    await publish(store, store.logs[1].next_offset)
    assert await outbox.pending(store.worker) == 0
    assert (await states(store))[0, 0] is redriven  # published, and not counted up to there
    await piles_are_those_that_wait(store)

    origins = [RepairOrigin(0, offset, Code.TOO_OLD) for offset in range(3)]
    first = store.logs[1].next_offset
    await store.flush(
        store.logs[1].batch(
            [Spoken(5, repairs=origins[0]), Spoken(refused="too_old_to_repair", repairs=origins[1])],
            ticks=1,  # as a duplicate, it leaves nothing but its offset
        )
    )
    assert await states(store) == {
        (0, 0): State.COUNTED,
        (0, 1): State.REFUSED_AGAIN,
        (0, 2): State.DUPLICATE,
        (0, 3): discarded,
        (0, 4): State.OPEN,
        (1, first + 1): State.REPAIR,
    }
    await piles_are_those_that_wait(store)
    assert await doctor.checks(store.owner) == []

    await decide(store, "discard", 1)
    history = await redrive.history(store.owner, 0, 1)
    assert [(one.attempt, one.action, one.who, one.published_offset) for one in history] == [
        (1, "redrive", "al", first + 1),
        (2, "discard", "al", None),
    ]
    assert (await states(store))[0, 1] is discarded
    await piles_are_those_that_wait(store)
    assert await doctor.checks(store.owner) == []


async def test_two_people_do_not_decide_the_same(store: Store, connected: Connect) -> None:
    await store.flush(store.logs[0].batch([Spoken(refused="too_old")]))
    (seen,) = await redrive.waiting(store.owner, Selection(), BEGINNING, 10)
    await decide(store, "redrive", 0)
    assert await redrive.waiting(store.owner, Selection(), BEGINNING, 10) == []
    other = await connected()
    with pytest.raises(asyncpg.UniqueViolationError):  # who has not held the lock since he read
        await redrive.decide(other, "redrive", [Decision(seen, {}, 1)], "eve", "too")


async def test_a_decision_is_never_changed(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken(refused="too_old")]))
    await decide(store, "discard", 0)
    with pytest.raises(asyncpg.RestrictViolationError):
        await store.owner.execute("DELETE FROM quarantine_action")


async def test_what_a_promotion_has_corrected_since_is_known(store: Store) -> None:
    """A replay with another catalog may have counted there what a meter could not read."""
    later_us = T0 + 2 * HOUR_US
    await store.flush(
        store.logs[0].batch(
            [
                Spoken(3),
                Spoken(meter_error="sum"),
                Spoken(meter_error="sum", time_us=later_us),
                Spoken(meter_error="count"),
                Spoken(meter_error="sum", subject="umbrella"),
            ]
        )
    )
    waiting = await redrive.waiting(store.owner, Selection(), BEGINNING, 10)
    assert await redrive.promoted(store.owner, waiting) == set()
    async with store.owner.transaction():
        await insert_corrections(
            store.owner,
            [Promotion(0, 1, later_us, "al", "net is not gross", "shadow", b"e" * 32, "[]", None)],
            [
                Correction(
                    0,
                    0,
                    METER_IDS["sum"],
                    "acme",
                    ("m1", None),
                    T0,
                    1,
                    Decimal(1),
                    None,
                    T0,
                    None,
                    None,
                    later_us,
                )
            ],
        )
    assert await redrive.promoted(store.owner, waiting) == {Place(0, 1, METER_IDS["sum"])}
