"""Changing the catalog: nobody counts while it is compared with the frontiers and written."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

from aggregator.applying.catalog_plan import Change, ChangeKind
from aggregator.store import audit
from aggregator.store.connection import Connection, instant_us, json_text, stored_us
from aggregator.store.load import StoredCatalog, catalog_within
from aggregator.store.statements import STATEMENTS


@dataclass(frozen=True, slots=True)
class CatalogState:
    """What a plan is made from: as it is, and stays while the catalog is held."""

    catalog: StoredCatalog
    frontiers_us: Mapping[int, int | None]  # by partition; None: no record yet


async def current(connection: Connection) -> CatalogState:
    """The state for a plan that is only shown."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _state(connection)


@asynccontextmanager
async def exclusive(connection: Connection) -> AsyncIterator[CatalogState]:
    """Hold the catalog: flushes under way have ended, new ones wait. Commits at the end of the block.

    Plan from what this yields, `insert_versions`, and be quick.
    """
    async with connection.transaction():
        await connection.execute(STATEMENTS["lock_catalog"])
        yield await _state(connection)


async def insert_versions(connection: Connection, changes: Sequence[Change], applied_by: str) -> int:
    """Write the new versions of a plan (`Plan.effects`); call it within `exclusive`.

    Returns:
        The catalog's new head.
    """
    rows = [
        (
            change.meter,
            change.version,
            json_text(change.definition),
            stored_us(change.effective_from_us),
            change.kind is ChangeKind.RETIRED,
        )
        for change in changes
    ]
    digest = sha256(json_text(rows).encode()).digest()
    head: int = await connection.fetchval(STATEMENTS["insert_apply"], applied_by, digest)
    await connection.execute(STATEMENTS["insert_versions"], *zip(*rows, strict=True), head)
    versions = [{"meter": change.meter, "version": change.version, "kind": change.kind} for change in changes]
    await audit.record(connection, applied_by, "catalog.apply", f"head {head}", {"versions": versions})
    return head


async def frontiers(connection: Connection) -> dict[int, int | None]:
    """How far the log has come, by partition; None: no record yet."""
    rows = await connection.fetch(STATEMENTS["frontiers"])
    return {row["partition"]: instant_us(row["frontier"]) for row in rows}


async def _state(connection: Connection) -> CatalogState:
    frontiers_us = await frontiers(connection)
    return CatalogState(await catalog_within(connection), frontiers_us)
