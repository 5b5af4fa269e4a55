"""Plans and subscriptions in the database: kept for good, found by name, by plan, by subject."""

from dataclasses import replace

import asyncpg
import pytest
from integration.store.conftest import Connect
from integration.store.counting import Store
from integration.store.explaining import grown_tables, sequential_scans
from integration.store.terms import insert, new, price_plan, subscription

from aggregator.applying.catalog_plan import ChangeKind
from aggregator.store import audit, prices
from aggregator.store.connection import END_US, Connection

SUBSCRIPTIONS = [
    subscription("acme-pro", subjects=["acme-eu", "acme-us"]),
    subscription("acme-test", plan="free"),
    subscription("beta-pro"),
]
FOUND_BY_INDEX = [
    "billing_revision",
    "plan_versions_of",
    "subscription_versions_of",
    "subscriptions_of_subjects",
    "subscriptions_on_plans",
    "subscription_page",
    "subscription_page_of",
    "rated_through",
    "insert_subscription_subjects",
]

GROW = """
INSERT INTO billing_apply (applied_by, digest) SELECT 'tests', sha256('') FROM generate_series(1, 6000);

INSERT INTO plan_version (plan, version, definition, effective_from, retired, revision)
SELECT 'plan-' || place, 1, definition, effective_from, retired, revision
FROM plan_version, generate_series(1, 6000) AS place WHERE plan = 'pro';

INSERT INTO subscription_version (
    subscription, version, customer, plan, definition, effective_from, retired, revision
)
SELECT
    'subscription-' || place, 1, 'customer-' || place / 3, 'plan-' || place / 20,
    definition || jsonb_build_object('customer', 'customer-' || place / 3, 'plan', 'plan-' || place / 20),
    effective_from, retired, revision
FROM subscription_version, generate_series(1, 20000) AS place WHERE subscription = 'acme-pro';

INSERT INTO subscription_subject
SELECT subscription || twin, subscription, customer FROM subscription_version, generate_series(1, 2) AS twin;

INSERT INTO subscription_rating
SELECT subscription, effective_from, effective_from FROM subscription_version;
"""


@pytest.fixture
async def filled(migrated: Connection) -> Connection:
    plans = [price_plan("pro"), price_plan("free")]
    await insert(migrated, *map(new, plans), *map(new, SUBSCRIPTIONS))
    return migrated


async def test_an_empty_schema_has_revision_zero(migrated: Connection) -> None:
    assert await prices.revision(migrated) == 0
    assert await prices.plans(migrated) == {}
    assert await prices.terms(migrated, ["acme-pro"]) == prices.Terms({}, {})


async def test_terms_come_back_as_they_were_applied(filled: Connection) -> None:
    assert await prices.revision(filled) == 1
    found = await prices.terms(filled, ["acme-pro", "nobody"])
    assert list(found.plans) == ["pro"]
    [plan], [version] = found.plans["pro"], found.subscriptions["acme-pro"]
    assert plan[1:] == (1, None, False, price_plan("pro"), None)
    assert version[1:4] == (1, None, False)
    assert version.terms.definition() == SUBSCRIPTIONS[0].definition()
    assert set(await prices.subscriptions(filled)) == {one.name for one in SUBSCRIPTIONS}


async def test_versions_come_in_their_order(filled: Connection) -> None:
    retired = replace(new(SUBSCRIPTIONS[0], 3, 2_000_000), kind=ChangeKind.RETIRED)
    changed = subscription("acme-pro", plan="free")
    assert await insert(filled, retired, new(changed, 2, 1_000_000)) == 2
    found = await prices.terms(filled, ["acme-pro"])
    assert set(found.plans) == {"pro", "free"}
    assert [(v.version, v.effective_from_us, v.retired) for v in found.subscriptions["acme-pro"]] == [
        (1, None, False),
        (2, 1_000_000, False),
        (3, 2_000_000, True),
    ]


async def test_subscriptions_are_found_by_every_subject_they_ever_had(filled: Connection) -> None:
    moved = subscription("acme-pro", subjects=["acme-eu"])
    await insert(filled, new(moved, 2), new(subscription("beta-test", subjects=["beta"])))
    assert await prices.subscriptions_of_subjects(filled, ["acme-us", "beta", "nobody"]) == {
        "acme-us": {"acme-pro"},
        "beta": {"beta-pro", "beta-test"},
        "nobody": frozenset(),
    }


