"""Databases on a local server."""

from contextlib import suppress

import asyncpg


async def make_database(server_dsn: str, name: str) -> None:
    """Make the empty database `name`, unless it is there; `name` is one of our own, and a plain word."""
    connection = await asyncpg.connect(server_dsn)
    try:
        with suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
