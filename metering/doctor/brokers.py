"""The brokers as servers, and the logs that they keep for this schema."""

from typing import Final

from aggregator.health.severity import Severity
from aggregator.store.errors import StoreError
from metering.broker import TOPIC_MISSING
from metering.doctor import topic, work
from metering.doctor.check import Check, Result, found, holds, unknown
from metering.errors import MeteringError
from metering.observer.counted import Accounts
from metering.observer.logs import TopicLogs
from metering.observer.look import Looks
from metering.settings import Settings
from metering.topics import compare, counted_contract

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
CHECKS: Final = (KAFKA, KAFKA_VERSION, *topic.CHECKS, *work.ABOUT_LOGS)


async def examine(settings: Settings, accounts: Accounts | None) -> list[Result]:
    """Look at the brokers, the topic and its logs, as far as the database says what to ask."""
    results = [*await _logs(settings, accounts), *await _topic(settings)]
    order = {check: place for place, check in enumerate(CHECKS)}
    return sorted(results, key=lambda result: order[result.check])


async def _topic(settings: Settings) -> list[Result]:
    try:
        return topic.examine(settings, await compare(settings, await counted_contract(settings)))
    except (MeteringError, StoreError) as error:
        return [unknown(check, "Not both servers answer.", error) for check in topic.CHECKS]


async def _logs(settings: Settings, accounts: Accounts | None) -> list[Result]:
    counted = {} if accounts is None else accounts.counted
    name = settings.topic if accounts is None or accounts.topic is None else accounts.topic.name
    try:
        async with TopicLogs.connect(settings, name) as logs:
            positions = await logs.look(counted)
    except NotImplementedError as error:  # how the client says that it has no common version with a broker
        old = found(KAFKA_VERSION, f"The brokers are too old: {error}.")
        return [holds(KAFKA), old, *(unknown(check, "The brokers are too old.") for check in work.ABOUT_LOGS)]
    except MeteringError as error:
        if error.code == TOPIC_MISSING:
            lost = (unknown(check, "There is no topic.", error) for check in work.ABOUT_LOGS)
            return [holds(KAFKA), holds(KAFKA_VERSION), *lost]
        away = [unknown(KAFKA, error.sentence, error)]
        return [*away, *(unknown(check, "No broker answers.") for check in (KAFKA_VERSION, *work.ABOUT_LOGS))]
    answers = [holds(KAFKA), holds(KAFKA_VERSION)]
    if accounts is None:
        return [*answers, *(unknown(check, "The database does not answer.") for check in work.ABOUT_LOGS)]
    return [*answers, *work.examine_logs(Looks(settings).standings(accounts, positions))]
