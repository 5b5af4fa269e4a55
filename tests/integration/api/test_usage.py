"""Usage: exact, in pages that miss nothing while more is counted, with tags that mean equal bytes."""

from decimal import Decimal
from fractions import Fraction

import pytest
from integration.api.fixtures import Api, problem
from integration.store.batches import T0, Spoken
from integration.store.counting import Store

from aggregator.store import finality, totals
from aggregator.store.reading import SUBJECTS_AT_ONCE
from metering.api.cursors import cursor
from schemas.instant import HOUR_US, format_time
from schemas.number import plain_text


def huge(number: int) -> Decimal:
    """Of 38 digits, made without arithmetic that would round it."""
    return Decimal(f"{12345678901234567890123456789012345 + number}.678")


async def counted(store: Store) -> None:
    """Usage of 3 subjects, 2 models and 4 hours, in both partitions; some of it late."""
    for partition, log in store.logs.items():
        await store.flush(
            log.batch(
                Spoken(
                    huge(number),
                    f"subject-{number % 3}",
                    (f"m{number % 2}", None),
                    time_us=T0 + number % 4 * HOUR_US,
                    is_late=number % 7 == partition,
                )
                for number in range(48)
            )
        )


async def test_usage_is_what_was_counted_to_the_last_digit(api: Api, store: Store) -> None:
    await counted(store)
    token = await api.token()
    for by_window in (False, True):
        rows = await api.every(
            "/v1/usage", token, meter="usage_sum", group_by=["model"], by_window=by_window, limit=7
        )
        read = totals.windows if by_window else totals.sums
        wanted = await read(store.owner, "usage_sum", group_by=["model"])
        assert [
            (one["subject"], one["start"], one["end"], one["group"], one["value"], one["events"])
            for one in rows
        ] == [
            (
                one.subject,
                format_time(one.start_us),
                format_time(one.end_us),
                dict(one.groups),
                plain_text(one.value),
                one.events,
            )
            for one in sorted(
                wanted, key=lambda one: (one.subject, one.start_us if by_window else 0, *one.groups.values())
            )
        ]
        assert sum(Fraction(one["value"]) for one in rows) == sum(
            2 * Fraction(huge(number)) for number in range(48)
        )
        assert sum(one["adjustments"] for one in rows) == 14


@pytest.mark.parametrize("aggregation", ["sum", "count", "min", "max", "last", "unique"])
async def test_every_aggregation_can_be_read(api: Api, store: Store, aggregation: str) -> None:
    await counted(store)
    token = await api.token()
    (row,) = await api.every("/v1/usage", token, meter=f"usage_{aggregation}", subject="subject-1")
    (wanted,) = await totals.sums(store.owner, f"usage_{aggregation}", subject="subject-1")
    assert Decimal(row["value"]) == wanted.value


async def test_a_span_and_a_subject_narrow_it(api: Api, store: Store) -> None:
    await counted(store)
    token = await api.token()
    span = {"from_": format_time(T0 + HOUR_US), "to": format_time(T0 + 3 * HOUR_US)}
    rows = await api.every(
        "/v1/usage", token, meter="usage_count", subject="subject-2", by_window=True, **span
    )
    assert [(one["subject"], one["start"]) for one in rows] == [
        ("subject-2", format_time(T0 + HOUR_US)),
        ("subject-2", format_time(T0 + 2 * HOUR_US)),
    ]
    assert await api.every("/v1/usage", token, meter="usage_count", subject="nobody") == []


async def test_a_window_is_final_once_the_closer_has_said_so(api: Api, store: Store) -> None:
    token = await api.token()
    assert (await api.read("/v1/finality", token))["log_time"] is None
    for log in store.logs.values():
        await store.flush(
            log.batch(
                [Spoken(time_us=T0), Spoken(time_us=T0 + HOUR_US), Spoken(time_us=T0 + 2 * HOUR_US - 1)]
            )
        )
    asked = {"meter": "usage_count", "by_window": True}
    assert {one["status"] for one in await api.every("/v1/usage", token, **asked)} == {"provisional"}
    await finality.close(store.owner)
    assert [one["status"] for one in await api.every("/v1/usage", token, **asked)] == ["final", "provisional"]
    (whole,) = await api.every("/v1/usage", token, meter="usage_count")
    assert whole["status"] == "provisional"

    shown = await api.read("/v1/finality", token)
    assert shown["log_time"] == format_time(T0 + 2 * HOUR_US - 1)
    (meter,) = [one for one in shown["data"] if one["meter"] == "usage_count"]
    assert meter == {
        "meter": "usage_count",
        "version": 1,
        "final_before": format_time(T0 + HOUR_US),
        "next_window_end": format_time(T0 + 2 * HOUR_US),
        "needed_log_time": format_time(T0 + 2 * HOUR_US),
        "waiting_for": "time",
        "partition": 0,
        "frontier": format_time(T0 + 2 * HOUR_US - 1),
    }


