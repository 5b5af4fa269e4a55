"""What docs/billing.md says of plans and prices is executed."""

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest
from pydantic import TypeAdapter

from aggregator.rating.tiers import price
from schemas.catalog import load_catalog
from schemas.document import read_document
from schemas.price import PriceModel

PAGE: Final = Path(__file__).parents[4] / "docs" / "billing.md"
SECTION: Final = PAGE.read_text().split("## Price plans\n")[1].split("\n## ")[0]
ROWS: Final = re.findall(
    r"^\| `(\w+)` \| .* \| `(\{.*\})` \| (\d+) \| .* = ([\d.]+) \|$", SECTION, re.MULTILINE
)


def test_the_plan_of_the_page_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    plans = load_catalog(text, PAGE.name).plans
    assert plans is not None
    assert [charge.name for charge in plans[0].charges] == ["base", "input", "storage"]


@pytest.mark.parametrize(("name", "model", "quantity", "amount"), ROWS, ids=[row[0] for row in ROWS])
def test_the_examples_of_the_page_cost_that(name: str, model: str, quantity: str, amount: str) -> None:
    adapter: TypeAdapter[PriceModel] = TypeAdapter(PriceModel)
    one = adapter.validate_python(read_document(model, PAGE.name).content)
    assert one.model == name
    assert sum((tier.amount for tier in price(one, Fraction(quantity))), Fraction()) == Decimal(amount)


def test_every_model_has_an_example() -> None:
    assert [row[0] for row in ROWS] == ["per_unit", "graduated", "volume", "package"]
