"""Reading over SQL: views in a schema of their own, and a role that sees nothing else."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from integration.api.test_rated import rated_twice
from integration.rating.world import World
from integration.store.batches import T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.store import feed, totals
from aggregator.store.connection import Connection, StoreOptions, connect
from schemas.instant import HOUR_US, format_time

PAGE: Final = Path(__file__).parents[3] / "docs" / "billing.md"


async def columns(connection: Connection, schema: str) -> dict[str, list[str]]:
    """Each view's columns, in order; all of them have a comment, and so has the view."""
    rows = await connection.fetch(
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class')"
        " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = to_regnamespace($1) AND a.attnum > 0 ORDER BY c.relname, a.attnum",
        f"{schema}_billing",
    )
    found: dict[str, list[str]] = {}
    for view, column, comment, about in rows:
        assert comment, (view, column)
        assert about, view
        found.setdefault(view, []).append(column)
    return found


async def test_the_page_lists_every_view_and_column(migrated: Connection, schema: str) -> None:
    section = PAGE.read_text().split("## Reading over SQL\n")[1].split("\n## ")[0]
    listed = {
        view: re.findall(r"`(\w+)`", rest)
        for view, rest in re.findall(r"^\| `billing\.(\w+)` \| [^|]* \| (.*) \|$", section, re.MULTILINE)
    }
    assert listed == await columns(migrated, schema)


async def test_a_billing_reader_sees_the_views_and_nothing_else(store: Store, connected: Connect) -> None:
    await store.flush(store.logs[0].batch([Spoken(1)]))
    views = await columns(store.owner, store.schema)
    reader = await connected(schema=f"{store.schema}_billing", role="billing_reader")
    for view in views:
        await reader.fetch(f"SELECT * FROM {view}")  # noqa: S608 - names of our own
        assert (
            await reader.fetchval(
                "SELECT array_agg(p.name)"
                " FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (name)"
                " WHERE has_table_privilege($1::text, p.name)",
                view,
            )
            is None
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("CREATE TABLE mine ()")
    tables = await store.owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'm', 'S')"
    )
    assert len(tables) > 30
    for (table,) in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch(f'SELECT FROM {store.schema}."{table}"')
    elsewhere = await reader.fetch(
        "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE')"
        " AND nspname !~ '^(pg_|information_schema$|public$)' AND nspname !~ '_?billing$'"
    )
    assert elsewhere == []
    assert (
        await reader.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        == 0
    )


async def test_usage_is_what_totals_say(store: Store, connected: Connect) -> None:
    for hour in range(3):
        await store.flush(
            store.logs[0].batch(
                Spoken(value, subject, time_us=T0 + hour * HOUR_US)
                for subject in ("one", "two")
                for value in (3, 1, 2)
            )
        )
        await store.flush(
            store.logs[0].batch([Spoken(7, "one", time_us=T0 + hour * HOUR_US, is_late=hour == 1)])
        )
    await store.flush(store.logs[0].batch([Spoken(1, "two", is_void=True)]))
    reader = await connected(schema=f"{store.schema}_billing", role="billing_reader")
    for meter in sorted(
        f"usage_{kind}" for kind in ("sum", "count", "min", "max", "last", "unique", "gauge")
    ):
        rows = await reader.fetch(
            "SELECT subject, window_start, events, adjustment_events, value, on_time_value, status FROM usage"
            " WHERE meter = $1 ORDER BY window_start, subject",
            meter,
        )
        expected = await totals.windows(store.owner, meter)
        withdrawn = meter == "usage_gauge"  # which point stands then, the view does not say
        assert [tuple(row)[2:6] for row in rows] == [
            (
                one.events,
                one.adjustment_events,
                None if withdrawn and one.adjustment_events < 0 else one.value,
                one.on_time_value,
            )
            for one in expected
        ], meter
        assert {row["status"] for row in rows} == {"open"}


async def test_versions_and_their_lines_add_up(rated_world: World) -> None:
    await rated_twice(rated_world)
    options = StoreOptions(schema=f"{rated_world.schema}_billing", role="billing_reader")
    reader = await connect(rated_world.dsn, options)
    try:
        rows = await reader.fetch(
            "SELECT version, is_newest, amount, difference FROM rated_total WHERE subscription = 'acme-pro'"
            " ORDER BY version"
        )
        assert [tuple(row) for row in rows] == [(1, False, 4, None), (2, True, 6, 2)]
        sums = await reader.fetch(
            "SELECT version, sum(amount) FROM rated_line WHERE subscription = 'acme-pro'"
            " GROUP BY version ORDER BY version"
        )
        assert [tuple(row) for row in sums] == [(1, Decimal(4)), (2, Decimal(6))]
        (late,) = await reader.fetch("SELECT kind, subject, events, value FROM adjustment")
        assert tuple(late) == ("late", "acme-eu", 1, 1000)
        statuses = await reader.fetch("SELECT status, value, on_time_value FROM usage")
        assert ("final", 1500) in {(row["status"], row["on_time_value"]) for row in statuses}
        entries = await feed.read(rated_world.connection, 0, 100)
        assert [tuple(row) for row in await reader.fetch("SELECT position, id FROM feed ORDER BY 1")] == [
            (entry.position, entry.id) for entry in entries
        ]
        names = await reader.fetch("SELECT subscription, customer FROM subscription ORDER BY 1")
        assert [tuple(row) for row in names] == [("acme-pro", "acme"), ("umbrella-pro", "umbrella")]
        assert await reader.fetchval("SELECT count(*) FROM finality WHERE final_before IS NOT NULL") >= 1
    finally:
        await reader.close()


async def test_usage_of_some_time_reads_the_windows_of_that_time(store: Store, connected: Connect) -> None:
    """A range reaches through the view to the table's time partitions."""
    for time_us in (T0, T0 + 40 * 24 * HOUR_US):
        await store.flush(store.logs[0].batch([Spoken(1, time_us=time_us)]))
    reader = await connected(schema=f"{store.schema}_billing", role="billing_reader")
    asked = "EXPLAIN (FORMAT JSON) SELECT * FROM usage WHERE meter = 'usage_sum' AND subject = 'acme'"
    since = f" AND window_start >= '{format_time(T0 + 20 * 24 * HOUR_US)}'"
    whole, ranged = [
        set(re.findall(r'"(usage_window_\d+)"', await reader.fetchval(statement)))
        for statement in (asked, asked + since)
    ]
    assert (len(whole), len(ranged)) == (2, 1)
