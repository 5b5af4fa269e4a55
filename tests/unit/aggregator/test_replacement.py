"""What a window comes to, against plain loops; and the rows that say so instead of what was counted."""

from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.comparison import Pair, Row
from aggregator.promotion import Difference, as_document, is_known_better, replacement
from aggregator.replacement import Content, Element, Part, content

KEY: Final = ("peak", "acme", "{}", 7_000_000)
AGGREGATIONS: Final = ("min", "max", "last", "unique", "gauge")


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    """Events of a window in any order, some withdrawn, some superseded; each has an offset of its own."""
    found = []
    for offset in draw(st.permutations(range(draw(st.integers(0, 8))))):
        value, time_us = Decimal(draw(st.integers(-3, 3))), draw(st.integers(0, 3))
        element = Element(value, draw(st.sampled_from("abc")), time_us, offset)
        is_void = draw(st.booleans())
        found.append(Part(-1 if is_void else 1, element, is_void, draw(st.booleans())))
    return found


@given(st.sampled_from(AGGREGATIONS), parts())
def test_a_window_holds_what_loops_over_its_parts_say(aggregation: str, given_parts: list[Part]) -> None:
    if aggregation != "gauge":  # no void of another meter has an element
        given_parts = [part for part in given_parts if not part.is_void]
    found = content(aggregation, given_parts)
    assert found.events == sum(part.events for part in given_parts)
    left = [part.element for part in given_parts if part.stands and not part.is_void]
    match aggregation:
        case "min" | "max":
            values = [one.value for one in left if one.value is not None]
            extreme = min if aggregation == "min" else max
            assert [one.value for one in found.elements] == ([extreme(values)] if values else [])
            assert all(one.offset is None and one.time_us is None for one in found.elements)
        case "last":
            newest = [one for one in left if not any(later(other, one) for other in left)]
            assert list(found.elements) == newest
        case "unique":
            assert [one.member for one in found.elements] == sorted({str(one.member) for one in left})
        case _:
            for void in [part.element for part in given_parts if part.stands and part.is_void]:
                alike = [one for one in left if (one.time_us, one.value) == (void.time_us, void.value)]
                if alike:
                    left.remove(min(alike, key=lambda one: one.offset or 0))
            assert set(found.elements) == set(left)
            assert list(found.elements) == sorted(left, key=lambda one: (one.time_us or 0, one.offset or 0))


def later(one: Element, other: Element) -> bool:
    assert one.time_us is not None
    assert other.time_us is not None
    if one.time_us != other.time_us:
        return one.time_us > other.time_us
    return (one.offset or 0) > (other.offset or 0)


def test_what_adds_up_is_no_content() -> None:
    with pytest.raises(ValueError, match="adds up"):
        content("sum", [Part(1, Element(Decimal(1)), is_void=False, stands=True)])


def row(events: int, *elements: Element, known_before: int | None = None) -> Row:
    return Row(KEY, (Content(events, elements), known_before))


def test_equal_windows_are_left_alone() -> None:
    assert replacement(Pair(row(2, Element(Decimal("1.0"))), row(2, Element(Decimal(1)))), 9) == []
    assert replacement(Pair(row(0), None), 9) == []
    assert replacement(Pair(row(1, known_before=5), row(1)), 9) == []


def test_the_first_row_has_all_events_and_each_says_a_part() -> None:
    points = [Element(Decimal(5), None, 1, 4), Element(Decimal(6), None, 2, 3)]
    assert replacement(Pair(row(5, points[0]), row(2, *points)), 9) == [
        Difference(*KEY, -3, Decimal(5), None, 1, 4, 9),
        Difference(*KEY, 0, Decimal(6), None, 2, 3, 9),
    ]


def test_a_window_that_is_not_there_comes_to_nothing() -> None:
    (gone,) = replacement(Pair(row(5, Element(Decimal(5))), None), 9)
    assert gone == Difference(*KEY, -5, None, None, None, None, 9)
    assert as_document(gone) == {
        "meter": "peak",
        "subject": "acme",
        "group": {},
        "start": "1970-01-01T00:00:07Z",
        "events": -5,
        "value": None,
        "member": None,
        "time": None,
        "offset": None,
        "replaces_before": 9,
    }


def test_a_replay_that_knew_less_than_the_one_before_is_seen() -> None:
    assert is_known_better(Pair(row(1, known_before=10), None), 9)
    assert not is_known_better(Pair(row(1, known_before=9), None), 9)
    assert not is_known_better(Pair(row(1), None), 9)
    assert not is_known_better(Pair(None, row(1, known_before=10)), 9)
