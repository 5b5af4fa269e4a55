"""What one partition remembers between batches: read at the claim, carried forward by every fold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from aggregator.batch import LastRecord
from aggregator.groups import GroupSets
from aggregator.memory import Memory


@dataclass(frozen=True, slots=True)
class TopicRules:
    """The rules of the one topic that a schema counts, fixed when the topic was first applied."""

    name: str
    partitions: int
    clock: Literal["broker", "record"]  # LogAppendTime, or CreateTime written by our own tools
    partitioner: Literal["murmur2", "crc32"]
    acceptance_window_us: int
    skew_us: int
    repair_horizon_us: int
    identity_key: bytes  # 16 secret bytes: nobody outside can make two ids collide


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Everything `fold` knows of the past of one partition; immutable, so a refold starts where it did."""

    rules: TopicRules
    partition: int
    next_offset: int
    frontier_us: int | None  # None: no record yet
    newest_time_us: int | None
    last: LastRecord | None
    memory: Memory  # ids that live events are compared with
    archive: Mapping[int, Memory]  # event hour -> stored ids, loaded for repairs older than the memory
    groups: GroupSets  # group values already seen, for cardinality limits
    caps_us: Mapping[int, int]  # offset -> timestamp to use instead of a broker clock that jumped


class GroupKey(NamedTuple):
    """Where a cardinality limit counts: one meter version, subject and window."""

    meter_version_id: int
    subject: str
    window_start_us: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a fold lacks: load these from the store, put them into the state and fold again."""

    archive_hours: frozenset[int]
    group_keys: frozenset[GroupKey]
