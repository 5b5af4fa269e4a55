"""Seeded traffic: what honest, forgetful, late and broken producers write to one topic."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from faults.topic_log import EXPECTED_CODE, murmur2_partition
from oracle.logs import AGES_US, rfc3339
from oracle.recount import SpokenEvent

Header = tuple[str, bytes | None]


class Sent(NamedTuple):
    """A record as a producer is given it; without a partition, its partitioner chooses by the key."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()
    partition: int | None = None
    timestamp_us: int | None = None


MIX: Final[Mapping[str, int]] = {
    "new": 60,
    "recent_copy": 12,
    "old_copy": 8,
    "conflict": 5,
    "void": 5,
    "old_void": 2,
    "false_void": 2,
    "poison": 5,
    "misplaced": 3,
    "binary": 7,
    "timely": 0,
    "oversize": 0,
}
"""How often each kind of record comes, out of all."""

SUBJECTS: Final = [f"subject-{number}" for number in range(40)]
_RECENT: Final = 50
_MODELS: Final = ["small", "large", "huge", "tiny", None]
_REGIONS: Final = ["eu", "us", None]
_LOG_STEPS_US: Final = [0, 0, 0, 0, 1_000_000, 90_000_000, 20 * 60_000_000]


class Traffic:
    """Makes records; what it made before, it may repeat, contradict or send astray.

    With `log_us` it stamps the records itself, from then on, in order: for a topic with `clock: record`.
    """

    def __init__(
        self,
        seed: int,
        *,
        partitions: int,
        log_us: int | None = None,
        subjects: Sequence[str] = SUBJECTS,
        name: str = "a",
    ) -> None:
        self._random = Random(f"{seed} {name}")
        self._partitions = partitions
        self._subjects = subjects
        self._source = f"/{name}"
        self._events: list[SpokenEvent] = []
        self._log_us = log_us
        self._kinds: dict[str, Callable[[], Sent]] = {
            "new": lambda: _structured(self._new()),
            "recent_copy": lambda: _structured(self._known(_RECENT)),
            "old_copy": lambda: _structured(self._known(len(self._events))),
            "conflict": lambda: _structured(self._contradiction()),
            "void": lambda: self._void(self._known(_RECENT)),
            "old_void": lambda: self._void(self._known(len(self._events))),
            "false_void": lambda: self._void(self._contradiction()),
            "poison": self._poison,
            "misplaced": self._misplaced,
            "binary": lambda: _binary(self._new()),
            "timely": lambda: _structured(self._new(chance_of_age=0)),
            "oversize": lambda: Sent(None, _OVERSIZE, [(EXPECTED_CODE, b"oversize")]),
        }

    def records(self, count: int, mix: Mapping[str, int] = MIX) -> Iterator[Sent]:
        """The next `count` records, of these kinds in these proportions."""
        for kind in self._random.choices(list(mix), list(mix.values()), k=count):
            if self._log_us is None:
                yield self._kinds[kind]()
            else:
                self.pass_time(self._random.choice(_LOG_STEPS_US))
                yield self._kinds[kind]()._replace(timestamp_us=self._log_us)

    def pass_time(self, us: int) -> None:
        """Let the log's own clock go on."""
        assert self._log_us is not None
        self._log_us += us

    @property
    def _now_us(self) -> int:
        return time.time_ns() // 1000 if self._log_us is None else self._log_us

    def _new(self, chance_of_age: float = 0.2) -> SpokenEvent:
        ages_us = AGES_US if self._random.random() < chance_of_age else [0, 1, 40_000_000, 600_000_000]
        event = SpokenEvent(
            source=self._source,
            id=str(len(self._events)),
            type="unknown" if self._random.random() < chance_of_age / 4 else "call",
            subject=self._random.choice(self._subjects),
            time_us=self._now_us - self._random.choice(ages_us),
            data=self._data(),
        )
        self._events.append(event)
        return event

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "model": self._random.choice(_MODELS),
            "region": self._random.choice(_REGIONS),
            "n": self._random.choice([1, 7, -5, "0.1", "12345678901234567890.5", 10**37]),
        }
        if self._random.random() < 0.03:
            del data[self._random.choice(list(data))]  # some meters cannot read it
        return {name: value for name, value in data.items() if value is not None}

    def _known(self, last: int) -> SpokenEvent:
        return self._random.choice(self._events[-last:]) if self._events else self._new()

    def _contradiction(self) -> SpokenEvent:
        """The id and subject of an event that was sent, with something else to say."""
        event = self._known(len(self._events))
        if self._random.random() < 0.5:
            return SpokenEvent(
                event.source, event.id, event.type, event.subject, event.time_us, {"n": 4_711, "model": "odd"}
            )
        moved_us = event.time_us + self._random.choice([-60_000_000, 1])
        return SpokenEvent(event.source, event.id, event.type, event.subject, moved_us, event.data)

    def _void(self, event: SpokenEvent) -> Sent:
        """What an honest producer sends of an event that it published by mistake, in either mode."""
        void = SpokenEvent(
            source=self._source,
            id=str(self._random.getrandbits(64)),
            type="metering.control.void",
            subject=event.subject,
            time_us=self._now_us,
            data={
                "source": event.source,
                "id": event.id,
                "type": event.type,
                "time": rfc3339(event.time_us),
                "data": dict(event.data),
            },
        )
        return _structured(void) if self._random.random() < 0.8 else _binary(void)

    def _misplaced(self) -> Sent:
        record = _structured(self._new())
        right = murmur2_partition(self._events[-1].subject, self._partitions)
        others = [partition for partition in range(self._partitions) if partition != right]
        return record._replace(partition=self._random.choice(others)) if others else record

    def _poison(self) -> Sent:
        code, value, headers = self._random.choice(_POISON)
        return Sent(
            key=self._random.choice(self._subjects).encode(),
            value=value,
            headers=[*headers, (EXPECTED_CODE, code.encode())],
        )


