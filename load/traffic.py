"""The soak's producers: honest ones, and those that repeat, contradict, misplace, break and abort."""

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final
from zlib import crc32

from aiokafka.partitioner import murmur2
from confluent_kafka import KafkaError, KafkaException, Producer
from expectation import COMPLETION, MINUTE_US, Event, Expectation
from transactions import Headers, Record, Transactions

from schemas.instant import format_time

Encode = Callable[[Event], tuple[bytes, Headers]]

BURST: Final = 100
PAUSE_S: Final = 0.05
RECENT: Final = 2_000
OLD: Final = 500
SUBJECTS: Final = 40
MODELS: Final = ("large", "medium", "small")
DELIVERY_S: Final = 600.0
"""Longer than any fault lasts: an event that is given up could have been written or not."""

STRUCTURED: Final[Headers] = [("content-type", b"application/cloudevents+json")]
DAY_US: Final = 24 * 60 * MINUTE_US

WEIGHTS: Final = {
    "new": 60,
    "binary": 10,
    "recent copy": 10,
    "old copy": 5,
    "conflict": 4,
    "void": 4,
    "false void": 2,
    "poison": 4,
    "untimely": 3,
    "crc32": 6,
    "transaction": 8,
}
"""How often each kind of burst comes."""

_REST: Final = b'"id":"1","source":"/s","type":"t","subject":"s"'
_BROKEN: Final = (
    ("no_value", None),
    ("not_json", b"{"),
    ("not_an_object", b"[]"),
    ("bad_utf8", b'{"specversion":"1.0","id":"\xff"}'),
    ("missing_attribute", b'{"specversion":"1.0",%b,"data":{}}' % _REST),
    ("naive_time", b'{"specversion":"1.0",%b,"time":"2026-01-01T00:00:00","data":{}}' % _REST),
    (
        "number_too_long",
        b'{"specversion":"1.0",%b,"time":"2026-01-01T00:00:00Z","data":{"n":%d}}' % (_REST, 10**38),
    ),
)
"""Records that are no events, by the code that they must be refused with."""


