"""Rated totals against the oracle, for every aggregation, roll-up and price model."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest
from integration.rating.conftest import Worlds
from integration.rating.everything import (
    CHANGED_US,
    FLAT,
    GREATEST_GRACE_US,
    METERS,
    MORE_SUBJECTS,
    PERIODS,
    RULES,
    SUBSCRIPTIONS,
    T0,
    apply,
    rule,
    write,
)
from integration.rating.world import World
from oracle.rated import HOUR_US, LineFound, Logged, cents, lines

from aggregator.rating.amounts import from_text
from schemas.instant import format_time, parse_time_us
from schemas.rated import ChargeTotal, RatedTotal

Found = Mapping[tuple[str | None, ...], LineFound]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_version_is_what_a_recount_says(worlds: Worlds, seed: int) -> None:
    chance = Random(seed)
    world = await worlds(METERS, T0)
    await apply(world)
    write(world, chance, 150)
    await world.count_all(chance)
    await world.close()
    await world.rate()
    for name in SUBSCRIPTIONS:
        documents = await world.documents(name)
        periods: dict[str, list[RatedTotal]] = {}
        for document in documents:
            periods.setdefault(document.period.start, []).append(document)
            assert_recounted(world, document)
        assert len(periods) == PERIODS[name]
        for versions in periods.values():
            assert [(one.version, one.cut) for one in versions] == [
                (number, cut) for number, cut in enumerate(expected_cuts(world, versions[0]), start=1)
            ]
            for before, after in pairwise(versions):
                assert_differs(before, after)


def assert_recounted(world: World, document: RatedTotal) -> None:
    total = Fraction(0)
    cut_us = parse_time_us(document.cut)
    for segment in document.segments:
        flat, *charges = segment.charges
        assert [charge.charge for charge in charges] == list(RULES)
        share = from_text(segment.share)
        assert from_text(flat.amount) == cents(FLAT * share, 2)
        total += from_text(flat.amount)
        for charge in charges:
            found = recounted(world, document, segment.start, charge.charge, cut_us)
            assert written(charge) == {group: line for group, line in found.items() if line.quantity}, (
                document.period,
                charge,
            )
            total += sum((line.amount for line in found.values()), Fraction(0))
    assert from_text(document.amount) == total


def recounted(world: World, document: RatedTotal, segment_start: str, charge: str, cut_us: int) -> Found:
    segment = next(one for one in document.segments if one.start == segment_start)
    start_us, end_us = parse_time_us(segment.start), parse_time_us(segment.end)
    subjects = SUBSCRIPTIONS[document.subscription]["subjects"]
    if document.subscription == "daily" and start_us >= CHANGED_US:
        subjects = MORE_SUBJECTS
    one = rule(charge, 1 if start_us < CHANGED_US else 2)
    return lines(world.told, one, subjects, start_us, end_us, cut_us, share=from_text(segment.share))


def written(charge: ChargeTotal) -> Found:
    return {
        tuple((line.group or {}).values()): LineFound(
            from_text(line.quantity), from_text(line.unrounded_amount), from_text(line.amount)
        )
        for line in charge.lines
        if line.quantity != "0"
    }


def expected_cuts(world: World, first: RatedTotal) -> list[str]:
    """The first cut, and the later ones at which anything has changed, hour by hour until the log's end."""
    cut_us = parse_time_us(first.period.end) + GREATEST_GRACE_US
    assert parse_time_us(first.cut) == cut_us
    cuts, before = [first.cut], all_recounted(world, first, cut_us)
    while cut_us + HOUR_US <= world.now_us:
        cut_us += HOUR_US
        if any(cut_us - HOUR_US <= one.log_time_us < cut_us for one in world.told):
            after = all_recounted(world, first, cut_us)
            if after != before:
                cuts.append(format_time(cut_us))
            before = after
    return cuts


def all_recounted(world: World, document: RatedTotal, cut_us: int) -> list[Found]:
    return [
        {group: line for group, line in found.items() if line.quantity}
        for segment in document.segments
        for charge in RULES
        for found in [recounted(world, document, segment.start, charge, cut_us)]
    ]


def assert_differs(before: RatedTotal, after: RatedTotal) -> None:
    """The differences of the lines, added to the old lines, give the new ones; and so for the total."""
    assert after.difference is not None
    assert from_text(after.amount) - from_text(before.amount) == from_text(after.difference.amount)
    assert from_text(after.difference.amount) == sum(
        (from_text(line.amount) for line in after.difference.lines), Fraction(0)
    )
    quantities, amounts = _lines(before), _amounts(before)
    for line in after.difference.lines:
        key = (line.segment, line.charge, tuple((line.group or {}).items()))
        quantities[key] = quantities.get(key, Fraction(0)) + from_text(line.quantity)
        amounts[key] = amounts.get(key, Fraction(0)) + from_text(line.amount)
    assert {key: one for key, one in quantities.items() if one} == {
        k: q for k, q in _lines(after).items() if q
    }
    assert {key: one for key, one in amounts.items() if one} == {
        k: a for k, a in _amounts(after).items() if a
    }


def _lines(document: RatedTotal) -> dict[object, Fraction]:
    return {
        (segment.start, charge.charge, tuple((line.group or {}).items())): from_text(line.quantity)
        for segment in document.segments
        for charge in segment.charges
        for line in charge.lines
    }


def _amounts(document: RatedTotal) -> dict[object, Fraction]:
    return {
        (segment.start, charge.charge, tuple((line.group or {}).items())): from_text(line.amount)
        for segment in document.segments
        for charge in segment.charges
        for line in charge.lines
    }


def test_the_oracle_sees_a_void_and_a_late_event() -> None:
    """By hand: 5 on time, 7 late and in the second cut only, of which 5 is withdrawn in the third."""
    one = rule("tokens", 1)
    hour = T0 + HOUR_US
    log = [
        Logged(0, T0, "call", "s", T0, {"n": 5}),
        Logged(1, hour * 2 - T0, "call", "s", T0, {"n": 7}),
        Logged(2, hour * 3 - 2 * T0, "call", "s", T0, {"n": 5}, is_void=True),
    ]
    cuts = [None, T0 + 90 * 60_000_000, T0 + 150 * 60_000_000, T0 + 200 * 60_000_000]
    found = [lines(log, one, ["s"], T0, T0 + HOUR_US, cut)[None,].quantity for cut in cuts]
    assert found == [7, 5, 12, 7]
