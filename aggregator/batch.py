"""The values of one flush: what the fold decided and the store writes, nothing more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from aggregator.state import LastRecord, PartitionState
from schemas.repair import RepairOrigin

OTHER: Final = None
"""The group values of the one series that takes what a cardinality limit turned away."""


class LogRecord(Protocol):
    """What the decisions read of a Kafka record; aiokafka's `ConsumerRecord` fits as it is."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def timestamp_type(self) -> int:
        """0 for CreateTime, 1 for LogAppendTime."""

    @property
    def key(self) -> bytes | None:
        """The subject, if a well-behaved producer wrote it."""

    @property
    def value(self) -> bytes | None:
        """The event (structured mode) or its data (binary mode)."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """In the order written."""


class Outcomes(NamedTuple):
    """Records by outcome; their sum is the batch's offset range."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0
    tick: int = 0
    gap: int = 0
    lost: int = 0


class MeterTally(msgspec.Struct, gc=False):
    """What one meter version made of a batch's accepted events; the four counts sum to `matched`.

    `adjustments` are those of late events alone. Each sum is of the values as they are stored, so that of
    voids is mostly negative.
    """

    increments: int = 0
    adjustments: int = 0
    voids: int = 0
    errors: int = 0
    increment_sum: int | Decimal = 0
    adjustment_sum: int | Decimal = 0
    void_sum: int | Decimal = 0

    @property
    def matched(self) -> int:
        """Accepted events that this meter version applied to."""
        return self.increments + self.adjustments + self.voids + self.errors


class WindowKey(NamedTuple):
    """One row of `usage_window` but for its shard, which is the batch's partition."""

    meter_version_id: int
    subject: str
    groups: tuple[str | None, ...] | None
    window_start_us: int


class Point(NamedTuple):
    """What a gauge showed; of several at one time the last offset stands."""

    time_us: int
    offset: int
    value: int | Decimal


class Increment(msgspec.Struct, gc=False):
    """What a batch adds to one window.

    `value` is the sum, minimum, maximum or last value of the batch's events, by the meter's aggregation;
    None for `count` and `unique`. `value_time_us` and `value_offset` order `last` and `gauge`: time, then
    offset. `points` are all of a `gauge`.
    """

    events: int
    value: int | Decimal | None
    first_offset: int
    last_offset: int
    value_time_us: int | None = None
    value_offset: int | None = None
    members: set[str] | None = None
    points: list[Point] | None = None


class Adjustment(NamedTuple):
    """One event beside its window: `late`, it came after the grace; `void`, it was withdrawn.

    `value` is what a `sum` gains by it, so a void's has the other sign; of a void of a `gauge` it is that of
    the point at `event_time_us` that no longer stands. `frontier_us` is F(offset): the log time by which
    versions are cut, however the log was cut into batches.
    """

    offset: int
    key: WindowKey
    value: int | Decimal | None
    member: str | None
    event_time_us: int
    frontier_us: int
    kind: Literal["late", "void"] = "late"

    @property
    def events(self) -> int:
        """What the window's number of events gains by it."""
        return 1 if self.kind == "late" else -1


class Quarantined(NamedTuple):
    """A refused record, or an accepted one that a single meter could not read, kept as it came.

    `meter_version_id` is None for the record itself. `target_partition` is set for a misplaced record: where
    the outbox republishes it to. `origin` is the repair header's text if this was a repair record.
    """

    offset: int
    code: str
    detail: str
    meter_version_id: int | None
    target_partition: int | None
    timestamp_us: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    source: str | None
    id: str | None
    type: str | None
    subject: str | None
    time_us: int | None
    origin: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Every effect of one flush on one partition: offsets `[first_offset, next_offset)`."""

    partition: int
    first_offset: int
    next_offset: int
    frontier_us: int | None  # None: no record yet
    newest_time_us: int | None  # greatest time of an accepted event so far
    last: LastRecord | None  # None: no record yet
    catalog_head: int
    outcomes: Outcomes
    unmetered: int  # accepted events that no meter matched
    late_by_pipeline: int  # accepted repairs that became adjustments
    meters: Mapping[int, MeterTally]  # by meter version
    ids: Mapping[int, bytes]  # event hour since the epoch -> packed 16-byte entries
    increments: Mapping[WindowKey, Increment]
    adjustments: Sequence[Adjustment]
    repairs: Sequence[tuple[int, RepairOrigin]]  # offsets of accepted repairs, and where they were refused
    quarantined: Sequence[Quarantined]
    sources: Sequence[str]  # of all events that were admitted, copies too; each once
    next_state: PartitionState = field(repr=False, compare=False)
