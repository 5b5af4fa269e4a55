"""The brokers as servers, and the logs that they keep for this schema."""

import time
from collections.abc import Sequence
from typing import Final

from aggregator.health.severity import Severity
from aggregator.store.errors import StoreError
from metering.broker import TOPIC_MISSING
from metering.database import database
from metering.doctor import topic, work
from metering.doctor.check import Check, Result, found, holds, unknown
from metering.errors import MeteringError
from metering.observer.counted import Accounts, read_accounts
from metering.observer.logs import TopicLogs
from metering.observer.look import Looks, Standing
from metering.settings import Settings
from metering.topics import TopicState, compare, counted_contract

KAFKA: Final = Check(
    "kafka",
    Severity.CRITICAL,
    "The brokers answer.",
    "See whether they run and are reached from here: METERING_KAFKA_BOOTSTRAP_SERVERS and its login.",
)
KAFKA_VERSION: Final = Check(
    "kafka_version",
    Severity.WARNING,
    "The brokers speak the protocol that this release needs: Kafka 3.0 or later, tested up to 4.3.",
    "Move the brokers to a supported version.",
)
CHECKS: Final = (KAFKA, KAFKA_VERSION, *topic.CHECKS, *work.ABOUT_LOGS, work.TIME_LEFT)


async def examine(settings: Settings) -> list[Result]:
    """Look at the brokers, the topic and its logs, as far as the database says what to ask."""
    began_s = time.monotonic()
    accounts = await _accounts(settings)
    of_logs, standings = await _logs(settings, accounts, began_s)
    of_topic, state = await _topic(settings)
    results = {result.check: result for result in (*of_logs, *of_topic)}
    if standings and state is not None:
        results[work.TIME_LEFT] = work.examine_time_left(standings, topic.retention_us(state))
    return [results.get(check) or unknown(check, "Not both servers answer.") for check in CHECKS]


async def _accounts(settings: Settings) -> Accounts | None:
    """As fresh as what the brokers say."""
    try:
        async with database(settings) as connection:
            return await read_accounts(connection)
    except (MeteringError, StoreError):
        return None


async def _topic(settings: Settings) -> tuple[list[Result], TopicState | None]:
    try:
        state = await compare(settings, await counted_contract(settings))
    except (MeteringError, StoreError) as error:
        return [unknown(check, "Not both servers answer.", error) for check in topic.CHECKS], None
    return topic.examine(settings, state), state


async def _logs(
    settings: Settings, accounts: Accounts | None, began_s: float
) -> tuple[list[Result], Sequence[Standing]]:
    counted = {} if accounts is None else accounts.counted
    name = settings.topic if accounts is None or accounts.topic is None else accounts.topic.name
    try:
        async with TopicLogs.connect(settings, name) as logs:
            positions = await logs.look(counted)
    except NotImplementedError as error:  # how the client says that it has no common version with a broker
        return [holds(KAFKA), found(KAFKA_VERSION, f"The brokers are too old: {error}.")], []
    except MeteringError as error:
        if error.code == TOPIC_MISSING:
            return [holds(KAFKA), holds(KAFKA_VERSION)], []
        return [unknown(KAFKA, error.sentence, error)], []
    answers = [holds(KAFKA), holds(KAFKA_VERSION)]
    if accounts is None:
        return answers, []
    standings = Looks(settings).standings(accounts, positions)
    took_us = round((time.monotonic() - began_s) * 1e6)
    return [*answers, *work.examine_logs(accounts, standings, took_us)], standings
