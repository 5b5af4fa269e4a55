"""What is refused is kept as it came, so that it can be read, mended and driven again."""

from collections.abc import Iterator, Sequence

from aggregator.admission import Refused
from aggregator.batch import Quarantined
from aggregator.reading import Reading
from aggregator.windows import MeterError
from schemas.codes import Code
from schemas.control_types import VOID_TYPE
from schemas.wire import Event, Void


def quarantined(
    reading: Reading,
    refused: Sequence[Refused],
    conflict_places: Sequence[int],
    meter_errors: Sequence[MeterError],
) -> list[Quarantined]:
    """The quarantine rows of a batch, in log order."""
    rows = [
        *_refused(reading, refused),
        *_conflicts(reading, conflict_places),
        *_meter_errors(reading, meter_errors),
    ]
    return sorted(rows, key=lambda row: (row.offset, row.meter_version_id or 0))


def _refused(reading: Reading, refused: Sequence[Refused]) -> Iterator[Quarantined]:
    for place, code, detail, target_partition in refused:
        yield _kept(reading, place, code, detail, target_partition=target_partition)


def _conflicts(reading: Reading, places: Sequence[int]) -> Iterator[Quarantined]:
    for place in places:
        detail = "an event of the same source and id, but with other content, is counted already"
        yield _kept(reading, place, Code.CONFLICT, detail)


def _meter_errors(reading: Reading, errors: Sequence[MeterError]) -> Iterator[Quarantined]:
    for place, meter_version_id, (code, detail) in errors:
        yield _kept(reading, place, code, detail, meter_version_id=meter_version_id)


def _kept(
    reading: Reading,
    place: int,
    code: Code,
    detail: str,
    *,
    meter_version_id: int | None = None,
    target_partition: int | None = None,
) -> Quarantined:
    record, event = reading.records[place], reading.events[place]
    repair = event.repair if isinstance(event, Event) else None
    source, id_, event_type, time_us = event.source, event.id, event.type, event.time_us
    if isinstance(event, Event) and isinstance(event.control, Void):
        id_, source, time_us = event.control
        event_type = VOID_TYPE
    return Quarantined(
        offset=record.offset,
        code=code,
        detail=detail,
        meter_version_id=meter_version_id,
        target_partition=target_partition,
        timestamp_us=record.timestamp * 1000,
        timestamp_type=record.timestamp_type,
        key=record.key,
        value=record.value,
        headers=record.headers,
        source=source,
        id=id_,
        type=event_type,
        subject=event.subject,
        time_us=time_us,
        origin=repair.encode().decode() if repair is not None else None,
    )
