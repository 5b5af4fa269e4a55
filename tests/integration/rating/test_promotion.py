"""Promotions of every aggregation against the oracle: by cut and window, what either catalog says."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Final

import pytest
from integration.rating import everything
from integration.rating.conftest import Worlds
from integration.rating.everything import (
    CHANGED_US,
    GREATEST_GRACE_US,
    MORE_SUBJECTS,
    RULES,
    SUBSCRIPTIONS,
    rule,
)
from integration.rating.promoted import (
    METER_RULES,
    WRONG,
    Told,
    promote,
    replayed,
    shadow_of,
    take_over,
    write,
)
from integration.rating.test_recount import Found, assert_differs, written
from integration.rating.world import World
from oracle.rated import HOUR_US, ChargeRule, Logged, MeterRule, lines

from aggregator.rating.amounts import from_text
from aggregator.store import doctor, totals
from aggregator.store.comparison import compare
from schemas.instant import format_time, parse_time_us
from schemas.rated import RatedTotal

GROUPS: Final = {"tokens": ("model",), "level": ("disk", "zone")}


@pytest.mark.parametrize("seed", [1, 2])
async def test_versions_and_windows_are_what_the_right_catalog_says(worlds: Worlds, seed: int) -> None:
    """Promoted, promoted again after more usage, undone, with late events and voids all along."""
    chance = Random(seed)
    told = Told(await worlds(WRONG, everything.T0))
    world = told.world
    await everything.apply(world)
    for is_right in (True, True, False, True):
        write(world, chance, 30)
        await counted(world, chance)
        before = await documents(world)
        assert await promote(worlds, told, is_right=is_right) is not None
        await world.rate()
        assert await documents(world) == before  # what was rated stays, and waits for the next cut
        assert await promote(worlds, told, is_right=is_right) is None  # there is nothing more to do
        await assert_windows(told)
    world.now_us = max(world.now_us, everything.END_US) + everything.DAY_US // 2
    world.tick()
    await counted(world, chance)
    found: dict[tuple[str, str], list[RatedTotal]] = {}
    for document in await documents(world):
        assert_recounted(told, document)
        found.setdefault((document.subscription, document.period.start), []).append(document)
    assert len(found) == sum(everything.PERIODS.values())
    for versions in found.values():
        cuts = [(one.version, one.cut) for one in versions]
        assert cuts == list(enumerate(expected_cuts(told, versions[0]), start=1))
        for earlier, later in pairwise(versions):
            assert_differs(earlier, later)
    await assert_windows(told)
    assert await doctor.checks(world.connection) == []
    await assert_repeated(worlds, world)


async def assert_repeated(worlds: Worlds, world: World) -> None:
    """A replay by the same catalog takes the corrections over, and comes to the same rows and bytes (P5)."""
    other = await replayed(worlds, world, WRONG)
    await everything.apply(other)
    await take_over(world, other)
    await other.rate()
    next_number = await world.connection.fetchval("SELECT max(next_number) FROM correction")
    shadow = shadow_of(world, next_number)._replace(log_time_us=world.now_us)
    found = await compare(world.connection, other.connection, shadow)
    assert found.identical, found.differences
    assert found.rows["adjustment"] > next_number
    assert found.rows["rated_total"] == len(await documents(world))


async def counted(world: World, chance: Random) -> None:
    await world.count_all(chance)
    await world.close()
    await world.rate()


async def documents(world: World) -> list[RatedTotal]:
    return [document for name in SUBSCRIPTIONS for document in await world.documents(name)]


def assert_recounted(told: Told, document: RatedTotal) -> None:
    cut_us = parse_time_us(document.cut)
    for segment in document.segments:
        _, *charges = segment.charges
        for charge in charges:
            found = recounted(told, document, segment.start, charge.charge, cut_us)
            assert written(charge) == {group: line for group, line in found.items() if line.quantity}, (
                document.period,
                document.version,
                charge,
            )


def recounted(told: Told, document: RatedTotal, segment_start: str, charge: str, cut_us: int) -> Found:
    segment = next(one for one in document.segments if one.start == segment_start)
    start_us, end_us = parse_time_us(segment.start), parse_time_us(segment.end)
    subjects: Sequence[str] = SUBSCRIPTIONS[document.subscription]["subjects"]
    if document.subscription == "daily" and start_us >= CHANGED_US:
        subjects = MORE_SUBJECTS
    log = told.log(everything.METER_OF[charge], cut_us)
    one = rule(charge, 1 if start_us < CHANGED_US else 2)
    return lines(log, one, subjects, start_us, end_us, cut_us, share=from_text(segment.share))


def expected_cuts(told: Told, first: RatedTotal) -> list[str]:
    """The first cut, and the later ones at which anything has changed, hour by hour until the log's end."""
    cut_us = parse_time_us(first.period.end) + GREATEST_GRACE_US
    times = [one.log_time_us for one in [*told.world.told, *told.promotions]]
    cuts, before = [first.cut], all_recounted(told, first, cut_us)
    while cut_us + HOUR_US <= told.world.now_us:
        cut_us += HOUR_US
        if any(cut_us - HOUR_US <= time_us < cut_us for time_us in times):
            after = all_recounted(told, first, cut_us)
            if after != before:
                cuts.append(format_time(cut_us))
            before = after
    return cuts


