"""What a partition's log comes to for some subjects: one plain loop over its records.

It says the rules of docs/architecture.md as directly as Python can, and knows nothing of how the pipeline
keeps them. Nobody in a hurry should use it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, Protocol

from schemas.binding import headers_bytes
from schemas.event import MAX_BESIDE_VALUE_BYTES
from schemas.instant import HOUR_US
from schemas.number import NumberRefused, exact_number, plain_text
from schemas.repair import MAX_REPAIR_BYTES
from schemas.wire import Event, Refusal, decode

MOST_CHARACTERS: Final = 256
"""A group or a member longer than this is refused by the meter."""

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Record(Protocol):
    """What is read of a Kafka record."""

    @property
    def offset(self) -> int:
        """Its place."""

    @property
    def timestamp(self) -> int:
        """Milliseconds."""

    @property
    def key(self) -> bytes | None:
        """The subject, of a well-behaved producer."""

    @property
    def value(self) -> bytes | None:
        """The event, or its data."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """In order."""


class Topic(NamedTuple):
    """The rules that all lateness and forgetting is judged by."""

    acceptance_window_us: int
    skew_us: int
    repair_horizon_us: int
    partition_of: Callable[[str], int]


class MeterRule(NamedTuple):
    """One version of a meter, read from its stored definition."""

    meter_version_id: int
    meter: str
    event_type: str
    aggregation: str
    value: str | None
    groups: Sequence[tuple[str, str]]  # name and path
    allowed: Mapping[str, Sequence[str]]  # by path
    window_us: int
    grace_us: int
    cardinality_limit: int
    from_us: int | None  # event times in [from, until); None: no bound
    until_us: int | None

    @classmethod
    def of(
        cls,
        meter_version_id: int,
        meter: str,
        definition: Mapping[str, Any],
        from_us: int | None,
        until_us: int | None,
    ) -> "MeterRule":
        """The rule that a stored definition writes down."""
        return cls(
            meter_version_id,
            meter,
            definition["event_type"],
            definition["aggregation"],
            definition.get("value"),
            [(group["name"], group["path"]) for group in definition["group_by"]],
            definition["filter"],
            _duration_us(definition["window"]),
            _duration_us(definition["grace"]),
            definition["cardinality_limit"],
            from_us,
            until_us,
        )


Groups = tuple[str | None, ...] | None
"""Group values in the meter's order; None: `other`."""


class Key(NamedTuple):
    """One window of one series."""

    meter_version_id: int
    subject: str
    groups: Groups
    start_us: int


class Counted(NamedTuple):
    """An event in a window."""

    offset: int
    time_us: int
    value: int | Decimal | str | None  # a number, a member, or nothing for `count`


class Beside(NamedTuple):
    """An event beside its window: late, or a void that takes one back."""

    key: Key
    kind: Literal["late", "void"]
    value: int | Decimal | str | None
    time_us: int
    log_time_us: int


@dataclass
class Found:
    """What the loop found, of the subjects asked for."""

    windows: dict[Key, list[Counted]] = field(default_factory=lambda: defaultdict(list))
    beside: dict[tuple[int, int], Beside] = field(default_factory=dict)  # by offset and meter version


class _Known(NamedTuple):
    hour: int
    content: object


