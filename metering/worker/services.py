"""What a process has once: the engine that counts, and what a member of the group has beside it."""

import asyncio
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from aggregator.state import TopicRules
from metering.process.health import Readiness
from metering.process.patience import Patience
from metering.process.shutdown import Shutdown
from metering.settings import Settings
from metering.telemetry import Telemetry
from metering.worker.catalog import CurrentCatalog
from metering.worker.database import Database
from metering.worker.flushing import Flusher
from metering.worker.guard import Topic
from metering.worker.housekeeping import Housekeeping
from metering.worker.measures import Measures
from metering.worker.outbox import Outbox
from metering.worker.stop_notes import StopNotes


@dataclass(frozen=True, slots=True)
class Engine:
    """What fetching, folding and flushing need, whoever does them: a member of the group, or a replay."""

    settings: Settings
    telemetry: Telemetry
    readiness: Readiness
    database: Database
    patience: Patience  # with the database
    rest_interval_s: float  # a batch is flushed when it is this old, if all that is in the log has been taken
    rules: TopicRules
    topic: Topic
    current: CurrentCatalog
    flusher: Flusher


@dataclass(frozen=True, slots=True)
class Services(Engine):
    """All that the tenures of a worker share; made by `run`."""

    until_caught_up: bool
    shutdown: Shutdown
    producer: AIOKafkaProducer
    measures: Measures
    outbox: Outbox
    checked: asyncio.Event  # set when an assignment's logs have been checked
    counted: asyncio.Event  # set at every commit
    housekeeping: Housekeeping
    stop_notes: StopNotes
