"""What public price pages say that something costs is what we say."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from aggregator.rating.amounts import rounded
from aggregator.rating.pricing import Portion, PricedSegment, Usage, price_segment
from aggregator.rating.rollup import US_PER, Point, time_average
from schemas.document import read_document
from schemas.plan import Plan, Rounding

FOLDER: Final = Path(__file__).parents[3] / "examples" / "prices"
FILES: Final = sorted(FOLDER.glob("*.yaml"))
KEYS: Final = {"source", "page", "read", "copy", "note", "plan", "examples"}


def content(path: Path) -> dict[str, Any]:
    found = read_document(path.read_text(), path.name).content
    assert isinstance(found, dict)
    return found


def cases() -> Iterator[Any]:
    for path in FILES:
        page = content(path)
        for number, example in enumerate(page["examples"], start=1):
            yield pytest.param(Plan.model_validate(page["plan"]), example, id=f"{path.stem}-{number}")


def used(written: Any) -> list[Usage]:
    if isinstance(written, list):
        return [Usage(line["group"], Fraction(line["quantity"]), 1) for line in written]
    return [Usage({}, Fraction(written), 1)]


def averaged(series: list[list[dict[str, Any]]], days: int) -> list[Usage]:
    day_us = US_PER["day"]
    points = [
        [Point(point["day"] * day_us, n, Fraction(point["value"])) for n, point in enumerate(one)]
        for one in series
    ]
    return [Usage({}, time_average(points, 0, days * day_us), 1)]


def priced(plan: Plan, example: dict[str, Any]) -> PricedSegment:
    usage = {charge: used(written) for charge, written in example.get("used", {}).items()}
    for charge, series in example.get("points", {}).items():
        usage[charge] = averaged(series, example["days"])
    return price_segment(plan, Portion(Fraction(1), is_first=True), usage)


@pytest.mark.parametrize(("plan", "example"), list(cases()))
def test_it_costs_what_the_page_says(plan: Plan, example: dict[str, Any]) -> None:
    segment = priced(plan, example)
    charges = {charge.charge: charge for charge in segment.charges}
    assert segment.amount == example["amount"]
    for name, amount in example.get("charges", {}).items():
        assert charges[name].amount == amount
    for name, amounts in example.get("tiers", {}).items():
        assert [tier.amount for line in charges[name].lines for tier in line.tiers] == amounts
    for name, quantity in example.get("quantities", {}).items():
        places = example.get("to_places", 38)
        [line] = charges[name].lines
        assert rounded(line.quantity, Rounding(places=places)) == quantity
    assert not any(charge.unpriced for charge in charges.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_says_where_it_was_read(path: Path) -> None:
    page = content(path)
    assert page.keys() <= KEYS
    assert page["source"].startswith("https://")
    assert all(page[key] for key in ("page", "read", "copy"))
    assert all(isinstance(example["amount"], int | Decimal) for example in page["examples"])


def test_there_are_pages() -> None:
    assert {path.stem.partition("-")[0] for path in FILES} >= {"aws", "google", "lago", "stripe"}
