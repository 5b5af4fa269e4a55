"""Tokens and the audit log: what is kept, what ends, and that nothing is ever taken back."""

import asyncpg
import pytest
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.access import FOR_EVERYBODY, Scope
from aggregator.store import audit, interventions, tokens
from aggregator.store.connection import Connection
from aggregator.store.errors import Fenced
from aggregator.store.tokens import UnknownToken

HOUR_US = 3_600_000_000


async def made(connection: Connection, *, lifetime_us: int | None = None) -> tokens.Issued:
    scopes = [Scope.RATED_READ, Scope.USAGE_READ]
    return await tokens.create(connection, "billing", scopes, ["acme"], lifetime_us=lifetime_us, who="ada")


async def actions(connection: Connection) -> list[tuple[str, str, str]]:
    entries = await audit.entries(connection, limit=100)
    return [(one.who, one.action, one.target) for one in reversed(entries)]


async def test_a_token_lets_its_bearer_in_and_its_secret_is_not_kept(migrated: Connection) -> None:
    issued = await made(migrated)
    allowed = await tokens.access_of(migrated, issued.text)
    assert allowed is not None
    assert (allowed.token_id, allowed.name) == (issued.token.token_id, "billing")
    assert allowed.scopes == {Scope.USAGE_READ, Scope.RATED_READ}
    assert allowed.customers == {"acme"}
    secret = issued.text.rsplit("_", 1)[1]
    rows = await migrated.fetch("SELECT t::text FROM api_token AS t UNION ALL SELECT a::text FROM audit AS a")
    assert not [row for row in rows if secret in row[0]]


async def test_another_secret_lets_nobody_in(migrated: Connection) -> None:
    issued, other = await made(migrated), await made(migrated)
    forged = issued.text[:16] + other.text[16:]
    assert await tokens.access_of(migrated, forged) is None
    assert await tokens.access_of(migrated, issued.text + "0") is None
    assert await tokens.access_of(migrated, "") is None


async def test_a_token_ends_when_it_is_revoked_or_over(migrated: Connection) -> None:
    revoked, over, alive = await made(migrated), await made(migrated, lifetime_us=0), await made(migrated)
    await tokens.revoke(migrated, revoked.token.token_id, reason="leaked", who="bob")
    assert await tokens.access_of(migrated, revoked.text) is None
    assert await tokens.access_of(migrated, over.text) is None
    assert await tokens.access_of(migrated, alive.text) is not None
    assert [one.is_live for one in await tokens.tokens(migrated)] == [False, False, True]
    with pytest.raises(UnknownToken):
        await tokens.revoke(migrated, revoked.token.token_id, reason="again", who="bob")
    with pytest.raises(UnknownToken):
        await tokens.revoke(migrated, "nobody", reason="x", who="bob")


async def test_a_rotation_keeps_the_rights_and_ends_the_old_token_after_a_while(migrated: Connection) -> None:
    old = await made(migrated, lifetime_us=2 * HOUR_US)
    new = await tokens.rotate(migrated, old.token.token_id, overlap_us=HOUR_US, lifetime_us=None, who="bob")
    assert (new.token.scopes, new.token.customers) == (old.token.scopes, old.token.customers)
    assert new.token.rotated_from == old.token.token_id
    for text in (old.text, new.text):
        assert await tokens.access_of(migrated, text) is not None
    (before, _) = await tokens.tokens(migrated)
    assert before.expires_us is not None
    assert old.token.expires_us is not None
    assert before.expires_us < old.token.expires_us

    newest = await tokens.rotate(migrated, new.token.token_id, overlap_us=0, lifetime_us=None, who="bob")
    assert await tokens.access_of(migrated, new.text) is None
    assert await tokens.access_of(migrated, newest.text) is not None
    with pytest.raises(UnknownToken):
        await tokens.rotate(migrated, new.token.token_id, overlap_us=0, lifetime_us=None, who="bob")


async def test_an_overlap_does_not_lengthen_a_life(migrated: Connection) -> None:
    old = await made(migrated, lifetime_us=HOUR_US)
    await tokens.rotate(migrated, old.token.token_id, overlap_us=9 * HOUR_US, lifetime_us=None, who="bob")
    (before, _) = await tokens.tokens(migrated)
    assert before.expires_us == old.token.expires_us


