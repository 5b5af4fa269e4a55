"""`make bench-rating`: how fast a month of very many subscriptions is rated, next to a bare INSERT of it.

Starts a Kafka and a Postgres of its own. The usage goes the way of all usage: through the topic, a worker and
a closer. Every amount is compared with plain arithmetic, and `metering doctor` must be content; one wrong
amount and there are no figures. A table for people; the last line is one JSON object.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import cyclopts
from billing_records import ticks, write
from billing_workload import FINAL_US, METERS, Billing, name
from commands import Environment, run, run_program
from counting import Wal, WrongTotalsError, wal_so_far
from rate_all import Rated
from rich.console import Console
from rich.table import Table
from servers import directory, running_servers
from sites import Site

from aggregator.store.connection import StoreOptions, connect
from aggregator.store.statements import STATEMENTS

RATE_ALL: Final = Path(__file__).with_name("rate_all.py")
BATCH: Final = 500
"""Rows of one bare INSERT: as many as the rater writes at once."""

MIB: Final = 1024 * 1024

AMOUNTS: Final = "SELECT subscription, amount FROM metering.rated_total"
ROWS: Final = """
    SELECT
        subscription, period_start, version, customer, period_end, cut, currency, amount::text,
        unrounded_amount, difference::text, subscription_version_ids::text, plan_version_ids::text,
        meter_version_ids::text, digest, document::text, feed_position
    FROM metering.rated_total
    WHERE feed_position > $1
    ORDER BY feed_position
    LIMIT $2
