"""Lines of every kind, as finance reads them over SQL, and the documents over HTTP that they are of."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import pytest_asyncio
from integration.api.conftest import serving
from integration.api.fixtures import Api, Observed
from integration.rating import bounded
from integration.rating.world import World

from aggregator.store.connection import Connection, StoreOptions, connect
from schemas.rated import RatedTotal

VERSIONS: Final = f"/v1/subscriptions/{{}}/periods/{bounded.START}/versions"
SMALL, LARGE, NO_MODEL = {"model": "small"}, {"model": "large"}, {"model": None}
LINES: Final = (
    "SELECT charge, meter, kind, groups, is_other, quantity, events, included, billable, price,"
    " unrounded_amount, amount FROM rated_line WHERE subscription = $1 AND version = $2"
    " ORDER BY charge NULLS LAST, kind, is_other, groups ->> 'model' NULLS FIRST"
)
NOTHING: Final = (None,) * 5  # a bound has no quantity, events, included, billable, price


@pytest_asyncio.fixture
async def world(shared_database: str, schema: str) -> AsyncIterator[World]:
    world = await World.made(shared_database, schema, bounded.METERS, bounded.T0)
    await bounded.apply(world)
    await bounded.rated_twice(world)
    yield world
    await world.close_connections()


@pytest_asyncio.fixture
async def api(world: World, observed: Observed, api_settings: dict[str, Any]) -> AsyncIterator[Api]:
    async with serving(world.dsn, world.schema, world.connection, observed, **api_settings) as one:
        yield one


@pytest_asyncio.fixture
async def reader(world: World) -> AsyncIterator[Connection]:
    """Who may read the views, and nothing else."""
    connection = await connect(
        world.dsn, StoreOptions(schema=f"{world.schema}_billing", role="billing_reader")
    )
    yield connection
    await connection.close()


async def test_minimum_maximum_other_and_unpriced_usage_are_lines(reader: Connection) -> None:
    rows = [tuple(row) for row in await reader.fetch(LINES, "acme-bounded", 1)]
    assert rows == [
        ("base", None, "flat", {}, False, "1", 0, "0", "1", "flat", "10", 10),
        ("calls", "calls", "minimum", None, False, *NOTHING, "1.5", Decimal("1.5")),
        ("calls", "calls", "usage", {}, False, "5", 5, "0", "5", "default", "0.5", Decimal("0.5")),
        ("input", "tokens", "maximum", None, False, *NOTHING, "-23", -23),
        ("input", "tokens", "unpriced", NO_MODEL, False, "3", 1, None, None, None, "0", 0),
        ("input", "tokens", "unpriced", LARGE, False, "7", 1, None, None, None, "0", 0),
        ("input", "tokens", "usage", SMALL, False, "1100", 1, "100", "1000", "when 1", "10", 10),
        ("input", "tokens", "usage", None, True, "1000", 2, "100", "900", "other", "18", 18),
        (None, None, "minimum", None, False, *NOTHING, "13", 13),
    ]
    later = [tuple(row) for row in await reader.fetch(LINES, "acme-bounded", 2)]
    assert [row for row in later if row not in rows] == [
        ("calls", "calls", "minimum", None, False, *NOTHING, "1.4", Decimal("1.4")),
        ("calls", "calls", "usage", {}, False, "6", 6, "0", "6", "default", "0.6", Decimal("0.6")),
        ("input", "tokens", "unpriced", LARGE, False, "12", 2, None, None, None, "0", 0),
    ]


async def test_a_line_that_no_decimal_is_exact_for_has_no_amount_but_a_ratio(reader: Connection) -> None:
    rows = [tuple(row) for row in await reader.fetch(LINES, "umbrella-capped", 2)]
    assert rows == [
        ("input", "tokens", "usage", {}, False, "100", 2, "0", "100", "default", "100/3", None),
        (None, None, "maximum", None, False, *NOTHING, "-40/3", Decimal("-13.33")),
    ]


async def test_the_view_has_the_lines_of_the_document_over_http_and_they_add_up(
    api: Api, reader: Connection
) -> None:
    token = await api.token()
    for subscription in ("acme-bounded", "umbrella-capped"):
        for version in (1, 2):
            document = await api.read(f"{VERSIONS.format(subscription)}/{version}", token)
            rows = [tuple(row) for row in await reader.fetch(LINES, subscription, version)]
            assert sorted(rows, key=repr) == sorted(_lines(document), key=repr)
            unrounded = sum((Fraction(row[-2]) for row in rows), Fraction(0))
            assert unrounded == Fraction(document["unrounded_amount"])
            if document["segments"][0]["plan"] == "bounded":  # which rounds lines
                assert sum(row[-1] for row in rows) == Decimal(document["amount"])
            RatedTotal.model_validate_json(json.dumps(document))


async def test_the_difference_has_units_where_no_money_changes(api: Api) -> None:
    token = await api.token("acme")
    changed = await api.read(f"{VERSIONS.format('acme-bounded')}/2/difference", token)
    difference = changed["difference"]
    assert difference["amount"] == "0"
    assert [
        (line["charge"], line["kind"], line["group"], line["quantity"], line["amount"])
        for line in difference["lines"]
    ] == [
        ("calls", "minimum", {}, "0", "-0.1"),
        ("calls", "usage", {}, "1", "0.1"),
        ("input", "unpriced", LARGE, "5", "0"),
    ]
    other = await api.read(f"{VERSIONS.format('umbrella-capped')}/2/difference", await api.token("umbrella"))
    assert other["difference"]["amount"] == "3.33"
    assert [
        (line["charge"], line["kind"], line["quantity"], line["amount"])
        for line in other["difference"]["lines"]
    ] == [(None, "maximum", "0", "-13.33"), ("input", "usage", "50", "50/3")]


def _lines(document: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The lines of a document, as rows of the view."""
    for segment in document["segments"]:
        for charge in segment["charges"]:
            for line in charge["lines"]:
                told = [line[name] for name in ("quantity", "events", "included", "billable", "price")]
                head = (charge["charge"], charge["meter"], line["kind"], line["group"], line["is_other"])
                yield *head, *told, *_amounts(line)
            for bound in charge["bounds"]:
                head = (charge["charge"], charge["meter"], bound["kind"], None, False)
                yield *head, *NOTHING, *_amounts(bound)
        for bound in segment["bounds"]:
            yield None, None, bound["kind"], None, False, *NOTHING, *_amounts(bound)
    for line in document["unpriced"]:
        head = (line["charge"], line["meter"], "unpriced", line["group"], line["is_other"])
        yield *head, line["quantity"], line["events"], None, None, None, "0", Decimal(0)


def _amounts(priced: Mapping[str, Any]) -> tuple[str, Decimal | None]:
    amount = priced["amount"]
    return priced["unrounded_amount"], None if "/" in amount else Decimal(amount)
