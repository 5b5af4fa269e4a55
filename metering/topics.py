"""The usage topic, compared with its contract: on the brokers and in the database."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from aggregator.state import TopicRules
from aggregator.store import audit, load, migrate
from aggregator.store import topic as stored_topic
from aggregator.store.errors import NotApplied, NotMigrated
from metering.broker import (
    TOPIC_MISSING,
    BrokerTopic,
    broker_admin,
    change_configs,
    count_brokers,
    create_topic,
    read_beginnings,
    read_topic,
)
from metering.database import database
from metering.errors import InputRefusedError, StoppedError, UnreachableError, unreadable
from metering.settings import Settings
from schemas.codes import SENTENCES, Code
from schemas.topic import UNLIMITED, TopicContract, TopicError, load_topic

TOPIC_NOT_APPLIED: Final = "topic_not_applied"
CONFIG_DIFFERS: Final = "config_differs"
REPLICATION_DIFFERS: Final = "replication_differs"
CLOCK_CONFIG: Final = "message.timestamp.type"


class Difference(NamedTuple):
    """One thing that is not as the contract says; `applicable` if `apply` brings it there."""

    code: str
    what: str
    found: str
    wanted: str
    applicable: bool


@dataclass(frozen=True, slots=True)
class TopicState:
    """What was found, and how it differs from the contract."""

    contract: TopicContract
    on_brokers: BrokerTopic | None
    differences: tuple[Difference, ...]


def load_contract(settings: Settings, file: Path | None = None) -> TopicContract:
    """The topic's contract: of the file, else of `METERING_TOPIC_FILE`, else the package's own.

    `METERING_TOPIC` gives it another name.

    Raises:
        InputRefusedError: the file cannot be read (`contract_unreadable`) or is no contract
            (`contract_invalid`); the sentence names the lines.
    """
    source = file or settings.topic_file
    try:
        if source is not None:
            contract = load_topic(source.read_text("utf-8"), str(source))
        else:
            packaged = files("schemas").joinpath("topics", "usage.events.yaml")
            contract = load_topic(packaged.read_text("utf-8"), packaged.name)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable("contract", source, error) from error
    except TopicError as error:
        raise InputRefusedError("contract_invalid", str(error)) from error
    if "topic" in settings.model_fields_set:
        return contract.model_copy(update={"name": settings.topic})
    return contract


async def counted_contract(settings: Settings) -> TopicContract:
    """The contract of the topic that is counted: as the database knows it, if it knows this topic.

    A publisher needs no database: without one, `load_contract` decides.
    """
    contract = load_contract(settings)
    if settings.topic_file is not None:
        return contract
    try:
        async with database(settings) as connection:
            await migrate.require_migrated(connection)
            rules = await load.topic_rules(connection)
    except (UnreachableError, NotMigrated, NotApplied):
        return contract
    return _of_rules(contract, rules) if rules.name == contract.name else contract


async def compare(settings: Settings, contract: TopicContract) -> TopicState:
    """Look at the brokers and the database; change nothing."""
    async with broker_admin(settings) as admin:
        contract = contract.on_brokers(await count_brokers(admin))
        topic = await read_topic(admin, contract.name)
    in_database = await _database_differences(settings, contract)
    return TopicState(contract, topic, (*broker_differences(contract, topic), *in_database))


async def apply(settings: Settings, contract: TopicContract, who: str) -> tuple[Difference, ...]:
    """Bring the brokers and the database to the contract, and give what was changed.

    The number of partitions of a topic that exists is never changed, nor are the rules of one that counts.

    Raises:
        StoppedError: something cannot be changed; nothing was.
    """
    state = await compare(settings, contract)
    for difference in state.differences:
        if not difference.applicable and difference.code != REPLICATION_DIFFERS:
            raise StoppedError(difference.code, _refusal(difference))
    contract = state.contract
    async with broker_admin(settings) as admin:
        if state.on_brokers is None:
            await create_topic(
                admin, contract.name, contract.partitions, contract.replication_factor, contract.configs()
            )
        elif any(difference.what.startswith("config ") for difference in state.differences):
            await change_configs(admin, contract.name, state.on_brokers, contract.configs())
    beginnings = await read_beginnings(settings, contract.name, contract.partitions)
    changed = tuple(difference for difference in state.differences if difference.applicable)
    async with database(settings) as connection, connection.transaction():
        await stored_topic.apply(connection, contract, beginnings)
        if changed:
            detail = {"changed": [difference._asdict() for difference in changed]}
            await audit.record(connection, who, "topic.apply", contract.name, detail)
    return changed


def broker_differences(contract: TopicContract, topic: BrokerTopic | None) -> list[Difference]:
    """How the topic on the brokers differs from its contract."""
    if topic is None:
        return [Difference(TOPIC_MISSING, f"topic {contract.name}", "missing", "created", applicable=True)]
    found = []
    if topic.partitions != contract.partitions:
        found.append(
            Difference(
                Code.PARTITION_COUNT_CHANGED,
                "partitions",
                str(topic.partitions),
                str(contract.partitions),
                applicable=False,
            )
        )
    if topic.replicas < contract.replication_factor:
        found.append(
            Difference(
                REPLICATION_DIFFERS,
                "replicas",
                str(topic.replicas),
                str(contract.replication_factor),
                applicable=False,
            )
        )
    for name, wanted in contract.configs().items():
        if topic.configs.get(name) != wanted:
            code = _clock_code(contract) if name == CLOCK_CONFIG else CONFIG_DIFFERS
            found.append(
                Difference(code, f"config {name}", topic.configs.get(name, "unset"), wanted, applicable=True)
            )
    return found


def _clock_code(contract: TopicContract) -> Code:
    return Code.CREATE_TIME_TOPIC if contract.clock == "broker" else Code.TOPIC_MISMATCH


async def _database_differences(settings: Settings, contract: TopicContract) -> list[Difference]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        try:
            rules = await load.topic_rules(connection)
        except NotApplied:
            return [
                Difference(
                    TOPIC_NOT_APPLIED,
                    f"schema {settings.postgres_schema}",
                    "counts no topic",
                    f"counts {contract.name}",
                    applicable=True,
                )
            ]
    return [
        Difference(
            Code.TOPIC_MISMATCH, "rules in the database", found, "as in the contract", applicable=False
        )
        for found in stored_topic.differences(contract, rules)
    ]


def _refusal(difference: Difference) -> str:
    sentence = SENTENCES[Code(difference.code)]
    return f"{sentence} ({difference.what}: {difference.found}; the contract: {difference.wanted})"


def _of_rules(contract: TopicContract, rules: TopicRules) -> TopicContract:
    return contract.model_copy(
        update={
            "partitions": rules.partitions,
            "clock": rules.clock,
            "retention_ms": contract.retention_ms if rules.clock == "broker" else UNLIMITED,
            "partitioner": rules.partitioner,
            "acceptance_window_s": rules.acceptance_window_us // 1_000_000,
            "skew_s": rules.skew_us // 1_000_000,
            "repair_horizon_s": rules.repair_horizon_us // 1_000_000,
        }
    )
