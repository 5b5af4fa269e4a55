"""Bars stand where their windows are, as high as their values, whatever those are."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metering.api.console.chart import HEIGHT, WIDTH, chart

SLOTS = 48
VALUES = st.dictionaries(
    st.integers(0, SLOTS - 1),
    st.tuples(st.decimals(-(10**38), 10**38, places=6), st.booleans()),
    max_size=SLOTS,
)


@given(VALUES)
def test_no_bar_leaves_the_chart_or_touches_another(values: dict[int, tuple[Decimal, bool]]) -> None:
    drawn = chart(values, SLOTS)
    assert 0 <= drawn.line_y <= HEIGHT
    assert len(drawn.bars) == len(values)
    end = 0
    for bar, slot in zip(drawn.bars, sorted(values), strict=True):
        value, is_final = values[slot]
        assert bar.is_final == is_final
        assert end <= bar.x
        assert bar.x * SLOTS // WIDTH == slot
        end = bar.x + bar.width
        assert end <= WIDTH
        assert (bar.height > 0) == (value != 0)
        assert bar.y + bar.height == drawn.line_y if value > 0 else bar.y == drawn.line_y
        assert bar.y >= -1
        assert bar.y + bar.height <= HEIGHT + 1


def test_heights_are_in_proportion() -> None:
    drawn = chart({0: (Decimal(100), True), 1: (Decimal("0.001"), True), 2: (Decimal(-300), False)}, SLOTS)
    assert [(bar.y, bar.height) for bar in drawn.bars] == [(0, 40), (39, 1), (40, 120)]
    assert drawn.line_y == 40
    assert chart({}, SLOTS).bars == []
