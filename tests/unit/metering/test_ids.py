"""What the auditor says an entry consists of is what the pipeline stores."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.identity import Identifier, columns
from aggregator.memory import packed
from metering.auditor.ids import entry_of
from schemas.instant import HOUR_US
from schemas.wire import Event

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)


@given(
    TEXT, TEXT, TEXT, TEXT, st.binary(max_size=40), st.integers(0, 2**52), st.binary(min_size=16, max_size=16)
)
def test_both_make_the_same_bytes_of_an_event(
    id_: str, source: str, event_type: str, subject: str, data: bytes, time_us: int, key: bytes
) -> None:
    event = Event(id_, source, event_type, subject, time_us, {}, msgspec.Raw(data))
    identifier = Identifier(key)
    entries = columns(
        identifier.identities([event], {}),
        identifier.digests([event]),
        np.array([time_us]),
        np.array([time_us // HOUR_US]),
    )
    assert entry_of(key, event) == packed(*entries)