def attributes(event: SpokenEvent) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(event.time_us),
    }


def _structured(event: SpokenEvent) -> Sent:
    value = json.dumps({**attributes(event), "data": dict(event.data)})
    return Sent(event.subject.encode(), value.encode())


def _binary(event: SpokenEvent) -> Sent:
    headers = [(f"ce_{name}", text.encode()) for name, text in attributes(event).items()]
    value = json.dumps(dict(event.data)).encode()
    return Sent(event.subject.encode(), value, [("content-type", b"application/json"), *headers])


def _broken(**changes: Any) -> bytes:
    """A valid event but for these; an attribute that is `...` is left out."""
    event = {**attributes(SpokenEvent("/a", "1", "call", "s", 0, {})), "data": {}, **changes}
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


_POISON: Final[Sequence[tuple[str, bytes | None, Sequence[Header]]]] = [
    ("no_value", None, []),
    ("not_json", b"", []),
    ("not_json", b"{", []),
    ("not_an_object", b"[1]", []),
    ("bad_utf8", _broken().replace(b"/a", b"\xff"), []),
    ("missing_attribute", _broken(subject=...), []),
    ("naive_time", _broken(time="2026-01-01T00:00:00"), []),
    ("bad_time", _broken(time="yesterday"), []),
    ("number_too_long", _broken(data={"n": 10**38 + 1}), []),
    ("exponent_out_of_range", _broken(data={"n": 0}).replace(b"0}}", b"1e39}}"), []),
    ("data_not_object", _broken(data=5), []),
    ("empty_id", _broken(id=""), []),
    ("bad_specversion", _broken(specversion="0.3"), []),
    ("reserved_type", _broken(type="metering.control.other"), []),
    ("missing_attribute", _broken(type="metering.control.void"), []),
    ("nul_character", _broken(id="a\0"), []),
    ("subject_too_long", _broken(subject="s" * 257), []),
    ("bad_repair_header", _broken(), [("metering-repair", b"nonsense")]),
]
_OVERSIZE: Final = b'{"data": "' + b"x" * 262_144 + b'"}'
