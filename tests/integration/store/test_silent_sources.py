"""From what flushes noted to who is silent: who watched, who begins to, and a plain loop agree."""

from collections import defaultdict
from itertools import pairwise
from random import Random
from typing import Final

from integration.store.batches import MINUTE_US, T0, Spoken
from integration.store.counting import Store
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider
from support.telemetry import all_measured

from aggregator.health.silence import LEAST_GAPS, LEAST_SPANS
from metering.doctor.traffic import SILENCE, examine
from metering.observer import sources
from metering.observer.counted import read_accounts
from metering.observer.report import Report
from metering.observer.sources import SourcePasts
from metering.telemetry import make_telemetry

PERIODS: Final = {"/steady": 1, "/paced": 3, "/rare": 11}
STOPS: Final = {"/steady": 50, "/paced": 100, "/rare": 130}
MINUTES: Final = 150


def expected(heard: dict[str, list[int]], minute: int) -> dict[str, int]:
    """Who is silent in a minute, and since when: by all the minutes in which each was heard."""
    found = {}
    for source, minutes in heard.items():
        gaps = [later - earlier for earlier, later in pairwise(minutes)]
        knows_enough = len(gaps) >= LEAST_GAPS and minutes[-1] - minutes[0] >= LEAST_SPANS * max(gaps)
        if knows_enough and 2 * (minute - minutes[-1]) > max(2, 3 * max(gaps)):
            found[source] = minutes[-1]
    return found


async def test_who_stops_is_silent_until_heard_again(store: Store) -> None:
    chance, heard = Random(5), defaultdict(list)
    along = SourcePasts()
    seen = set()
    for minute in range(MINUTES):
        said: dict[int, list[Spoken]] = {0: [], 1: []}
        for source, period in {**PERIODS, "/clock": 1}.items():
            sends = minute % period == 0 and minute < STOPS.get(source, MINUTES)
            if sends or minute == MINUTES - 1:
                heard[source].append(minute)
                said[chance.randrange(2)].append(Spoken(time_us=T0 + minute * MINUTE_US, source=source))
        for partition, events in said.items():  # so both frontiers come so far
            events.append(Spoken(time_us=T0 + minute * MINUTE_US + 59_000_000, source="/clock"))
            await store.flush(store.logs[partition].batch(events))
        accounts = await read_accounts(store.owner)
        await along.read(store.owner, accounts)
        begun = SourcePasts()
        await begun.read(store.owner, accounts)
        silent = {one.source: (one.since_us - T0) // MINUTE_US for one in along.silent(accounts)}
        assert silent == expected(heard, minute)
        assert along.silent(accounts) == begun.silent(accounts)
        seen.add(frozenset(silent))
    # In the last minute all are heard again.
    assert seen == {frozenset(), frozenset({"/steady"}), frozenset({"/steady", "/paced"})}
    assert not silent


async def test_the_doctor_and_gauges_name_who_is_silent(store: Store) -> None:
    for minute in range(40):
        said = [] if minute > 35 else [Spoken(time_us=T0 + minute * MINUTE_US, source="/orders")]
        said.append(Spoken(time_us=T0 + minute * MINUTE_US, source="/billing"))
        await store.flush(store.logs[0].batch(said), store.logs[1].batch(said[-1:]))
    accounts = await read_accounts(store.owner)
    (result,) = [one for one in await examine(store.owner, accounts) if one.check is SILENCE]
    assert [row for row in result.rows if "source" in row] == [
        {"source": "/orders", "since": "2026-09-21T14:35:00Z"}
    ]

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instruments = make_telemetry(provider, NoOpTracerProvider()).instruments
    pasts = SourcePasts()
    await pasts.read(store.owner, accounts)
    report = Report(sources.GAUGES)
    pasts.report(report, accounts)
    report.show(instruments)
    assert all_measured(reader) == {
        "metering.source.silent": {("/orders",): 1},
        "metering.sources": {("watched",): 2, ("silent",): 1, ("beyond",): 0},
    }


async def test_who_was_not_heard_for_two_weeks_is_forgotten(store: Store) -> None:
    day = 24 * 60
    for minute in (*range(32), 31 + 14 * day, 32 + 14 * day):
        said = [Spoken(time_us=T0 + minute * MINUTE_US, source="/a" if minute < 32 else "/b")]
        await store.flush(store.logs[0].batch(said), store.logs[1].batch(said))
        accounts = await read_accounts(store.owner)
        pasts = SourcePasts()
        await pasts.read(store.owner, accounts)
        if minute == 31 + 14 * day:
            assert [one.source for one in pasts.silent(accounts)] == ["/a"]
    assert pasts.silent(accounts) == []
