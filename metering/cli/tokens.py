"""`metering token`: who may call the HTTP API."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

from cyclopts import App, Parameter

from aggregator.access import FOR_EVERYBODY, Scope
from aggregator.store import migrate
from aggregator.store import tokens as store
from aggregator.store.connection import Connection
from aggregator.store.tokens import Issued, StoredToken, UnknownToken
from metering.cli.failures import sentence_of
from metering.cli.instants import duration_us
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json, print_json, print_table, say, time_text
from metering.database import database
from metering.errors import UsageError
from metering.settings import load_settings

app = App(name="token", help="Make, list, rotate or revoke tokens of the HTTP API.")

Result = TypeVar("Result")
ExpiresIn = Annotated[
    str | None, Parameter(help="It ends by itself after this long: 12h, 90d; by default never.")
]
_EVERYBODY: Final = "every customer"


@app.command
def create(
    name: str,
    *,
    scopes: Annotated[str, Parameter(help=f"What it may do, with commas: {', '.join(Scope)}.")],
    customers: Annotated[str | None, Parameter(help="Whose data it may read, with commas.")] = None,
    all_customers: Annotated[bool, Parameter(negative=(), help="It may read everybody's data.")] = False,
    expires_in: ExpiresIn = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    chosen, theirs = _scopes(scopes), _customers(customers, everybody=all_customers)
    too_much = chosen & FOR_EVERYBODY
    if theirs is not None and too_much:
        raise UsageError(
            "scope_for_everybody",
            f"{', '.join(sorted(too_much))} is for tokens of --all-customers alone: whoever may write a "
            "subscription chooses whose usage it shows, and the status names everybody's subjects.",
        )
    lifetime_us = duration_us(expires_in, "--expires-in")

    async def issue(connection: Connection) -> Issued:
        return await store.create(
            connection, name, chosen, theirs, lifetime_us=lifetime_us, who=decided_by(who)
        )

    _show_issued(_with_database(issue), as_json=as_json)


@app.command(name="list")
def list_(
    *,
    every: Annotated[bool, Parameter(name="--all", negative=(), help="Those that have ended too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the tokens in force; their secrets are known to their bearers alone."""
    found = [token for token in _with_database(store.tokens) if token.is_live or every]
    if as_json:
        print_json(*map(_document, found))
        return
    print_table(
        "Tokens",
        ["Token", "Name", "Scopes", "Customers", "Made", "By", "Ends", "Revoked"],
        map(_row, found),
    )


@app.command
def rotate(
    token_id: str,
    *,
    overlap: Annotated[str, Parameter(help="The old token goes on for this long: 0s, 24h.")] = "24h",
    expires_in: ExpiresIn = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Make a token with the same rights and print it, this once; the old one ends after the overlap."""
    overlap_us = duration_us(overlap, "--overlap") or 0
    lifetime_us = duration_us(expires_in, "--expires-in")

    async def issue(connection: Connection) -> Issued:
        return await store.rotate(
            connection, token_id, overlap_us=overlap_us, lifetime_us=lifetime_us, who=decided_by(who)
        )

    _show_issued(_with_database(issue), as_json=as_json)


@app.command
def revoke(
    token_id: str,
    *,
    reason: Annotated[str, Parameter(help="Why; it is kept for good.")],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """End a token at once."""

    async def end(connection: Connection) -> None:
        await store.revoke(connection, token_id, reason=reason, who=decided_by(who))

    _with_database(end)
    if as_json:
        print_json({"token_id": token_id, "revoked": True})
    else:
        say(f"Token {token_id} is revoked.")


def _with_database(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with database(load_settings()) as connection:
            await migrate.require_migrated(connection)
            return await work(connection)

    try:
        return asyncio.run(run())
    except UnknownToken as error:
        raise UsageError(error.code, sentence_of(error)) from error


def _scopes(text: str) -> frozenset[Scope]:
    names = [name.strip() for name in text.split(",")]
    try:
        return frozenset(map(Scope, names))
    except ValueError as error:
        raise UsageError(
            "unknown_scope", f"--scopes {text}: {error}; the scopes are {', '.join(Scope)}."
        ) from None


def _customers(text: str | None, *, everybody: bool) -> frozenset[str] | None:
    if everybody == (text is not None):
        raise UsageError(
            "usage", "Say whose data the token may read: either --customers a,b or --all-customers."
        )
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(","))
    if "" in names:
        raise UsageError("usage", f"--customers {text} names a customer without a name.")
    return names


def _show_issued(issued: Issued, *, as_json: bool) -> None:
    if as_json:
        print_json({**_document(issued.token), "token": issued.text})
        return
    say(f"Token {issued.token.token_id} ({issued.token.name}); keep it, it is not shown again:")
    say(issued.text, "bold")


def _document(token: StoredToken) -> Mapping[str, Any]:
    return {
        "token_id": token.token_id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "customers": None if token.customers is None else sorted(token.customers),
        "rotated_from": token.rotated_from,
        "created_at": time_text(token.created_us),
        "created_by": token.created_by,
        "expires_at": time_text(token.expires_us),
        "revoked_at": time_text(token.revoked_us),
        "live": token.is_live,
    }


def _row(token: StoredToken) -> tuple[object, ...]:
    return (
        token.token_id,
        token.name,
        ", ".join(sorted(token.scopes)),
        _EVERYBODY if token.customers is None else ", ".join(sorted(token.customers)),
        time_text(token.created_us),
        token.created_by,
        time_text(token.expires_us) or "never",
        time_text(token.revoked_us),
    )
