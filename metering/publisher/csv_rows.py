"""Rows of a CSV file as CloudEvents, by a mapping file."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from metering.errors import InputRefusedError, unreadable
from metering.publisher.lines import Line
from metering.publisher.mapping import (
    ATTRIBUTES,
    BUCKET,
    ROW,
    CsvMapping,
    DataSource,
    Source,
    TimeSource,
    needed_columns,
    template_parts,
)
from metering.publisher.refusal import EventRefused
from schemas.codes import Code, Refused
from schemas.instant import format_time
from schemas.number import exact_number

Reader: TypeAlias = Callable[[Sequence[str], int], str]
"""Reads a text from a row's cells and its number."""

_UNIX_UNITS_US: Final = {"unix_s": 1_000_000, "unix_ms": 1_000, "unix_us": 1}
_HAS_ZONE: Final = re.compile(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$")
_LONG_FRACTION: Final = re.compile(r"(\.[0-9]{6})[0-9]+")
_BOOLS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def csv_lines(path: Path, mapping: CsvMapping) -> Iterator[Line]:
    """The rows of a CSV file with a header; `row` counts them from 1, `Line.number` is the file's.

    Raises:
        InputRefusedError: the file cannot be read (`csv_unreadable`), or has not the columns that the mapping
            names (`column_missing`).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=mapping.delimiter, strict=True)
            event_of = row_reader(mapping, next(rows, []), path)
            for row, cells in enumerate(rows, start=1):
                yield Line(rows.line_num, _event_or_refusal(event_of, cells, row), _size(cells))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable("csv", path, error) from error


def row_reader(
    mapping: CsvMapping, header: Sequence[str], path: Path
) -> Callable[[Sequence[str], int], bytes]:
    """Make the function that turns a row's cells and number into an event's JSON."""
    columns = {name: place for place, name in enumerate(header)}
    for column, asked_at in needed_columns(mapping).items():
        if header.count(column) != 1:
            raise InputRefusedError(
                "column_missing",
                f"The mapping's {asked_at} needs one column {column!r}; {path} has: {', '.join(header)}.",
            )
    attributes = [(name, _reader(getattr(mapping.event, name), columns)) for name in ATTRIBUTES]
    time_of = _time_reader(mapping.event.time, _reader(mapping.event.time, columns))
    fields = [(name, source, _reader(source, columns)) for name, source in mapping.data.items()]

    def event_of(cells: Sequence[str], row: int) -> bytes:
        if len(cells) != len(header):
            raise EventRefused(
                "row_shape",
                f"The row has {len(cells)} cells and the header {len(header)}: quote cells that have the "
                "delimiter in them.",
            )
        event: dict[str, object] = {"specversion": "1.0"}
        event.update((name, read(cells, row)) for name, read in attributes)
        event["time"] = time_of(cells, row)
        data = ((name, _value(source, name, read(cells, row))) for name, source, read in fields)
        event["data"] = {name: value for name, value in data if value is not None}
        return msgspec.json.encode(event)

    return event_of


def _event_or_refusal(
    event_of: Callable[[Sequence[str], int], bytes], cells: Sequence[str], row: int
) -> bytes | EventRefused:
    try:
        return event_of(cells, row)
    except EventRefused as refused:
        return refused
    except Refused as refused:
        return EventRefused.because(refused.code, refused.detail)


def _size(cells: Sequence[str]) -> int:
    return sum(map(len, cells)) + len(cells)


def _reader(source: Source, columns: dict[str, int]) -> Reader:
    if source.column is not None:
        place = columns[source.column]
        return lambda cells, _row: cells[place]
    if source.template is None:
        constant = str(source.constant).lower() if isinstance(source.constant, bool) else str(source.constant)
        return lambda _cells, _row: constant
    pattern, takes = "", list[Callable[[Sequence[str], int], str | int]]()
    for text, name, spec in template_parts(source.template):
        pattern += text.replace("{", "{{").replace("}", "}}")
        if name is not None:
            pattern += f"{{:{spec}}}"
            takes.append(_taker(name, columns, source.buckets or 1))

    def read(cells: Sequence[str], row: int) -> str:
        try:
            return pattern.format(*(take(cells, row) for take in takes))
        except ValueError as error:
            raise EventRefused(
                "bad_cell", f"The template {source.template!r} cannot be filled: {error}."
            ) from None

    return read


def _taker(name: str, columns: dict[str, int], buckets: int) -> Callable[[Sequence[str], int], str | int]:
    if name == ROW:
        return lambda _cells, row: row
    if name == BUCKET:
        return lambda _cells, row: row % buckets
    place = columns[name]
    return lambda cells, _row: cells[place]


def _value(source: DataSource, name: str, text: str) -> object:
    if not isinstance(source.constant, str | None):
        return source.constant if isinstance(source.constant, bool) else msgspec.Raw(text.encode())
    if source.type == "string":
        return text
    text = text.strip()
    if not text:
        return None
    if source.type == "number":
        exact_number(text)
        return msgspec.Raw(text.encode())  # its own digits
    value = _BOOLS.get(text.lower())
    if value is None:
        raise EventRefused("bad_cell", f"{name} is {text!r}: write true or false.")
    return value


def _time_reader(source: TimeSource, read: Reader) -> Reader:
    zone = ZoneInfo(source.zone) if source.zone else None
    unit_us = _UNIX_UNITS_US.get(source.format)

    def iso(cells: Sequence[str], row: int) -> str:
        text = read(cells, row).strip().replace(" ", "T", 1)
        if zone is None or _HAS_ZONE.search(text):
            return text
        return text + ("Z" if source.zone == "UTC" else _offset(text, zone))

    def unix(cells: Sequence[str], row: int) -> str:
        return format_time(int(exact_number(read(cells, row).strip()) * (unit_us or 1)))

    def pattern(cells: Sequence[str], row: int) -> str:
        text = _LONG_FRACTION.sub(r"\1", read(cells, row).strip())  # strptime reads six digits
        try:
            time = datetime.strptime(text, source.format)  # noqa: DTZ007 - the zone comes next
        except ValueError as error:
            raise EventRefused.because(Code.BAD_TIME, str(error)) from None
        return (time if time.tzinfo or zone is None else time.replace(tzinfo=zone)).isoformat()

    if unit_us is not None:
        return unix
    return iso if source.format == "iso" else pattern


def _offset(text: str, zone: ZoneInfo) -> str:
    """The zone's offset from UTC at a local time, as `+01:00`."""
    try:
        local = datetime.fromisoformat(text[:19]).replace(tzinfo=zone)
    except ValueError:
        raise Refused(Code.BAD_TIME, text) from None
    return local.isoformat()[19:]