async def test_subscriptions_are_found_by_their_plan(filled: Connection) -> None:
    await insert(filled, new(subscription("beta-pro", plan="free"), 2))
    assert await prices.subscriptions_on_plans(filled, ["free"]) == {"acme-test", "beta-pro"}
    assert await prices.subscriptions_on_plans(filled, ["pro"]) == {"acme-pro", "beta-pro"}


async def test_names_are_read_page_by_page(filled: Connection) -> None:
    assert await prices.subscription_page(filled, limit=2) == ["acme-pro", "acme-test"]
    assert await prices.subscription_page(filled, after="acme-test", limit=2) == ["beta-pro"]
    acmes = await prices.subscription_page(filled, customers=["acme", "acme"], limit=9)
    assert acmes == ["acme-pro", "acme-test"]
    assert await prices.subscription_page(filled, customers=["acme"], after="acme-pro", limit=9) == [
        "acme-test"
    ]


async def test_how_far_a_subscription_is_rated(filled: Connection) -> None:
    assert await prices.rated_through(filled, ["acme-pro"]) == {}
    await filled.execute(
        "INSERT INTO subscription_rating VALUES ('acme-pro', 'infinity', 'infinity'), ('beta-pro', $1, $1)", 5
    )
    assert await prices.rated_through(filled, ["acme-pro", "acme-test", "beta-pro"]) == {
        "acme-pro": END_US,
        "beta-pro": 5,
    }


async def test_an_apply_is_in_the_audit_log(filled: Connection) -> None:
    [entry] = await audit.entries(filled, limit=9)
    assert (entry.who, entry.action, entry.target) == ("ada", "catalog.apply", "revision 1")
    assert entry.detail == {
        "plans": {"new": ["pro", "free"]},
        "subscriptions": {"new": ["acme-pro", "acme-test", "beta-pro"]},
    }


async def test_one_version_is_written_once(filled: Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(filled, new(SUBSCRIPTIONS[0]))


async def test_the_columns_to_be_found_by_are_those_of_the_definition(filled: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await filled.execute(
            "INSERT INTO subscription_version"
            " (subscription, version, customer, plan, definition, effective_from, retired, revision)"
            " SELECT subscription, 9, 'eve', plan, definition, effective_from, retired, revision"
            " FROM subscription_version"
        )


@pytest.mark.usefixtures("filled")
async def test_not_even_the_owner_changes_what_was_applied(connected: Connect) -> None:
    owner = await connected(role="metering_owner")
    for table in ("billing_apply", "plan_version", "subscription_version", "subscription_subject"):
        for change in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608 - a test's own
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(change)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("role", ["metering_worker", "metering_reader", "metering_api"])
async def test_who_rates_and_who_looks_may_read(connected: Connect, role: str) -> None:
    reader = await connected(role=role)
    assert set((await prices.terms(reader, ["acme-pro"])).subscriptions) == {"acme-pro"}
    assert await prices.rated_through(reader, ["acme-pro"]) == {}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("UPDATE plan_version SET retired = true")


async def test_no_statement_reads_all_to_find_a_few(filled: Connection) -> None:
    await filled.execute(GROW)
    await filled.execute("ANALYZE")
    is_grown = await grown_tables(filled, 5_000)
    assert {"plan_version", "subscription_version", "subscription_subject"} <= is_grown
    scanned = {name: await sequential_scans(filled, name) & is_grown for name in FOUND_BY_INDEX}
    assert {name: tables for name, tables in scanned.items() if tables} == {}


async def test_nobody_applies_while_somebody_rates(store: Store, connected: Connect) -> None:
    rater, applier = store.worker, await connected(lock_timeout_s=0.1)
    async with rater.transaction():
        await prices.share(rater)
        async with store.owner.transaction():
            await prices.share(store.owner)  # raters do not hinder each other
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with applier.transaction():
                await prices.lock(applier)
    async with applier.transaction():
        await prices.lock(applier)
