"""One meter version, ready to read events: which it applies to, their groups, their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias, cast

import numpy as np

from aggregator.aggregation import Aggregation, Number, Value
from aggregator.columns import coded
from aggregator.memory import I64
from schemas.catalog import Meter as MeterDefinition
from schemas.codes import Code
from schemas.number import NumberRefused, exact_number, plain_text
from schemas.wire import Event

Path = tuple[str, ...]

GROUP_CHARACTERS: Final = 256
MEMBER_CHARACTERS: Final = 256

_SUBTRACTABLE: Final = ("sum", "count", "gauge")


class MeterRefused(NamedTuple):
    """Why an accepted event does not fit one meter: kept in quarantine for that meter version alone."""

    code: Code
    detail: str


_Cell: TypeAlias = str | MeterRefused | None


class Columns(NamedTuple):
    """What a meter reads of events, one row each; rows in `refused` hold nothing of use."""

    values: Sequence[Value]
    groups: "Groups"
    refused: Mapping[int, MeterRefused]


class Groups(NamedTuple):
    """The group values of some events: a code each, and what it stands for."""

    codes: I64
    distinct: Sequence[tuple[str | None, ...]]

    def of(self, row: int) -> tuple[str | None, ...]:
        """Those of one event."""
        return self.distinct[int(self.codes[row])]


@dataclass(frozen=True, slots=True)
class Meter:
    """One version of a meter, compiled from its definition; times in microseconds."""

    meter_version_id: int
    name: str
    event_type: str
    aggregation: Aggregation
    value_path: Path  # empty for `count`
    group_paths: tuple[Path, ...]
    filters: tuple[tuple[Path, frozenset[str]], ...]  # allowed values as canonical text
    window_us: int
    grace_us: int
    cardinality_limit: int

    @property
    def is_subtractable(self) -> bool:
        """Whether an event can be taken back from what its windows hold."""
        return self.aggregation in _SUBTRACTABLE

    def applying(self, events: Sequence[Event], rows: I64) -> I64:
        """The rows whose events the filter lets through."""
        if not self.filters:
            return rows
        return rows[[self._applies(events[row].values) for row in rows.tolist()]]

    def read(self, events: Sequence[Event]) -> Columns:
        """The values and groups of events, and which of them this meter cannot read."""
        values = self._values(events)
        codes, distinct = self._groups(events)
        refused = _refused_groups(codes, distinct) | _refusals(values)
        return Columns(values, Groups(codes, distinct), refused)  # type: ignore[arg-type] # but for the refused

    def _applies(self, values: Mapping[str, object]) -> bool:
        return all(_text(_look_up(values, path)) in allowed for path, allowed in self.filters)

    def _values(self, events: Sequence[Event]) -> Sequence[Value | MeterRefused]:
        if self.aggregation == "count":
            return [None] * len(events)
        read = _member if self.aggregation == "unique" else _number
        if len(self.value_path) > 1:
            return [read(_look_up(event.values, self.value_path), self.value_path) for event in events]
        name = self.value_path[0]
        cells = [event.values.get(name) for event in events]
        if read is _number and set(map(type, cells)) == {int}:
            return cells
        return [read(cell, self.value_path) for cell in cells]

    def _groups(self, events: Sequence[Event]) -> tuple[I64, Sequence[tuple[_Cell, ...]]]:
        if not self.group_paths:
            return np.zeros(len(events), dtype=np.int64), [()]
        columns = [_group_column(events, path) for path in self.group_paths]
        if len(columns) > 1:
            return coded(list(zip(*columns, strict=True)))
        codes, cells = coded(columns[0])
        return codes, [(cell,) for cell in cells]


def compile_meter(meter_version_id: int, name: str, definition: Mapping[str, object]) -> Meter:
    """The meter that a stored definition describes."""
    meter = MeterDefinition.from_definition(definition)
    return Meter(
        meter_version_id=meter_version_id,
        name=name,
        event_type=meter.event_type,
        aggregation=meter.aggregation,
        value_path=_path(meter.value) if meter.value is not None else (),
        group_paths=tuple(_path(path) for path in meter.group_by.values()),
        filters=tuple((_path(path), frozenset(allowed)) for path, allowed in meter.filter.items()),
        window_us=meter.window_us,
        grace_us=meter.grace_us,
        cardinality_limit=meter.cardinality_limit,
    )


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


def _group_column(events: Sequence[Event], path: Path) -> list[_Cell]:
    if len(path) > 1:
        cells = [_look_up(event.values, path) for event in events]
    else:
        name = path[0]
        cells = [event.values.get(name) for event in events]
    if set(map(type, cells)) == {str} and max(map(len, cast("list[str]", cells))) <= GROUP_CHARACTERS:
        return cast("list[_Cell]", cells)  # the common case, without a call per cell
    return [_group(cell, path) for cell in cells]


def _refused_groups(codes: I64, distinct: Sequence[tuple[_Cell, ...]]) -> dict[int, MeterRefused]:
    refusals = {
        code: cell for code, cells in enumerate(distinct) for cell in cells if isinstance(cell, MeterRefused)
    }
    if not refusals:
        return {}
    return {row: refusals[code] for row, code in enumerate(codes.tolist()) if code in refusals}


def _refusals(column: Sequence[object]) -> dict[int, MeterRefused]:
    if MeterRefused not in set(map(type, column)):
        return {}
    return {row: cell for row, cell in enumerate(column) if isinstance(cell, MeterRefused)}


def _group(cell: object, path: Path) -> str | MeterRefused | None:
    if cell is None:
        return None
    text = _text(cell)
    if text is None:
        return MeterRefused(Code.GROUP_NOT_SCALAR, f"{_name(path)} is an object or a list")
    if len(text) > GROUP_CHARACTERS:
        return MeterRefused(
            Code.GROUP_TOO_LONG, f"{_name(path)} is longer than {GROUP_CHARACTERS} characters"
        )
    return text


def _number(cell: object, path: Path) -> Number | MeterRefused:
    """The exact value of a JSON number, or of a string of one."""
    if cell is None:
        return MeterRefused(Code.VALUE_MISSING, f"{_name(path)} is absent")
    if cell.__class__ is int or cell.__class__ is Decimal:
        return cell
    if not isinstance(cell, str):
        return MeterRefused(Code.VALUE_NOT_NUMBER, f"{_name(path)} is no number")
    try:
        return exact_number(cell)
    except NumberRefused as refused:
        code = Code.VALUE_NOT_NUMBER if refused.code is Code.NOT_A_NUMBER else Code.VALUE_OUT_OF_RANGE
        return MeterRefused(code, f"{_name(path)}: {cell[:80]!r}")


def _member(cell: object, path: Path) -> str | MeterRefused:
    """What a `unique` meter counts once."""
    if cell is None:
        return MeterRefused(Code.MEMBER_MISSING, f"{_name(path)} is absent")
    text = _text(cell)
    if text is None:
        return MeterRefused(Code.MEMBER_NOT_SCALAR, f"{_name(path)} is an object or a list")
    if len(text) > MEMBER_CHARACTERS:
        return MeterRefused(
            Code.MEMBER_TOO_LONG, f"{_name(path)} is longer than {MEMBER_CHARACTERS} characters"
        )
    return text


def _name(path: Path) -> str:
    return ".".join(("data", *path))


def _look_up(values: object, path: Path) -> object:
    for name in path:
        if not isinstance(values, dict):
            return None
        values = values.get(name)
    return values


def _text(value: object) -> str | None:
    """The one text of a scalar: numbers by value (1.0 is 1), true and false as in JSON; None for the rest."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return plain_text(value)
    return None
