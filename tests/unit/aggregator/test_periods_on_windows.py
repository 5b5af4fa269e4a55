"""What is accepted has periods of whole windows, as far as one cares to look; what is refused has not."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import StoredVersion

from aggregator.applying.billing_change import BillingState, Wanted
from aggregator.applying.billing_plan import BillingPlan, plan
from aggregator.rating.alignment import first_off_windows
from aggregator.rating.calendar import Calendar, periods
from schemas.catalog import Meter, Window, load_catalog
from schemas.instant import format_time, parse_time_us
from schemas.plan import Plan
from schemas.subscription import BillingPeriod, Subscription
from schemas.zone import zone, zone_names

DAY_US = 86_400_000_000
YEARS_US = 3 * 366 * DAY_US

ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Cairo",
    "Etc/GMT+5",
]


def meter(window: Window) -> Meter:
    return Meter(name="calls", event_type="call", aggregation="count", window=window, grace="0s")


def planned(subscription: Subscription, window: Window) -> BillingPlan:
    stored = StoredVersion(1, "calls", 1, meter(window).definition())
    charge = {"name": "calls", "meter": "calls", "price": {"model": "per_unit", "unit_price": 1}}
    price = {"name": "pro", "currency": "EUR", "rounding": {"places": 2}, "charges": [charge]}
    wanted = Wanted(plans=[Plan.model_validate(price)], subscriptions=[subscription])
    return plan(BillingState({}, {}, {}, {}), [stored], wanted, [None])


@given(
    window=st.sampled_from(get_args(Window)),
    billing_period=st.sampled_from(get_args(BillingPeriod)),
    timezone=st.sampled_from(ZONES),
    start_us=st.builds(
        lambda days, minutes: parse_time_us("2026-01-01T00:00:00Z") + days * DAY_US + minutes * 60_000_000,
        st.integers(0, 400),
        st.sampled_from([0, 15, 30, 60, 75, 300, 690, 1395]),
    ),
    anchor=st.none()
    | st.builds(
        lambda days, minutes: (
            datetime.fromisoformat("2026-01-01") + timedelta(days=days, minutes=minutes)
        ).isoformat(),
        st.integers(-400, 400),
        st.sampled_from([0, 15, 30, 60, 345, 1140]),
    ),
    days=st.none() | st.integers(1, 100),
)
def test_what_is_accepted_has_periods_of_whole_windows(
    window: Window,
    billing_period: BillingPeriod,
    timezone: str,
    start_us: int,
    anchor: str | None,
    days: int | None,
) -> None:
    subscription = Subscription.model_validate(
        {
            "name": "acme",
            "customer": "acme",
            "subjects": ["acme"],
            "plan": "pro",
            "start": format_time(start_us),
            "end": None if days is None else format_time(start_us + days * DAY_US),
            "billing_period": billing_period,
            "timezone": timezone,
            "anchor": anchor,
        }
    )
    window_us, end_us = meter(window).window_us, subscription.end_us or start_us + YEARS_US
    if billing_period == "hour":
        end_us = min(end_us, start_us + 40 * DAY_US)
    inner = takewhile(
        lambda us: us < end_us,
        (period.end_us for period in periods(Calendar.of(subscription), start_us)),
    )
    edges = [start_us, *inner, *([] if subscription.end_us is None else [subscription.end_us])]
    off = [edge for edge in edges if edge % window_us]
    refusals = planned(subscription, window).refusals
    assert {refusal.code for refusal in refusals} == ({"window_does_not_divide"} if off else set())
    for refusal in refusals:
        [named] = re.findall(r"\d{4}-\d\d-\d\dT[\d:.]+Z", refusal.sentence)
        assert parse_time_us(named) in off


PAGE = (Path(__file__).parents[3] / "docs" / "billing.md").read_text()
SECTION = PAGE.partition("## Subscriptions and periods\n")[2].partition("\n## ")[0]
WINDOWS: list[Window] = ["1m", "5m", "15m", "1h", "1d"]


def test_the_subscription_of_the_page_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    [subscription] = load_catalog(text, "billing.md").subscriptions or []
    assert planned(subscription.model_copy(update={"thresholds": []}), "1h").refusals == []


@pytest.mark.parametrize(
    ("timezone", "longest"),
    [
        ("UTC", "1d"),
        ("Europe/Berlin", "1h"),
        ("America/New_York", "1h"),
        ("Asia/Kathmandu", "15m"),
        ("Pacific/Chatham", "15m"),
        ("Australia/Lord_Howe", "15m"),
    ],
)
def test_the_windows_that_the_page_says_fit(timezone: str, longest: Window) -> None:
    assert timezone in SECTION
    local = datetime.fromisoformat("2026-01-01").replace(tzinfo=zone(timezone)).astimezone(UTC)
    subscription = Subscription(
        name="acme",
        customer="acme",
        subjects=["acme"],
        plan="pro",
        start=local.strftime("%Y-%m-%dT%H:%M:%SZ"),
        billing_period="month",
        timezone=timezone,
    )
    fitting = [window for window in WINDOWS if not planned(subscription, window).refusals]
    assert fitting == WINDOWS[: WINDOWS.index(longest) + 1]


def test_fifteen_minutes_divide_every_zone_there_is() -> None:
    folder = files("tzdata").joinpath("zoneinfo")
    distinct = {folder.joinpath(*name.split("/")).read_bytes(): name for name in zone_names()}
    assert len(distinct) > 300
    for name in distinct.values():
        calendar = Calendar("day", name, datetime.fromisoformat("2026-01-01"))
        start_us = calendar.boundary_us(0)
        assert first_off_windows(calendar, meter("15m").window_us, start_us, None) is None, name
