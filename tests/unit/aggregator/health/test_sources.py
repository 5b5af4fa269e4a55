"""What is noted of sources, against a plain loop that notes each source of each batch."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from aggregator.health import sources
from aggregator.health.silence import KEPT_US
from aggregator.health.sources import NAMED, OTHERS, Heard, bit_of, minute_of, times_us
from schemas.instant import HOUR_US, MINUTE_US

BATCHES = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6), st.integers(0, 2)), max_size=30
)


@given(BATCHES, st.integers(1, 6))
def test_each_is_noted_once_a_minute_and_the_first_have_names(
    batches: list[tuple[list[str], int]], named: int
) -> None:
    before, sources.NAMED = sources.NAMED, named
    try:
        heard, minute = Heard({}), 7
        noted: defaultdict[int, list[str]] = defaultdict(list)
        for batch, later in batches:
            minute += later
            names, _ = heard.news(batch, minute)
            heard.note(names, minute)
            noted[minute] += names
    finally:
        sources.NAMED = before
    expected: defaultdict[int, set[str]] = defaultdict(set)
    first: list[str] = []
    minute = 7
    for batch, later in batches:
        minute += later
        for source in batch:
            if source not in first and len(first) < named:
                first.append(source)
            expected[minute].add(source if source in first else OTHERS)
    assert {minute: sorted(names) for minute, names in noted.items() if names} == {
        minute: sorted(names) for minute, names in expected.items()
    }


def test_what_was_not_committed_is_news_again() -> None:
    heard = Heard({})
    assert heard.news(["a"], 5) == heard.news(["a"], 5) == (["a"], 0)
    heard.note(["a"], 5)
    assert heard.news(["a"], 5) == ([], 0)
    assert heard.news(["a"], 6) == (["a"], 0)


def test_as_many_as_have_no_name_are_counted() -> None:
    heard = Heard({})
    many = [f"/{number}" for number in range(NAMED + 3)]
    assert heard.news(many, 5) == ([*many[:NAMED], OTHERS], 3)
    heard.note([*many[:NAMED], OTHERS], 5)
    assert heard.news(many, 5) == ([], 3)
    assert heard.news(many[::-1], 6) == ([*many[NAMED - 1 :: -1], OTHERS], 3)


def test_who_was_not_heard_for_two_weeks_makes_room() -> None:
    many = [f"/{number}" for number in range(NAMED)]
    heard = Heard(dict.fromkeys(many, 100))
    kept = KEPT_US // MINUTE_US
    assert heard.news(["/new"], 100 + kept) == ([OTHERS], 1)
    assert heard.news(["/new"], 101 + kept) == (["/new"], 0)


@given(st.sets(st.integers(0, 59)), st.integers(0, 10**6))
def test_minutes_are_read_as_they_were_noted(minutes: set[int], hour: int) -> None:
    at_us = [hour * HOUR_US + minute * MINUTE_US for minute in sorted(minutes)]
    bits = 0
    for one in at_us:
        bits |= bit_of(minute_of(one + MINUTE_US - 1))
    assert times_us(hour * HOUR_US, bits) == at_us
    assert bits < 2**60
