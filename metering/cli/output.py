"""What commands print: tables for people, one JSON object a line for machines."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metering.texts import duration_text as duration_text  # noqa: PLC0414 - part of what commands print
from metering.texts import time_text as time_text  # noqa: PLC0414
from schemas.number import plain_text

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON, one object a line.")]

NOTHING: Final = "-"
_WIDE: Final = 250  # when nobody looks, no cell is cut


def print_json(*objects: Mapping[str, Any]) -> None:
    """Print objects to standard output, one a line."""
    for one in objects:
        sys.stdout.write(json.dumps(one, ensure_ascii=False, default=_exact_text) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to standard output."""
    stdout_console().print(table(title, columns, rows))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Make a table; numbers stand right."""
    rows = [tuple(row) for row in rows]
    made = Table(title=title, title_justify="left", header_style="bold")
    for place, column in enumerate(columns):
        is_number = any(isinstance(row[place], int | float | Decimal) for row in rows)
        made.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    return made


def print_lines(lines: Iterable[str], style: str) -> None:
    """Print lines to standard output as they are; quick where there are very many and nobody looks."""
    text = "\n".join(lines)
    if sys.stdout.isatty():
        stdout_console().out(text, style=style, highlight=False)
    else:
        sys.stdout.write(f"{text}\n")


def say(sentence: str, style: str | None = None) -> None:
    """Tell a person something on standard output."""
    stdout_console().print(Text(sentence, style=style or ""), soft_wrap=True)


def stdout_console() -> Console:
    """The console of standard output."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def stderr_console() -> Console:
    """The console of standard error."""
    return Console(stderr=True) if sys.stderr.isatty() else Console(stderr=True, width=_WIDE)


def _exact_text(value: object) -> str:
    """A decimal in a text: a JSON number would be read as a float."""
    if isinstance(value, Decimal):
        return plain_text(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _cell(value: object) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case Decimal():
            return plain_text(value)
        case _:
            return str(value)
