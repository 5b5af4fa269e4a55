"""One meter version, ready to read events: does it apply, which group, which value."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.aggregation import Aggregation, Value
from schemas.catalog import Meter as MeterDefinition
from schemas.codes import Code
from schemas.number import NumberRefused, exact_number

Path = tuple[str, ...]

GROUP_CHARACTERS: Final = 256
MEMBER_CHARACTERS: Final = 256


class MeterRefused(NamedTuple):
    """Why an accepted event does not fit one meter: kept in quarantine for that meter version alone."""

    code: Code
    detail: str


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

    def applies(self, values: Mapping[str, object]) -> bool:
        """Whether the filter lets an event of this meter's type through."""
        return all(_text(_look_up(values, path)) in allowed for path, allowed in self.filters)

    def groups(self, values: Mapping[str, object]) -> tuple[str | None, ...] | MeterRefused:
        """The event's group values; None where a path is absent or null."""
        texts = []
        for path in self.group_paths:
            value = values.get(path[0]) if len(path) == 1 else _look_up(values, path)
            if value.__class__ is not str and value is not None:
                value = _text(value)
                if value is None:
                    return MeterRefused(
                        Code.GROUP_NOT_SCALAR, f"data.{'.'.join(path)} is an object or a list"
                    )
            if value is not None and len(value) > GROUP_CHARACTERS:
                detail = f"data.{'.'.join(path)} is longer than {GROUP_CHARACTERS} characters"
                return MeterRefused(Code.GROUP_TOO_LONG, detail)
            texts.append(value)
        return tuple(texts)

    def read(self, values: Mapping[str, object]) -> Value | MeterRefused:
        """What the event gives this meter's window: a number, a member, or None where events are counted."""
        if self.aggregation == "count":
            return None
        if self.aggregation == "unique":
            return self._member(values)
        return self._number(values)

    def _number(self, values: Mapping[str, object]) -> int | Decimal | MeterRefused:
        value = _look_up(values, self.value_path)
        if value.__class__ is int or value.__class__ is Decimal:
            return value  # type: ignore[return-value] # narrowed by class, which is quicker than isinstance
        if value is None:
            return MeterRefused(Code.VALUE_MISSING, f"data.{'.'.join(self.value_path)} is absent")
        if isinstance(value, str):
            try:
                return exact_number(value)
            except NumberRefused as refused:
                return MeterRefused(Code.VALUE_OUT_OF_RANGE, f"data.{'.'.join(self.value_path)}: {refused}")
        return MeterRefused(Code.VALUE_NOT_NUMBER, f"data.{'.'.join(self.value_path)} is no number")

    def _member(self, values: Mapping[str, object]) -> str | MeterRefused:
        value = _look_up(values, self.value_path)
        if value is None:
            return MeterRefused(Code.MEMBER_MISSING, f"data.{'.'.join(self.value_path)} is absent")
        text = _text(value)
        if text is None:
            return MeterRefused(Code.MEMBER_NOT_SCALAR, f"data.{'.'.join(self.value_path)} is no scalar")
        if len(text) > MEMBER_CHARACTERS:
            return MeterRefused(Code.MEMBER_TOO_LONG, f"it is longer than {MEMBER_CHARACTERS} characters")
        return text


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
        filters=tuple(
            (_path(path), frozenset(_text(value) for value in allowed))
            for path, allowed in meter.filter.items()
        ),
        window_us=meter.window_us,
        grace_us=meter.grace_us,
        cardinality_limit=meter.cardinality_limit,
    )


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


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
        case int():
            return str(value)
        case Decimal():
            whole = value.to_integral_value()
            return str(int(whole)) if value == whole else format(value.normalize(), "f")
    return None
