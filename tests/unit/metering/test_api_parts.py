"""The API's pure parts: rates, cursors, tags; and that its description is the one checked in."""

import json
import ssl

import asyncpg
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from metering.api import openapi
from metering.api.console.pages import problem_page
from metering.api.cursors import cursor, place_of
from metering.api.etags import digest_tag, names
from metering.api.limits import RateLimit
from metering.api.problems import ProblemResponseError, Problems

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    st.lists,
    max_leaves=5,
)


def test_the_description_is_up_to_date() -> None:
    assert openapi.main(["--check"]) == 0, "run: python -m metering.api.openapi"


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 50),
    pauses_ms=st.lists(st.integers(0, 2000), min_size=1, max_size=200),
)
def test_no_more_is_granted_than_burst_and_rate_allow(rate: int, burst: int, pauses_ms: list[int]) -> None:
    """Between any two moments: at most the burst and what has flowed in. Refused ones may come back then."""
    limit = RateLimit(rate, burst)
    now_s = 100.0
    granted: list[float] = []
    for pause_ms in pauses_ms:
        now_s += pause_ms / 1000
        wait_s = limit.wait_s("token", now_s)
        if wait_s is None:
            granted.append(now_s)
            continue
        assert wait_s >= 1
        assert RateLimit(rate, burst).wait_s("token", now_s) is None  # others are not hurt
    for place, start_s in enumerate(granted):
        for count, end_s in enumerate(granted[place:], start=1):
            assert count <= burst + (end_s - start_s) * rate + 1e-6


def test_who_waits_as_long_as_told_is_let_in() -> None:
    limit = RateLimit(0.25, 2)
    assert [limit.wait_s("a", 0), limit.wait_s("a", 0), limit.wait_s("a", 0)] == [None, None, 4]
    assert limit.wait_s("a", 3.9) == 1
    assert limit.wait_s("a", 4.0) is None


def test_buckets_that_are_full_again_are_let_go() -> None:
    limit = RateLimit(1, 10)
    for number in range(30_000):
        limit.wait_s(f"token-{number}", number)
    assert len(limit._buckets) <= 10_000 + 1


@given(place=st.lists(JSON, max_size=4), query=st.lists(JSON, max_size=4))
def test_a_cursor_comes_back_as_it_was(place: list[object], query: list[object]) -> None:
    text = cursor(place, query)
    assert text.isascii()
    assert place_of(text, query, [type(one) for one in place]) == place


@given(place=st.lists(JSON, max_size=2), query=st.lists(JSON, max_size=2), other=st.lists(JSON, max_size=2))
def test_a_cursor_of_another_query_is_refused(
    place: list[object], query: list[object], other: list[object]
) -> None:
    if str(query) != str(other):
        with pytest.raises(ProblemResponseError, match="invalid_cursor"):
            place_of(cursor(place, query), other, [type(one) for one in place])


@pytest.mark.parametrize("value", ["a\0", "\ud800", 2**63, -(2**63) - 1, ["a\0"]])
def test_a_cursor_holds_nothing_that_the_database_cannot(value: object) -> None:
    with pytest.raises(ProblemResponseError, match="invalid_cursor"):
        place_of(cursor([value], []), [], [type(value)])


@given(st.text())
def test_no_text_breaks_the_reading_of_cursors(text: str) -> None:
    with pytest.raises(ProblemResponseError, match="invalid_cursor"):
        place_of(text, ["feed"], [int])


def test_tags_are_compared_as_http_says() -> None:
    tag = digest_tag(bytes(32))
    assert names(tag, tag)
    assert names(f'"a", W/{tag}', tag)
    assert not names(f"W/{tag}", tag, strongly=True)
    assert names("*", tag)
    assert not names(None, tag)
    assert not names("", tag)
    assert not names('"a"', tag)
    assert not names(tag.strip('"'), tag)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(), "database_unavailable"),
        (ssl.SSLCertVerificationError("certificate has expired"), "database_unavailable"),
        (asyncpg.exceptions._base.DataError("invalid input for query argument"), "internal_error"),
    ],
    ids=["refused", "certificate", "ours"],
)
async def test_a_server_that_is_away_is_no_bug_of_ours(error: Exception, code: str) -> None:
    request = Request({"type": "http", "method": "GET", "path": "/v1/meters", "headers": []})
    response = await Problems("/runbook", problem_page).answer(request, error)
    assert json.loads(response.body)["code"] == code