@pytest.mark.parametrize("scope", sorted(FOR_EVERYBODY))
async def test_no_token_of_some_customers_may_write(migrated: Connection, scope: Scope) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="some_customers_read_their_own"):
        await tokens.create(migrated, "x", [scope], ["acme"], lifetime_us=None, who="ada")
    with pytest.raises(asyncpg.CheckViolationError):
        await tokens.create(migrated, "x", [Scope.FEED_READ], [], lifetime_us=None, who="ada")


async def test_a_tokens_rights_never_change_not_even_by_the_owner(
    migrated: Connection, connected: Connect
) -> None:
    issued = await made(migrated)
    await tokens.revoke(migrated, issued.token.token_id, reason="leaked", who="bob")
    owner = await connected(role="metering_owner")
    for change in (
        "UPDATE api_token SET scopes = ARRAY['plans:write']",
        "UPDATE api_token SET customers = NULL",
        "UPDATE api_token SET digest = sha256('mine')",
        "UPDATE api_token SET revoked_at = NULL",
        "UPDATE api_token SET revoked_at = now() + interval '1 day'",
        "DELETE FROM api_token",
        "TRUNCATE api_token",
        "UPDATE audit SET who = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(change)


async def test_every_write_of_an_operator_is_in_the_audit_log(store: Store) -> None:
    await interventions.cap_clock(store.owner, 0, 7, 1_000_000, reason="clock", who="ada")
    await interventions.skip(store.owner, 1, 100, 103, reason="disk", who="bob")
    issued = await made(store.owner)
    new = await tokens.rotate(store.owner, issued.token.token_id, overlap_us=0, lifetime_us=None, who="bob")
    await tokens.revoke(store.owner, new.token.token_id, reason="leaked", who="eve")
    assert await actions(store.owner) == [
        ("tests", "catalog.apply", "head 1"),
        ("ada", "partition.cap", "0"),
        ("bob", "partition.skip", "1"),
        ("ada", "token.create", issued.token.token_id),
        ("bob", "token.rotate", new.token.token_id),
        ("eve", "token.revoke", new.token.token_id),
    ]
    (newest, *_) = await audit.entries(store.owner, limit=1)
    assert newest.detail == {"reason": "leaked"}
    skipped = await audit.entries(store.owner, action="partition.skip", limit=10)
    assert [one.detail for one in skipped] == [{"first_offset": 100, "next_offset": 103, "reason": "disk"}]
    assert await audit.entries(store.owner, target="0", before=skipped[0].audit_id, limit=10) != []


async def test_a_write_that_fails_leaves_no_trace_of_having_happened(store: Store) -> None:
    before = await actions(store.owner)
    with pytest.raises(Fenced):
        await interventions.skip(store.owner, 1, 9, 12, reason="x", who="ada")
    await interventions.cap_clock(store.owner, 0, 7, 1_000_000, reason="clock", who="ada")
    with pytest.raises(asyncpg.UniqueViolationError):
        await interventions.cap_clock(store.owner, 0, 7, 2_000_000, reason="again", who="ada")
    assert await actions(store.owner) == [*before, ("ada", "partition.cap", "0")]


async def test_the_api_knows_hashes_and_writes_the_log_and_a_reader_does_neither(
    migrated: Connection, connected: Connect
) -> None:
    issued = await made(migrated)
    api, reader = await connected(role="metering_api"), await connected(role="metering_reader")
    assert await tokens.access_of(api, issued.text) is not None
    await audit.record(api, "token x", "plan.put", "pro", {"version": 2})
    assert (await audit.entries(reader, action="plan.put", limit=1))[0].who == "token x"
    for connection, refused in (
        (reader, "SELECT digest FROM api_token"),
        (reader, "INSERT INTO audit (who, action, target, detail) VALUES ('x', 'a.b', 'c', '{}')"),
        (api, "INSERT INTO audit (at, who, action, target, detail) VALUES (now(), 'x', 'a.b', 'c', '{}')"),
        (api, "UPDATE api_token SET revoked_at = now()"),
        (api, "INSERT INTO meter_version (meter, version) VALUES ('m', 1)"),
        (api, "UPDATE usage_window SET value = 1"),
        (reader, "SELECT value FROM quarantine"),
        (api, "DELETE FROM quarantine"),
        (api, "SELECT identity_key FROM usage_topic"),
        (api, "CREATE TABLE mine ()"),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(refused)
