"""Applying plans and subscriptions: all or nothing, in turn, never behind what is rated or counted."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from integration.store.batches import METERS, T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store
from integration.store.terms import price_plan, subscription

from aggregator.applying.billing_change import Wanted
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.store import catalog, load, price_changes, prices
from aggregator.store.connection import Connection
from schemas.catalog import Meter
from schemas.instant import HOUR_US
from schemas.plan import Plan
from schemas.subscription import Subscription

PRO = price_plan("pro")
FREE = price_plan("free", charges=[{"name": "base", "flat": 0}])
ACME = subscription("acme-pro")


async def apply(
    connection: Connection,
    plans: Sequence[Plan] | None = None,
    subscriptions: Sequence[Subscription] | None = None,
    meters: Sequence[Meter] | None = None,
    *,
    is_whole: bool = True,
) -> price_changes.Applied:
    wanted = Wanted(meters, plans, subscriptions, is_whole=is_whole)
    return await price_changes.apply(connection, wanted, "ada")


def codes(applied: price_changes.Applied) -> list[tuple[str, str]]:
    return [(refusal.code, refusal.name) for refusal in applied.plan.refusals]


async def test_what_is_applied_is_what_was_shown(store: Store) -> None:
    wanted = Wanted(plans=[PRO, FREE], subscriptions=[ACME])
    shown = await price_changes.current(store.owner, wanted)
    applied = await apply(store.owner, [PRO, FREE], [ACME])
    assert (applied.head, applied.revision) == (None, 1)
    assert applied.plan == shown
    assert await prices.revision(store.owner) == 1
    assert (await apply(store.owner, [PRO, FREE], [ACME])).revision is None


async def test_what_is_refused_writes_nothing(store: Store) -> None:
    applied = await apply(store.owner, [FREE], [ACME])
    assert codes(applied) == [("unknown_plan", "acme-pro")]
    assert (applied.head, applied.revision) == (None, None)
    assert await prices.plans(store.owner) == {}


async def test_meters_and_plans_are_applied_together_or_not_at_all(store: Store) -> None:
    await apply(store.owner, [PRO], [ACME])
    calls = METERS[1].model_copy(update={"name": "calls"})
    other = price_plan("pro", currency="EUR")
    assert codes(await apply(store.owner, [other], meters=[*METERS, calls])) == [("currency_differs", "pro")]
    assert (await load.catalog_head(store.owner), await prices.revision(store.owner)) == (1, 1)
    applied = await apply(store.owner, [PRO, FREE], meters=[*METERS, calls])
    assert (applied.head, applied.revision) == (2, 2)


async def test_changes_hold_after_what_was_counted(store: Store) -> None:
    await apply(store.owner, [PRO], [ACME])
    await store.flush(store.logs[1].batch([Spoken(time_us=T0 + 5)]))
    await apply(store.owner, [price_plan("pro", minimum=5)])
    versions = (await prices.plans(store.owner))["pro"]
    assert [version.effective_from_us for version in versions] == [None, T0 + HOUR_US]


async def test_what_is_rated_stays(store: Store) -> None:
    await apply(store.owner, [PRO], [ACME])
    await store.flush(store.logs[1].batch([Spoken(time_us=T0 + 5)]))
    await store.owner.execute(
        "INSERT INTO subscription_rating VALUES ('acme-pro', $1, $1)", T0 + 10 * HOUR_US
    )
    assert codes(await apply(store.owner, [price_plan("pro", minimum=5)])) == [
        ("changes_rated_period", "pro")
    ]


async def test_a_request_for_one_sees_whom_it_concerns(store: Store) -> None:
    """Those on its plan, and those who share a subject with them: nobody else is loaded."""
    beta = subscription("beta-pro", plan="free")
    twin = subscription("acme-two", plan="free")
    await apply(store.owner, [PRO, FREE], [ACME, beta, twin])
    charging = price_plan("free", charges=price_plan().model_dump()["charges"])
    assert codes(await apply(store.owner, [charging], is_whole=False)) == [("already_charged", "free")]
    taking = subscription("beta-pro", plan="free", subjects=["acme", "beta"])
    assert codes(await apply(store.owner, None, [taking], is_whole=False)) == []
    moved = subscription("acme-two", plan="pro")
    assert codes(await apply(store.owner, None, [moved], is_whole=False)) == [("already_charged", "acme-two")]
    changed = await apply(store.owner, None, [beta.model_copy(update={"plan": "pro"})], is_whole=False)
    assert [(change.name, change.kind) for change in changed.plan.terms] == [("beta-pro", ChangeKind.CHANGED)]
    assert set(await prices.subscriptions(store.owner)) == {"acme-pro", "acme-two", "beta-pro"}


async def test_of_two_applies_the_second_sees_the_first(store: Store, connected: Connect) -> None:
    """Each takes the same subject: one of them is refused, whoever comes first."""
    await apply(store.owner, [PRO])
    names = ["acme-a", "acme-b", "acme-c"]
    connections = [await connected() for _ in names]
    applied = await asyncio.gather(
        *(
            apply(connection, None, [subscription(name)], is_whole=False)
            for name, connection in zip(names, connections, strict=True)
        )
    )
    assert sorted(one.revision is None for one in applied) == [False, True, True]
    assert {code for one in applied for code, _ in codes(one)} == {"already_charged"}
    assert len(await prices.subscriptions(store.owner)) == 1


async def test_an_apply_waits_for_who_is_rating(store: Store, connected: Connect) -> None:
    async with store.worker.transaction():
        await prices.share(store.worker)
        applying = asyncio.create_task(apply(await connected(), [PRO]))
        await store.until_lock_waits(1)
        assert await prices.revision(store.owner) == 0
    assert (await applying).revision == 1


async def test_flushes_go_on_while_a_plan_is_made(store: Store, connected: Connect) -> None:
    """Only the writing of meters keeps them waiting, and that is planned anew if the log has gone on."""
    await apply(store.owner, [PRO], [ACME])
    meters = [meter.model_copy(update={"grace": "1m"}) for meter in METERS]
    await store.flush(store.logs[1].batch([Spoken(time_us=T0)]))
    other = await connected()
    async with store.worker.transaction():
        # A flush that is under way keeps the catalog as it is, and the apply at its very end.
        await store.worker.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended('catalog of ' || current_schema(), 0))"
        )
        applying = asyncio.create_task(apply(other, meters=meters))
        await store.until_lock_waits(1)
        await store.worker.execute("UPDATE ingest_partition SET frontier = $1", T0 + HOUR_US)
    applied = await applying
    assert applied.head == 2
    assert {change.effective_from_us for change in applied.plan.meter_effects} == {T0 + 2 * HOUR_US}


async def test_many_are_written_by_a_few_statements(store: Store) -> None:
    many = [subscription(f"c{number}-pro") for number in range(3000)]

    async def executions() -> int:
        counted: int = await store.owner.fetchval(
            "SELECT sum(generic_plans + custom_plans)::integer FROM pg_prepared_statements"
        )
        return counted

    await apply(store.owner, [PRO], many[:1])
    before = await executions()
    await apply(store.owner, [PRO], many[:2])
    of_one = await executions() - before
    await apply(store.owner, [PRO], many)
    assert await executions() - before - of_one == of_one
    assert await store.rows("subscription_version") == await store.rows("subscription_subject") == 3000
    assert codes(await apply(store.owner, [price_plan("pro", currency="EUR")])) == [
        ("currency_differs", "pro")
    ]


async def test_a_file_waits_for_another_and_a_request_only_as_long_as_it_may(
    store: Store, connected: Connect
) -> None:
    hasty = [await connected(lock_timeout_s=0.2) for _ in range(2)]
    async with store.owner.transaction():
        await prices.lock(store.owner)
        file = asyncio.create_task(apply(hasty[0], [PRO]))
        with pytest.raises(asyncpg.LockNotAvailableError):
            await apply(hasty[1], [PRO], is_whole=False)
        await store.until_lock_waits(1)
    assert (await file).revision == 1
    assert await hasty[0].fetchval("SHOW lock_timeout") == "200ms"


@pytest.mark.usefixtures("store")
async def test_who_may_not_write_is_stopped_by_the_database(connected: Connect) -> None:
    reader = await connected(role="metering_reader")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await apply(reader, [PRO])


async def test_a_catalog_that_moves_is_seen_by_the_fold_alone(store: Store) -> None:
    """Plans have a head of their own: workers need not load the catalog again."""
    await apply(store.owner, [PRO], [ACME])
    assert await load.catalog_head(store.owner) == 1
    assert (await catalog.current(store.owner)).catalog.head == 1


async def test_the_api_applies_terms_and_no_meters(store: Store, connected: Connect) -> None:
    api = await connected(role="metering_api")
    assert (await apply(api, [PRO], is_whole=False)).revision == 1
    assert (await apply(api, None, [ACME], is_whole=False)).revision == 2
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await apply(api, meters=METERS)
    assert set(await prices.subscriptions(store.owner)) == {"acme-pro"}
