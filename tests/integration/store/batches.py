"""Batches that add up, made from a few spoken events: a plain loop, and nothing of the fold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from aggregator.batch import Adjustment, Batch, Increment, MeterTally, Outcomes, Point, Quarantined, WindowKey
from aggregator.state import LastRecord
from schemas.catalog import Meter
from schemas.instant import HOUR_US
from schemas.repair import RepairOrigin

if TYPE_CHECKING:
    from aggregator.state import PartitionState

T0: Final = 1_790_000_000_000_000 // HOUR_US * HOUR_US
MINUTE_US: Final = 60_000_000

AGGREGATIONS: Final = ("sum", "count", "min", "max", "last", "unique", "gauge")
METERS: Final = [
    Meter(
        name=f"usage_{aggregation}",
        event_type="usage",
        aggregation=aggregation,  # type: ignore[arg-type]
        value=None if aggregation == "count" else "value",
        group_by={"model": "model", "region": "region"} if aggregation == "sum" else {},
        window="1h",
        grace="0s",
    )
    for aggregation in AGGREGATIONS
]
METER_IDS: Final = {aggregation: place for place, aggregation in enumerate(AGGREGATIONS, start=1)}
SUBTRACTABLE: Final = ("sum", "count", "gauge")
KINDS: Final = {version: aggregation for aggregation, version in METER_IDS.items()}


@dataclass(frozen=True)
class Spoken:
    """One record of a log."""

    value: int | Decimal = 1
    subject: str = "acme"
    groups: tuple[str | None, ...] | None = ("m1", None)
    time_us: int = T0
    is_late: bool = False
    is_void: bool = False  # withdraws an event like this one that came before
    refused: str | None = None  # the record's code
    meter_error: str | None = None  # the aggregation that could not read it
    target_partition: int | None = None
    repairs: RepairOrigin | None = None
    key: bytes | None = b"acme"
    headers: Sequence[tuple[str, bytes]] = ()
    source: str = "/tests"


@dataclass
class Log:
    """A partition's log, cut into batches one after another."""

    partition: int = 0
    next_offset: int = 0
    catalog_head: int = 1
    frontier_us: int | None = None
    newest_time_us: int | None = None
    last: LastRecord | None = field(default=None)

    def batch(
        self, events: Iterable[Spoken] = (), *, gap: int = 0, ticks: int = 0, unmetered: int = 0
    ) -> Batch:
        """The batch of the next events, then ticks, then a gap; `unmetered` more events match no meter."""
        batch = _batch(self, list(events), gap, ticks, unmetered)
        self.next_offset = batch.next_offset
        self.frontier_us, self.newest_time_us, self.last = batch.frontier_us, batch.newest_time_us, batch.last
        return batch


def changed(batch: Batch, **changes: Any) -> Batch:
    return replace(batch, **changes)