class Recount:
    """Reads one partition, record by record, and keeps what the subjects asked for used.

    Args:
        partition: whose log it is.
        topic: rules of it.
        meters: every version that ever counted.
        subjects: to recount; of others only the ids are kept, for they may contradict.
        frontier_us: of the log before the first record that will be taken; None: nothing comes before it.
        caps_us: what operators say that a record's timestamp was, by offset.
        rejected: offsets of records that the database could not hold, which nothing in them tells.
    """

    def __init__(
        self,
        partition: int,
        topic: Topic,
        meters: Sequence[MeterRule],
        subjects: Collection[str],
        frontier_us: int | None,
        caps_us: Mapping[int, int],
        rejected: Collection[int],
    ) -> None:
        self.found = Found()
        self._partition = partition
        self._topic = topic
        self._meters = meters
        self._subjects = frozenset(subjects)
        self._frontier_us = frontier_us
        self._caps_us = caps_us
        self._rejected = frozenset(rejected)
        self._known: dict[object, list[_Known]] = defaultdict(list)
        self._of_others: dict[int, list[object]] = defaultdict(list)  # identities by hour
        self._since_hour: int | None = None
        self._groups: dict[tuple[int, str, int], list[Groups]] = defaultdict(list)
        self._partitions: dict[str, int] = {}

    def take(self, record: Record) -> None:
        """The next record of the log."""
        timestamp_us = record.timestamp * 1000
        timestamp_us = min(timestamp_us, self._caps_us.get(record.offset, timestamp_us))
        self._frontier_us = max(timestamp_us, self._frontier_us or timestamp_us)
        if record.offset in self._rejected:
            return
        event = decode(record.value, record.headers)
        if isinstance(event, Refusal) or event.control == "tick" or _is_too_large(record, event):
            return
        if self._is_misplaced(event.subject) or not self._is_timely(event, self._frontier_us):
            return
        if self._is_accepted(event, self._frontier_us) and event.subject in self._subjects:
            self._count(event, record.offset, self._frontier_us)

    def _is_misplaced(self, subject: str) -> bool:
        if subject not in self._partitions:
            self._partitions[subject] = self._topic.partition_of(subject)
        return self._partitions[subject] != self._partition

    def _is_timely(self, event: Event, frontier_us: int) -> bool:
        topic = self._topic
        reach_us = topic.acceptance_window_us if event.repair is None else topic.repair_horizon_us
        return frontier_us - reach_us <= event.time_us <= frontier_us + topic.skew_us

    def _is_accepted(self, event: Event, frontier_us: int) -> bool:
        """Whether nothing of the same identity is known here; a void, whether exactly its event is."""
        self._forget(frontier_us)
        meter = None if event.repair is None else event.repair.meter_version_id
        identity: object = event.source, event.id, meter
        is_ours = event.subject in self._subjects
        content = (event.type, event.subject, event.time_us, bytes(event.data)) if is_ours else None
        hour = event.time_us // HOUR_US
        known = self._visible(identity, hour, frontier_us, is_repair=event.repair is not None)
        if event.control is not None:
            withdrawn = "void", identity
            if self._visible(withdrawn, hour, frontier_us, is_repair=event.repair is not None):
                return False
            if not is_ours or content not in known:
                return False
            identity = withdrawn
        elif known:
            return False
        self._known[identity].append(_Known(hour, content))
        if not is_ours:
            self._of_others[hour].append(identity)
        return True

    def _visible(self, identity: object, hour: int, frontier_us: int, *, is_repair: bool) -> list[object]:
        return [
            known.content
            for known in self._known.get(identity, ())
            if self._is_remembered(known.hour, frontier_us) or (is_repair and known.hour == hour)
        ]

    def _is_remembered(self, hour: int, frontier_us: int) -> bool:
        return (hour + 1) * HOUR_US + self._topic.acceptance_window_us > frontier_us

    def _forget(self, frontier_us: int) -> None:
        """Of other subjects keep only what may contradict a live event: there are many of them."""
        since_hour = (frontier_us - self._topic.acceptance_window_us) // HOUR_US
        if since_hour == self._since_hour:
            return
        self._since_hour = since_hour
        for hour in [hour for hour in self._of_others if not self._is_remembered(hour, frontier_us)]:
            for identity in self._of_others.pop(hour):
                self._known[identity] = [known for known in self._known[identity] if known.content]
                if not self._known[identity]:
                    del self._known[identity]

    def _count(self, event: Event, offset: int, frontier_us: int) -> None:
        data = json.loads(bytes(event.data), parse_float=Decimal, parse_int=int)
        for meter in self._meters:
            if self._applies(meter, event, data):
                self._meter(meter, event, data, offset, frontier_us)

    @staticmethod
    def _applies(meter: MeterRule, event: Event, data: Mapping[str, Any]) -> bool:
        if event.repair is not None and event.repair.meter_version_id is not None:
            return meter.meter_version_id == event.repair.meter_version_id
        return (
            meter.event_type == event.type
            and (meter.from_us is None or meter.from_us <= event.time_us)
            and (meter.until_us is None or event.time_us < meter.until_us)
            and all(_text(_at(data, path)) in texts for path, texts in meter.allowed.items())
        )

    def _meter(
        self, meter: MeterRule, event: Event, data: Mapping[str, Any], offset: int, frontier_us: int
    ) -> None:
        try:
            value = _value(meter, data)
            groups = tuple(_group(_at(data, path)) for _, path in meter.groups)
        except _CannotReadError:
            return
        start_us = event.time_us // meter.window_us * meter.window_us
        seen = self._groups[meter.meter_version_id, event.subject, start_us]
        is_void = event.control is not None
        if is_void and meter.aggregation not in {"sum", "count", "gauge"}:
            return
        is_other = groups not in seen and (is_void or len(seen) >= meter.cardinality_limit)
        if meter.groups and not is_other and groups not in seen:
            seen.append(groups)
        placed = None if meter.groups and is_other else groups
        key = Key(meter.meter_version_id, event.subject, placed, start_us)
        if is_void:
            taken = -value if meter.aggregation == "sum" and not isinstance(value, str | None) else value
            self.found.beside[offset, meter.meter_version_id] = Beside(
                key, "void", taken, event.time_us, frontier_us
            )
        elif frontier_us >= start_us + meter.window_us + meter.grace_us:
            self.found.beside[offset, meter.meter_version_id] = Beside(
                key, "late", value, event.time_us, frontier_us
            )
        else:
            self.found.windows[key].append(Counted(offset, event.time_us, value))


def _is_too_large(record: Record, event: Event) -> bool:
    """Whether there is too much beside the value: what was not, is not so with a repair header, either."""
    size_bytes = len(record.key or b"") + headers_bytes(record.headers)
    return size_bytes > MAX_BESIDE_VALUE_BYTES + (0 if event.repair is None else MAX_REPAIR_BYTES)


class _CannotReadError(Exception):
    """A meter cannot read this event: it is kept in quarantine for that meter alone."""


def _duration_us(text: str) -> int:
    return int(text[:-1]) * _UNITS_S[text[-1]] * 1_000_000


def _at(data: object, path: str) -> object:
    for name in path.split("."):
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data


def _text(value: object) -> str | None:
    """A scalar as the text that groups and filters compare; None for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return plain_text(value)
    return value if isinstance(value, str) else None


def _group(value: object) -> str | None:
    if value is None:
        return None
    text = _text(value)
    if text is None or len(text) > MOST_CHARACTERS:
        raise _CannotReadError
    return text


def _value(meter: MeterRule, data: Mapping[str, Any]) -> int | Decimal | str | None:
    if meter.value is None:
        return None
    value = _at(data, meter.value)
    if meter.aggregation == "unique":
        member = _group(value)
        if member is None:
            raise _CannotReadError
        return member
    if isinstance(value, str):
        try:
            return exact_number(value)
        except NumberRefused:
            raise _CannotReadError from None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _CannotReadError
    return value
