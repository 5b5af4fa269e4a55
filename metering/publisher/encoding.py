"""Events as JSON, with the exact digits of every number."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from metering.publisher.refusal import EventRefused, checked
from schemas import control
from schemas.codes import Code
from schemas.control_types import VOID_TYPE
from schemas.event import UsageEvent

_JSON: Final = msgspec.json.Encoder(decimal_format="number")


def to_json(event: UsageEvent | Mapping[str, object] | bytes) -> bytes:
    """The structured-mode value of an event; bytes are taken to be one already.

    Decimals and ints keep their digits; datetimes become RFC 3339 text.

    Raises:
        EventRefused: a value has no form in JSON.
    """
    if isinstance(event, bytes):
        return event
    document = event.model_dump(exclude_none=True) if isinstance(event, UsageEvent) else event
    try:
        return _JSON.encode(document)
    except OverflowError:  # the encoder writes ints of 64 bits; the contract allows 38 digits
        return _JSON.encode(_with_long_ints(document))
    except (TypeError, ValueError) as error:
        raise EventRefused.because(Code.NOT_JSON, str(error)) from error


class _Data(msgspec.Struct, gc=False):
    data: msgspec.Raw


def to_void(event: UsageEvent | Mapping[str, object] | bytes, id: str | None = None) -> bytes:  # noqa: A002
    """The structured-mode value of an event's void, with the bytes of data that the event itself would have.

    Raises:
        EventRefused: the event breaks its contract, or is a void or a tick.
    """
    value = to_json(event)
    usage = checked(value)
    if usage.type == VOID_TYPE:
        raise EventRefused.because(Code.RESERVED_TYPE, "a void cannot be withdrawn")
    return control.void(usage, bytes(msgspec.json.decode(value, type=_Data).data), id)


def _with_long_ints(value: object) -> object:
    match value:
        case bool():
            return value
        case int():
            return Decimal(value)
        case Mapping():
            return {name: _with_long_ints(item) for name, item in value.items()}
        case list() | tuple():
            return [_with_long_ints(item) for item in value]
        case _:
            return value
