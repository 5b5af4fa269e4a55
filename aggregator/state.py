"""What one partition remembers between batches: read at the claim, carried forward by every fold."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, overload

from aggregator.groups import GroupKey as GroupKey  # noqa: PLC0414 - part of this vocabulary
from aggregator.groups import GroupSets, GroupValues, settled_groups
from aggregator.memory import HOURS_PER_RUN, I64, Memory, remembered
from schemas.codes import Code
from schemas.instant import HOUR_US


class LastRecord(NamedTuple):
    """The newest record counted: proof, at the next claim, that the log is still the same log."""

    offset: int
    timestamp_us: int
    hash: bytes  # 16 bytes


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

    def __post_init__(self) -> None:
        if self.acceptance_window_us + self.skew_us > (HOURS_PER_RUN - 2) * HOUR_US:
            raise ValueError("the acceptance window is longer than the dedupe memory can tell hours apart")


class ArchivedHour(NamedTuple):
    """The stored ids of one event hour, with those of batches up to `next_offset`."""

    memory: Memory
    next_offset: int


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Everything `fold` knows of the past of one partition; immutable, so a refold starts where it did."""

    rules: TopicRules
    partition: int
    next_offset: int
    frontier_us: int | None  # None: no record yet
    newest_time_us: int | None  # greatest time of an accepted event
    last: LastRecord | None
    memory: Memory  # ids that live events are compared with
    archive: Mapping[int, ArchivedHour]  # event hour -> ids, loaded for repairs older than the memory
    groups: GroupSets  # group values already seen, for cardinality limits
    caps_us: Mapping[int, int]  # offset -> timestamp to use instead of a broker clock that jumped
    foretold: Mapping[int, Code] = field(default_factory=dict)
    """By offset, why a record was refused if that rests on what is not read again."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a fold lacks: load these from the store, put them into the state and fold again.

    Load only when no earlier batch is in flight: the store must know all that came before.
    """

    archive_hours: frozenset[int]
    group_keys: frozenset[GroupKey]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A partition's row at the moment of the claim, as far as the decisions need it."""

    partition: int
    next_offset: int
    frontier_us: int | None
    newest_time_us: int | None
    last: LastRecord | None


@overload
def live_since_hour(rules: TopicRules, frontier_us: int | None) -> int: ...
@overload
def live_since_hour(rules: TopicRules, frontier_us: I64) -> I64: ...
def live_since_hour(rules: TopicRules, frontier_us: int | I64 | None) -> int | I64:
    """The earliest event hour still remembered: the first h with end(h) + W > F; 0 before any record."""
    if frontier_us is None:
        return 0
    return (frontier_us - rules.acceptance_window_us) // HOUR_US


def opened(
    rules: TopicRules, claimed: Claimed, entries: bytes | bytearray, caps_us: Mapping[int, int]
) -> PartitionState:
    """The state at a claim.

    Args:
        rules: of the topic.
        claimed: the partition's row.
        entries: packed entries of the stored chunks of all event hours from `live_since_hour` on.
        caps_us: operators' caps by offset.
    """
    return PartitionState(
        rules=rules,
        partition=claimed.partition,
        next_offset=claimed.next_offset,
        frontier_us=claimed.frontier_us,
        newest_time_us=claimed.newest_time_us,
        last=claimed.last,
        memory=remembered(entries, live_since_hour(rules, claimed.frontier_us)),
        archive={},
        groups=GroupSets({}, (), claimed.newest_time_us, claimed.newest_time_us),
        caps_us=caps_us,
    )


def supplied(
    state: PartitionState,
    archive: Mapping[int, bytes],
    groups: Mapping[GroupKey, frozenset[GroupValues]],
) -> PartitionState:
    """The state with what a fold has asked for."""
    hours = {
        hour: ArchivedHour(remembered(entries, hour), state.next_offset) for hour, entries in archive.items()
    }
    return replace(state, archive={**state.archive, **hours}, groups=state.groups.supplied(groups))


def settled(
    newest: PartitionState, committed: PartitionState, windows_us: Mapping[int, int]
) -> PartitionState:
    """The newest state after a commit: what is stored and no longer needed in memory is let go.

    Args:
        newest: state after the last fold; equal to `committed` if nothing is pending.
        committed: state after the batch that was just committed.
        windows_us: window length by meter version (`Catalog.windows_us`).
    """
    archive = {
        hour: archived
        for hour, archived in newest.archive.items()
        if archived.next_offset > committed.next_offset
    }
    groups = settled_groups(newest.groups, committed.next_offset, committed.newest_time_us, windows_us)
    return replace(newest, archive=archive, groups=groups)
