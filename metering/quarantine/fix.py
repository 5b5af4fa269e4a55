"""Replaces a refused record by a corrected event, checked before anything is written."""

from typing import Any

from aggregator.remedy import Ground, decoded, out_of_time
from aggregator.store import quarantine
from aggregator.store import redrive as store
from aggregator.store.connection import Connection
from aggregator.store.quarantine import WAITING, Kept
from aggregator.store.redrive import Decision, Replacement, place_of
from metering.errors import InputRefusedError, UsageError
from metering.publisher.encoding import to_json
from metering.publisher.refusal import EventRefused, checked
from metering.quarantine.replacement import HEADERS, digest
from schemas.codes import Code
from schemas.wire import Event, Refusal, decode


async def fix(
    connection: Connection, row: tuple[int, int, str | None], value: bytes, who: str, reason: str
) -> Decision:
    """Bring a record back with another value, as the one repair of that record; what was decided.

    Args:
        connection: with the owner's rights.
        row: partition, offset, and the meter that could not read it: None if there is one row alone.
        value: the corrected event, in structured mode.
        who: decides it.
        reason: why.

    Raises:
        UsageError: there is no such row.
        InputRefusedError: the event breaks its contract or cannot be counted, or somebody has decided.
    """
    event = _event(value)
    async with connection.transaction():
        await store.lock(connection)
        ground = await store.ground(connection)
        kept = _chosen(await quarantine.of_record(connection, row[0], row[1]), row, ground)
        if kept.refusal.state not in WAITING:
            raise InputRefusedError(
                "already_decided", f"The record is {kept.refusal.state.value}: there is nothing to correct."
            )
        target_partition = ground.partition_of(event.subject)
        untimely = out_of_time(event, target_partition, ground)
        if untimely is not None:
            raise InputRefusedError(untimely.obstacle.value, f"The corrected event: {untimely.sentence}.")
        if place_of(kept) in await store.promoted(connection, [kept]):
            raise InputRefusedError(
                "promoted",
                "A promotion has corrected the window since, so the event may be counted there already: "
                "compare with a replay.",
            )
        if kept.refusal.meter_version_id is not None:
            _require_readable(kept, kept.refusal.meter_version_id, event, ground)
        else:
            _require_new_id(kept, event)
        detail: dict[str, Any] = {
            "target_partition": target_partition,
            "value_sha256": digest(kept.value),
            "sent_sha256": digest(value),
        }
        replacement = Replacement(event.subject.encode(), value, HEADERS)
        decision = Decision(kept, detail, target_partition, replacement)
        await store.decide(connection, "fix", [decision], who, reason)
    return decision


def _event(value: bytes) -> Event:
    checked(to_json(value))
    event = decode(value, HEADERS)
    if isinstance(event, Refusal):
        raise EventRefused.because(event.code, event.detail)
    return event


def _chosen(rows: list[Kept], row: tuple[int, int, str | None], ground: Ground) -> Kept:
    partition, offset, meter = row
    if not rows:
        raise UsageError(
            "not_in_quarantine", f"Nothing of partition {partition}, offset {offset} was refused."
        )
    named = {
        None if version is None else ground.version(version).meter: one
        for one in rows
        for version in [one.refusal.meter_version_id]
    }
    if meter is None and len(rows) == 1:
        return rows[0]
    if meter is None or meter not in named:
        meters = ", ".join(sorted(name for name in named if name is not None))
        raise UsageError(
            "which_meter", f"Say for which meter it is corrected, with --meter: {meters or 'none'}."
        )
    return named[meter]


def _require_readable(kept: Kept, meter_version_id: int, event: Event, ground: Ground) -> None:
    """Let a correction for one meter pass that is of the same event, and that the meter can read.

    The event itself was accepted: what it is to the other meters does not change.
    """
    before = decoded(kept.key, kept.value, kept.headers)
    if _attributes(before) != _attributes(event):
        raise InputRefusedError(
            "other_event",
            "The event was accepted, and only this meter could not read it: correct its data alone, not its "
            "id, source, type, subject or time.",
        )
    meter = ground.meter(meter_version_id)
    if event.control is not None and not meter.is_subtractable:
        raise InputRefusedError(
            "not_subtractable", f"`{meter.name}` cannot take anything back: settle it outside and discard it."
        )
    for refused in meter.read([event]).refused.values():
        raise EventRefused.because(refused.code, f"`{meter.name}` cannot read it: {refused.detail}")


def _attributes(event: Event | Refusal) -> tuple[object, ...]:
    is_void = isinstance(event, Event) and event.control is not None
    return event.source, event.id, event.type, event.subject, event.time_us, is_void


def _require_new_id(kept: Kept, event: Event) -> None:
    """Let a correction pass that is not again in conflict with the event that is counted."""
    refusal = kept.refusal
    if refusal.code == Code.CONFLICT and (event.source, event.id) == (refusal.source, refusal.id):
        raise InputRefusedError(
            "id_is_taken",
            f"An event with the source and id {refusal.id!r} is counted: give this one an id of its own.",
        )
