from decimal import Decimal

import pytest
from integration.store.batches import METER_IDS, METERS, MINUTE_US, T0, Spoken
from integration.store.counting import Store

from aggregator.applying.catalog_plan import Change, ChangeKind
from aggregator.store import catalog, doctor, totals
from aggregator.store.totals import Total
from schemas.instant import HOUR_US

LATER = T0 + HOUR_US


@pytest.fixture
async def counted(store: Store) -> Store:
    """Two partitions, two hours, groups, one late event and one that a cardinality limit turned away."""
    await store.flush(
        store.logs[0].batch(
            [
                Spoken(5, groups=("m1", "eu"), time_us=T0 + MINUTE_US),
                Spoken(3, groups=("m2", None), time_us=T0),
                Spoken(4, groups=("m1", "eu"), time_us=LATER),
                Spoken(Decimal("0.5"), groups=None, time_us=T0),
                Spoken(100, groups=("m1", "us"), time_us=T0 + 2 * MINUTE_US, is_late=True),
            ]
        ),
        store.logs[1].batch([Spoken(7, groups=("m1", "eu"), time_us=T0 + 3), Spoken(1, "zoe", ("m1", "us"))]),
    )
    return store


async def test_windows_over_partitions_and_adjustments(counted: Store) -> None:
    found = await totals.windows(counted.worker, "usage_sum", subject="acme")
    hour = {"start_us": T0, "end_us": LATER, "aggregation": "sum", "subject": "acme"}

    def total(model: str | None, region: str | None, value: Decimal | int, **other: object) -> Total:
        given = {
            **hour,
            "groups": {"model": model, "region": region},
            "is_other": False,
            "value": value,
            "on_time_value": value,
            "events": 1,
            "adjustment_events": 0,
        }
        return Total(**{**given, **other})  # type: ignore[arg-type]

    assert found == [
        total("m1", "eu", 12, events=2),
        total("m1", "us", 100, on_time_value=None, adjustment_events=1),
        total("m2", None, 3),
        total(None, None, Decimal("0.5"), is_other=True),
        total("m1", "eu", 4, start_us=LATER, end_us=LATER + HOUR_US),
    ]


async def test_sums_by_group(counted: Store) -> None:
    found = await totals.sums(counted.worker, "usage_sum", group_by=["model"])
    assert {
        (t.subject, t.groups["model"], t.is_other): (t.value, t.on_time_value, t.events) for t in found
    } == {
        ("acme", "m1", False): (116, 16, 4),
        ("acme", "m2", False): (3, 3, 1),
        ("acme", None, True): (Decimal("0.5"), Decimal("0.5"), 1),
        ("zoe", "m1", False): (1, 1, 1),
    }
    assert {(t.start_us, t.end_us) for t in found if t.subject == "acme" and t.groups["model"] == "m1"} == {
        (T0, LATER + HOUR_US)
    }


async def test_groups_and_ranges_choose(counted: Store) -> None:
    chosen = await totals.sums(counted.worker, "usage_sum", groups={"region": "eu"}, to_us=LATER)
    assert [(t.subject, t.groups, t.value) for t in chosen] == [("acme", {}, 12)]
    nulls = await totals.sums(counted.worker, "usage_sum", groups={"region": None})
    assert [(t.subject, t.value, t.is_other) for t in nulls] == [("acme", 3, False)]
    later = await totals.windows(counted.worker, "usage_sum", from_us=LATER)
    assert [t.value for t in later] == [4]
    assert await totals.windows(counted.worker, "usage_sum", from_us=LATER + 1) == []
    assert await totals.windows(counted.worker, "no_such_meter") == []
    assert await totals.windows(counted.worker, "usage_sum", subject="nobody") == []


async def test_every_aggregation_sums_up(counted: Store) -> None:
    for aggregation, value, on_time_value in [
        ("count", 6, 5),
        ("min", Decimal("0.5"), Decimal("0.5")),
        ("max", 100, 7),
        ("last", 4, 4),
        ("gauge", 4, 4),
        ("unique", 6, 5),
    ]:
        (total,) = await totals.sums(counted.worker, f"usage_{aggregation}", subject="acme")
        assert (total.value, total.on_time_value) == (value, on_time_value)
        assert (total.events, total.adjustment_events) == (6, 1)


async def test_last_is_the_last_of_windows_partitions_and_adjustments(counted: Store) -> None:
    first, second = await totals.windows(counted.worker, "usage_last", subject="acme")
    assert (first.value, first.on_time_value) == (100, 5)
    assert (second.value, second.on_time_value) == (4, 4)


