"""Brings a schema to the version of this release, and back. Safe when two start at once."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from aggregator.store.connection import Connection
from aggregator.store.errors import MigrationError, NotMigrated
from aggregator.store.statements import STATEMENTS

_FILE: Final = re.compile(r"(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")
_TEXT: Final = re.compile(r"-- migrate:up\n(?P<up>.*)-- migrate:down\n(?P<down>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`; `digest` is the SHA-256 of all of it."""

    version: int
    name: str
    up: str
    down: str
    digest: bytes


def migrations(directory: Traversable | None = None) -> Sequence[Migration]:
    """Every migration of this release, in order.

    Raises:
        ValueError: a file is misnamed or lacks a section, or the numbers are not 1, 2, 3, …
    """
    found = sorted(_read(directory or files(__package__).joinpath("migrations")), key=lambda m: m.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered one by one: {[m.version for m in found]}")
    return found


async def pending(connection: Connection, wanted: Sequence[Migration] | None = None) -> Sequence[Migration]:
    """Migrations that the schema lacks; all of them if there is no schema yet.

    Raises:
        MigrationError: the schema was migrated with other files.
    """
    wanted = migrations() if wanted is None else wanted
    applied: dict[int, tuple[str, bytes]] = {}
    if await connection.fetchval(STATEMENTS["has_schema_migration"]):
        rows = await connection.fetch(STATEMENTS["applied_migrations"])
        applied = {row["version"]: (row["name"], row["digest"]) for row in rows}
    ours = {migration.version: migration for migration in wanted}
    for version, (name, digest) in applied.items():
        if version not in ours:
            raise MigrationError(
                f"the schema has migration {version:04}_{name}: use the release that made it"
            )
        if digest != ours[version].digest:
            raise MigrationError(
                f"{version:04}_{ours[version].name}.sql was changed after it was applied: "
                "restore it and put the change into a new migration"
            )
    return [migration for migration in wanted if migration.version not in applied]


async def require_migrated(connection: Connection) -> None:
    """Check that the schema is the one this release needs.

    Raises:
        NotMigrated: it lacks migrations.
        MigrationError: it was migrated with other files.
    """
    lacking = await pending(connection)
    if lacking:
        raise NotMigrated(f"{len(lacking)} migrations are not applied: run `metering migrate`")


async def up(connection: Connection, wanted: Sequence[Migration] | None = None) -> Sequence[Migration]:
    """Make the roles and the schema if they are missing, and apply what is pending, a transaction each.

    Args:
        connection: of a superuser, of a member of `metering_owner`, or of who may create roles and schemas.
        wanted: the migrations to apply; all of this release unless told.

    Returns:
        What was applied, in order; nothing if another process was quicker.

    Raises:
        MigrationError: the schema was migrated with other files.
    """
    async with _locked(connection):
        await connection.execute(STATEMENTS["create_roles"])
        await connection.execute(STATEMENTS["create_schema"])
        async with connection.transaction():
            await connection.execute(STATEMENTS["become_owner"])
            await connection.execute(STATEMENTS["create_schema_migration"])
        applied = await pending(connection, wanted)
        for migration in applied:
            async with connection.transaction():
                await connection.execute(STATEMENTS["become_owner"])
                await connection.execute(migration.up)
                await connection.execute(
                    STATEMENTS["record_migration"], migration.version, migration.name, migration.digest
                )
    return applied


async def down(connection: Connection, to: int) -> Sequence[Migration]:
    """Undo every migration after version `to`, the last first; 0 leaves an empty schema.

    Roles stay: other schemas and databases of the server use them.

    Raises:
        MigrationError: the schema was migrated with other files.
    """
    undone = []
    async with _locked(connection):
        lacking = {migration.version for migration in await pending(connection)}
        for migration in reversed(migrations()):
            if migration.version > to and migration.version not in lacking:
                async with connection.transaction():
                    await connection.execute(STATEMENTS["become_owner"])
                    await connection.execute(migration.down)
                    await connection.execute(STATEMENTS["forget_migration"], migration.version)
                undone.append(migration)
    return undone


@asynccontextmanager
async def _locked(connection: Connection) -> AsyncIterator[None]:
    await connection.execute(STATEMENTS["lock_migrations"])
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(STATEMENTS["unlock_migrations"])


def _read(directory: Traversable) -> Iterator[Migration]:
    for file in directory.iterdir():
        if not file.name.endswith(".sql"):
            continue
        text = file.read_text("utf-8")
        named, sections = _FILE.fullmatch(file.name), _TEXT.fullmatch(text)
        if named is None or sections is None:
            raise ValueError(f"{file.name} is no migration: NNNN_name.sql with an up and a down section")
        digest = hashlib.sha256(text.encode()).digest()
        yield Migration(int(named["version"]), named["name"], sections["up"], sections["down"], digest)
