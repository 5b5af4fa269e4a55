"""The money at risk as gauges: what the observer says of quarantine and of what nobody pays for."""

from collections.abc import Mapping

import pytest
from integration.rating.conftest import Worlds
from integration.rating.test_versions import METERS, PLAN, SUBSCRIPTION, T0
from integration.rating.world import DAY_US, World
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider
from oracle.rated import HOUR_US
from support.telemetry import all_measured

from aggregator.store import unrated_money
from metering.observer.burden import pile_report, unpaid_report
from metering.telemetry import make_telemetry

DEAR = {
    **PLAN,
    "name": "dear",
    "charges": [{"name": "input", "meter": "tokens", "price": {"model": "per_unit", "unit_price": 2}}],
}
DOLLARS = {**DEAR, "name": "dollars", "currency": "USD"}


async def shown(world: World) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    """Values by metric and by the values of its labels, in the order of their names."""
    reader = InMemoryMetricReader()
    instruments = make_telemetry(
        MeterProvider([reader], shutdown_on_exit=False), NoOpTracerProvider()
    ).instruments
    for report in (await pile_report(world.connection), await unpaid_report(world.connection)):
        report.show(instruments)
    return all_measured(reader)


async def counted(worlds: Worlds) -> World:
    world = await worlds(METERS, T0)
    world.event("acme-eu", {"n": 1000, "model": "small"})  # paid for
    world.event("nobody", {"n": 1500, "model": "small"})
    world.event("nobody", {"n": 500, "model": "large"})
    world.event("acme-eu", {"n": 10, "model": "small"}, at_us=T0 - 3 * DAY_US)  # too old
    world.event("acme-eu", {"n": 20, "model": "small"}, at_us=T0 - 3 * DAY_US)
    world.event("acme-eu", {"n": 30, "model": "small"}, at_us=T0 + HOUR_US)  # in the future
    world.event("acme-eu", {"n": "many", "model": "small"}, at_us=T0 + HOUR_US)  # and no meter can read it
    world.event("acme-eu", {"n": "many", "model": "small"})  # accepted, but not by the meter
    world.advance(60)
    world.tick()
    return world


async def test_the_least_and_the_most_are_told_in_each_currency(worlds: Worlds) -> None:
    world = await counted(worlds)
    for plan in (PLAN, DEAR, DOLLARS):
        await world.add_plan(plan)
    await world.add_subscription(SUBSCRIPTION)
    await world.count_close_rate()
    seen = await shown(world)
    # Graduated: 3 per 1000 up to 1000, then 2 per 1000; dear: 2 each.
    assert seen["metering.unrated.at_risk"] == {
        ("least", "EUR"): 3 + 2,
        ("most", "EUR"): 4000,
        ("least", "USD"): 4000,
        ("most", "USD"): 4000,
    }
    assert (seen["metering.unrated.events"][()], seen["metering.unrated.not_estimated"][()]) == (2, 0)
    assert seen["metering.quarantine.at_risk"] == {
        ("least", "too_old", "EUR"): pytest.approx(0.09),
        ("most", "too_old", "EUR"): 60,
        ("least", "too_old", "USD"): 60,
        ("most", "too_old", "USD"): 60,
        ("least", "in_future", "EUR"): pytest.approx(0.09),
        ("most", "in_future", "EUR"): 60,
        ("least", "in_future", "USD"): 60,
        ("most", "in_future", "USD"): 60,
    }
    assert seen["metering.quarantine.not_estimated"] == {
        ("too_old",): 0,
        ("in_future",): 1,
        ("value_not_number",): 1,
    }


async def test_without_a_price_nothing_is_estimated_and_that_is_told(worlds: Worlds) -> None:
    world = await counted(worlds)
    await world.count_all()
    seen = await shown(world)
    assert "metering.unrated.at_risk" not in seen
    assert "metering.quarantine.at_risk" not in seen
    assert seen["metering.unrated.not_estimated"] == seen["metering.unrated.events"] == {(): 3}
    assert seen["metering.quarantine.not_estimated"] == {
        ("too_old",): 2,
        ("in_future",): 2,
        ("value_not_number",): 1,
    }


async def test_what_is_beyond_the_bound_is_not_estimated(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await worlds(METERS, T0)
    for number in range(7):
        world.event(f"nobody-{number}", {"n": 1, "model": "small"})
    world.tick()
    await world.add_plan(DEAR)
    await world.count_all()
    monkeypatch.setattr(unrated_money, "_PAGE", 2)
    assert (await shown(world))["metering.unrated.at_risk"] == {("least", "EUR"): 14, ("most", "EUR"): 14}
    monkeypatch.setattr(unrated_money, "MOST_READ", 4)
    seen = await shown(world)
    assert seen["metering.unrated.at_risk"] == {("least", "EUR"): 8, ("most", "EUR"): 8}
    assert seen["metering.unrated.not_estimated"] == {(): 3}
