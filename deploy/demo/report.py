"""Totals beside their recount, for a person, and every difference there is."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from recount import Key, Total
from rich.table import Table

SHOWN_CUSTOMERS = ("customer-07", "customer-21", "customer-39")


def differences(counted: Mapping[Key, Total], recounted: Mapping[Key, Total]) -> list[str]:
    """A line for every total that is missing, too many, or not the same."""
    return [
        f"{key.meter} of {key.subject}{f' by {key.model}' if key.model else ''} from {key.start:%H:%M}: "
        f"{_text(counted.get(key))}, but the recount says {_text(recounted.get(key))}"
        for key in sorted(counted.keys() | recounted.keys())
        if counted.get(key) != recounted.get(key)
    ]


def totals_table(counted: Mapping[Key, Total], recounted: Mapping[Key, Total]) -> Table:
    """A dozen sums over the windows; all windows are compared, these are shown."""
    table = Table(title="Totals, and the recount from the CSV files", title_justify="left")
    for column in ("Meter", "Of"):
        table.add_column(column)
    for column in ("Windows", "Metering", "Recount"):
        table.add_column(column, justify="right")
    table.add_column("")
    for meter, of, keys in _shown(recounted):
        ours, theirs = (_summed(meter, keys, totals) for totals in (counted, recounted))
        table.add_row(meter, of, f"{len(keys):,}", f"{ours:,}", f"{theirs:,}", mark(ours == theirs))
    return table


def counts_table(title: str, counted: Mapping[str, int], expected: Mapping[str, int]) -> Table:
    """How many records there are of each kind, and how many there have to be."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in ("Metering", "Sent"):
        table.add_column(column, justify="right")
    table.add_column("")
    for name in dict.fromkeys([*expected, *counted]):
        ours, theirs = counted.get(name, 0), expected.get(name, 0)
        table.add_row(name, f"{ours:,}", f"{theirs:,}", mark(ours == theirs))
    return table


def _shown(recounted: Iterable[Key]) -> Iterator[tuple[str, str, list[Key]]]:
    keys = sorted(recounted)
    for meter in dict.fromkeys(key.meter for key in keys):
        for model in dict.fromkeys(key.model for key in keys if key.meter == meter):
            of = f"all customers, {model}" if model else "all customers"
            yield meter, of, [key for key in keys if (key.meter, key.model) == (meter, model)]
    for subject in SHOWN_CUSTOMERS:
        yield (
            "input_tokens",
            subject,
            [key for key in keys if (key.meter, key.subject) == ("input_tokens", subject)],
        )


def _summed(meter: str, keys: Iterable[Key], totals: Mapping[Key, Total]) -> Decimal:
    values = [totals[key].value for key in keys if key in totals]
    return max(values, default=Decimal(0)) if meter == "largest_prompt" else sum(values, Decimal(0))


def mark(is_equal: bool) -> str:  # noqa: FBT001 - a fact, not a mode
    """What stands at the end of a row."""
    return "[green]equal[/]" if is_equal else "[bold red]differs[/]"


def _text(total: Total | None) -> str:
    return "nothing" if total is None else f"{total.value} in {total.events} events"