async def test_a_void_is_taken_off_and_leaves_what_was_on_time(store: Store) -> None:
    """Of events on time and late; a window of nothing is a zero that one can see."""
    log, model = store.logs[0], ("m1", "eu")
    await store.flush(
        log.batch([Spoken(5, groups=model), Spoken(Decimal("0.5"), groups=model), Spoken(1, "zoe")]),
        store.logs[1].batch([Spoken(8, groups=model)]),
    )
    await store.flush(
        log.batch(
            [
                Spoken(4, groups=model, is_late=True),
                Spoken(5, groups=model, is_void=True),
                Spoken(4, groups=model, is_void=True),
                Spoken(1, "zoe", is_void=True),
            ]
        )
    )

    acme, zoe = await totals.windows(store.worker, "usage_sum")
    assert (acme.value, acme.on_time_value) == (Decimal("8.5"), Decimal("13.5"))
    assert (acme.events, acme.adjustment_events) == (2, -1)
    assert (zoe.value, zoe.on_time_value, zoe.events) == (0, 1, 0)
    acme, zoe = await totals.sums(store.worker, "usage_count")
    assert (acme.value, acme.on_time_value, zoe.value, zoe.on_time_value) == (2, 3, 0, 1)
    (acme,) = await totals.sums(store.worker, "usage_max", subject="acme")
    assert (acme.value, acme.events) == (8, 4)  # it could not be subtracted, which the quarantine tells
    assert await doctor.checks(store.owner) == []


async def test_a_gauge_falls_back_to_its_newest_point_that_stands(store: Store) -> None:
    async def gauge() -> tuple[object, ...]:
        (total,) = await totals.sums(store.worker, "usage_gauge", subject="acme")
        (window,) = await totals.windows(store.worker, "usage_gauge", subject="acme", to_us=LATER)
        return window.value, window.on_time_value, total.value, total.events

    def at(minutes: int, value: int, **kind: bool) -> Spoken:
        return Spoken(value, time_us=T0 + minutes * MINUTE_US, **kind)

    log = store.logs[0]
    await store.flush(log.batch([at(1, 10), at(3, 30), at(2, 20), at(3, 31), Spoken(7, "zoe")]))
    assert await gauge() == (31, 31, 31, 4)
    await store.flush(log.batch([at(3, 31, is_void=True)]))
    assert await gauge() == (30, 31, 30, 3)
    await store.flush(log.batch([at(3, 30, is_void=True), at(4, 40, is_late=True)]))
    assert await gauge() == (40, 31, 40, 3)
    await store.flush(log.batch([at(4, 40, is_void=True)]), store.logs[1].batch([at(90, 5)]))
    assert await gauge() == (20, 31, 5, 3)
    await store.flush(log.batch([at(2, 20, is_void=True), at(1, 10, is_void=True)]))
    assert await gauge() == (None, 31, 5, 1)
    assert await doctor.checks(store.owner) == []


async def test_members_are_counted_once_over_windows_and_partitions(store: Store) -> None:
    await store.flush(
        store.logs[0].batch([Spoken(1), Spoken(2), Spoken(1, time_us=LATER), Spoken(2, is_late=True)]),
        store.logs[1].batch([Spoken(1), Spoken(3)]),
    )
    (total,) = await totals.sums(store.worker, "usage_unique")
    assert (total.value, total.events) == (3, 6)
    first, second = await totals.windows(store.worker, "usage_unique")
    assert (first.value, second.value) == (3, 1)


async def test_a_version_without_a_group_has_null_for_it(counted: Store) -> None:
    definition = METERS[0].model_copy(update={"group_by": {"region": "where"}, "window": "15m"}).definition()
    async with catalog.exclusive(counted.owner):
        change = Change(ChangeKind.CHANGED, "usage_sum", 2, definition, LATER + HOUR_US, [])
        await catalog.insert_versions(counted.owner, [change], "tests")
    version = max(METER_IDS.values()) + 1
    await counted.owner.execute(
        """
        WITH new AS (
            INSERT INTO series (meter_version_id, is_other, key, subject, groups)
            VALUES ($1, false, $2, 'acme', ARRAY['eu']) RETURNING series_id
        )
        INSERT INTO usage_window (series_id, window_start, first_offset, shard, last_offset, events, value)
        SELECT series_id, $3, 6, 0, 6, 1, 1000 FROM new
        """,
        version,
        bytes(16),
        LATER + HOUR_US,
    )
    found = await totals.sums(counted.worker, "usage_sum", subject="acme", group_by=["region", "model"])
    assert {(t.groups["region"], t.groups["model"]): t.value for t in found if not t.is_other} == {
        ("eu", "m1"): 16,
        ("us", "m1"): 100,
        (None, "m2"): 3,
        ("eu", None): 1000,
    }
    *_, last = await totals.windows(counted.worker, "usage_sum", group_by=["region"])
    assert (last.groups, last.end_us - last.start_us) == ({"region": "eu"}, HOUR_US // 4)
    by_region = await totals.sums(counted.worker, "usage_sum", subject="acme", groups={"region": "eu"})
    assert [t.value for t in by_region] == [1016]
