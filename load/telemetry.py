"""What telemetry costs a worker: `load/telemetry.py`, paired runs with it and without on the same topic.

Without: no collector, no admin port, nothing measured. With: spans, metrics and log lines pushed to a
collector, and a Prometheus that scrapes every five seconds, thrice as often as usual. Every run counts the
whole topic into an empty database and is checked; who is first of a pair takes turns. Collector and scraper
run in this process: on a machine whose cores are all in use, their own work is in the figure. The last line
is one JSON object.
"""

import asyncio
import json
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

import cyclopts
from counting import MILLION, Counted, count
from observing import Observing, collected_and_scraped, unobserved
from producers import produce
from rich.console import Console
from rich.table import Table
from servers import directory, drop_database, running_servers
from sites import Site
from workload import Totals

LEAST_RATIO: Final = 0.97


class Pair(NamedTuple):
    """One run of each, right after one another."""

    without: Counted
    observed: Counted

    @property
    def rate_ratio(self) -> float:
        """Of the rates: what is left with telemetry."""
        return self.observed.events_per_s / self.without.events_per_s

    @property
    def cpu_ratio(self) -> float:
        """Of the processor time for the same events: steadier than rates on a machine that others use."""
        return self.observed.worker_cpu_seconds / self.without.worker_cpu_seconds


def main(*, events: int = MILLION, runs: int = 5, partitions: int = 6, seed: int = 1) -> None:
    """Measure what telemetry costs.

    Args:
        events: in the topic, which every run reads whole.
        runs: pairs of a worker with telemetry and one without.
        partitions: of the topic.
        seed: of the events.
    """
    console = Console()
    pairs = asyncio.run(_pairs(console, events, runs, partitions, seed))
    console.print(_table(pairs))
    ratio = median(pair.rate_ratio for pair in pairs)
    print(
        json.dumps(
            {
                "rate_ratio": round(ratio, 4),
                "cpu_ratio": round(median(pair.cpu_ratio for pair in pairs), 4),
                "least_rate_ratio": LEAST_RATIO,
                "is_met": ratio >= LEAST_RATIO,
            }
        ),
        flush=True,
    )


async def _pairs(console: Console, events: int, runs: int, partitions: int, seed: int) -> list[Pair]:
    with directory() as home:
        async with running_servers() as servers:
            site = Site(servers, home, "usage.events", partitions)
            await site.prepared("unused")
            console.print(f"Writing {events:,} events to {partitions} partitions (seed {seed}) …")
            totals = produce(servers.kafka.address, site.topic, events, seed)
            await _count(site, totals, "warm_up", collected_and_scraped)
            pairs = []
            order = (unobserved, collected_and_scraped)
            for run in range(1, runs + 1):
                found = {
                    observing: await _count(site, totals, f"run_{run}_{place}", observing)
                    for place, observing in enumerate(order if run % 2 else order[::-1])
                }
                pairs.append(Pair(found[unobserved], found[collected_and_scraped]))
                console.print(
                    f"Pair {run}: every total is right; {pairs[-1].rate_ratio:.3f} of the rate,"
                    f" {pairs[-1].cpu_ratio:.3f} of the processor time"
                )
            return pairs


async def _count(site: Site, totals: Totals, database: str, observing: Observing) -> Counted:
    try:
        return await count(site, database, totals, observing)
    finally:
        await drop_database(site.servers.postgres, database)


def _table(pairs: Sequence[Pair]) -> Table:
    table = Table("", *(f"pair {place}" for place in range(1, len(pairs) + 1)), title="What telemetry costs")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("events per second without", *(f"{pair.without.events_per_s:,.0f}" for pair in pairs))
    table.add_row("  with", *(f"{pair.observed.events_per_s:,.0f}" for pair in pairs))
    table.add_row("  ratio", *(f"{pair.rate_ratio:.3f}" for pair in pairs))
    table.add_row(
        "worker's CPU seconds without", *(f"{pair.without.worker_cpu_seconds:.2f}" for pair in pairs)
    )
    table.add_row("  with", *(f"{pair.observed.worker_cpu_seconds:.2f}" for pair in pairs))
    table.add_row("  ratio", *(f"{pair.cpu_ratio:.3f}" for pair in pairs))
    return table


if __name__ == "__main__":
    cyclopts.run(main)
