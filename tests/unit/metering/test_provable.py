"""A stretch of a log says the same as the whole log, of the windows that it proves."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import RULES, SUBJECTS, logs, partition_of, record_of
from oracle.recount import HOUR_US, LoggedEvent
from unit.metering.test_recount import METER_RULES

from aggregator.store.connection import BEGINNING_US
from metering.auditor.stretch import Provable
from metering.explain.recount import Counted, Found, Key, Recount, Topic
from metering.explain.windows import margin_us

TOPIC = Topic(RULES.acceptance_window_us, RULES.skew_us, RULES.repair_horizon_us, partition_of)
RULE_OF = {rule.meter_version_id: rule for rule in METER_RULES}


def found(log: Sequence[LoggedEvent], frontier_us: int | None) -> Found:
    recount = Recount(0, TOPIC, METER_RULES, SUBJECTS, frontier_us, {}, ())
    for logged in log:
        recount.take(record_of(logged))
    return recount.found


def an_hour_each(logged: LoggedEvent) -> LoggedEvent:
    """An id is used within one hour only: what the margin takes for granted."""
    if logged.event is None:
        return logged
    hour = logged.event.time_us // HOUR_US
    return replace(logged, event=replace(logged.event, id=f"{logged.event.id} {hour}"))


@given(logs(max_size=25), st.data())
def test_a_stretch_proves_what_it_says_it_does(log: list[LoggedEvent], data: st.DataObject) -> None:
    whole = [an_hour_each(logged) for logged in log]
    first = data.draw(st.integers(0, len(whole)), label="first")
    last = data.draw(st.integers(first, len(whole)), label="last")
    part = whole[first:last]
    before_us = max((logged.timestamp_us for logged in whole[:first]), default=None)
    until_us = max((logged.timestamp_us for logged in whole[:last]), default=BEGINNING_US)
    from_us = BEGINNING_US if before_us is None else before_us + margin_us(RULES)
    offsets = part[0].offset if part else 0, part[-1].offset + 1 if part else 0
    stretch = Provable(0, *offsets, before_us, from_us, until_us)

    all_of_it, of_stretch = found(whole, None), found(part, before_us)

    def proved(one: Found) -> dict[Key, list[Counted]]:
        rules = {key: RULE_OF[key.meter_version_id] for key in one.windows}
        return {key: events for key, events in one.windows.items() if stretch.proves(key, rules[key])}

    assert proved(of_stretch) == proved(all_of_it)
    beside = {
        place: one
        for place, one in all_of_it.beside.items()
        if place[0] < stretch.next_offset and one.key.start_us >= from_us
    }
    assert beside == {place: one for place, one in of_stretch.beside.items() if one.key.start_us >= from_us}
