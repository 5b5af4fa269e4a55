"""Each check of rated totals and their feed finds what it is for: one corruption by hand, one finding."""

from collections.abc import Sequence
from typing import Final

from integration.rating import bounded
from integration.rating.conftest import Worlds
from integration.rating.world import DAY_US, World

from aggregator.store import doctor
from aggregator.store.connection import Connection

ACME: Final = "subscription = 'acme-bounded' AND period_start = '2026-03-02 00:00:00+00'"
UMBRELLA: Final = "subscription = 'umbrella-capped' AND period_start = '2026-03-02 00:00:00+00'"


def rewritten(where: str, columns: str = "", **values: str) -> str:
    """Other values in a document, by the path to each; its digest fits, and the feed tells that one."""
    document = "document::jsonb"
    for path, value in values.items():
        document = f"jsonb_set({document}, '{{{path.replace('__', ',')}}}', '{value}')"
    return f"""
        UPDATE rated_total AS r
        SET document = n.text::json, digest = sha256(convert_to(n.text, 'UTF8')){columns}
        FROM (SELECT feed_position, ({document})::text AS text FROM rated_total) AS n
        WHERE n.feed_position = r.feed_position AND {where};
        UPDATE feed AS f
        SET payload = jsonb_set(f.payload::jsonb, '{{digest}}', to_jsonb(encode(r.digest, 'hex')))::json
        FROM rated_total AS r WHERE r.feed_position = f.position
    """  # noqa: S608 - texts of this file


RATED_CORRUPTIONS: Final[Sequence[tuple[str, str]]] = [
    ("feed_positions", "UPDATE feed_head SET position = position + 1"),
    (
        "feed_positions",  # a hole that everybody agrees on
        """
        UPDATE feed SET position = position + 1 WHERE position = (SELECT position FROM feed_head);
        UPDATE rated_total SET feed_position = feed_position + 1
        WHERE feed_position = (SELECT position FROM feed_head);
        UPDATE feed_head SET position = position + 1
        """,
    ),
    (
        "feed_entries",  # of a version that does not exist
        """
        UPDATE feed_head SET position = position + 1;
        INSERT INTO feed SELECT h.position, 'rated_total', 'x', 'acme', 'x', '{"id": "x", "customer": "acme"}'
        FROM feed_head AS h
        """,
    ),
    (
        "feed_entries",  # a version that is not told
        """
        DELETE FROM feed WHERE position = (SELECT position FROM feed_head);
        UPDATE feed_head SET position = position - 1
        """,
    ),
    (
        "feed_entries",  # one that is told where another stands
        """
        UPDATE rated_total SET feed_position = -1 WHERE feed_position = 1;
        UPDATE rated_total SET feed_position = 1 WHERE feed_position = 2;
        UPDATE rated_total SET feed_position = 2 WHERE feed_position = -1
        """,
    ),
    ("feed_entries", "DELETE FROM threshold_crossing WHERE threshold = 'input 80%'"),
    ("feed_entries", "UPDATE threshold_crossing SET period_start = period_start + interval '1 week'"),
    ("feed_entries", "UPDATE feed SET customer = 'eve' WHERE position = 1"),
    (
        "feed_entries",
        """
        UPDATE feed SET customer = 'eve', payload = jsonb_set(payload::jsonb, '{customer}', '"eve"')::json
        WHERE kind = 'threshold'
        """,
    ),
    (
        "feed_entries",
        "UPDATE feed SET payload = jsonb_set(payload::jsonb, '{digest}', '\"0\"')::json WHERE position = 1",
    ),
    (
        "rated_versions",  # the second is the third
        f"""
        {rewritten(f"{UMBRELLA} AND version = 2", ", version = 3", version="3")};
        UPDATE feed AS f
        SET id = r.subscription || '/{bounded.START}/3', payload = jsonb_set(
            f.payload::jsonb, '{{id}}', to_jsonb(r.subscription || '/{bounded.START}/3')
        )::json
        FROM rated_total AS r WHERE r.feed_position = f.position AND r.version = 3
        """,  # noqa: S608 - texts of this file
    ),
    (
        "rated_versions",  # its amounts differ by something else
        rewritten(f"{UMBRELLA} AND version = 2", ", difference = 4", difference__amount='"4"'),
    ),
    (
        "rated_versions",  # as late as the first
        rewritten(
            f"{ACME} AND version = 2", ", cut = '2026-03-03 00:15:00+00'", cut='"2026-03-03T00:15:00Z"'
        ),
    ),
    (
        "rated_versions",  # not closed yet
        rewritten(
            f"{ACME} AND version = 2", ", cut = '2026-03-09 00:00:00+00'", cut='"2026-03-09T00:00:00Z"'
        ),
    ),
    (
        "rated_versions",  # in another currency
        rewritten(f"{ACME} AND version = 2", ", currency = 'USD'", currency='"USD"'),
    ),
    ("rated_differences", rewritten(f"{ACME} AND version = 2", difference__lines__1__quantity='"2"')),
    ("rated_differences", rewritten(f"{ACME} AND version = 2", difference__lines__1__amount='"0.11"')),
    ("rated_differences", rewritten(f"{ACME} AND version = 2", difference__lines="[]")),
    ("rated_differences", rewritten(f"{ACME} AND version = 2", unpriced__0__quantity='"4"')),
    (
        "rated_differences",  # by as little as there can be
        rewritten(
            f"{UMBRELLA} AND version = 2", difference__lines__1__amount=f'"{5 * 10**55}/{3 * 10**54 + 1}"'
        ),
    ),
    ("rated_documents", "UPDATE rated_total SET amount = amount + 1 WHERE subscription = 'acme-bounded'"),
    ("rated_documents", "UPDATE rated_total SET unrounded_amount = '1' WHERE version = 2"),
    (
        "rated_documents",
        "UPDATE rated_total SET cut = cut + interval '1 second' WHERE version = 1 AND cut < '2026-03-04'",
    ),
    ("rated_documents", "UPDATE rated_total SET currency = 'USD' WHERE subscription = 'acme-bounded'"),
    ("rated_sums", rewritten(ACME, segments__0__charges__0__lines__0__amount='"11"')),
    ("rated_sums", rewritten(ACME, segments__0__charges__1__bounds__0__unrounded_amount='"-22.99"')),
    ("rated_sums", rewritten(ACME, segments__0__charges__1__amount='"6"')),
    (
        "rated_sums",
        rewritten(f"{UMBRELLA} AND version = 2", segments__0__bounds__0__unrounded_amount='"-41/3"'),
    ),
    (
        "rated_sums",  # more than rounding a total can do
        rewritten(
            f"{UMBRELLA} AND version = 1",
            ", amount = 16.68",
            segments__0__amount='"16.68"',
            amount='"16.68"',
        )
        + ";"
        + rewritten(f"{UMBRELLA} AND version = 2", ", difference = 3.32", difference__amount='"3.32"'),
    ),
    (
        "rated_sums",
        rewritten(f"{ACME} AND version = 1", ", unrounded_amount = '31'", unrounded_amount='"31"'),
    ),
    (
        "rated_periods",  # into the next day
        rewritten(ACME, ", period_end = '2026-03-03 00:10:00+00'", period__end='"2026-03-03T00:10:00Z"'),
    ),
    (
        "rated_periods",
        "UPDATE subscription_rating SET next_period_start = next_period_start + interval '1 day'",
    ),
    ("rated_periods", "DELETE FROM subscription_rating WHERE subscription = 'acme-bounded'"),
    ("rated_terms", "UPDATE rated_total SET plan_version_ids = '{99}' WHERE version = 2"),
    ("rated_terms", "UPDATE rated_total SET subscription_version_ids = '{99}' WHERE version = 2"),
    ("rated_terms", "UPDATE rated_total SET meter_version_ids = '{1,99}' WHERE version = 2"),
    (
        "terms_known",  # newer prices that everybody knew
        """
        INSERT INTO plan_version (plan, version, definition, effective_from, retired, revision)
        SELECT plan, version + 1, definition, effective_from, retired, revision FROM plan_version
        WHERE plan_version_id = 1
        """,
    ),
    (
        "terms_known",  # other terms that the second cut knew, which comes an hour later
        f"""
        INSERT INTO subscription_version (
            subscription, version, customer, plan, definition, effective_from, retired, revision, known_from
        )
        SELECT
            subscription, version + 1, customer, plan, definition, effective_from, retired, revision,
            (SELECT min(cut) FROM rated_total WHERE {ACME}) + interval '59 minutes'
        FROM subscription_version WHERE subscription = 'acme-bounded'
        """,  # noqa: S608 - texts of this file
    ),
    (
        "terms_known",  # terms that nobody knew before the second cut, and the first has used
        f"""
        INSERT INTO plan_version (plan, version, definition, effective_from, retired, revision, known_from)
        SELECT
            plan, version + 1, definition, effective_from, retired, revision,
            (SELECT min(cut) FROM rated_total WHERE {ACME}) + interval '59 minutes'
        FROM plan_version WHERE plan_version_id = 1;
        {rewritten(f"{ACME} AND version = 1", segments__0__plan_version="2")}
        """,  # noqa: S608 - texts of this file
    ),
]
"""What is done to rated totals that add up, and the one check that must see it."""


