"""`make bench-reading`: how long a provisional total takes while usage is counted at full speed.

Starts a Kafka and a Postgres of its own and writes a topic. A worker counts all of it twice, each time into
an empty database, with a closer and a rater beside it: first with nobody who reads, then with readers that
take turns over HTTP, at the store's own function, and with a bare SELECT of one row by its primary key. In
the end what is read must be right. A table for people; the last line is one JSON object.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final

import cyclopts
from billing_records import write
from billing_workload import METERS, Billing, name
from commands import Environment, Running, run, running
from counting import WrongTotalsError
from readers import HttpReader, Latencies, ask_pool, reads_provisional, reads_row
from rich.console import Console
from rich.table import Table
from servers import directory, running_servers
from sites import Site

from aggregator.store.connection import StoreOptions, make_pool

KINDS: Final = {
    "provisional": "provisional total over HTTP",
    "store": "  by the store's function alone",
    "select": "bare SELECT of one row by key",
}
CHECKED: Final = 300
"""Totals compared in the end."""


@dataclass(frozen=True, slots=True)
class Read:
    """What reading beside counting came to."""

    latencies: Mapping[str, Latencies]
    events_per_s: float  # counted meanwhile
    quiet_events_per_s: float  # counted while nobody read


def main(
    *,
    subscriptions: int = 5_000,
    events: int = 100,
    readers: int = 4,
    round_s: float = 2.0,
    partitions: int = 6,
    seed: int = 1,
) -> None:
    """Measure reads beside a worker.

    Args:
        subscriptions: each with one subject.
        events: of each of them, over the month; each one counts for five meters.
        readers: that ask at one time; the API and the bare SELECT have as many connections.
        round_s: seconds that one kind of reading goes on before the next takes its turn.
        partitions: of the topic.
        seed: of the usage.
    """
    console = Console()
    billing = Billing(subscriptions, events, seed)
    found = asyncio.run(_bench(console, billing, partitions, readers, round_s))
    console.print(_table(found, readers))
    print(json.dumps(figures(found)), flush=True)


async def _bench(console: Console, billing: Billing, partitions: int, readers: int, round_s: float) -> Read:
    with directory() as home:
        async with running_servers() as servers:
            site = Site(servers, home, "usage.billing", partitions, "record")
            return await measure(console, site, billing, readers, round_s)


async def measure(console: Console, site: Site, billing: Billing, readers: int, round_s: float) -> Read:
    """Count it all twice, in new databases `quiet` and `read`.

    Raises:
        WrongTotalsError: a total that was read is not what it must be.
    """
    quiet = await _prepared(site, billing, "quiet")
    console.print(f"Writing {billing.events:,} events, each for five meters …")
    write(site.servers.kafka.address, site.topic, billing.records(), [])
    console.print("Counting while nobody reads …")
    with _counting(quiet, site) as worker:
        worker.succeeded()
        quiet_events_per_s = _events_per_s(worker)
    environment = await _prepared(site, billing, "read")
    environment |= {
        "METERING_API_PORT": "0",
        "METERING_API_CONNECTIONS": str(readers),
        "METERING_API_REQUESTS_PER_S": "1000000",
        "METERING_API_BURST": "1000000",
    }
    console.print("Counting while totals are read …")
    with running(environment, site.home, "api") as api:
        http = _http(environment, api)
        with _counting(environment, site) as worker:
            latencies = await _read(environment, http, worker, billing, readers, round_s)
            worker.succeeded()
        check(billing, http)
        return Read(latencies, _events_per_s(worker), quiet_events_per_s)


async def _prepared(site: Site, billing: Billing, database: str) -> dict[str, str]:
    environment = dict(await site.prepared(database, METERS))
    catalog = site.home / "billing.yaml"
    catalog.write_text(billing.catalog())
    run(environment, "catalog", "apply", str(catalog))
    return environment


@contextmanager
def _counting(environment: Environment, site: Site) -> Iterator[Running]:
    """A worker that ends when all is counted, and a closer and a rater that go on."""
    with (
        running(environment, site.home, "close"),
        running(environment, site.home, "rate") as rater,
    ):
        rater.wait_for("scheduled")
        with running(environment, site.home, "worker", "--until-caught-up") as worker:
            worker.wait_for("partitions_claimed")
            yield worker


def _http(environment: Environment, api: Running) -> HttpReader:
    issued = run(
        environment, "token", "create", "load", "--scopes", "rated:read", "--all-customers", "--json"
    )
    listening = api.wait_for("api_listening")
    return HttpReader(listening["host"], listening["port"], json.loads(issued)["token"])


async def _read(
    environment: Environment,
    http: HttpReader,
    worker: Running,
    billing: Billing,
    readers: int,
    round_s: float,
) -> dict[str, Latencies]:
    """Read in turns until the worker has counted everything, each kind at least once."""
    choices, subscriptions = Random(billing.seed), billing.subscriptions
    pool = await make_pool(environment["METERING_POSTGRES_DSN"], StoreOptions(), readers)
    rows, totals = reads_row(), await reads_provisional(pool)
    found: dict[str, list[float]] = defaultdict(list)
    while not found or not worker.has_ended:
        found["provisional"] += await http.ask(readers, round_s, choices, subscriptions)
        found["store"] += await ask_pool(pool, totals, readers, round_s, choices, subscriptions)
        found["select"] += await ask_pool(pool, rows, readers, round_s, choices, subscriptions)
    await pool.close()
    return {kind: Latencies(sorted(ms)) for kind, ms in found.items()}


def check(billing: Billing, http: HttpReader) -> None:
    """Compare what is read now with plain arithmetic.

    Raises:
        WrongTotalsError: they differ.
    """
    connection = http.connect()
    for number in range(0, billing.subscriptions, -(-billing.subscriptions // CHECKED)):
        total = json.loads(http.read(connection, name(number)))
        owed = billing.amount(number)
        if Decimal(total["amount"]) != owed:
            raise WrongTotalsError(f"{name(number)} owes {owed} so far, not {total['amount']}")
    connection.close()


def _events_per_s(worker: Running) -> float:
    flushed = worker.events("flushed")
    (claimed,) = worker.events("partitions_claimed")
    return float(sum(one["records"] for one in flushed) / (flushed[-1]["at_s"] - claimed["at_s"]))


def figures(found: Read) -> dict[str, float]:
    """What the last line says."""
    p99 = {kind: latencies.percentile(99) for kind, latencies in found.latencies.items()}
    return {
        **{f"{kind}_p50_ms": round(one.percentile(50), 3) for kind, one in found.latencies.items()},
        **{f"{kind}_p99_ms": round(ms, 3) for kind, ms in p99.items()},
        "ratio_to_select": round(p99["provisional"] / p99["select"], 1),
        "store_ratio_to_select": round(p99["store"] / p99["select"], 1),
        "events_per_s": round(found.events_per_s),
        "quiet_events_per_s": round(found.quiet_events_per_s),
    }


def _table(found: Read, readers: int) -> Table:
    table = Table(
        f"{readers} readers, beside {found.events_per_s:,.0f} events/s",
        "answers",
        "p50 ms",
        "p99 ms",
        "max ms",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, label in KINDS.items():
        one = found.latencies[kind]
        cells = [one.percentile(50), one.percentile(99), one.ms[-1]]
        table.add_row(label, f"{len(one.ms):,}", *(f"{ms:,.2f}" for ms in cells))
    table.caption = f"Counted while nobody reads: {found.quiet_events_per_s:,.0f} events/s"
    return table


if __name__ == "__main__":
    cyclopts.run(main)
