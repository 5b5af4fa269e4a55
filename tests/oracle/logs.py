"""Small logs for the fold: events as a test speaks of them, as Kafka records, as the oracle reads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from oracle.recount import HOUR_US, LoggedEvent, SpokenEvent, SpokenMeter

from aggregator.catalog import Catalog, compile_catalog
from aggregator.state import Claimed, PartitionState, TopicRules, opened
from schemas.catalog import load_catalog
from schemas.codes import Code
from schemas.control import tick
from schemas.partitioner import murmur2_partition
from schemas.repair import REPAIR_HEADER, RepairOrigin

MINUTE_US = 60_000_000
START_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US
PARTITIONS = 2

RULES = TopicRules(
    name="usage.events",
    partitions=PARTITIONS,
    clock="broker",
    partitioner="murmur2",
    acceptance_window_us=3 * HOUR_US,
    skew_us=5 * MINUTE_US,
    repair_horizon_us=30 * HOUR_US,
    identity_key=bytes(range(16)),
)

METERS_YAML = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 30m,
     cardinality_limit: 2}
  - {name: calls, event_type: call, aggregation: count, window: 15m, grace: 0s}
  - {name: least, event_type: call, aggregation: min, value: n, window: 1h, grace: 1h}
  - {name: most, event_type: call, aggregation: max, value: n, window: 5m, grace: 1h}
  - {name: newest, event_type: call, aggregation: last, value: n, window: 1h, grace: 1h}
  - {name: models, event_type: call, aggregation: unique, value: model, window: 1h, grace: 1h}
  - {name: level, event_type: call, aggregation: gauge, value: n, group_by: [model], window: 15m, grace: 30m,
     cardinality_limit: 3}
  - {name: large, event_type: call, aggregation: count, filter: {model: [large]}, group_by: [region],
     window: 1m, grace: 2h}
"""

METERS = [
    SpokenMeter("tokens", "call", "sum", "n", ("model",), HOUR_US, 30 * MINUTE_US, 2),
    SpokenMeter("calls", "call", "count", None, (), 15 * MINUTE_US, 0),
    SpokenMeter("least", "call", "min", "n", (), HOUR_US, HOUR_US),
    SpokenMeter("most", "call", "max", "n", (), 5 * MINUTE_US, HOUR_US),
    SpokenMeter("newest", "call", "last", "n", (), HOUR_US, HOUR_US),
    SpokenMeter("models", "call", "unique", "model", (), HOUR_US, HOUR_US),
    SpokenMeter("level", "call", "gauge", "n", ("model",), 15 * MINUTE_US, 30 * MINUTE_US, 3),
    SpokenMeter(
        "large", "call", "count", None, ("region",), MINUTE_US, 2 * HOUR_US, where={"model": "large"}
    ),
]
METER_IDS = {meter.name: 10 + place for place, meter in enumerate(METERS)}


@dataclass(frozen=True)
class StoredVersion:
    meter_version_id: int
    meter: str
    version: int
    definition: Mapping[str, object]
    effective_from_us: int | None = None
    retired: bool = False


@dataclass(frozen=True)
class StoredCatalog:
    head: int
    versions: Sequence[StoredVersion]


def catalog(
    text: str = METERS_YAML, ids: Mapping[str, int] = METER_IDS, since_us: int | None = None
) -> Catalog:
    meters = load_catalog(text, "meters.yaml").meters
    return compile_catalog(
        StoredCatalog(3, [StoredVersion(ids[m.name], m.name, 1, m.definition()) for m in meters]), since_us
    )


@dataclass(frozen=True)
class KafkaRecord:
    """What aiokafka gives, as far as the decisions read it."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 1


def rfc3339(time_us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def structured(event: SpokenEvent) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": rfc3339(event.time_us),
            "data": dict(event.data),
        }
    ).encode()


def void(event: SpokenEvent, number: int) -> bytes:
    """The void of an event, from a source and at a time of its own."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "/corrections",
            "type": "metering.control.void",
            "subject": event.subject,
            "time": rfc3339(START_US),
            "data": {
                "source": event.source,
                "id": event.id,
                "type": event.type,
                "time": rfc3339(event.time_us),
                "data": dict(event.data),
            },
        }
    ).encode()


