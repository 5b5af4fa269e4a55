"""Which rows make what was counted equal to what a replay has found, and what cannot be made equal so."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from hashlib import sha256
from itertools import zip_longest
from typing import Any, NamedTuple

from aggregator.catalog import StoredVersion
from aggregator.comparison import Pair, Row
from aggregator.replacement import Content, Element
from schemas.catalog import Meter
from schemas.instant import format_time
from schemas.number import EXACT, plain_text


class Difference(NamedTuple):
    """A row that one window of a series must be given; `groups` is JSON by name, empty for `other`.

    With `replaces_before` the rows of a window say what it comes to, as of that offset: each its value, a
    member or a point, or nothing. Without, the row is added.
    """

    meter: str
    subject: str
    groups: str
    start_us: int
    events: int  # signed; all those of a window stand in its first row
    value: Decimal | None  # 0 for `count`
    member: str | None = None
    time_us: int | None = None  # of a point, and of a `last` value
    offset: int | None = None
    replaces_before: int | None = None


class Placed(NamedTuple):
    """A difference at the meter version of the counted schema that it belongs to."""

    difference: Difference
    meter_version_id: int
    groups: tuple[str | None, ...] | None  # in that version's order; None: `other`
    value: Decimal | None  # None for `count`


class Refused(NamedTuple):
    """Why the differences of a meter, a plan or a subscription cannot be promoted."""

    code: str
    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The versions of one meter: the one in force at an instant is the last that has come into force."""

    spans: Sequence[tuple[int | None, int | None, StoredVersion]]

    def at(self, instant_us: int) -> StoredVersion | None:
        """The version that counts an event of this time; None if none does."""
        for start_us, end_us, version in self.spans:
            if (start_us is None or start_us <= instant_us) and (end_us is None or instant_us < end_us):
                return None if version.retired else version
        return None


def timelines(versions: Iterable[StoredVersion]) -> dict[str, Timeline]:
    """By meter."""
    by_meter: dict[str, list[StoredVersion]] = {}
    for version in sorted(versions, key=lambda version: version.version):
        by_meter.setdefault(version.meter, []).append(version)
    return {
        meter: Timeline(
            [
                (one.effective_from_us, None if successor is None else successor.effective_from_us, one)
                for one, successor in zip_longest(of_meter, of_meter[1:])
                if successor is None or successor.effective_from_us is not None
            ]
        )
        for meter, of_meter in by_meter.items()
    }


def difference(pair: Pair) -> Difference | None:
    """What the counted side lacks of one window (columns: events, value); None if it lacks nothing."""
    events, value = _columns(pair.replayed)
    counted_events, counted_value = _columns(pair.counted)
    with localcontext(EXACT):
        more = value - counted_value
    if events == counted_events and not more:
        return None
    meter, subject, groups, start_us = pair.key
    return Difference(meter, subject, groups, start_us, events - counted_events, more)


def replacement(pair: Pair, replaces_before: int) -> list[Difference]:
    """The rows that stand for a window from now on (columns: its content); none if both sides are equal.

    Args:
        pair: the window.
        replaces_before: how far the replay knew the log.
    """
    counted, replayed = _content(pair.counted), _content(pair.replayed)
    if counted == replayed:
        return []
    meter, subject, groups, start_us = pair.key
    more = replayed.events - counted.events
    return [
        Difference(meter, subject, groups, start_us, more if number == 0 else 0, *element, replaces_before)
        for number, element in enumerate(replayed.elements or [Element()])
    ]


def is_known_better(pair: Pair, replaces_before: int) -> bool:
    """Whether a window was replaced by what a later replay has found, whose rows cannot be taken back."""
    known_before = None if pair.counted is None else pair.counted.values[1]
    return known_before is not None and known_before > replaces_before


def older_replay(meter: str) -> Refused:
    """Why a replay cannot be promoted any more."""
    sentence = "what a later replay has found stands in its windows: replay once more, and promote that"
    return Refused("older_replay", meter, sentence)


def place(
    found: Difference, counted: Mapping[str, Timeline], replayed: Mapping[str, Timeline]
) -> Placed | Refused:
    """Where a difference belongs, or why it belongs nowhere."""
    version = counted[found.meter].at(found.start_us) if found.meter in counted else None
    if version is None:
        since = format_time(found.start_us)
        sentence = f"no version of it was in force at {since}, and periods of then read none: apply one first"
        return Refused("meter_not_in_force", found.meter, sentence)
    terms = Meter.from_definition(version.definition)
    other = replayed[found.meter].at(found.start_us) if found.meter in replayed else None
    if other is not None:
        refused = _misfit(terms, Meter.from_definition(other.definition))
        if refused is not None:
            return Refused(refused[0], found.meter, refused[1])
    groups = None
    if found.groups:
        values = json.loads(found.groups)
        groups = tuple(values[name] for name in terms.group_by)
    value = None if terms.aggregation == "count" else found.value
    return Placed(found, version.meter_version_id, groups, value)


def evidence(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """SHA-256 of what is promoted, one line of JSON each, in their order."""
    digest = sha256()
    for one in documents:
        digest.update(json.dumps(one, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.digest()


def as_document(one: Difference) -> dict[str, Any]:
    """A difference as it is printed and digested."""
    return {
        "meter": one.meter,
        "subject": one.subject,
        "group": json.loads(one.groups) if one.groups else None,
        "start": format_time(one.start_us),
        "events": one.events,
        "value": None if one.value is None else plain_text(one.value),
        "member": one.member,
        "time": None if one.time_us is None else format_time(one.time_us),
        "offset": one.offset,
        "replaces_before": one.replaces_before,
    }


def _columns(row: Row | None) -> tuple[int, Decimal]:
    return (0, Decimal(0)) if row is None else (row.values[0], row.values[1])


def _content(row: Row | None) -> Content:
    return Content(0, ()) if row is None else row.values[0]


def _misfit(terms: Meter, other: Meter) -> tuple[str, str] | None:
    if terms.aggregation != other.aggregation:
        return "aggregation_changed", f"`{terms.aggregation}` was replayed as `{other.aggregation}`"
    if terms.window != other.window:
        return "window_changed", f"windows of {terms.window} were replayed as windows of {other.window}"
    if set(terms.group_by) != set(other.group_by):
        return "groups_changed", "it was replayed with other groups: usage cannot be moved between lines"
    return None
