"""The composition root: makes every part of a worker, and is a member of the group until told to stop."""

import asyncio
import gc
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from aggregator.state import TopicRules
from aggregator.store import load, migrate, status
from aggregator.store.errors import Fenced, StoreError
from metering.errors import MeteringError, UnreachableError
from metering.process.health import Readiness, probes
from metering.process.patience import Patience, brokers_pass, database_passes
from metering.process.shutdown import Shutdown, StoppedEarlyError
from metering.settings import Settings
from metering.telemetry import Telemetry, catalogue, start_telemetry
from metering.worker.catalog import CurrentCatalog
from metering.worker.caught_up import CaughtUp
from metering.worker.clients import close_in_time, control_producer, group_consumer
from metering.worker.database import Database
from metering.worker.flushing import Flusher
from metering.worker.housekeeping import Housekeeping
from metering.worker.measures import Measures
from metering.worker.opening import START_S, impatient, let_in, open_topic
from metering.worker.outbox import Outbox
from metering.worker.plain_records import take_plain_records
from metering.worker.services import Services
from metering.worker.session import Session
from metering.worker.stop_notes import StopNotes
from metering.worker.stops import TopicStoppedError, first_cause, stopped_error
from metering.worker.tenure import Tenure
from schemas.codes import Code

log = structlog.get_logger(__name__)

REJOIN_S: Final = 1.0
"""Pause before a new membership after one that failed."""

CAUGHT_UP_INTERVAL_S: Final = 0.2
"""Who waits for the end of the log should not wait for the last batch to age."""


async def run(settings: Settings, *, until_caught_up: bool) -> int:
    """Count until SIGTERM, or until what is in the topic now is counted: the whole of a process.

    Returns:
        0, the exit code.

    Raises:
        StoppedError: a partition or the topic had to be stopped.
        UnreachableError: a broker or the database does not answer when this begins.
        StoreError: the schema is not set up.
    """
    shutdown = Shutdown()
    shutdown.listen()
    take_plain_records()
    return await serve(settings, shutdown, until_caught_up=until_caught_up)


async def serve(settings: Settings, shutdown: Shutdown, *, until_caught_up: bool) -> int:
    """Count until told to stop; see `run`."""
    telemetry = start_telemetry(settings, "worker")
    readiness = Readiness("worker", telemetry.instruments)
    measures = Measures(telemetry.instruments)
    code: str | None = None
    try:
        async with AsyncExitStack() as opened:
            services = await shutdown.unless(
                _services(settings, until_caught_up, shutdown, readiness, telemetry, measures, opened)
            )
            with let_in():
                await _work(services)
        _raise_reason(shutdown)
    except StoppedEarlyError:
        pass  # there was nothing to drain
    except BaseException as error:
        code = error.code if isinstance(error, (MeteringError, StoreError)) else type(error).__name__
        raise
    finally:
        log.log(
            logging.INFO if code is None else logging.ERROR,
            "stopped",
            code=code,
            flushes=measures.flushes,
            **measures.totals,
        )
        telemetry.close()
    return 0


async def _work(services: Services) -> None:
    """Be a member of the group until told to stop, with everything that goes on beside counting."""
    watchers = [services.outbox.run(), services.housekeeping.run(), services.stop_notes.run()]
    if services.until_caught_up:
        # Read before this process joins: then every partition is claimed anew, by it or by another member.
        epochs = await services.patience.until_done("read the epochs", partial(_epochs, services.database))
        watchers.append(_stop_when_caught_up(services, epochs))
    gc.collect()
    gc.freeze()  # what is there now stays: no need to look at it again
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(watcher) for watcher in watchers]
            await tasks.create_task(_be_member(services))
            for watcher in running:
                watcher.cancel()
    except ExceptionGroup as group:
        raise first_cause(group) from group


