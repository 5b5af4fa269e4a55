"""The contract of a usage topic: what its records' order, keys and timestamps are."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.document import DocumentCode, DocumentError, Written, problem_error, read_document, validate
from schemas.event import MAX_BESIDE_VALUE_BYTES, MAX_VALUE_BYTES
from schemas.partitioner import PartitionerName

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
UNLIMITED: Final = -1

LARGEST_RECORD_BYTES: Final = MAX_VALUE_BYTES + MAX_BESIDE_VALUE_BYTES + 512
"""What the log takes of the largest record that is counted, with the header that republishing it adds."""

_NAME: Final = Written("[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}", "write up to 249 of A-Z, a-z, 0-9, ., _ and -")


class TopicError(DocumentError):
    """A topic contract that cannot be used; see `problems`."""


class TopicContract(BaseModel):
    """What a usage topic is; its name, partitions, partitioner and clock never change once it is counted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    name: Annotated[str, _NAME]
    description: str | None = None
    partitions: int = Field(ge=1, le=10_000, description="Fixed for good: subjects must not move.")
    replication_factor: int = Field(3, ge=1, le=32_767)
    min_insync_replicas: int = Field(2, ge=1, le=32_767)
    clock: Literal["broker", "record"] = Field(
        "broker",
        description="Whose time the frontier follows: the broker's, at the append, or that of each record, "
        "which only replay, simulation and demonstration may write.",
    )
    partitioner: PartitionerName = Field(
        "murmur2", description="murmur2: Java clients and aiokafka; crc32: librdkafka's default."
    )
    retention_ms: int = Field(30 * DAY_S * 1000, ge=UNLIMITED, description="-1: for ever.")
    compression: Literal["producer", "gzip", "snappy", "lz4", "zstd", "uncompressed"] = "producer"
    max_message_bytes: int = Field(1_048_588, ge=LARGEST_RECORD_BYTES, le=2**31 - 1)
    acceptance_window_s: int = Field(
        48 * HOUR_S, ge=HOUR_S, description="How far behind the frontier an event's time may be."
    )
    skew_s: int = Field(300, ge=0, le=HOUR_S, description="How far ahead of the frontier it may be.")
    repair_horizon_s: int = Field(35 * DAY_S, description="How far behind the frontier a repair may be.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.clock == "record" and self.retention_ms != UNLIMITED:
            raise problem_error(
                DocumentCode.CONTRADICTION,
                "`clock: record` needs `retention_ms: -1`: brokers delete old timestamps at once",
            )
        if UNLIMITED < self.retention_ms < self.acceptance_window_s * 1000:
            raise problem_error(
                DocumentCode.CONTRADICTION,
                "`retention_ms` is shorter than `acceptance_window_s`: usage could be deleted uncounted",
            )
        if self.min_insync_replicas > self.replication_factor:
            raise problem_error(
                DocumentCode.CONTRADICTION,
                "`min_insync_replicas` exceeds `replication_factor`: nothing could be written",
            )
        if self.repair_horizon_s < self.acceptance_window_s:
            raise problem_error(
                DocumentCode.CONTRADICTION,
                "`repair_horizon_s` is shorter than `acceptance_window_s`: lengthen it",
            )
        return self

    @property
    def timestamp_type(self) -> Literal["LogAppendTime", "CreateTime"]:
        """Kafka's name of the clock."""
        return "LogAppendTime" if self.clock == "broker" else "CreateTime"

    @property
    def acceptance_window_us(self) -> int:
        """The acceptance window in microseconds."""
        return self.acceptance_window_s * 1_000_000

    @property
    def skew_us(self) -> int:
        """The skew in microseconds."""
        return self.skew_s * 1_000_000

    @property
    def repair_horizon_us(self) -> int:
        """The repair horizon in microseconds."""
        return self.repair_horizon_s * 1_000_000

    def on_brokers(self, brokers: int) -> Self:
        """The same contract on a small cluster: no more replicas than brokers, one of which may fail."""
        replicas = min(self.replication_factor, brokers)
        in_sync = min(self.min_insync_replicas, max(1, replicas - 1))
        return self.model_copy(update={"replication_factor": replicas, "min_insync_replicas": in_sync})

    def configs(self) -> dict[str, str]:
        """The Kafka topic configs that this contract asks for.

        Source: https://kafka.apache.org/documentation/#topicconfigs
        """
        configs = {
            "cleanup.policy": "delete",
            "compression.type": self.compression,
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": self.timestamp_type,
            "min.insync.replicas": str(self.min_insync_replicas),
            "retention.bytes": str(UNLIMITED),
            "retention.ms": str(self.retention_ms),
            "unclean.leader.election.enable": "false",
        }
        if self.clock == "record":
            configs["message.timestamp.before.max.ms"] = str(2**63 - 1)
        return configs


def load_topic(text: str, name: str) -> TopicContract:
    """The topic contract in a YAML text; `name` is what problems call it.

    Raises:
        TopicError: the text is no topic contract.
    """
    try:
        return validate(read_document(text, name), TopicContract, [*TopicContract.model_fields])
    except DocumentError as error:
        raise TopicError(error.name, error.problems) from None
