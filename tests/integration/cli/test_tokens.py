"""`metering token` and `metering audit`, as a person uses them."""

import asyncpg
from aiokafka import AIOKafkaProducer
from integration.cli.fixtures import Metering, write
from integration.cli.test_catalog import CATALOG

from aggregator.store import tokens
from aggregator.store.connection import StoreOptions, connect


async def test_tokens_are_made_shown_rotated_and_revoked(
    metering: Metering, settings: dict[str, str]
) -> None:
    await metering("migrate")
    (made,) = (
        await metering(
            "token", "create", "billing", "--scopes", "usage:read,rated:read", "--customers", "acme,umbrella",
            "--expires-in", "90d", "--who", "ada", "--json",
        )
    ).lines  # fmt: skip
    assert (made["scopes"], made["customers"]) == (["rated:read", "usage:read"], ["acme", "umbrella"])
    assert made["token"].startswith(f"mtr_{made['token_id']}_")
    connection = await connect(settings["METERING_POSTGRES_DSN"], StoreOptions())
    try:
        assert await tokens.access_of(connection, made["token"]) is not None

        (rotated,) = (
            await metering("token", "rotate", made["token_id"], "--overlap", "0s", "--who", "bob", "--json")
        ).lines
        assert rotated["rotated_from"] == made["token_id"]
        listed = (await metering("token", "list", "--json")).lines
        assert [one["token_id"] for one in listed] == [rotated["token_id"]]
        assert all("token" not in one for one in listed)
        assert len((await metering("token", "list", "--all", "--json")).lines) == 2
        shown = (await metering("token", "list")).out
        assert rotated["token_id"] in shown
        assert rotated["token"] not in shown

        await metering("token", "revoke", rotated["token_id"], "--reason", "leaked", "--who", "bob")
        assert await tokens.access_of(connection, rotated["token"]) is None
    finally:
        await connection.close()
    refused = await metering("token", "revoke", rotated["token_id"], "--reason", "x", "--json", exits=2)
    assert refused.problems[0]["title"] == "unknown_token"
    everybodys = await metering("token", "create", "ops", "--scopes", "feed:read", "--all-customers")
    assert "not shown again" in everybodys.out
    assert "every customer" in (await metering("token", "list")).out

    entries = (await metering("audit", "--json")).lines
    assert [(one["action"], one["who"]) for one in entries][1:] == [
        ("token.revoke", "bob"),
        ("token.rotate", "bob"),
        ("token.create", "ada"),
    ]


async def test_a_token_for_nobody_in_particular_is_not_made_by_accident(metering: Metering) -> None:
    await metering("migrate")
    wanted = ("token", "create", "billing", "--scopes", "usage:read")
    for more in ((), ("--customers", "acme", "--all-customers"), ("--customers", "acme,")):
        await metering(*wanted, *more, exits=2)
    ran = await metering(
        "token", "create", "x", "--scopes", "usage:write", "--all-customers", "--json", exits=2
    )
    assert ran.problems[0]["title"] == "unknown_scope"
    ran = await metering(
        "token", "create", "x", "--scopes", "plans:write", "--customers", "acme", "--json", exits=2
    )
    assert ran.problems[0]["title"] == "scope_for_everybody"
    await metering(*wanted, "--all-customers", "--expires-in", "soon", exits=2)
    assert (await metering("token", "list", "--all", "--json")).lines == []


async def test_what_operators_write_is_in_the_audit_log(
    metering: Metering, settings: dict[str, str], database: str
) -> None:
    await metering("migrate")
    await metering("topics", "apply", "--who", "ada")
    await metering("topics", "apply", "--who", "bob")  # changes nothing
    write("catalog.yaml", CATALOG)
    await metering("catalog", "apply", "catalog.yaml", "--who", "bob")
    await metering("partition", "cap", "0", "7", "--time", "2026-11-24", "--reason", "clock", "--who", "eve")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("UPDATE metering.ingest_partition SET first_offset = 0, next_offset = 0")
    finally:
        await connection.close()
    async with AIOKafkaProducer(bootstrap_servers=settings["METERING_KAFKA_BOOTSTRAP_SERVERS"]) as producer:
        for _ in range(3):
            await producer.send_and_wait(settings["METERING_TOPIC"], b"{}", partition=0)
    await metering("partition", "skip", "0", "--to", "3", "--reason", "disk", "--who", "eve")
    entries = (await metering("audit", "--json")).lines
    assert [(one["who"], one["action"]) for one in reversed(entries)] == [
        ("ada", "topic.apply"),
        ("bob", "catalog.apply"),
        ("eve", "partition.cap"),
        ("eve", "partition.skip"),
    ]
    (applied,) = (await metering("audit", "--action", "catalog.apply", "--json")).lines
    assert applied["detail"]["versions"] == [
        {"meter": "calls", "version": 1, "kind": "new"},
        {"meter": "tokens", "version": 1, "kind": "new"},
    ]
    assert len((await metering("audit", "--limit", "1", "--json")).lines) == 1
    await metering("audit", "--limit", "0", exits=2)
    assert "partition.skip" in (await metering("audit", "--target", "0")).out
