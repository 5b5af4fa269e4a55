"""Rated totals beside the invoices from the CSV files, for a person, and every difference there is."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from invoices import Bill, Change, Invoice
from report import SHOWN_CUSTOMERS, mark
from rich.table import Table


def money_differences(rated: Mapping[Bill, Invoice], computed: Mapping[Bill, Invoice]) -> list[str]:
    """A line for every invoice that is missing, too many, or not the same in any of its lines."""
    return [
        f"{bill.customer} from {bill.hour:%H:%M}: {_text(rated.get(bill))}, "
        f"but computed is {_text(computed.get(bill))}"
        for bill in sorted(rated.keys() | computed.keys())
        if rated.get(bill) != computed.get(bill)
    ]


def money_table(rated: Mapping[Bill, Invoice], computed: Mapping[Bill, Invoice]) -> Table:
    """The totals of some customers and of all; every line of all is compared."""
    table = _table(
        "Rated totals in USD, and the same computed from the CSV files",
        ["Customer", "Hour"],
        ["Metering", "Unrounded", "Computed", "Unrounded"],
    )
    for bill in sorted(computed):
        if bill.customer in SHOWN_CUSTOMERS:
            ours, theirs = rated.get(bill), computed[bill]
            table.add_row(
                bill.customer, f"{bill.hour:%H:%M}", *_money(ours), *_money(theirs), mark(ours == theirs)
            )
    ours, theirs = _added(rated), _added(computed)
    table.add_row(f"all {len(computed)}", "", *_money(ours), *_money(theirs), mark(ours == theirs))
    return table


def change_table(
    title: str, told: Mapping[tuple[str, str], Change], computed: Mapping[tuple[str, str], Change]
) -> Table:
    """What a version has changed, line by line, in units and in money."""
    table = _table(title, ["Charge", "Model"], ["Units", "USD", "Computed units", "USD"])
    for charge, model in sorted(told.keys() | computed.keys()):
        ours, theirs = told.get((charge, model)), computed.get((charge, model))
        cells = [*_change(ours), *_change(theirs)]
        table.add_row(charge, model or "all", *cells, mark(ours == theirs))
    return table


def _table(title: str, names: list[str], numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in names:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    table.add_column("")
    return table


def _added(invoices: Mapping[Bill, Invoice]) -> Invoice:
    unrounded = sum((one.unrounded for one in invoices.values()), Fraction())
    return Invoice({}, unrounded, sum((one.amount for one in invoices.values()), Fraction()))


def _money(invoice: Invoice | None) -> tuple[str, str]:
    return ("nothing", "") if invoice is None else (_cents(invoice.amount), _digits(invoice.unrounded))


def _text(invoice: Invoice | None) -> str:
    if invoice is None:
        return "nothing"
    lines = (
        f"{charge} {model or 'all'}: {_digits(line.quantity)} units, "
        f"{_cents(line.amount)} ({_digits(line.unrounded)})"
        for (charge, model), line in sorted(invoice.lines.items())
    )
    return f"{_cents(invoice.amount)} ({'; '.join([_digits(invoice.unrounded), *lines])})"


def _change(change: Change | None) -> tuple[str, str]:
    return ("nothing", "") if change is None else (_digits(change.quantity), _cents(change.amount))


def _cents(amount: Fraction) -> str:
    return f"{_decimal(amount):,.2f}"


def _digits(number: Fraction) -> str:
    return f"{_decimal(number):,f}"


def _decimal(number: Fraction) -> Decimal:
    """Only to be shown: what is compared are the fractions."""
    return Decimal(number.numerator) / number.denominator
