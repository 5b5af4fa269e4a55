"""What the database says of what is counted and what is final, read for people and for gauges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.finality import MeterFinality, meter_finality
from aggregator.store import finality, load, outbox, proof, status, stops, turns
from aggregator.store.connection import Connection
from aggregator.store.proof import KeptProof
from aggregator.store.status import CountedTopic, PartitionStatus
from aggregator.store.stops import StandingStop
from metering.observer.logs import Counted

CLOSER: Final = "closer"
RATER: Final = "rater"
OBSERVER: Final = "observer"
AUDITOR: Final = "auditor"
DUTIES: Final = (CLOSER, RATER, OBSERVER, AUDITOR)


@dataclass(frozen=True, slots=True)
class Accounts:
    """How the database stands."""

    topic: CountedTopic | None  # None: none was applied yet
    partitions: Sequence[PartitionStatus]
    catalog_head: int
    closing_us: int | None  # log time; None: nothing was closed yet
    meters: Sequence[MeterFinality]
    versions: Mapping[int, str]  # meter versions: the meter's name
    reached_us: int | None  # log time that every partition has reached; None: one has no record yet
    at_work: Mapping[str, str | None]  # duty: who is at work; None: nobody
    stops: Sequence[StandingStop]
    outbox_pending: int
    proofs: Mapping[str, KeptProof]  # the newest, by what was checked; none: nothing was proved yet
    accuracy: float | None  # of what was proved lately, the share that was equal; None: nothing was compared

    @property
    def counted(self) -> dict[int, Counted]:
        """How far each partition is counted."""
        return {one.partition: Counted(one.next_offset, one.frontier_us) for one in self.partitions}

    @property
    def read_us(self) -> int | None:
        """When this was read, by the database's clock; None: there is no topic yet."""
        return self.partitions[0].read_us if self.partitions else None

    @property
    def foremost_us(self) -> int | None:
        """The frontier furthest ahead."""
        return max((one.frontier_us for one in self.partitions if one.frontier_us is not None), default=None)

    def behind_us(self, one: PartitionStatus) -> int | None:
        """How far its frontier is behind the one furthest ahead; None: it has none."""
        foremost_us = self.foremost_us
        return None if foremost_us is None or one.frontier_us is None else foremost_us - one.frontier_us

    @property
    def newest_event_us(self) -> int | None:
        """Greatest time of a counted event."""
        return max(
            (one.newest_time_us for one in self.partitions if one.newest_time_us is not None), default=None
        )

    @property
    def freshness_us(self) -> int | None:
        """Age of the newest counted event; None: there is none, or the log's times are not of today."""
        newest_us, read_us = self.newest_event_us, self.read_us
        if newest_us is None or read_us is None or self.topic is None or not self.topic.times_are_appends:
            return None
        return max(0, read_us - newest_us)


async def read_accounts(connection: Connection) -> Accounts:
    """Read it all; how far partitions are counted comes first, so that a log is never seen behind it."""
    topic = await status.counted_topic(connection)
    partitions = await status.partitions(connection)
    state = await finality.finality(connection)
    holders = {duty: await turns.holder(connection, duty) for duty in DUTIES}
    return Accounts(
        topic=topic,
        partitions=partitions,
        catalog_head=await load.catalog_head(connection),
        closing_us=state.closing_us,
        meters=[
            meter_finality(versions, state.final_before_us, state.frontiers)
            for versions in state.meters.values()
        ],
        versions={rule.meter_version_id: rule.meter for rule in state.rules},
        reached_us=state.reached_us,
        at_work={duty: None if holder is None else holder.name for duty, holder in holders.items()},
        stops=await stops.standing(connection),
        outbox_pending=await outbox.pending(connection),
        proofs=await proof.newest(connection),
        accuracy=(await proof.accuracy(connection)).share,
    )
