"""What each customer has to pay, straight from the CSV files: `prices.yaml` in plain arithmetic.

No code of the product, no Kafka, no database. Every amount is a fraction until it is rounded to the cent.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction
from typing import Final, NamedTuple

from recount import Request

MILLION: Final = 1_000_000
INCLUDED_REQUESTS: Final = 100
MINIMUM: Final = Fraction("0.80")


class Bill(NamedTuple):
    """Which invoice: of one customer and hour."""

    customer: str
    hour: datetime


class Line(NamedTuple):
    """What one charge comes to."""

    quantity: Fraction
    unrounded: Fraction
    amount: Fraction  # to the cent


class Invoice(NamedTuple):
    """What a customer has to pay for an hour."""

    lines: dict[tuple[str, str], Line]  # by charge and model (empty: of all)
    unrounded: Fraction
    amount: Fraction


class Change(NamedTuple):
    """By how much a line differs from what it was."""

    quantity: Fraction
    amount: Fraction


def invoices(requests: Iterable[Request]) -> dict[Bill, Invoice]:
    """The invoices of these requests."""
    used: dict[Bill, dict[tuple[str, str], Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for request in requests:
        hour = request.time.replace(minute=0, second=0, microsecond=0)
        of = used[Bill(request.customer, hour)]
        of["input", request.model] += Fraction(request.input_tokens)
        of["output", request.model] += Fraction(request.output_tokens)
        of["requests", ""] += 1
    return {bill: _invoice(of) for bill, of in used.items()}


def _invoice(used: dict[tuple[str, str], Fraction]) -> Invoice:
    lines = {key: _line(*key, quantity) for key, quantity in used.items()}
    unrounded = sum((line.unrounded for line in lines.values()), Fraction())
    amount = sum((line.amount for line in lines.values()), Fraction())
    return Invoice(lines, max(unrounded, MINIMUM), max(amount, MINIMUM))


def _line(charge: str, model: str, quantity: Fraction) -> Line:
    unrounded = _price(charge, model, quantity)
    return Line(quantity, unrounded, Fraction(int(unrounded * 100 + Fraction(1, 2)), 100))


def _price(charge: str, model: str, quantity: Fraction) -> Fraction:
    match charge, model:
        case "input", "code":
            cheaper = max(quantity - 100_000, Fraction())
            return (5 * (quantity - cheaper) + Fraction("4.2") * cheaper) / MILLION
        case "input", _:
            cheaper = max(quantity - 200_000, Fraction())
            return (3 * (quantity - cheaper) + Fraction("2.5") * cheaper) / MILLION
        case "output", _:
            return 15 * quantity / MILLION
        case _:
            return Fraction("0.0005") * max(quantity - INCLUDED_REQUESTS, Fraction())


def changes(before: Invoice, after: Invoice) -> dict[tuple[str, str], Change]:
    """What differs line by line, in units and in money."""
    nothing = Line(Fraction(), Fraction(), Fraction())
    lines = {
        key: Change(line.quantity - old.quantity, line.amount - old.amount)
        for key, line in after.lines.items()
        for old in [before.lines.get(key, nothing)]
    }
    return {key: change for key, change in lines.items() if any(change)}
