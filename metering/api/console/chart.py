"""Usage by window as bars. Floats appear nowhere: a pixel is a ratio, rounded once."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

WIDTH: Final = 720
HEIGHT: Final = 160


class Bar(NamedTuple):
    """One window's bar, in the chart's units."""

    x: int
    y: int
    width: int
    height: int
    is_final: bool


class Chart(NamedTuple):
    """Bars above a line, or below it where more was withdrawn than used."""

    bars: list[Bar]
    line_y: int


def chart(values: Mapping[int, tuple[Decimal, bool]], slots: int) -> Chart:
    """Draw values: by slot, counted from 0, each with whether it is final."""
    amounts = {slot: Fraction(value) for slot, (value, _) in values.items()}
    top, bottom = max([*amounts.values(), Fraction(0)]), min([*amounts.values(), Fraction(0)])
    unit = Fraction(HEIGHT) / (top - bottom) if top > bottom else Fraction(0)
    step = Fraction(WIDTH, slots)
    line_y = round(top * unit) if unit else HEIGHT
    bars = []
    for slot, amount in sorted(amounts.items()):
        height = max(1, round(abs(amount) * unit)) if amount else 0
        x = round(slot * step)
        bars.append(
            Bar(
                x,
                line_y - height if amount > 0 else line_y,
                max(1, round((slot + 1) * step) - x - 2),
                height,
                values[slot][1],
            )
        )
    return Chart(bars, line_y)
