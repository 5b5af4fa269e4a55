"""The Azure LLM inference trace as CloudEvents, in the order in which an unkind network delivers them.

The trace names no customers and no models. These rules, by the row's number in its file (the first is 1), are
all that the demo adds to it, and they are the same on every run (`mapping-*.yaml` writes the same events):

- model: the file's name, `code` or `conv`;
- customer: `customer-NN`, NN = row modulo 40;
- late: a row whose number modulo 50 is 7 is sent up to three minutes after its time: (row * 37) modulo 180 s;
- copies: three rows of a hundred are sent twice, the one at once, the others 2,000 to 4,999 records later.
"""

import csv
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

DATA: Final = Path(__file__).with_name("data")
MODELS: Final = ("code", "conv")
CUSTOMERS: Final = 40
LATE_ROW: Final = 7


class Row(NamedTuple):
    """One request of the trace."""

    model: str
    number: int  # in its file
    time: str  # as the trace writes it: UTC, seven fractional digits
    input_tokens: str
    output_tokens: str


class Delivery(NamedTuple):
    """The lines to publish, and what they are made of."""

    lines: list[bytes]
    late: int
    copies: int


def rows(model: str) -> Iterator[Row]:
    """The requests of one file, in its order."""
    with (DATA / f"AzureLLMInferenceTrace_{model}.csv").open(newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for number, (time, input_tokens, output_tokens) in enumerate(reader, start=1):
            yield Row(model, number, time, input_tokens, output_tokens)


def customer(number: int) -> str:
    """Whose request a row is."""
    return f"customer-{number % CUSTOMERS:02}"


def event(row: Row) -> dict[str, object]:
    """A row as a CloudEvent; its time keeps every digit."""
    return {
        "specversion": "1.0",
        "id": f"{row.model}-{row.number}",
        "source": "azure-llm-2023",
        "type": "llm.request",
        "subject": customer(row.number),
        "time": f"{row.time.replace(' ', 'T')}Z",
        "data": {
            "model": row.model,
            "input_tokens": int(row.input_tokens),
            "output_tokens": int(row.output_tokens),
        },
    }


def delivery() -> Delivery:
    """Both files merged by time, some rows late, some sent twice."""
    trace = [row for model in MODELS for row in rows(model)]
    trace.sort(key=lambda row: datetime.fromisoformat(row.time[:26]) + _delay(row))
    lines = [json.dumps(event(row), separators=(",", ":")).encode() for row in trace]
    placed = [(float(place), line) for place, line in enumerate(lines)]
    copies = [
        (place + lag, lines[place])
        for place, row in enumerate(trace)
        if (lag := _copied_after(row)) is not None
    ]
    ordered = sorted(placed + copies, key=itemgetter(0))
    return Delivery(
        [line for _, line in ordered], sum(_delay(row) > timedelta(0) for row in trace), len(copies)
    )


def _delay(row: Row) -> timedelta:
    return timedelta(seconds=row.number * 37 % 180 if row.number % 50 == LATE_ROW else 0)


def _copied_after(row: Row) -> float | None:
    """How many records later the row is sent again, if it is; a copy lies between two records."""
    match row.number % 100:
        case 13:
            return 0.5
        case 46 | 79:
            return 2_000.5 + row.number % 3_000
        case _:
            return None