async def test_what_there_is_not_is_said(api: Api) -> None:
    token = await api.token()
    problem(await api.get("/v1/usage", token, meter="nothing"), 404, "not_found")
    refused = await api.get("/v1/usage", token, meter="usage_sum", group_by=["model", "colour"])
    (error,) = problem(refused, 400, "invalid_request")["errors"]
    assert error["code"] == "unknown_group"
    assert "model, region" in error["detail"]


async def test_pages_miss_nothing_and_repeat_nothing_while_more_is_counted(api: Api, store: Store) -> None:
    await counted(store)
    token = await api.token()
    asked = {"meter": "usage_sum", "group_by": ["model"], "by_window": True, "limit": 2}
    before = {_key(one) for one in await api.every("/v1/usage", token, **asked)}
    seen = []
    page = await api.read("/v1/usage", token, **asked)
    turn = 0
    while True:
        seen += map(_key, page["data"])
        turn += 1
        await store.flush(  # before, at and behind the place that the reader has reached
            store.logs[0].batch(
                Spoken(1, f"subject-{number}", (f"n{turn}", None), time_us=T0 + (turn - 3) * HOUR_US)
                for number in range(4)
            )
        )
        if page["next_cursor"] is None:
            break
        page = await api.read("/v1/usage", token, **asked, cursor=page["next_cursor"])
        assert turn < 100
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


async def test_a_cursor_is_good_for_its_own_query_alone(api: Api, store: Store) -> None:
    await counted(store)
    token = await api.token()
    page = await api.read("/v1/usage", token, meter="usage_sum", limit=1)
    good = page["next_cursor"]
    assert good is not None
    for changed in (
        {"meter": "usage_max"},
        {"subject": "subject-0"},
        {"by_window": True},
        {"group_by": "model"},
    ):
        asked = {"meter": "usage_sum", **changed, "cursor": good}
        problem(await api.get("/v1/usage", token, **asked), 400, "invalid_cursor")
    for bad in ("x", good[:-3], "!!!!", cursor([1, 2], []), "é"):
        problem(await api.get("/v1/usage", token, meter="usage_sum", cursor=bad), 400, "invalid_cursor")


async def test_equal_answers_are_not_sent_twice(api: Api, store: Store) -> None:
    await counted(store)
    token = await api.token()
    first = await api.get("/v1/usage", token, meter="usage_sum")
    tag = first.headers["etag"]
    for field in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = await api.get("/v1/usage", token, meter="usage_sum", headers={"If-None-Match": field})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await store.flush(store.logs[0].batch([Spoken(1, "subject-0")]))
    changed = await api.get("/v1/usage", token, meter="usage_sum", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_meters_are_shown_with_their_versions(api: Api) -> None:
    token = await api.token()
    shown = (await api.read("/v1/meters", token))["data"]
    assert [one["meter"] for one in shown] == sorted(
        f"usage_{name}" for name in ("sum", "count", "min", "max", "last", "unique", "gauge")
    )
    (one,) = [one for one in shown if one["meter"] == "usage_sum"]
    assert (one["version"], one["effective_from"], one["retired"]) == (1, None, False)
    assert one["definition"]["window"] == "1h"
    assert len((await api.read("/v1/meters", token, history="true"))["data"]) == len(shown)


def _key(row: dict[str, object]) -> tuple[object, ...]:
    return (row["subject"], row["start"], str(row["group"]))


async def test_pages_that_end_between_subjects_go_on(api: Api, store: Store) -> None:
    subjects = [f"subject-{number:03}" for number in range(2 * SUBJECTS_AT_ONCE + 1)]
    await store.flush(store.logs[0].batch(Spoken(1, subject) for subject in subjects))
    rows = await api.every("/v1/usage", await api.token(), meter="usage_sum", limit=1000)
    assert [one["subject"] for one in rows] == subjects