async def _be_member(services: Services) -> None:
    """Join the group; when fenced, or when the membership is lost, leave it and join anew."""
    while not services.shutdown.requested.is_set():
        services.readiness.because("worker", "joining the group")
        session = Session(services.settings, group_consumer(services.settings), partial(Tenure, services))
        try:
            await session.run(services.shutdown.requested)
        except Fenced as fenced:
            services.telemetry.instruments.add(catalogue.FENCED, len(fenced.partitions))
            log.warning("fenced", partitions=sorted(fenced.partitions))
        except (KafkaError, OSError, TimeoutError) as error:
            if not brokers_pass(error, waited_s=0):
                raise UnreachableError("kafka_refused", f"The brokers refused ({error!r}).") from error
            log.warning("membership_lost", error=repr(error))
            services.readiness.because("worker", f"membership lost: {error!r}")
        with suppress(TimeoutError):
            async with asyncio.timeout(REJOIN_S):
                await services.shutdown.requested.wait()


async def _epochs(database: Database) -> dict[int, int]:
    async with database.chores.use() as connection:
        return {row.partition: row.epoch for row in await status.partitions(connection)}


async def _stop_when_caught_up(services: Services, epochs: Mapping[int, int]) -> None:
    ends = await services.topic.brokers.until_done(
        "find the end", lambda: services.topic.reader.ends(range(services.rules.partitions))
    )
    log.info("catching_up", ends=ends)
    await services.checked.wait()  # or a log that is another one, and empty, would look counted
    waiting = CaughtUp(ends, epochs, services.database, services.patience, services.counted)
    stop = await waiting.wait()
    services.shutdown.request(None if stop is None else stopped_error(stop))


async def _services(
    settings: Settings,
    until_caught_up: bool,  # noqa: FBT001 - handed on
    shutdown: Shutdown,
    readiness: Readiness,
    telemetry: Telemetry,
    measures: Measures,
    opened: AsyncExitStack,
) -> Services:
    await opened.enter_async_context(probes(settings, readiness.told, telemetry))
    instruments = telemetry.instruments
    database = Database(settings, instruments)
    opened.callback(database.terminate)
    patience = Patience("database", database_passes, readiness, instruments)
    flusher = Flusher(database, patience, f"{version('metering')} {settings.instance}", instruments)
    opened.callback(flusher.close)
    stop_notes = StopNotes(database, patience, settings.instance)
    opened.push_async_exit(stop_notes.finish)
    brokers = Patience("brokers", brokers_pass, readiness, instruments)
    with impatient(readiness):
        async with asyncio.timeout(START_S):
            rules = await patience.until_done("read the rules", partial(_rules, database))
            if rules.name != settings.topic:
                raise TopicStoppedError(
                    Code.TOPIC_MISMATCH, f"This schema counts {rules.name}, the setting is {settings.topic}"
                )
            topic = await open_topic(settings, rules, brokers, opened)
            producer = control_producer(settings)
            opened.push_async_callback(close_in_time, "producer", producer.stop)
            await brokers.until_done("start the producer", producer.start)
            current = CurrentCatalog(database, patience)
            await current.reload()
    log.info(
        "worker_started",
        instance=settings.instance,
        topic=rules.name,
        partitions=rules.partitions,
        clock=rules.clock,
        group=settings.consumer_group,
        catalog_head=current.catalog.head,
        until_caught_up=until_caught_up,
    )
    return Services(
        settings=settings,
        until_caught_up=until_caught_up,
        telemetry=telemetry,
        readiness=readiness,
        shutdown=shutdown,
        database=database,
        patience=patience,
        rest_interval_s=min(settings.flush_interval_s, CAUGHT_UP_INTERVAL_S)
        if until_caught_up
        else settings.flush_interval_s,
        rules=rules,
        topic=topic,
        producer=producer,
        current=current,
        flusher=flusher,
        measures=measures,
        outbox=Outbox(rules, database, patience, producer, instruments),
        housekeeping=Housekeeping(database, patience),
        stop_notes=stop_notes,
        checked=asyncio.Event(),
        counted=asyncio.Event(),
    )


async def _rules(database: Database) -> TopicRules:
    async with database.loads.use() as connection:
        await migrate.require_migrated(connection)
        return await load.topic_rules(connection)


def _raise_reason(shutdown: Shutdown) -> None:
    if shutdown.error is not None:
        raise shutdown.error
