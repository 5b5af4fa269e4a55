"""The catalog that this process folds with."""

import structlog

from aggregator.catalog import Catalog, compile_catalog
from aggregator.store import load
from metering.process.patience import Patience
from metering.worker.database import Database

log = structlog.get_logger(__name__)


class CurrentCatalog:
    """The newest head known here; every flush finds out whether there is a newer one."""

    def __init__(self, database: Database, patience: Patience, since_us: int | None = None) -> None:
        self._database = database
        self._patience = patience
        self._since_us = since_us
        self.catalog = Catalog(head=0, timelines={}, versions={})

    async def reload(self) -> None:
        """Read the newest head, after waiting for a database that is away."""
        stored = await self._patience.until_done("load the catalog", self._load)
        self.catalog = compile_catalog(stored, self._since_us)
        log.info("catalog_loaded", head=self.catalog.head, meter_versions=len(self.catalog.versions))

    async def _load(self) -> load.StoredCatalog:
        async with self._database.loads.use() as connection:
            return await load.catalog(connection)