"""


@dataclass
class Took:
    """What a block of work has taken; known when it has ended."""

    seconds: float = field(default=0, init=False)
    cpu_seconds: float = field(default=0, init=False)  # of the processes started in it


class Measured(NamedTuple):
    """One month of all subscriptions."""

    billing: Billing
    applied: Took
    scheduled: Rated
    rated: Rated
    wal: Wal
    bare_insert_s: float


def main(*, subscriptions: int = 100_000, events: int = 4, partitions: int = 6, seed: int = 1) -> None:
    """Measure the rater.

    Args:
        subscriptions: each with one subject.
        events: of each of them, over the month; each one counts for five meters.
        partitions: of the topic.
        seed: of the usage.
    """
    console = Console()
    measured = asyncio.run(_bench(console, Billing(subscriptions, events, seed), partitions))
    found = figures(measured)
    console.print(_table(measured, found))
    print(json.dumps(found), flush=True)


async def _bench(console: Console, billing: Billing, partitions: int) -> Measured:
    with directory() as home:
        async with running_servers() as servers:
            return await measure(console, Site(servers, home, "usage.billing", partitions, "record"), billing)


async def measure(console: Console, site: Site, billing: Billing) -> Measured:
    """Apply, count, close and rate it all, in a new database `rating`.

    Raises:
        WrongTotalsError: an amount is not what it must be.
    """
    environment = await site.prepared("rating", METERS)
    catalog = site.home / "billing.yaml"
    catalog.write_text(billing.catalog())
    console.print(f"Applying {billing.subscriptions:,} subscriptions …")
    with _watched() as applied:
        run(environment, "catalog", "apply", str(catalog))
    console.print(f"Writing and counting {billing.events:,} events, each for five meters …")
    address = site.servers.kafka.address
    write(address, site.topic, billing.records(), ticks(site.partitions, FINAL_US))
    run(environment, "worker", "--until-caught-up")
    scheduled = _rate_all(environment)
    run(environment, "close", "--once")
    dsn = environment["METERING_POSTGRES_DSN"]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("VACUUM ANALYZE")  # as autovacuum does in a month
        await connection.execute("CHECKPOINT")
        wal = await wal_so_far(connection)
        console.print("Rating …")
        rated = _rate_all(environment)
        wal = (await wal_so_far(connection)).since(wal)
        check(billing, dict(await connection.fetch(AMOUNTS)))
        run(environment, "doctor")
        bare_insert_s = await _insert_bare(dsn)
    finally:
        await connection.close()
    return Measured(billing, applied, scheduled, rated, wal, bare_insert_s)


@contextmanager
def _watched() -> Iterator[Took]:
    took, began_s, began_cpu_s = Took(), time.perf_counter(), _children_cpu_s()
    yield took
    took.seconds, took.cpu_seconds = time.perf_counter() - began_s, _children_cpu_s() - began_cpu_s


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rate_all(environment: Environment) -> Rated:
    """What a rater takes, in a process of its own; as long as nothing is closed it only schedules."""
    said = run_program(environment, sys.executable, str(RATE_ALL))
    return Rated(**json.loads(said.splitlines()[-1]))


def check(billing: Billing, found: Mapping[str, Decimal]) -> None:
    """Compare every amount with plain arithmetic.

    Raises:
        WrongTotalsError: they differ.
    """
    owed = {name(number): billing.amount(number) for number in range(billing.subscriptions)}
    if found != owed:
        wrong = [one for one in owed if found.get(one) != owed[one]]
        example = wrong[0] if wrong else min(found.keys() - owed.keys())
        raise WrongTotalsError(
            f"{len(wrong)} amounts are wrong: {example} owes {owed.get(example)}, not {found.get(example)}"
        )


async def _insert_bare(dsn: str) -> float:
    """The seconds that it takes to write the same rows by the same statement, into a table like theirs."""
    owner = await asyncpg.connect(dsn)
    await owner.execute("CREATE SCHEMA bare")
    await owner.execute("CREATE TABLE bare.rated_total (LIKE metering.rated_total INCLUDING ALL)")
    await owner.close()
    connection = await connect(dsn, StoreOptions(schema="bare"))
    position, took_s = 0, 0.0
    while rows := await connection.fetch(ROWS, position, BATCH):
        position = rows[-1]["feed_position"]
        columns = list(zip(*rows, strict=True))
        began_s = time.perf_counter()
        await connection.execute(STATEMENTS["insert_rated_totals"], *columns)
        took_s += time.perf_counter() - began_s
    await connection.close()
    return took_s


def figures(measured: Measured) -> dict[str, float]:
    """What the last line says."""
    billing, rated = measured.billing, measured.rated
    totals = billing.subscriptions
    return {
        "subscriptions": totals,
        "rated_totals_per_s": round(totals / rated.seconds, 1),
        "scheduled_per_s": round(totals / measured.scheduled.seconds, 1),
        "ms_per_rated_total": round(rated.seconds / totals * 1000, 4),
        "sql_share": round(rated.sql_seconds / rated.seconds, 3),
        "statements_per_rated_total": round(rated.statements / totals, 4),
        "wal_bytes_per_rated_total": round(measured.wal.bytes / totals, 1),
        "rss_growth_bytes_per_subscription": round(
            (rated.rss_bytes_peak - rated.rss_bytes_before) / totals, 1
        ),
        "ratio_to_bare_insert": round(measured.bare_insert_s / rated.seconds, 4),
        "apply_s": round(measured.applied.seconds, 1),
    }


def _table(measured: Measured, found: Mapping[str, float]) -> Table:
    rated, totals = measured.rated, measured.billing.subscriptions
    table = Table("", "", title=f"A month of {totals:,} subscriptions, five meters each", show_header=False)
    table.columns[1].justify = "right"
    for label, value in (
        ("applying them: seconds", f"{measured.applied.seconds:,.1f}"),
        ("  of these CPU of the command", f"{measured.applied.cpu_seconds:,.1f}"),
        ("scheduling, subscriptions/s", f"{found['scheduled_per_s']:,.0f}"),
        ("rating, totals/s", f"{found['rated_totals_per_s']:,.0f}"),
        ("  ms per total", f"{found['ms_per_rated_total']:.2f}"),
        ("    of these the rater's CPU", f"{rated.cpu_seconds / totals * 1000:.2f}"),
        ("    of these waiting for SQL", f"{rated.sql_seconds / totals * 1000:.2f}"),
        ("  statements per total", f"{found['statements_per_rated_total']:.3f}"),
        ("  WAL, bytes per total", f"{found['wal_bytes_per_rated_total']:,.0f}"),
        ("  steps", f"{rated.steps:,}"),
        ("memory of the rater, peak MiB", f"{rated.rss_bytes_peak / MIB:.1f}"),
        ("  grown by, bytes per subscription", f"{found['rss_growth_bytes_per_subscription']:,.0f}"),
        ("a bare INSERT of the same rows, rows/s", f"{totals / measured.bare_insert_s:,.0f}"),
        ("  ratio of rating to it", f"{found['ratio_to_bare_insert']:.3f}"),
    ):
        table.add_row(label, value)
    return table


if __name__ == "__main__":
    cyclopts.run(main)
