"""How the database would find the rows of a statement."""

import json
import re
from collections.abc import Iterator
from typing import Any

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


async def sequential_scans(connection: Connection, name: str) -> set[str]:
    """The tables that a named statement reads from end to end."""
    parameters = [int(number) for number in re.findall(r"\$(\d+)", STATEMENTS[name])]
    plan = await explain(connection, STATEMENTS[name], max(parameters, default=0))
    return {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}


async def grown_tables(connection: Connection, rows: int) -> set[str]:
    """Tables, and indexes, of so many rows; analyzed before."""
    found = await connection.fetch(
        "SELECT relname::text, reltuples FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    )
    return {name for name, tuples in found if tuples >= rows}


async def explain(connection: Connection, statement: str, parameters: int) -> dict[str, Any]:
    """The generic plan, as every connection of the store uses it."""
    await connection.execute(f"PREPARE explained AS {statement}")
    values = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
    explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE explained{values}")
    await connection.execute("DEALLOCATE explained")
    return dict(json.loads(explained)[0]["Plan"])


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, from the top."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