async def found(connection: Connection, statement: str) -> list[str]:
    """What doctor says once this was done; it is undone."""
    corruption = connection.transaction()
    await corruption.start()
    await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
    await connection.execute(statement)
    findings = await doctor.findings(connection)
    await corruption.rollback()
    return [finding.code for finding in findings]


async def test_rated_totals_and_their_feed_have_their_findings(worlds: Worlds) -> None:
    world = await rated(worlds)
    codes = [(code, await found(world.connection, statement)) for code, statement in RATED_CORRUPTIONS]
    assert [(code, seen) for code, seen in codes if seen != [code]] == []
    assert await doctor.checks(world.connection) == []


async def test_what_is_left_over_is_shown(worlds: Worlds) -> None:
    world = await rated(worlds)
    await world.connection.execute("SET session_replication_role = replica")
    await world.connection.execute(
        rewritten(f"{UMBRELLA} AND version = 2", difference__lines__1__amount='"51/3"')
    )
    (finding,) = await doctor.checks(world.connection)
    (row,) = finding.rows
    assert (row["subscription"], row["version"], row["charge"], row["groups"]) == (
        "umbrella-capped",
        2,
        "input",
        {},
    )
    assert str(row["amount_left"])[:12] == "0.3333333333"
    assert row["quantity_left"] == 0


async def rated(worlds: Worlds) -> World:
    """Two days of lines of every kind, the first in two versions; nothing is wrong."""
    world = await worlds(bounded.METERS, bounded.T0)
    await bounded.apply(world)
    await bounded.rated_twice(world)
    world.now_us = bounded.FIRST_CUT_US + DAY_US
    world.tick()
    await world.count_close_rate()
    assert await doctor.checks(world.connection) == []
    return world