@dataclass
class _Effects:
    """What the meters make of a batch's events."""

    increments: dict[WindowKey, Increment] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    tallies: dict[int, MeterTally] = field(default_factory=lambda: defaultdict(MeterTally))

    def meter(self, offset: int, event: Spoken, aggregation: str) -> None:
        version = METER_IDS[aggregation]
        tally = self.tallies[version]
        groups = event.groups if aggregation == "sum" else ()
        key = WindowKey(version, event.subject, groups, event.time_us // HOUR_US * HOUR_US)
        summed = event.value if aggregation == "sum" else 0
        if event.meter_error == aggregation:
            tally.errors += 1
            self.quarantined.append(_quarantined(offset, event, "value_missing", version))
        elif event.is_void and aggregation not in SUBTRACTABLE:
            tally.errors += 1
            self.quarantined.append(_quarantined(offset, event, "void_not_subtractable", version))
        elif event.is_void:
            tally.voids += 1
            tally.void_sum -= summed
            self.adjustments.append(_void(offset, event, key, aggregation))
        elif event.is_late:
            tally.adjustments += 1
            tally.adjustment_sum += summed
            self.adjustments.append(_adjustment(offset, event, key, aggregation))
        else:
            tally.increments += 1
            tally.increment_sum += summed
            _add(self.increments, key, aggregation, event, offset)


def _batch(log: Log, events: list[Spoken], gap: int, ticks: int, unmetered: int) -> Batch:
    first = log.next_offset
    effects = _Effects()
    ids: dict[int, bytes] = defaultdict(bytes)
    accepted = 0
    with localcontext(prec=200):
        for offset, event in enumerate(events, start=first):
            if event.refused is not None:
                effects.quarantined.append(_quarantined(offset, event, event.refused, None))
                continue
            accepted += 1
            entry = blake2b(b"%d %d" % (log.partition, offset), digest_size=16).digest()
            ids[event.time_us // HOUR_US] += entry
            for aggregation in METER_IDS:
                effects.meter(offset, event, aggregation)
    for offset in range(first + len(events), first + len(events) + unmetered):
        ids[T0 // HOUR_US] += blake2b(b"%d %d" % (log.partition, offset), digest_size=16).digest()
    records = len(events) + ticks + unmetered
    counted = [event.time_us for event in events if event.refused is None] + [T0] * bool(unmetered)
    frontier_us = log.frontier_us if not records else max([T0, *counted, log.frontier_us or 0])
    return Batch(
        partition=log.partition,
        first_offset=first,
        next_offset=first + records + gap,
        frontier_us=frontier_us,
        newest_time_us=max([*counted, log.newest_time_us or 0]) or None,
        last=LastRecord(first + records - 1, frontier_us or 0, bytes(16)) if records else log.last,
        catalog_head=log.catalog_head,
        outcomes=Outcomes(
            accepted=accepted + unmetered, quarantined=len(events) - accepted, tick=ticks, gap=gap
        ),
        unmetered=unmetered,
        late_by_pipeline=0,
        meters=dict(effects.tallies),
        ids=dict(ids),
        increments=effects.increments,
        adjustments=effects.adjustments,
        repairs=[
            (offset, event.repairs)
            for offset, event in enumerate(events, start=first)
            if event.repairs is not None and event.refused is None
        ],
        quarantined=effects.quarantined,
        sources=list(dict.fromkeys(event.source for event in events if event.refused is None)),
        next_state=cast("PartitionState", None),  # the store does not look at it
    )


def _add(
    increments: dict[WindowKey, Increment], key: WindowKey, aggregation: str, event: Spoken, offset: int
) -> None:
    row = increments.get(key)
    if row is None:
        row = increments[key] = Increment(0, None, offset, offset)
    row.events += 1
    row.last_offset = offset
    if aggregation == "unique":
        row.members = (row.members or set()) | {str(event.value)}
    elif aggregation in ("last", "gauge"):
        if aggregation == "gauge":
            row.points = [*(row.points or []), Point(event.time_us, offset, event.value)]
        if row.value_time_us is None or event.time_us >= row.value_time_us:
            row.value, row.value_time_us, row.value_offset = event.value, event.time_us, offset
    elif aggregation != "count":
        combine: Mapping[str, Any] = {"sum": lambda a, b: a + b, "min": min, "max": max}
        row.value = event.value if row.value is None else combine[aggregation](row.value, event.value)


def _adjustment(offset: int, event: Spoken, key: WindowKey, aggregation: str) -> Adjustment:
    return Adjustment(
        offset=offset,
        key=key,
        value=None if aggregation in ("count", "unique") else event.value,
        member=str(event.value) if aggregation == "unique" else None,
        event_time_us=event.time_us,
        frontier_us=T0 + offset,
    )


def _void(offset: int, event: Spoken, key: WindowKey, aggregation: str) -> Adjustment:
    value = {"sum": -event.value, "count": None, "gauge": event.value}[aggregation]
    return Adjustment(offset, key, value, None, event.time_us, T0 + offset, "void")


def _quarantined(offset: int, event: Spoken, code: str, version: int | None) -> Quarantined:
    return Quarantined(
        offset=offset,
        code=code,
        detail="as a test has it",
        meter_version_id=version,
        target_partition=event.target_partition,
        timestamp_us=T0,
        timestamp_type=1,
        key=event.key,
        value=b'{"value": 1}',
        headers=event.headers,
        source="tests",
        id=str(offset),
        type="usage",
        subject=event.subject,
        time_us=event.time_us,
        origin=None if event.repairs is None else event.repairs.encode().decode(),
    )
