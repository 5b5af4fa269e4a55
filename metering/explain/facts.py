"""What is said of a window, or of a row beside one, in a form that two sides can be compared in."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from aggregator.store.explanation import StoredAdjustment, StoredWindow
from metering.explain.recount import Beside, Counted

CORRECTION: Final = "correction"

Facts = Mapping[str, Any]
"""Numbers as fractions: whatever their digits, they are equal if they are the same number."""


def stored_window(row: StoredWindow) -> Facts:
    """A window's row."""
    return {
        "events": row.events,
        "value": _number(row.value),
        "value_time_us": row.value_time_us,
        "value_offset": row.value_offset,
        "members": list(row.members),
        "points": [(offset, _number(value)) for offset, value in row.points],
        "first_offset": row.first_offset,
        "last_offset": row.last_offset,
    }


def recounted_window(aggregation: str, events: Sequence[Counted]) -> Facts:
    """The same, from all events of the window."""
    numbers = [_number(event.value) for event in events if not isinstance(event.value, str)]
    newest = max(events, key=lambda event: (event.time_us, event.offset))
    is_last = aggregation in {"last", "gauge"}
    value = None
    match aggregation:
        case "sum":
            value = sum(number for number in numbers if number is not None)
        case "min":
            value = min(number for number in numbers if number is not None)
        case "max":
            value = max(number for number in numbers if number is not None)
        case "last" | "gauge" if not isinstance(newest.value, str):
            value = _number(newest.value)
        case _:
            pass
    return {
        "events": len(events),
        "value": None if value is None else Fraction(value),
        "value_time_us": newest.time_us if is_last else None,
        "value_offset": newest.offset if is_last else None,
        "members": sorted({event.value for event in events if isinstance(event.value, str)}),
        "points": [
            (event.offset, _number(event.value))
            for event in events
            if aggregation == "gauge" and not isinstance(event.value, str)
        ],
        "first_offset": events[0].offset,
        "last_offset": events[-1].offset,
    }


def stored_beside(row: StoredAdjustment) -> Facts:
    """A row beside a window."""
    return {
        "kind": row.kind,
        "groups": row.groups,
        "start_us": row.start_us,
        "events": row.events,
        "value": _number(row.value),
        "member": row.member,
        "event_time_us": row.event_time_us,
        "log_time_us": row.log_time_us,
        "value_offset": row.value_offset,
        "promotion": row.batch_first_offset if row.kind == CORRECTION else None,
        "replaces_before": row.replaces_before,
    }


def recounted_beside(one: Beside) -> Facts:
    """The same, from the event."""
    return {
        "kind": one.kind,
        "groups": one.key.groups,
        "start_us": one.key.start_us,
        "events": 1 if one.kind == "late" else -1,
        "value": None if isinstance(one.value, str) else _number(one.value),
        "member": one.value if isinstance(one.value, str) else None,
        "event_time_us": one.time_us,
        "log_time_us": one.log_time_us,
        "value_offset": None,
        "promotion": None,
        "replaces_before": None,
    }


def _number(value: int | Decimal | None) -> Fraction | None:
    return None if value is None else Fraction(value)