def record_of(logged: LoggedEvent) -> KafkaRecord:
    headers = []
    if logged.is_repair:
        meter = None if logged.repaired_meter is None else METER_IDS[logged.repaired_meter]
        headers.append((REPAIR_HEADER, RepairOrigin(1, 5, Code.MISPLACED, meter).encode()))
    if logged.is_tick:
        value = tick("/test", str(logged.offset), logged.timestamp_us, "partition")
    elif logged.is_void and logged.event is not None:
        value = void(logged.event, logged.offset)
    else:
        value = b"{" if logged.event is None else structured(logged.event)
    return KafkaRecord(logged.offset, logged.timestamp_us // 1000, value, headers=headers)


def fresh_state(partition: int, rules: TopicRules = RULES) -> PartitionState:
    return opened(rules, Claimed(partition, 0, None, None, None), b"", {})


def partition_of(subject: str) -> int:
    return murmur2_partition(subject.encode(), PARTITIONS)


AGES_US = [
    *(0, 1, 10 * MINUTE_US, 70 * MINUTE_US),
    *(3 * HOUR_US, 3 * HOUR_US + 1, 20 * HOUR_US, 31 * HOUR_US),
    *(-MINUTE_US, -5 * MINUTE_US, -5 * MINUTE_US - 1),
]
"""How far behind the frontier an event may be: on both sides of every limit."""

SUBJECTS = [f"subject-{n}" for n in range(6)]
OURS, OURS_TOO = [subject for subject in SUBJECTS if partition_of(subject) == 0][:2]
"""Two subjects of partition 0."""


@st.composite
def logs(draw: st.DrawFn, max_size: int = 40) -> list[LoggedEvent]:
    """One partition's log of one of three sorts, with gaps, ticks and noise in it."""
    return draw(st.one_of(_mixed_logs(max_size), _pooled_logs(max_size), _dense_logs(max_size)))


class _Log:
    """A log that grows; the frontier is where its clock stands."""

    def __init__(self, draw: st.DrawFn, jumps_us: list[int]) -> None:
        self._draw = draw
        self._jumps_us = jumps_us
        self.frontier_us = START_US
        self.events: list[LoggedEvent] = []

    def advance(self) -> None:
        self.frontier_us += self._draw(st.sampled_from(self._jumps_us))

    def append(self, event: SpokenEvent | None, **kind: Any) -> None:
        last = self.events[-1].offset if self.events else -1
        offset = last + self._draw(st.sampled_from([1, 1, 1, 1, 2, 5]))
        behind_us = self._draw(st.sampled_from([0, 0, 0, 90_000_000]))
        self.events.append(LoggedEvent(offset, self.frontier_us - behind_us, event, **kind))


@st.composite
def _mixed_logs(draw: st.DrawFn, max_size: int) -> list[LoggedEvent]:
    """Some of everything: copies, conflicts, late, early and misplaced events, repairs."""
    log = _Log(draw, [0, 0, 1_000_000, 20 * MINUTE_US, HOUR_US, 7 * HOUR_US])
    for _ in range(draw(st.integers(0, max_size))):
        log.advance()
        kind = draw(
            st.sampled_from(
                ["event"] * 8 + ["copy"] * 4 + ["void"] * 4 + ["repair"] * 2 + ["tick", "noise", "false void"]
            )
        )
        spoken = [logged.event for logged in log.events if logged.event is not None]
        if kind in {"tick", "noise"}:
            log.append(None, is_tick=kind == "tick")
        elif kind == "event" or not spoken:
            log.append(draw(_events(log.frontier_us)))
        elif kind == "false void":
            log.append(draw(_events(log.frontier_us)), is_void=True)
        elif kind in {"copy", "void"}:
            log.append(draw(st.sampled_from(spoken)), is_void=kind == "void")
        else:
            meter = draw(st.sampled_from([None, None, "tokens"]))
            is_void = draw(st.sampled_from([False, False, True]))
            event = draw(st.sampled_from(spoken))
            log.append(event, is_repair=True, repaired_meter=meter, is_void=is_void)
    return log.events


@st.composite
def _pooled_logs(draw: st.DrawFn, max_size: int) -> list[LoggedEvent]:
    """A few events again and again, live and as repairs, while hours are forgotten around them."""
    times_us = st.integers(-4, 6).map(lambda halves: START_US + halves * 30 * MINUTE_US)
    events = st.builds(
        SpokenEvent,
        source=st.just("/a"),
        id=st.sampled_from(["1", "2", "3"]),
        type=st.just("call"),
        subject=st.just(OURS),
        time_us=times_us,
        data=st.just({"n": 1, "model": "small"}),
    )
    pool = draw(st.lists(events, min_size=1, max_size=4))
    log = _Log(draw, [0, 0, 30 * MINUTE_US, HOUR_US, 3 * HOUR_US, 3 * HOUR_US + 1000, 26 * HOUR_US])
    for _ in range(draw(st.integers(0, max_size))):
        log.advance()
        is_void = draw(st.sampled_from([False, False, True]))
        log.append(draw(st.sampled_from(pool)), is_repair=draw(st.booleans()), is_void=is_void)
    return log.events


@st.composite
def _dense_logs(draw: st.DrawFn, max_size: int) -> list[LoggedEvent]:
    """Many events in few windows of two subjects, with more groups than the limit allows; some withdrawn."""
    log = _Log(draw, [0, 0, 0, MINUTE_US, 40 * MINUTE_US])
    for number in range(draw(st.integers(0, max_size))):
        log.advance()
        event = draw(_events(log.frontier_us))
        behind_us = draw(st.sampled_from([0, 0, MINUTE_US, 45 * MINUTE_US, 100 * MINUTE_US]))
        log.append(
            replace(
                event,
                id=str(number),
                type="call",
                subject=draw(st.sampled_from([OURS, OURS_TOO])),
                time_us=log.frontier_us - behind_us,
            )
        )
        if draw(st.sampled_from([False, False, False, True])):
            known = [logged.event for logged in log.events if not logged.is_void]
            log.append(draw(st.sampled_from(known)), is_void=True)
    return log.events


@st.composite
def _events(draw: st.DrawFn, frontier_us: int) -> SpokenEvent:
    data: dict[str, Any] = {}
    if draw(st.booleans()):
        data["model"] = draw(st.sampled_from(["small", "large", "huge", "tiny"]))
    if draw(st.sampled_from([True, True, True, False])):
        data["n"] = draw(st.integers(-5, 5) | st.sampled_from(["0.1", "12345678901234567890.5", 10**37]))
    return SpokenEvent(
        source=draw(st.sampled_from(["/a", "/b"])),
        id=draw(st.sampled_from(["1", "2", "3", "4", "5"])),
        type=draw(st.sampled_from(["call", "call", "call", "unknown"])),
        subject=draw(st.sampled_from(SUBJECTS)),
        time_us=frontier_us - draw(st.sampled_from(AGES_US)),
        data=data,
    )
