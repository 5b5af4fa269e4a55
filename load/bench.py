"""`make bench`: the worker next to the bare Kafka client, on the same topic and the same machine.

Starts a Kafka and a Postgres of its own, writes a topic, and then measures in turn: `getmany` alone, and the
real worker with every feature on, into an empty database. Every run's totals are compared with what was sent;
one wrong total and there are no figures. Tables for people; the last line is one JSON object.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from statistics import linear_regression, median
from typing import Final, NamedTuple

import cyclopts
from counting import MILLION, Counted, count
from getmany import Bare, read_bare
from producers import produce
from remembered import Remembered, remember
from rich.console import Console
from rich.table import Table
from servers import directory, drop_database, running_servers
from sites import Site

FLAT_EVENTS: Final = 5 * MILLION
MIB: Final = 1024 * 1024


class Limit(NamedTuple):
    """What a figure has to be, at least or at most."""

    figure: str
    least: float = 0
    most: float = float("inf")

    def is_met(self, value: float) -> bool:
        """Whether a figure is on the right side."""
        return self.least <= value <= self.most


LIMITS: Final = (
    Limit("ratio_to_getmany", least=0.20),
    Limit("wal_bytes_per_event", most=60),
    Limit("ram_bytes_per_id", most=20),
    Limit("rss_growth_bytes_per_id", most=32),  # an id takes 16; above that lies what merging its runs leaves
)


class Pair(NamedTuple):
    """One run of each, right after one another."""

    bare: Bare
    counted: Counted

    @property
    def ratio(self) -> float:
        """The worker's share of the bare client's rate."""
        return self.counted.events_per_s / self.bare.events_per_s


class Figure(NamedTuple):
    """A line of the table."""

    name: str
    digits: int
    of: Callable[[Pair], float]


FIGURES: Final = (
    Figure("getmany alone, events/s", 0, lambda pair: pair.bare.events_per_s),
    Figure("worker, events/s", 0, lambda pair: pair.counted.events_per_s),
    Figure("ratio to getmany", 3, lambda pair: pair.ratio),
    Figure("WAL, bytes per event", 1, lambda pair: pair.counted.wal_bytes_per_event),
    Figure("  full-page images in it", 0, lambda pair: pair.counted.wal.full_page_images),
    Figure("flushes", 0, lambda pair: pair.counted.flushes),
    Figure("  events per flush", 0, lambda pair: pair.counted.records / pair.counted.flushes),
    Figure("  statements per flush", 1, lambda pair: pair.counted.statements_per_flush),
    Figure("  ms per flush", 0, lambda pair: pair.counted.flush_s * 1000),
    Figure("CPU, µs per event: getmany", 2, lambda pair: pair.bare.cpu_seconds / pair.bare.records * 1e6),
    Figure("  worker", 2, lambda pair: _us_per_event(pair, pair.counted.worker_cpu_seconds)),
    Figure("  Postgres", 2, lambda pair: _us_per_event(pair, pair.counted.servers_cpu_seconds.postgres)),
    Figure("  Kafka", 2, lambda pair: _us_per_event(pair, pair.counted.servers_cpu_seconds.kafka)),
)


def main(
    *,
    events: int = MILLION,
    runs: int = 3,
    partitions: int = 6,
    seed: int = 1,
    flat_memory: bool = True,
) -> None:
    """Measure the worker.

    Args:
        events: in the topic, which every run reads whole.
        runs: pairs of `getmany` and worker.
        partitions: of the topic.
        seed: of the events.
        flat_memory: also watch the memory of a worker while five million events go by.
    """
    console = Console()
    result = asyncio.run(_bench(console, events, runs, partitions, seed, flat_memory=flat_memory))
    console.print(_bounds(result))
    print(json.dumps(result), flush=True)


async def _bench(
    console: Console, events: int, runs: int, partitions: int, seed: int, *, flat_memory: bool
) -> dict[str, float]:
    with directory() as home:
        async with running_servers() as servers:
            site = Site(servers, home, "usage.events", partitions)
            environment = await site.prepared(database := "unused")
            console.print(f"Writing {events:,} events to {partitions} partitions (seed {seed}) …")
            totals = produce(servers.kafka.address, site.topic, events, seed)
            pairs = []
            for run in range(1, runs + 1):
                await drop_database(servers.postgres, database)
                bare = read_bare(environment)
                pairs.append(Pair(bare, await count(site, database := f"run_{run}", totals)))
                console.print(f"Run {run}: every total is right; {pairs[-1].ratio:.3f} of getmany's rate")
            console.print(_table(pairs))
            result = _medians(pairs)
            if flat_memory:
                await drop_database(servers.postgres, database)
                console.print(f"Writing {FLAT_EVENTS:,} events more …")
                totals = totals.plus(produce(servers.kafka.address, site.topic, FLAT_EVENTS, seed + 1))
                counted = await count(site, database := "flat", totals)
                console.print(_memory_series(counted))
                result["rss_growth_bytes_per_id"] = round(rss_growth_bytes_per_id(counted), 1)
            environment = {**environment, "METERING_POSTGRES_DSN": servers.postgres.dsn(database)}
            memory = await remember(environment, partitions, home)
            console.print(_memory(memory))
            return {**result, "ram_bytes_per_id": round(memory.ram_bytes_per_id, 1)}


def rss_growth_bytes_per_id(counted: Counted) -> float:
    """The slope of memory over counted events, each of them an id to remember; the first million warms up."""
    series = counted.rss_bytes_by_million[1:]
    return linear_regression(range(len(series)), series).slope / MILLION


def _medians(pairs: Sequence[Pair]) -> dict[str, float]:
    return {
        "ratio_to_getmany": round(median(pair.ratio for pair in pairs), 4),
        "wal_bytes_per_event": round(median(pair.counted.wal_bytes_per_event for pair in pairs), 1),
        "events_per_s": round(median(pair.counted.events_per_s for pair in pairs)),
        "getmany_events_per_s": round(median(pair.bare.events_per_s for pair in pairs)),
    }


def _us_per_event(pair: Pair, seconds: float) -> float:
    return seconds / pair.counted.records * 1e6


def _table(pairs: Sequence[Pair]) -> Table:
    table = Table("", *(f"run {run}" for run in range(1, len(pairs) + 1)), "median", title="Speed")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, digits, of in FIGURES:
        values = [of(pair) for pair in pairs]
        table.add_row(name, *(f"{value:,.{digits}f}" for value in (*values, median(values))))
    return table


def _bounds(result: Mapping[str, float]) -> Table:
    table = Table("figure", "least", "most", "measured", "", title="What it has to be")
    for limit in LIMITS:
        if limit.figure in result:
            value = result[limit.figure]
            met = "[green]met[/]" if limit.is_met(value) else "[bold red]not met[/]"
            table.add_row(limit.figure, f"{limit.least:g}", f"{limit.most:g}", f"{value:g}", met)
    return table


def _memory_series(counted: Counted) -> Table:
    table = Table("while counting million", "mean RSS, MiB", title="Memory of one worker")
    for million, rss_bytes in enumerate(counted.rss_bytes_by_million, 1):
        table.add_row(str(million), f"{rss_bytes / MIB:.1f}")
    return table


def _memory(memory: Remembered) -> Table:
    table = Table("a worker that remembers", "RSS, MiB", "seconds to claim", title="Memory of ids")
    for idle in (memory.empty, memory.full):
        table.add_row(f"{idle.ids:,} ids", f"{idle.rss_bytes / MIB:.1f}", f"{idle.claim_s:.2f}")
    table.add_row("bytes per id", f"{memory.ram_bytes_per_id:.1f}", "")
    return table


if __name__ == "__main__":
    cyclopts.run(main)
