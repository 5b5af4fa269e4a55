"""Which subscriptions have fallen silent: the store's answer, beside a walk over every hour."""

from random import Random
from typing import Final

from integration.store.batches import T0, Spoken
from integration.store.counting import Store
from integration.store.terms import insert, new, price_plan, subscription

from aggregator.rating.silence import SilenceKind
from aggregator.store import finality, silence, terms
from aggregator.store.silence import Query
from schemas.instant import HOUR_US, format_time

HOURS: Final = 40
SILENT, NEVER_USED = SilenceKind.SILENT, SilenceKind.NEVER_USED
Told = tuple[str, int, int | None]
"""Kind, hour since when, and the longest time before in hours."""


def walked(start: int, until: int, used: set[int]) -> Told | None:
    """Hour by hour: the runs of hours without events before the last event, and the one that goes on."""
    hours = [hour for hour in range(start, HOURS + 5) if hour in used]
    if not hours:
        return ("never_used", start, None) if start < until else None
    if hours[-1] >= until:
        return None
    runs, run = [0], 0
    for hour in range(start, hours[-1] + 1):
        run = 0 if hour in used else run + 1
        runs.append(run)
    longest = max(runs)
    since = hours[-1] + 1
    return ("silent", since, longest) if until - since > longest else None


async def query(store: Store, **changes: object) -> Query:
    meters = (await terms.rating_catalog(store.owner)).meters
    return Query(**({"meters": meters, "subject": None, "customers": None} | changes))  # type: ignore[arg-type]


async def told(store: Store, limit: int, asked: Query) -> dict[tuple[str, str], Told]:
    """All pages."""
    found: dict[tuple[str, str], Told] = {}
    after = None
    while True:
        async with store.owner.transaction(isolation="repeatable_read", readonly=True):
            page = await silence.page(store.owner, asked, after, limit)
        for one in page.rows:
            longest = one.longest_before_us
            key = (one.charged.subscription, one.charged.meter)
            assert key not in found
            found[key] = (
                one.kind.value,
                (one.since_us - T0) // HOUR_US,
                None if longest is None else longest // HOUR_US,
            )
        if page.end is None:
            assert list(found) == sorted(found)
            return found
        after = page.end


async def close_at(store: Store, hour: int) -> None:
    for log in store.logs.values():
        await store.flush(log.batch([Spoken(1, "clock", time_us=T0 + hour * HOUR_US)]))
    await finality.close(store.owner)


async def test_silence_is_what_a_walk_over_the_hours_finds(store: Store) -> None:
    chance = Random(5)
    charges = [
        {"name": kind, "meter": f"usage_{kind}", "price": {"model": "per_unit", "unit_price": 1}}
        for kind in ("sum", "count")
    ]
    await insert(store.owner, new(price_plan(charges=charges)))
    starts: dict[str, int] = {}
    used: dict[str, set[int]] = {}
    ends: dict[str, int | None] = {}
    events: list[Spoken] = []
    for number in range(40):
        name = f"customer{number:02}-pro"
        subjects = [f"s{number}-{place}" for place in range(chance.randint(1, 2))]
        starts[name] = chance.randint(0, 6)
        ends[name] = chance.choice([None, None, None, HOURS - 2, HOURS + 9])
        end = ends[name]
        await insert(
            store.owner,
            new(
                subscription(
                    name,
                    subjects=subjects,
                    start=format_time(T0 + starts[name] * HOUR_US),
                    end=None if end is None else format_time(T0 + end * HOUR_US),
                )
            ),
        )
        used[name] = set()
        last = chance.randint(-1, HOURS + 2)
        for hour in range(last):
            if chance.random() < chance.choice([0.2, 0.9]):
                if hour >= starts[name]:  # what came before it began says nothing
                    used[name].add(hour)
                events.append(
                    Spoken(
                        1,
                        chance.choice(subjects),
                        chance.choice([("m1", None), None]),
                        T0 + hour * HOUR_US,
                        is_late=chance.random() < 0.3,
                    )
                )
    await store.flush(store.logs[0].batch(events))
    await close_at(store, HOURS)
    assert await finality.closing(store.owner) == T0 + HOURS * HOUR_US

    expected = {}
    for name, start in starts.items():
        end = ends[name]
        if end is None or end > HOURS:
            one = walked(start, HOURS, used[name])
            if one is not None:
                expected |= {(name, meter): one for meter in ("usage_count", "usage_sum")}
    assert {one[0] for one in expected.values()} == {"silent", "never_used"}
    assert len(expected) < 2 * len(starts) - 10
    asked = await query(store)
    assert await told(store, 3, asked) == expected
    assert await told(store, 1000, asked) == expected
    assert await silence.count(store.owner, asked.meters) == len(expected)


async def test_nothing_is_silent_before_something_is_final(store: Store) -> None:
    await insert(store.owner, new(price_plan()), new(subscription()))
    assert await told(store, 10, await query(store)) == {}


async def test_only_what_is_asked_for_is_told(store: Store) -> None:
    start = format_time(T0)
    await insert(store.owner, new(price_plan()))
    await insert(
        store.owner,
        new(subscription("acme-pro", subjects=["one", "shared"], start=start)),
        new(subscription("umbrella-pro", subjects=["two"], start=start)),
    )
    await close_at(store, 3)
    never = ("never_used", 0, None)
    for changes, names in (
        ({}, ["acme-pro", "umbrella-pro"]),
        ({"subject": "shared"}, ["acme-pro"]),
        ({"subject": "nobody"}, []),
        ({"customers": ["umbrella"]}, ["umbrella-pro"]),
        ({"customers": ["umbrella"], "subject": "one"}, []),
        ({"meters": {}}, []),
    ):
        assert await told(store, 10, await query(store, **changes)) == {
            (name, "usage_sum"): never for name in names
        }
