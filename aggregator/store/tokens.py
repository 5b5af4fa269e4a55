"""Bearer tokens of the HTTP API: made and ended by people, looked up at every request."""

import secrets
from collections.abc import Collection
from typing import Final, NamedTuple

import asyncpg

from aggregator import access
from aggregator.access import Access, Scope
from aggregator.store import audit
from aggregator.store.connection import Connection
from aggregator.store.errors import StoreError
from aggregator.store.statements import STATEMENTS

_ID_BYTES: Final = access.ID_CHARACTERS // 2
_SECRET_BYTES: Final = access.SECRET_CHARACTERS // 2


class UnknownToken(StoreError):  # noqa: N818 - an outcome, not a fault
    """No token has this id, or it has ended already."""

    code = "unknown_token"


class StoredToken(NamedTuple):
    """What is known of a token; its secret is not."""

    token_id: str
    name: str
    scopes: frozenset[Scope]
    customers: frozenset[str] | None  # None: every customer
    rotated_from: str | None
    created_us: int
    created_by: str
    expires_us: int | None
    revoked_us: int | None
    is_live: bool


class Live(NamedTuple):
    """A token in force: what it may do, and what its text must hash to."""

    access: Access
    digest: bytes


class Issued(NamedTuple):
    """A new token, and the only copy of its text."""

    token: StoredToken
    text: str


async def create(
    connection: Connection,
    name: str,
    scopes: Collection[Scope],
    customers: Collection[str] | None,
    *,
    lifetime_us: int | None,
    who: str,
) -> Issued:
    """Make a token.

    Args:
        connection: with the owner's rights.
        name: what it is for, for people.
        scopes: what it may do.
        customers: whose data it may read; None for everybody's.
        lifetime_us: after which it ends by itself; None for never.
        who: makes it.
    """
    async with connection.transaction():
        issued = await _insert(connection, name, scopes, customers, None, lifetime_us, who)
        await audit.record(connection, who, "token.create", issued.token.token_id, _told(issued.token))
    return issued


async def rotate(
    connection: Connection, token_id: str, *, overlap_us: int, lifetime_us: int | None, who: str
) -> Issued:
    """Make a token with the same rights, and let the old one end after `overlap_us`.

    Raises:
        UnknownToken: there is none, or it has ended.
    """
    async with connection.transaction():
        old = await _live(connection, token_id)
        issued = await _insert(connection, old.name, old.scopes, old.customers, token_id, lifetime_us, who)
        await connection.execute(STATEMENTS["end_token_after"], token_id, overlap_us)
        detail = {**_told(issued.token), "overlap_us": overlap_us}
        await audit.record(connection, who, "token.rotate", issued.token.token_id, detail)
    return issued


async def revoke(connection: Connection, token_id: str, *, reason: str, who: str) -> None:
    """End a token at once.

    Raises:
        UnknownToken: there is none, or it was revoked before.
    """
    async with connection.transaction():
        if await connection.fetchval(STATEMENTS["revoke_token"], token_id) is None:
            raise UnknownToken(
                f"there is no token {token_id} that could be revoked: see `metering token list`"
            )
        await audit.record(connection, who, "token.revoke", token_id, {"reason": reason})


async def tokens(connection: Connection) -> list[StoredToken]:
    """Every token there ever was, the oldest first."""
    return [_stored(row) for row in await connection.fetch(STATEMENTS["tokens"], None)]


async def access_of(connection: Connection, text: str) -> Access | None:
    """What the bearer of this token may do; None if it is no token, or one that has ended."""
    shown = access.presented(text)
    found = None if shown is None else await live(connection, shown.token_id)
    if shown is None or found is None or not access.proves(shown.digest, found.digest):
        return None
    return found.access


async def live(connection: Connection, token_id: str) -> Live | None:
    """A token that has not ended, for who has another proof of it than its text."""
    row = await connection.fetchrow(STATEMENTS["live_token"], token_id)
    if row is None:
        return None
    found = Access(row["token_id"], row["name"], access.scopes_of(row["scopes"]), _customers(row))
    return Live(found, row["digest"])


async def _insert(
    connection: Connection,
    name: str,
    scopes: Collection[Scope],
    customers: Collection[str] | None,
    rotated_from: str | None,
    lifetime_us: int | None,
    who: str,
) -> Issued:
    token_id = secrets.token_hex(_ID_BYTES)
    text = access.token_text(token_id, secrets.token_hex(_SECRET_BYTES))
    (row,) = await connection.fetch(
        STATEMENTS["insert_token"],
        token_id,
        name,
        access.token_digest(text),
        sorted(scopes),
        None if customers is None else sorted(customers),
        rotated_from,
        who,
        lifetime_us,
    )
    return Issued(_stored(row), text)


async def _live(connection: Connection, token_id: str) -> StoredToken:
    rows = await connection.fetch(STATEMENTS["tokens"], token_id)
    if not rows or not rows[0]["is_live"]:
        raise UnknownToken(f"there is no token {token_id} in force: see `metering token list`")
    return _stored(rows[0])


def _stored(row: asyncpg.Record) -> StoredToken:
    return StoredToken(
        token_id=row["token_id"],
        name=row["name"],
        scopes=access.scopes_of(row["scopes"]),
        customers=_customers(row),
        rotated_from=row["rotated_from"],
        created_us=row["created_at"],
        created_by=row["created_by"],
        expires_us=row["expires_at"],
        revoked_us=row["revoked_at"],
        is_live=row["is_live"],
    )


def _customers(row: asyncpg.Record) -> frozenset[str] | None:
    return None if row["customers"] is None else frozenset(row["customers"])


def _told(token: StoredToken) -> dict[str, object]:
    return {
        "name": token.name,
        "scopes": sorted(token.scopes),
        "customers": None if token.customers is None else sorted(token.customers),
        "rotated_from": token.rotated_from,
        "expires_us": token.expires_us,
    }
