"""The totals once more, by a plain loop over the CSV files: no code of the product, no Kafka, no database."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from events import DATA, MODELS, customer


class Key(NamedTuple):
    """Which total: of one meter, customer, model (empty: of all) and window."""

    meter: str
    subject: str
    model: str
    start: datetime


class Total(NamedTuple):
    """What it comes to, and of how many requests."""

    value: Decimal
    events: int


class Request(NamedTuple):
    """One row, and whose it is."""

    customer: str
    model: str
    time: datetime
    input_tokens: Decimal
    output_tokens: Decimal


def recount() -> dict[Key, Total]:
    """Every total that the catalog asks for."""
    sums: dict[Key, Decimal] = defaultdict(Decimal)
    largest: dict[Key, Decimal] = defaultdict(Decimal)
    models: dict[Key, set[str]] = defaultdict(set)
    events: dict[Key, int] = defaultdict(int)
    for subject, model, time, input_tokens, output_tokens in requests():
        five_minutes = time - timedelta(
            minutes=time.minute % 5, seconds=time.second, microseconds=time.microsecond
        )
        hour = five_minutes.replace(minute=0)
        for meter, value in (
            ("input_tokens", input_tokens),
            ("output_tokens", output_tokens),
            ("requests", 1),
        ):
            sums[Key(meter, subject, model, five_minutes)] += value
            events[Key(meter, subject, model, five_minutes)] += 1
        prompt, used = Key("largest_prompt", subject, model, hour), Key("models_used", subject, "", hour)
        largest[prompt] = max(largest[prompt], input_tokens)
        models[used].add(model)
        events[prompt] += 1
        events[used] += 1
    values = {**sums, **largest, **{key: Decimal(len(used)) for key, used in models.items()}}
    return {key: Total(value, events[key]) for key, value in values.items()}


def requests() -> Iterator[Request]:
    """Every row of both files."""
    for model in MODELS:
        with (DATA / f"AzureLLMInferenceTrace_{model}.csv").open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=1):
                time = datetime.strptime(row["TIMESTAMP"][:-1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
                tokens = (Decimal(row[column]) for column in ("ContextTokens", "GeneratedTokens"))
                yield Request(customer(number), model, time, *tokens)
