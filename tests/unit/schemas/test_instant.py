"""Times are read to the microsecond, and never rounded."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.schemas.records import time_texts

from schemas.codes import Code
from schemas.instant import TimeRefused, format_time, parse_time_us, times_us

HOUR_US = 3_600_000_000

FIRST, LAST = datetime.fromisoformat("0001-01-03"), datetime.fromisoformat("9999-12-30")
moments = st.datetimes(FIRST, LAST).map(lambda moment: moment.replace(microsecond=0))
zones = st.integers(-1439, 1439)


@given(moments, st.text("0123456789", max_size=12), zones)
def test_any_fraction_and_zone(moment: datetime, digits: str, zone_minutes: int) -> None:
    sign, size = "-" if zone_minutes < 0 else "+", abs(zone_minutes)
    text = moment.isoformat() + (f".{digits}" if digits else "") + f"{sign}{size // 60:02}:{size % 60:02}"
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=zone_minutes)))
    whole_us = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 1_000_000
    assert parse_time_us(text) == whole_us + int((digits + "000000")[:6])


def read(text: str) -> int | Code:
    try:
        return parse_time_us(text)
    except TimeRefused as refused:
        return refused.code


PLAIN_OR_NEARLY = st.one_of(
    time_texts,
    st.from_regex(r"2026-11-24T03:00:12(Z|\.[0-9]{1,9}Z?Z?|\.[0-9]{3}Z[0-9]Z)?", fullmatch=True),
    st.from_regex(
        r"[0-9]{4}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\.[0-9]{6}Z", fullmatch=True
    ),
    st.text(max_size=30),
)


@settings(max_examples=300)
@given(st.lists(PLAIN_OR_NEARLY, max_size=6))
@example([])
@example(["", "Z", "2026-11-24T03:00:1Z"])
@example(["2026-11-24T03:00:12.345", "2026-11-24T03:00:12Z"])
@example(["2026-11-24T03:00:12.34567٣Z", "2026-11-24T03:00:12.345678Z"])
@example(["2026-11-24T03:00:12.345678٣Z"])
@example(["2026-11-24T03:00:12.345\ud800\ud800\ud800Z"])
@example(["0000-01-01T00:00:00.000000Z", "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
@example(["2026-11-24T05:00:12+01:00", "2026-11-24T05:00:12Z", "2026-11-24T05:00:12.123456789Z"])
@example(["2026-02-29T00:00:00.000000Z", "2024-02-29T24:00:00.000000Z", "2024-02-29T23:59:60.000000Z"])
def test_times_read_together_are_those_read_one_by_one(texts: list[str]) -> None:
    found = [read(text) for text in texts]
    expected = [None if isinstance(one, Code) else one for one in found]
    assert list(times_us(texts)) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026-11-24T03:00:12", Code.NAIVE_TIME),
        ("2026-11-24T03:00:12.5", Code.NAIVE_TIME),
        ("2026-12-31T23:59:60Z", Code.BAD_TIME),
        ("2026-12-31T23:59:60", Code.BAD_TIME),
        ("2026-11-24 03:00:12Z", Code.BAD_TIME),
        ("2026-11-24T24:00:00Z", Code.BAD_TIME),
        ("2026-02-29T00:00:00Z", Code.BAD_TIME),
        ("2026-11-24T03:00:12,5Z", Code.BAD_TIME),
        ("2026-11-24T03:00:12.Z", Code.BAD_TIME),
        ("2026-11-24T03:00Z", Code.BAD_TIME),
        ("2026-11-24T03:00:12+0100", Code.BAD_TIME),
        ("2026-11-24T03:00:12+24:00", Code.BAD_TIME),
        ("2026-11-24T03:00:12+01:60", Code.BAD_TIME),
        ("2026-W48-2T03:00:12Z", Code.BAD_TIME),
        ("0000-01-01T00:00:00Z", Code.BAD_TIME),
        ("0001-01-01T00:00:00+00:01", Code.BAD_TIME),
        ("9999-12-31T23:59:59-00:01", Code.BAD_TIME),
        ("2026-11-24T03:00:12Z\n", Code.BAD_TIME),
        ("٢٠٢٦-11-24T03:00:12Z", Code.BAD_TIME),
    ],
)
def test_what_is_no_instant(text: str, code: Code) -> None:
    assert read(text) is code


def test_what_is_beyond_microseconds_is_cut_so_that_it_stays_in_its_hour() -> None:
    last = parse_time_us("2026-11-24T18:59:59.9999999Z")
    assert last == parse_time_us("2026-11-24T19:00:00Z") - 1
    assert last // HOUR_US == parse_time_us("2026-11-24T18:00:00Z") // HOUR_US
    assert parse_time_us("1969-12-31T23:59:59.9999999Z") == -1


@pytest.mark.parametrize(
    "text", ["2026-11-24t03:00:12z", "2026-11-24T03:00:12-00:00", "2026-11-24T12:00:12+09:00"]
)
def test_other_spellings_of_one_instant(text: str) -> None:
    assert parse_time_us(text) == parse_time_us("2026-11-24T03:00:12Z")


@given(st.integers(parse_time_us("0001-01-01T00:00:00Z"), parse_time_us("9999-12-31T23:59:59.999999Z")))
def test_a_formatted_time_reads_back(time_us: int) -> None:
    assert parse_time_us(format_time(time_us)) == time_us


def test_a_formatted_time_is_as_short_as_it_can_be() -> None:
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(1_500_000) == "1970-01-01T00:00:01.5Z"
    assert format_time(-1) == "1969-12-31T23:59:59.999999Z"
