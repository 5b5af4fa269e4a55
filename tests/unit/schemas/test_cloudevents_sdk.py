"""Events made by the CloudEvents SDK, in both Kafka modes, decode to what the SDK put in."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from cloudevents.core.bindings.kafka import KafkaMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.wire import Event, decode

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
types = names.map("usage.{}".format)  # not by chance a reserved one
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
moments = st.datetimes(EPOCH.replace(tzinfo=None), timezones=zones)
floats = st.floats(-1e15, 1e15).filter(lambda number: number == 0 or abs(number) > 1e-15)
scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | floats | names
items = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=5)


@settings(max_examples=100)
@given(st.tuples(names, names, types, names), moments, st.dictionaries(names, items))
def test_both_modes(named: tuple[str, str, str, str], moment: datetime, data: dict[str, Any]) -> None:
    attributes = dict(zip(("id", "source", "type", "subject"), named, strict=True))
    content = {"specversion": "1.0", "datacontenttype": "application/json", "time": moment}
    event = CloudEvent({**attributes, **content}, data)
    for message in (to_structured_event(event), to_binary_event(event)):
        decoded = received(message)
        assert (decoded.id, decoded.source, decoded.type, decoded.subject) == named
        assert decoded.time_us == (moment - EPOCH) // timedelta(microseconds=1)
        assert decoded.values == json.loads(json.dumps(data), parse_float=Decimal)


def received(message: KafkaMessage) -> Event:
    decoded = decode(message.value, list(message.headers.items()))
    assert isinstance(decoded, Event), decoded
    return decoded