class Traffic:
    """Sends bursts until told to stop, and tells the expectation of each when the broker has it."""

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int, seed: int) -> None:
        self.expectation = Expectation()
        self.records = 0  # that are not in an aborted transaction
        self.error: BaseException | None = None
        self._topic = topic
        self._partitions = partitions
        self._random = random.Random(f"{seed} traffic")
        self._began_us = time.time_ns() // 1000
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._old: list[Event] = []
        self._seen = 0
        self._withdrawn: set[str] = set()  # ids among the recent
        plain = {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "log_level": 0}
        plain |= {"message.timeout.ms": round(DELIVERY_S * 1000), "linger.ms": 5}
        self._murmur2 = Producer({**plain, "partitioner": "murmur2"})
        self._crc32 = Producer(plain)
        self._transactions = Transactions(
            plain | {"partitioner": "murmur2", "transaction.timeout.ms": round(DELIVERY_S * 1000)},
            topic,
            partitions,
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def start(self, on_end: Callable[[], object]) -> None:
        """Send in a thread of its own, which calls `on_end` if it cannot go on."""
        self._on_end = on_end
        self._thread.start()

    def stop(self) -> None:
        """Finish the burst under way.

        Raises:
            Exception: whatever has ended the traffic before.
        """
        self._stopped.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        bursts: dict[str, Callable[[], None]] = {
            "new": lambda: self._send_new(self._murmur2, _structured),
            "binary": lambda: self._send_new(self._murmur2, _binary),
            "recent copy": lambda: self._repeat(list(self._recent)),
            "old copy": lambda: self._repeat(self._old),
            "conflict": self._contradict,
            "void": self._withdraw,
            "false void": self._withdraw_falsely,
            "poison": self._break,
            "untimely": self._mistime,
            "crc32": self._misplace,
            "transaction": self._transact,
        }
        try:
            while not self._stopped.wait(PAUSE_S):
                (kind,) = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))
                bursts[kind]()
        except BaseException as error:  # noqa: BLE001 - `stop` raises it
            self.error = error
            self._on_end()

    def _send_new(self, producer: Producer, encode: Encode) -> None:
        events = [self._event() for _ in range(BURST)]
        for event in events:
            self._write(producer, event, encode)
        self._delivered(producer)
        self._count(events)

    def _repeat(self, known: Sequence[Event]) -> None:
        for event in self._some(known):
            self._write(self._murmur2, event, _structured)
            self.expectation.repeated()
        self._delivered(self._murmur2)

    def _contradict(self) -> None:
        """The same ids, with something else to say."""
        for event in self._some(list(self._recent)):
            other = event._replace(data={"model": event.data["model"], "tokens": 999_999, "odd": True})
            self._write(self._murmur2, other, _structured)
            self.expectation.refused("conflict")
        self._delivered(self._murmur2)

    def _withdraw(self) -> None:
        """Recent events that were published by mistake; some of them more than once."""
        recent = list(self._recent)
        self._withdrawn &= {event.id for event in recent}
        for event in self._some(recent)[: BURST // 5]:
            self._write(self._murmur2, event, _void)
            if event.id in self._withdrawn:
                self.expectation.repeated()
            else:
                self.expectation.withdrawn(event)
                self._withdrawn.add(event.id)
        self._delivered(self._murmur2)

    def _withdraw_falsely(self) -> None:
        """What was never published, or not so."""
        for event in self._some(list(self._recent))[: BURST // 10]:
            if self._random.random() < 0.5:
                self._write(self._murmur2, event._replace(data={**event.data, "odd": True}), _void)
                self.expectation.refused("void_differs")
            else:
                self._write(self._murmur2, self._event(), _void)
                self.expectation.refused("void_unmatched")
        self._delivered(self._murmur2)

    def _break(self) -> None:
        for code, value in self._random.choices(_BROKEN, k=BURST // 10):
            self._produce(self._murmur2, self._subject(), value, STRUCTURED)
            self.expectation.refused(code)
        self._delivered(self._murmur2)

    def _mistime(self) -> None:
        for _ in range(BURST // 10):
            code, shift_us = self._random.choice((("too_old", -3 * DAY_US), ("in_future", DAY_US)))
            time_us = time.time_ns() // 1000 + shift_us
            self._write(self._murmur2, self._event()._replace(time_us=time_us), _structured)
            self.expectation.refused(code)
        self._delivered(self._murmur2)

    def _misplace(self) -> None:
        """Events placed by librdkafka's own partitioner: those that lie wrong come back by themselves."""
        events = [self._event() for _ in range(BURST)]
        for event in events:
            self._write(self._crc32, event, _structured)
            if self._partition(event.subject) != crc32(event.subject.encode()) % self._partitions:
                self.expectation.refused("misplaced")
        self._delivered(self._crc32)
        # Never repeated or contradicted: what comes back may lie after its copy, and which of two counts is
        # then a matter of luck.
        for event in events:
            self.expectation.counted(event)

    def _transact(self) -> None:
        events = [self._event() for _ in range(BURST)]
        records = [Record(event.subject.encode(), *_structured(event)) for event in events]
        if self._transactions.write(records, commit=self._random.random() < 0.5):
            self.records += len(records)
            self._count(events)

    def _count(self, events: Sequence[Event]) -> None:
        """These are new, and may be repeated and contradicted from now on."""
        for event in events:
            self.expectation.counted(event)
            self._recent.append(event)
            self._seen += 1
            place = self._random.randrange(self._seen)
            if len(self._old) < OLD:
                self._old.append(event)
            elif place < OLD:  # each event of the whole soak with the same probability
                self._old[place] = event

    def _some(self, known: Sequence[Event]) -> Sequence[Event]:
        return self._random.choices(known, k=BURST) if known else ()

    def _event(self) -> Event:
        random = self._random
        data: dict[str, Any] = {"model": random.choice(MODELS)}
        if random.random() < 0.97:
            data["tokens"] = random.choice((1, 7, random.randrange(4_096), "0.1", "123456789012345678901.25"))
        return Event(
            id=f"{random.getrandbits(128):032x}",
            type=COMPLETION if random.random() < 0.97 else "unknown",
            subject=self._subject(),
            time_us=self._time_us(),
            data=data,
        )

    def _subject(self) -> str:
        return f"subject-{self._random.randrange(SUBJECTS)}"

    def _time_us(self) -> int:
        """Mostly of the last minutes; some of hours ago, at few different times."""
        if self._random.random() < 0.02:
            return self._began_us - self._random.randrange(1, 7) * 4 * 60 * MINUTE_US
        return time.time_ns() // 1000 - self._random.randrange(3 * MINUTE_US)

    def _partition(self, subject: str) -> int:
        return int(murmur2(subject.encode()) & 0x7FFFFFFF) % self._partitions

    def _write(self, producer: Producer, event: Event, encode: Encode) -> None:
        value, headers = encode(event)
        self._produce(producer, event.subject, value, headers)

    def _produce(self, producer: Producer, key: str, value: bytes | None, headers: Headers) -> None:
        producer.produce(self._topic, value, key.encode(), headers=headers, on_delivery=self._on_delivery)
        self.records += 1

    def _delivered(self, producer: Producer) -> None:
        if producer.flush(DELIVERY_S):
            raise TimeoutError(f"the broker has not taken a burst within {DELIVERY_S:.0f} s")
        if self.error is not None:
            raise self.error

    def _on_delivery(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self.error = KafkaException(error)


def _attributes(event: Event) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": "/soak",
        "type": event.type,
        "subject": event.subject,
        "time": format_time(event.time_us),
    }


def _structured(event: Event) -> tuple[bytes, Headers]:
    return json.dumps({**_attributes(event), "data": event.data}).encode(), list(STRUCTURED)


def _void(event: Event) -> tuple[bytes, Headers]:
    void = {
        **_attributes(event),
        "id": f"void-{event.id}",
        "type": "metering.control.void",
        "time": format_time(time.time_ns() // 1000),
        "data": {
            "source": "/soak",
            "id": event.id,
            "type": event.type,
            "time": format_time(event.time_us),
            "data": event.data,
        },
    }
    return json.dumps(void).encode(), list(STRUCTURED)


def _binary(event: Event) -> tuple[bytes, Headers]:
    headers: Headers = [("content-type", b"application/json")]
    headers += [(f"ce_{name}", text.encode()) for name, text in _attributes(event).items()]
    return json.dumps(event.data).encode(), headers