def all_recounted(told: Told, document: RatedTotal, cut_us: int) -> list[Found]:
    return [
        {group: line for group, line in found.items() if line.quantity}
        for segment in document.segments
        for charge in RULES
        for found in [recounted(told, document, segment.start, charge, cut_us)]
    ]


async def assert_windows(told: Told) -> None:
    """`metering totals`, /v1/usage and `billing.usage`: of every window what the oracle's loops say."""
    connection = told.world.connection
    rows = await connection.fetch(
        f"SELECT meter, subject, groups, window_start, value FROM {told.world.schema}_billing.usage"  # noqa: S608
    )
    for meter in METER_RULES:
        names = GROUPS.get(meter, ())
        found = {
            (one.subject, tuple(one.groups.values()), one.start_us): one.value
            for one in await totals.windows(connection, meter, group_by=names)
        }
        assert worthy(found) == windows(told, meter, names), meter
        for row in rows:
            if row["meter"] == meter and not (meter == "level" and row["value"] is None):
                key = row["subject"], tuple(row["groups"][name] for name in names), row["window_start"]
                assert row["value"] == found[key]
        if meter in {"peak", "least", "newest", "models"}:
            whole = {(one.subject,): one.value for one in await totals.sums(connection, meter)}
            assert worthy(whole) == merged(told, meter)


def worthy(found: Mapping[tuple[object, ...], Decimal | None]) -> Mapping[tuple[object, ...], Fraction]:
    return {key: Fraction(value) for key, value in found.items() if value}


def windows(told: Told, meter: str, names: Sequence[str]) -> Mapping[tuple[object, ...], Fraction]:
    """What each window of each group comes to; of a gauge, its newest point that stands."""
    meter_rule = METER_RULES[meter]
    by_window: dict[tuple[str, int], list[Logged]] = {}
    for one in told.log(meter, None):
        by_window.setdefault((one.subject, meter_rule.start_us(one)), []).append(one)
    return {
        (subject, group, start_us): value
        for (subject, start_us), inside in by_window.items()
        for group, value in worth(
            inside, meter_rule, names, start_us, start_us + meter_rule.window_us
        ).items()
    }


def merged(told: Told, meter: str) -> Mapping[tuple[object, ...], Fraction]:
    """What a subject's windows come to together."""
    by_subject: dict[str, list[Logged]] = {}
    for one in told.log(meter, None):
        by_subject.setdefault(one.subject, []).append(one)
    return {
        (subject,): value
        for subject, log in by_subject.items()
        for value in worth(log, METER_RULES[meter], (), 0, told.world.now_us + 1).values()
    }


def worth(
    log: Sequence[Logged], meter_rule: MeterRule, names: Sequence[str], start_us: int, end_us: int
) -> Mapping[tuple[str | None, ...], Fraction]:
    price = {"model": "per_unit", "unit_price": 1}
    charge = ChargeRule(meter_rule, group_by=tuple(names), price=price)
    found = lines(log, charge, [log[0].subject], start_us, end_us, None)
    return {group: line.quantity for group, line in found.items() if line.quantity}
