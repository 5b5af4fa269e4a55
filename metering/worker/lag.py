"""Where the logs end, by the brokers' own word: the end that comes with a fetch is as old as the fetch."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from metering.worker.log_reader import LogReader, UnreadableRecordError
from metering.worker.measures import Measures, lag_records
from metering.worker.owned import Owned

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 12.0


class LagWatch:
    """Measures how far the partitions of one tenure lag behind."""

    def __init__(self, reader: LogReader, owned: Mapping[int, Owned], measures: Measures) -> None:
        self._reader = reader
        self._owned = owned
        self._measures = measures

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            try:
                await self._look()
            except (KafkaError, TimeoutError, UnreadableRecordError) as error:
                log.warning("lag_unknown", error=repr(error))
            for owned in self._owned.values():
                self._measures.where(owned)
            await asyncio.sleep(INTERVAL_S)

    async def _look(self) -> None:
        ends = await self._reader.ends(self._owned)
        for partition, end in ends.items():
            owned = self._owned[partition]
            owned.end_offset = max(end, owned.end_offset or 0)
        for partition, owned in self._owned.items():
            if lag_records(owned) and ends[partition]:
                record = await self._reader.record_at(partition, ends[partition] - 1)
                if record is not None:
                    owned.log_end_us = record.timestamp * 1000
