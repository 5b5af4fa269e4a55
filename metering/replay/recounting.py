"""Counts partitions up to given offsets, as a worker would, without being a member of its group."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from metering.process.patience import brokers_pass
from metering.worker.backlog import Backlog
from metering.worker.claiming import claim_all
from metering.worker.clients import close_consumer, replaying_consumer
from metering.worker.counting import Counting
from metering.worker.folder import Work
from metering.worker.housekeeping import Housekeeping
from metering.worker.services import Engine
from metering.worker.stops import Stop, first_cause, stopped_error
from schemas.codes import Code

if TYPE_CHECKING:
    from metering.worker.owned import Owned

log = structlog.get_logger(__name__)

RETRY_S: Final = 1.0

Foretold = Mapping[int, Mapping[int, Code]]
"""Codes of refusals by partition and offset."""


async def recount(engine: Engine, until: Mapping[int, int], foretold: Foretold) -> None:
    """Count each of these partitions from where the schema stands to its offset here, and not further.

    Args:
        engine: to count with.
        until: where to end, by partition.
        foretold: of a range, the refusals that it does not find out again.

    Raises:
        StoppedError: a partition cannot be counted on; the code says why.
        Fenced: somebody else counts into this schema.
    """
    while True:
        consumer = replaying_consumer(engine.settings)
        await engine.topic.brokers.until_done("connect", consumer.start)
        try:
            await _Round(engine, consumer, until, foretold).run()
        except ExceptionGroup as group:
            error = first_cause(group)
            if not isinstance(error, (KafkaError, OSError, TimeoutError)) or not brokers_pass(error, 0):
                raise error from group
            # All that was counted is committed: the next round goes on from there.
            log.warning("replay_interrupted", error=repr(error))
            await asyncio.sleep(RETRY_S)
        else:
            return
        finally:
            await close_consumer(consumer)


class _Round:
    """One consumer's way, from a claim until everything is committed."""

    def __init__(
        self, engine: Engine, consumer: AIOKafkaConsumer, until: Mapping[int, int], foretold: Foretold
    ) -> None:
        self._engine = engine
        self._consumer = consumer
        self._until = until
        self._foretold = foretold
        self._owned: dict[int, Owned] = {}
        self._housekeeping = Housekeeping(engine.database, engine.patience)
        self._done = asyncio.Event()

    async def run(self) -> None:
        engine = self._engine
        logs = [TopicPartition(engine.rules.name, partition) for partition in self._until]
        self._consumer.assign(logs)
        self._consumer.pause(*logs)
        claimed = await claim_all(
            logs, engine.rules, engine.database, engine.patience, engine.settings.instance
        )
        for owned in claimed:
            self._consumer.seek(owned.log, owned.position)
            owned.until = self._until[owned.partition]
            owned.committed = replace(owned.committed, foretold=self._foretold.get(owned.partition, {}))
            owned.newest = owned.committed
            if owned.stop is not None:
                self.stopped(owned.stop)
        self._owned.update({owned.partition: owned for owned in claimed})
        self._look()
        await Counting(engine, self._consumer, self._owned, self).run(self._done, [self._housekeeping.run()])

    def committed(self, works: Sequence[Work], _backlog: Backlog) -> None:
        """A flush is committed: it may have been the last."""
        self._housekeeping.committed(works)
        log.info(
            "replayed",
            partitions={work.owned.partition: work.batch.next_offset for work in works},
            records=sum(len(work.reading.records) for work in works),
        )
        self._look()

    def resumed(self) -> None:
        """Nobody waits for this."""

    def stopped(self, stop: Stop) -> None:
        """There is no point in a replay of some partitions."""
        raise stopped_error(stop)

    def _look(self) -> None:
        if all(owned.committed.next_offset >= self._until[p] for p, owned in self._owned.items()):
            self._done.set()
